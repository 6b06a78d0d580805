"""A websocket of the session, passed on in both directions at the pace of the slower side."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError

from visa.instances.access import Role
from visa.session import activity, headers, upstream
from visa.session.guard import Admitted, Refused
from visa.session.hub import Visitor
from visa.session.notebook.audience import Audience
from visa.session.notebook.desks import Desk
from visa.session.notebook.kernel import V1
from visa.session.notebook.lib0 import Malformed
from visa.session.notebook.rules import Rules, desk_of, rules_for
from visa.session.notebook.session import acts
from visa.session.watched import NOT_ALLOWED, Watched

log = logging.getLogger(__name__)

HELD = 3.0
"""Seconds between looks whether a websocket's file is still opened to who has it open."""
_AGAIN, _MALFORMED = 1012, 1008


class Socket(Watched):
    """Nothing reaches Jupyter before the visitor is known, and nothing after she is not allowed."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._upstream: WebSocketClientConnection | None = None
        self._rules: Rules | None = None
        self._role = Role.NONE
        self._desk: Desk | None = None
        self._audience: Audience | None = None

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, open Jupyter's end, and only then the browser's."""
        try:
            admitted = await self.admit()
            self._path, self._visitor = admitted.path, admitted.visitor
            self._role = admitted.visitor.role
            self._rules = await rules_for(self.gateway, admitted)
            self._admitted, self._desk = admitted, desk_of(self.gateway, admitted.path)
            if self._rules is None or not (self._rules.silent or self._rules.watches):
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
            self.close_upstream(1001, None)
            return
        await super().get(*args, **kwargs)
        if self.ws_connection is None:  # the browser's handshake was not in order
            self.close_upstream(1001, None)

    async def _connect(self, admitted: Admitted) -> WebSocketClientConnection:
        sent = headers.inward(self.request.headers, admitted.identity)
        sent["X-Forwarded-For"] = self.request.remote_ip or ""
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        uri = admitted.uri if self._rules is None else self._rules.address(admitted.uri)
        if self._rules is not None and self._rules.watches:
            protocols = [V1] if self._rules.v1 else []
        return await upstream.open_websocket(self.gateway.settings.socket, uri, sent, protocols or None)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that Jupyter chose, or will."""
        if self._rules is not None and self._rules.watches:
            self._rules.v1 = V1 in subprotocols
            return V1 if self._rules.v1 else None
        return self._upstream.selected_subprotocol if self._upstream else None

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin to pass messages."""
        rules, desk = self._rules, self._desk
        hold = [self._hold(rules)] if rules is not None else []
        if desk is not None and rules is not None and rules.watches:
            self._audience = desk.audiences.setdefault(rules.v1, Audience(desk))
            self._audience.came(self)
            self.watch(*hold)
            return
        if desk is not None:
            desk.came(self)
        self.watch(self._from_jupyter(), *hold)

    async def connect(self) -> WebSocketClientConnection:
        """Jupyter's end for all who watch."""
        return await self._connect(self._admitted)

    def send(self, frames: bytes) -> asyncio.Future[None] | None:
        """Whole frames to the browser; done when they are on their way, None when it is gone."""
        if self._ending or self.ws_connection is None or self.ws_connection.stream is None:
            return None
        with contextlib.suppress(StreamClosedError):
            return self.ws_connection.stream.write(frames)
        return None

    async def _hold(self, rules: Rules) -> None:
        while await rules.hold():
            await asyncio.sleep(HELD)
        self.end(NOT_ALLOWED, "The owner has closed this file's folder to you.")

    def seen_again(self, visitor: Visitor) -> None:
        """Who may do less or more than before connects again, and is looked at anew."""
        before = self._role
        self._role = visitor.role
        if acts(before) != acts(visitor.role):
            self.end(_AGAIN, "What you may do here has changed.")

    async def on_message(self, message: str | bytes) -> None:
        """To Jupyter, as far as it may pass; the next is read when this one is written."""
        if self._ending:
            return
        if self._rules is not None:
            passes = await self._ruled(self._rules, message)
            if passes is None:
                return
            message = passes
        if activity.is_work(self._path, message):
            self.gateway.activity.happened()
        await self._write(message)

    async def _write(self, message: str | bytes) -> None:
        if self._audience is not None:
            self._audience.asks(self, message)
        if self._upstream is None:
            return
        try:
            await self._upstream.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            self.close(1011, "Jupyter closed the connection")

    async def _ruled(self, rules: Rules, message: str | bytes) -> str | bytes | None:
        try:
            passes = rules.inward(message)
        except Malformed as error:
            log.info("%s: a message is not in order: %s", self._path, error)
            self.end(_MALFORMED, f"The message is not in order: {error}.")
            return None
        if passes.dropped:
            log.info("%s: not passed on: %s", self._path, passes.dropped)
        if passes.answer is not None:
            await self.write_message(passes.answer, binary=True)
        return passes.on

    async def _from_jupyter(self) -> None:
        end = self._upstream
        if end is None:
            return
        try:
            while (message := await end.read_message()) is not None:
                told = message if self._rules is None else self._rules.outward(message)
                if told is not None:
                    await self.write_message(told, binary=isinstance(told, bytes))
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a websocket was closed while a message was on its way")
        if end.close_code is None:
            self.close(1011, "Jupyter closed the connection")
        else:
            self.close(end.close_code, end.close_reason)

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """Jupyter's end; who was with others leaves them."""
        if self._audience is not None:
            self._audience.went(self)
        if self._rules is not None and (farewell := self._rules.farewell()) is not None and self._upstream is not None:
            with contextlib.suppress(WebSocketClosedError):
                self._upstream.write_message(farewell, binary=True)
        end, pause = self._upstream, self._desk.went(self) if self._desk is not None else 0
        if end is not None and pause:
            asyncio.get_running_loop().call_later(pause, end.close, code, reason)
        elif end is not None:
            end.close(code, reason)
