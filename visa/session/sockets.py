"""A websocket of the session, passed on in both directions at the pace of the slower side."""

from __future__ import annotations

import logging

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError

from visa.session import activity, headers, upstream
from visa.session.guard import Admitted, Refused
from visa.session.watched import Watched

log = logging.getLogger(__name__)


class Socket(Watched):
    """Nothing reaches Jupyter before the visitor is known, and nothing after she is not allowed."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._upstream: WebSocketClientConnection | None = None

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, open Jupyter's end, and only then the browser's."""
        try:
            admitted = await self.admit()
            self._path, self._visitor = admitted.path, admitted.visitor
            self._upstream = await self._connect(admitted)
        except Refused as error:
            self.refuse(error)
            return
        except upstream.NotListening:
            self.refuse(Refused(503, "Jupyter is starting, or has stopped."))
            return
        except HTTPClientError as error:
            self.refuse(Refused(error.code if 400 <= error.code < 500 else 502, "Jupyter refused the connection."))
            return
        if self._over:  # the browser went away meanwhile
            self._upstream.close(1001)
            return
        await super().get(*args, **kwargs)
        if self.ws_connection is None:  # the browser's handshake was not in order
            self._upstream.close(1001)

    async def _connect(self, admitted: Admitted) -> WebSocketClientConnection:
        sent = headers.inward(self.request.headers, admitted.identity)
        sent["X-Forwarded-For"] = self.request.remote_ip or ""
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        return await upstream.open_websocket(self.gateway.settings.socket, admitted.uri, sent, protocols or None)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that Jupyter chose."""
        return self._upstream.selected_subprotocol if self._upstream else None

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin to pass messages."""
        self.watch(self._from_jupyter())

    async def on_message(self, message: str | bytes) -> None:
        """To Jupyter; the next is read when this one is written."""
        if self._ending:
            return
        if activity.is_work(self._path, message):
            self.gateway.activity.happened()
        if self._upstream is not None:
            try:
                await self._upstream.write_message(message, binary=isinstance(message, bytes))
            except (WebSocketClosedError, StreamClosedError):
                self.close(1011, "Jupyter closed the connection")

    async def _from_jupyter(self) -> None:
        end = self._upstream
        if end is None:
            return
        try:
            while (message := await end.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a websocket was closed while a message was on its way")
        if end.close_code is None:
            self.close(1011, "Jupyter closed the connection")
        else:
            self.close(end.close_code, end.close_reason)

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """Jupyter's end."""
        if self._upstream is not None:
            self._upstream.close(code, reason)
