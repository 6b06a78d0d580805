"""A websocket of the session, passed on in both directions, part by part, at the pace of the slower side."""

from __future__ import annotations

import asyncio
import contextlib
import logging

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from visa.instances.access import Role
from visa.session import activity, headers, upstream
from visa.session.frames import BINARY, TEXT, InParts, Jupyters, NoRoom, Part
from visa.session.guard import Admitted, Refused
from visa.session.hub import Visitor
from visa.session.notebook.audience import Audience
from visa.session.notebook.desks import Desk
from visa.session.notebook.kernel import V1
from visa.session.notebook.lib0 import Malformed
from visa.session.notebook.rules import Rules, desk_of, rules_for
from visa.session.notebook.session import acts
from visa.session.watched import FULL, NO_ROOM, NOT_ALLOWED, Watched

log = logging.getLogger(__name__)

HELD = 3.0
"""Seconds between looks whether a websocket's file is still opened to who has it open."""
_AGAIN, _MALFORMED = 1012, 1008
_SAID = 20
"""Messages of one websocket that are logged as not passed on: who sends them may send any number."""


class Socket(Watched):
    """Nothing reaches Jupyter before the visitor is known, and nothing after she is not allowed."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._upstream: Jupyters | None = None
        self._passing = False
        self._left_out = 0
        self._telling = asyncio.Lock()
        self._rules: Rules | None = None
        self._role = Role.NONE
        self._desk: Desk | None = None
        self._audience: Audience | None = None

    async def begin(self, admitted: Admitted) -> None:
        """Open Jupyter's end, and only then the browser's."""
        self._role = admitted.visitor.role
        self._rules = await rules_for(self.gateway, admitted)
        self._admitted, self._desk = admitted, desk_of(self.gateway, admitted.path)
        if self._rules is not None and (self._rules.silent or self._rules.watches):
            return
        try:
            self._upstream = await self._connect(admitted)
        except upstream.NotListening:
            raise Refused(503, "Jupyter is starting, or has stopped.") from None
        except HTTPClientError as error:
            status = error.code if 400 <= error.code < 500 else 502
            raise Refused(status, "Jupyter refused the connection.") from None

    async def _connect(self, admitted: Admitted) -> Jupyters:
        sent = headers.inward(self.request.headers, admitted.identity)
        sent["X-Forwarded-For"] = self.request.remote_ip or ""
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        uri = admitted.uri if self._rules is None else self._rules.address(admitted.uri)
        if self._rules is not None and self._rules.watches:
            protocols = [V1] if self._rules.v1 else []
        return await upstream.open_in_parts(self.gateway.settings.socket, uri, sent, protocols or None)

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
            self._audience = desk.audiences.setdefault(rules.v1, Audience(desk, self.gateway.budget))
            self._audience.came(self)
            self.watch(*hold)
            return
        if desk is not None:
            desk.came(self)
        self.watch(self._from_jupyter(), *hold)

    async def connect(self) -> Jupyters:
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

    async def on_part(self, part: Part) -> None:
        """To Jupyter, as far as it may pass; the next is read when this one is written."""
        rules = self._rules
        if self._ending:
            return
        if part.first:
            self._passing = rules is None or rules.lets_pass(part)
        if self._passing:
            if part.first:
                self._note(part.data)
            await self._write(part)
            return
        message = None if rules is None else self.gather(part, rules.largest)
        if message is not None:
            await self.on_message(message)
        elif part.last and not self._ending:
            self._not_passed("a long message")

    def _not_passed(self, what: str) -> None:
        self._left_out += 1
        if self._left_out <= _SAID:
            log.info("%s: not passed on: %s", self._path, what)

    def _note(self, beginning: bytes) -> None:
        if activity.is_work(self._path, beginning):
            self.gateway.activity.happened()

    async def on_message(self, message: str | bytes) -> None:
        """One that was read as a whole."""
        if self._rules is None or (passes := await self._ruled(self._rules, message)) is None:
            return
        data = passes.encode() if isinstance(passes, str) else passes
        self._note(data)
        if self._audience is not None:
            self._audience.asks(self, passes)
        await self._write(Part(TEXT if isinstance(passes, str) else BINARY, data))

    async def _write(self, part: Part) -> None:
        if self._upstream is None:
            return
        try:
            await self._upstream.write_part(part)
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
            self._not_passed(passes.dropped)
        if passes.answer is not None:
            async with self._telling:
                await self.write_message(passes.answer, binary=True)
        return passes.on

    async def _from_jupyter(self) -> None:
        end = self._upstream
        if end is None:
            return
        try:
            while (part := await end.read_part()) is not None:
                async with self._telling:
                    await self._tell_all(end, part)
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a websocket was closed while a message was on its way")
        except NoRoom:
            self.end(FULL, NO_ROOM)
        if end.close_code is None:
            self.close(1011, "Jupyter closed the connection")
        else:
            self.close(end.close_code, end.close_reason)

    async def _tell_all(self, end: Jupyters, part: Part | None) -> None:
        """One message, to its end."""
        while part is not None:
            if self._rules is not None and part.first and (reply := self._rules.reply(part)) is not None:
                # Before the browser takes it, for which Jupyter would wait.
                end.say(reply)
            told = part if self._rules is None else self._rules.outward(part)
            if told is not None:
                await self._tell(told)
            part = None if part.last else await end.read_part()

    async def _tell(self, part: Part) -> None:
        if self._ending or not isinstance(self.ws_connection, InParts) or self.ws_connection.is_closing():
            raise WebSocketClosedError
        await self.ws_connection.write_part(part)

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """Jupyter's end; who was with others leaves them."""
        if self._audience is not None:
            self._audience.went(self)
        if self._rules is not None and (farewell := self._rules.farewell()) is not None and self._upstream is not None:
            with contextlib.suppress(WebSocketClosedError):
                self._upstream.say(farewell)
        end, pause = self._upstream, self._desk.went(self) if self._desk is not None else 0
        if end is not None and pause:
            asyncio.get_running_loop().call_later(pause, end.close, code, reason)
        elif end is not None:
            end.close(code, reason)
