"""``desktop/selkies``: one viewer of the desktop's video, with a connection of her own to Selkies that only looks.

Every message is read by `visa.session.selkies` on its way; what she may do goes through the gateway's one `Hand`.
Selkies is read only once her browser told of the pictures before, so a slow viewer is left out pictures by Selkies,
never the others, and costs no memory here.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque

from tornado.websocket import WebSocketClientConnection

from visa.session.desktop.hand import FAILURES
from visa.session.desktop.seat import BEGINNING, ENDED, KIND, LATER, Seated, allowed
from visa.session.rfb.names import Violation
from visa.session.selkies.server import given, picture, told
from visa.session.selkies.viewer import FromViewer

log = logging.getLogger(__name__)

WINDOW = 30
"""Pictures on their way to a browser: half a second of them."""


class Window:
    """Pictures that were sent and not seen yet."""

    def __init__(self) -> None:
        self._sent: deque[int] = deque()
        self._room = asyncio.Event()
        self._room.set()

    async def room(self) -> None:
        """Until another picture may go."""
        await self._room.wait()

    def sent(self, number: int) -> None:
        """It is on its way."""
        self._sent.append(number)
        if len(self._sent) >= WINDOW:
            self._room.clear()

    def seen(self, number: int) -> None:
        """It arrived, and with it those before; a number that was not sent says nothing."""
        if number in self._sent:
            while self._sent.popleft() != number:
                pass
            self._room.set()


class Stream(Seated):
    """Speaks Selkies' protocol to both sides."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._end: WebSocketClientConnection | None = None
        self._from_viewer: FromViewer | None = None
        self._window = Window()
        self._pictures = 0
        self._copied: bytes | None = None
        self._to_copy = asyncio.Event()

    @property
    def max_message_size(self) -> int:
        """A clipboard is packed in base64."""
        return 2 * super().max_message_size

    async def open(self, *args: str, **kwargs: str) -> None:
        """Her connection to Selkies begins, and ends with this one."""
        if self.full():
            return
        self.watch()
        try:
            async with asyncio.timeout(BEGINNING):
                self._end = await self.gateway.hand.look()
        except FAILURES:
            self.end(LATER, "The desktop's video does not run, or not yet.")
            return
        if self._ending or self._rights is None:
            self.close_upstream(None, None)
            return
        may = allowed(self._rights)
        self._from_viewer = FromViewer(may, f"visa{id(self):x}")
        self.gateway.hand.join(self)
        self._tasks.append(asyncio.create_task(self._from_selkies(self._end)))
        if may.copy:
            self._tasks.append(asyncio.create_task(self._copies(may.limit)))
        self.sit()

    async def on_message(self, message: str | bytes) -> None:
        """The next is read when what may pass of this one is written."""
        if self._ending or self._from_viewer is None:
            return
        if isinstance(message, bytes):
            self.end(KIND, "Viewers of the video send text alone.")
            return
        try:
            passed = self._from_viewer.feed(message)
        except Violation as error:
            self.violated(error)
            return
        if self._from_viewer.acted():
            self.gateway.activity.happened()
        if passed.seen is not None:
            self._window.seen(passed.seen)
        try:
            for text in passed.pictures:
                if self._end is not None:
                    await self._end.write_message(text)
        except FAILURES:
            self.lost()
        if passed.acts:
            await self.gateway.hand.do(passed.acts)

    async def _from_selkies(self, end: WebSocketClientConnection) -> None:
        try:
            while (message := await end.read_message()) is not None:
                if isinstance(message, bytes):
                    await self._picture(message)
                elif (text := told(message)) is not None:
                    await self.tell(text)
        except Violation as error:
            log.warning("A viewer's connection to the desktop's video is ended: %s", error)
        self.lost()

    async def _picture(self, message: bytes) -> None:
        number = picture(message)
        if number is None:
            return
        await self._window.room()
        self._window.sent(number)
        self._pictures += 1
        self._meter.passed(len(message), self._pictures)
        await self.tell(message)

    def copied(self, plain: bytes) -> None:
        """The desktop's clipboard; a newer one takes the place of one that was not told yet."""
        self._copied = plain
        self._to_copy.set()

    async def _copies(self, limit: int) -> None:
        while True:
            await self._to_copy.wait()
            self._to_copy.clear()
            plain, self._copied = self._copied, None
            if plain is not None and len(plain) <= limit:
                await self.tell(given(plain))

    def lost(self) -> None:
        """Selkies, or the connection that acts, is gone."""
        self.end(ENDED, "The desktop's video ended.")

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """Selkies forgets this viewer."""
        if self._end is not None:
            self._end.close(1001)

    def on_close(self) -> None:
        """What she held is let go."""
        last = self._from_viewer.release() if self._from_viewer is not None else ()
        self.gateway.hand.leave(self, last)
        super().on_close()
