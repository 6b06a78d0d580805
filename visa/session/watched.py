"""What all websockets share: who opened it is looked at again, what it holds is counted, the gateway can end it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from tornado.websocket import WebSocketHandler, WebSocketProtocol13

from visa import clock
from visa.instances.access import Role, may
from visa.session import headers
from visa.session.crowd import TooMany
from visa.session.frames import PART, InParts, NoRoom, Part, Whole
from visa.session.guard import Admitted, Guard, Refused
from visa.session.hub import Visitor

RECHECK = 2 / 3
"""Of the time for which the hub's word is taken, an open websocket's visitor is looked at again."""
NOT_ALLOWED = 4403
"""Close code for a visitor who may not be here any more."""
FULL, MALFORMED, TOO_LONG = 1013, 1007, 1009
NO_ROOM = "This instance's gateway has no room for more of what is on its way to or from your page. Try again."


class Watched(Guard, WebSocketHandler):
    """A websocket with an upstream end, open for as long as its visitor may be here."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        self._tasks: list[asyncio.Task[None]] = []
        self._path = ""
        self._over = False
        self._whole: Whole | None = None
        self._ending = False
        self._visitor: Visitor | None = None
        self.since = clock.now()

    session_kind = "notebook"

    def check_origin(self, origin: str) -> bool:
        """`admit` looked at it already."""
        return True

    @property
    def session_ids(self) -> list[str]:
        """The browser sessions that opened it; none with a token."""
        return [] if "Authorization" in self.request.headers else self.values_of(headers.OWN_COOKIE)

    @property
    def visitor_here(self) -> Visitor:
        """Who opened it, in her role as it was last seen."""
        return self._visitor or Visitor("", Role.NONE, {})

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, count, and only then take the websocket; it is over when this ends."""
        try:
            admitted = await self.admit()
            self._path, self._visitor = admitted.path, admitted.visitor
            self.gateway.crowd.enter(admitted.visitor.name)
        except Refused as error:
            self.refuse(error)
            return
        except TooMany as error:
            self.refuse(Refused(429, str(error)))
            return
        try:
            await self.begin(admitted)
            if not self._over:
                await super().get(*args, **kwargs)
        except Refused as error:
            self.refuse(error)
        finally:
            self.gateway.crowd.leave(admitted.visitor.name)
            if self.ws_connection is None:  # the browser went away meanwhile, or its handshake was not in order
                self.close_upstream(1001, None)

    async def begin(self, admitted: Admitted) -> None:
        """What has to be before the websocket is taken; raise `Refused`."""

    def get_websocket_protocol(self) -> InParts | None:
        """tornado's, in parts."""
        made = super().get_websocket_protocol()
        return InParts(self, False, made.params) if isinstance(made, WebSocketProtocol13) else None

    async def on_part(self, part: Part) -> None:
        """Of a message that is read as a whole."""
        if not self._ending and (message := self.gather(part, self.max_message_size)) is not None:
            await self.on_message(message)
        elif self._whole is not None and self._whole.too_long:
            self.end(TOO_LONG, "The message is too long.")

    def gather(self, part: Part, most: int) -> str | bytes | None:
        """The message, when it is whole and has at most ``most`` bytes. What does not fit ends the websocket."""
        if self._whole is None:
            self._whole = Whole(self.gateway.budget, self.visitor_here.name, most)
        try:
            return self._whole.add(part)
        except NoRoom:
            self.end(FULL, NO_ROOM)
        except UnicodeDecodeError:
            self.end(MALFORMED, "The message is no text.")
        return None

    async def on_message(self, message: str | bytes) -> None:
        """A whole message."""

    def watch(self, *work: Coroutine[None, None, None]) -> None:
        """Begin the work and look again at the visitor; all of it ends with the websocket."""
        self.set_nodelay(True)
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.read_chunk_size = PART
        self.gateway.sockets.add(self)
        self._tasks += [asyncio.create_task(one) for one in (*work, self._look_again())]
        self.gateway.people.came(self)

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(RECHECK * self.gateway.settings.fresh)
            try:
                visitor = await self.visitor(self.token[0])
            except Refused as error:
                # 503: the hub has been away for longer than its last word holds.
                self.end(1013 if error.status == 503 else NOT_ALLOWED, error.sentence)
                return
            self.reconsider(visitor)

    def reconsider(self, visitor: Visitor) -> None:
        """Hold what her role is now: end, or let the session narrow what passes."""
        if not may(visitor.role, "GET", self._path):
            gone = visitor.role is Role.NONE
            self.end(NOT_ALLOWED, self.why(visitor) if gone else "Your role does not allow this any more.")
        elif visitor != self._visitor:
            self._visitor = visitor
            self.seen_again(visitor)

    def seen_again(self, visitor: Visitor) -> None:
        """The visitor may still be here, perhaps in another role."""

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """End the other side; called more than once."""

    def end(self, code: int, reason: str) -> None:
        """Close both sides now; a browser that does not read is not waited for."""
        if self._ending:
            return
        self._ending = True
        self.close(code, reason[:120])
        self.close_upstream(1001, None)
        asyncio.get_running_loop().call_later(2, self._cut)

    def _cut(self) -> None:
        if self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.close()

    def on_connection_close(self) -> None:
        """The browser went away, perhaps before its websocket was open."""
        self._over = True
        super().on_connection_close()

    def on_close(self) -> None:
        """End the other side too."""
        self._ending = True
        if self._whole is not None:
            self._whole.drop()
        self.gateway.sockets.discard(self)
        self.gateway.people.went(self)
        for task in self._tasks:
            task.cancel()
        self.close_upstream(self.close_code, self.close_reason)
