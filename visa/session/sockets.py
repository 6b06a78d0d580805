"""A websocket of the session, passed on in both directions at the pace of the slower side."""

from __future__ import annotations

import asyncio
import logging

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketHandler

from visa.instances.access import may
from visa.session import activity, headers, upstream
from visa.session.guard import Admitted, Guard, Refused

log = logging.getLogger(__name__)

RECHECK = 2 / 3
"""Of the time for which the hub's word is taken, an open websocket's visitor is looked at again."""
NOT_ALLOWED = 4403
"""Close code for a visitor who may not be here any more."""


class Socket(Guard, WebSocketHandler):
    """Nothing reaches Jupyter before the visitor is known, and nothing after she is not allowed."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        self._upstream: WebSocketClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._path = ""
        self._over = False

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, open Jupyter's end, and only then the browser's."""
        try:
            admitted = await self.admit()
            self._path = admitted.path
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

    def check_origin(self, origin: str) -> bool:
        """`admit` looked at it already."""
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that Jupyter chose."""
        return self._upstream.selected_subprotocol if self._upstream else None

    @property
    def session_ids(self) -> list[str]:
        """The browser sessions that opened it; none with a token."""
        return [] if "Authorization" in self.request.headers else self.values_of(headers.OWN_COOKIE)

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin to pass messages and to look again at the visitor."""
        self.set_nodelay(True)
        self.gateway.sockets.add(self)
        self._tasks = [asyncio.create_task(self._from_jupyter()), asyncio.create_task(self._look_again())]

    async def on_message(self, message: str | bytes) -> None:
        """To Jupyter; the next is read when this one is written."""
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

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(RECHECK * self.gateway.settings.fresh)
            try:
                visitor = await self.visitor(self.token[0])
            except Refused as error:
                # 503: the hub has been away for longer than its last word holds.
                self.end(1013 if error.status == 503 else NOT_ALLOWED, error.sentence)
                return
            if not may(visitor.role, "GET", self._path):
                self.end(NOT_ALLOWED, "Your role does not allow this any more.")
                return

    def end(self, code: int, reason: str) -> None:
        """Close both sides now; a browser that does not read is not waited for."""
        self.close(code, reason[:120])
        if self._upstream is not None:
            self._upstream.close(1001)
        asyncio.get_running_loop().call_later(2, self._cut)

    def _cut(self) -> None:
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.close()

    def on_connection_close(self) -> None:
        """The browser went away, perhaps before its websocket was open."""
        self._over = True
        super().on_connection_close()

    def on_close(self) -> None:
        """End Jupyter's side too."""
        self.gateway.sockets.discard(self)
        for task in self._tasks:
            task.cancel()
        if self._upstream is not None:
            self._upstream.close(self.close_code, self.close_reason)
