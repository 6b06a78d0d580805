"""``desktop/websocket``: one viewer of the desktop, with a connection of her own to the X server.

Every byte is read by `visa.session.rfb` on its way. Each side is read only once the other took what came before, so
that a slow viewer makes the X server wait with her pictures and costs no memory; the others have connections of
their own. Who may only look has her pictures in turn with the others who do (`turns`).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math

from tornado.iostream import IOStream, StreamClosedError

from visa import clock
from visa.session import run, upstream
from visa.session.desktop.greeting import shake_hands
from visa.session.desktop.seat import BEGINNING, ENDED, FORBIDDEN, KIND, LATER, Seated, allowed
from visa.session.desktop.turns import AT_MOST, Look
from visa.session.frames import BINARY, Part
from visa.session.rfb.handshake import WithViewer
from visa.session.rfb.names import Agreed, Violation
from visa.session.rfb.server import FromServer, Seen
from visa.session.rfb.viewer import ONE_PIXEL, FromViewer
from visa.session.watched import NO_ROOM

log = logging.getLogger(__name__)

_ENDING = 1.0
"""Seconds in which Xvnc ends a request; it has an answer to this at once, so it is slow when it takes longer."""


class Viewer(Seated):
    """Speaks RFB to both sides."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._stream: IOStream | None = None
        self._beginning: WithViewer | None = None
        self._from_viewer: FromViewer | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._reminder: asyncio.TimerHandle | None = None
        self._agreed = Agreed()
        self._wanted, self._came, self._reading = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._look = Look()

    @property
    def measure(self) -> dict[str, float | None]:
        """How well the pictures reach her, and what of the clipboard did not pass."""
        agreed = self._agreed
        missing = {"too_long_in": agreed.too_long_in, "too_long_out": agreed.too_long_out}
        return {**super().measure, **missing, "text_awaited": agreed.text_awaited}

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """What noVNC's forerunners ask for; it means nothing."""
        return "binary" if "binary" in subprotocols else None

    async def open(self, *args: str, **kwargs: str) -> None:
        """The gateway's handshake with the X server is over before the viewer's begins."""
        if self.full():
            return
        self.watch()
        try:
            async with asyncio.timeout(BEGINNING):
                self._stream = await run.connect(f"{self.gateway.settings.run}/{run.DESKTOP}")
                start = await shake_hands(self._stream)
                self._agreed.size = start.width, start.height
        except (upstream.NotListening, StreamClosedError, TimeoutError):
            self.end(LATER, "The desktop does not run, or not yet.")
        except Violation as error:
            self.end(LATER, str(error))
        else:
            await self._begin(WithViewer(start))

    async def _begin(self, beginning: WithViewer) -> None:
        if self._ending:
            self.close_upstream(None, None)
            return
        self._beginning = beginning
        self._patience = asyncio.get_running_loop().call_later(BEGINNING, self._began)
        await self.tell(beginning.hello)

    def _began(self) -> None:
        if self._from_viewer is None:
            self.end(FORBIDDEN, "The viewer took too long to begin.")

    async def on_part(self, part: Part) -> None:
        """RFB is one stream, whatever its messages. The next is read when what may pass of this one is written."""
        if self._ending:
            return
        if part.opcode != BINARY:
            self.end(KIND, "RFB is not text.")
            return
        try:
            if self._from_viewer is None:
                await self._shake(part.data)
            else:
                await self._pass(self._from_viewer, part.data)
        except Violation as error:
            self.violated(error)

    async def _shake(self, message: bytes) -> None:
        beginning, rights, stream = self._beginning, self._rights, self._stream
        if beginning is None or rights is None or stream is None:
            return
        answer = beginning.feed(message)
        if answer:
            await self.tell(answer)
        if not beginning.done or self._ending:
            return
        may, agreed = allowed(rights), self._agreed
        self._from_viewer = FromViewer(may, agreed)
        self._tasks.append(asyncio.create_task(self._from_server(stream, FromServer(may, agreed))))
        if may.in_turn:
            self._tasks.append(asyncio.create_task(self._ask_in_turn(stream, self._from_viewer)))
        self.sit()
        await self._pass(self._from_viewer, beginning.rest)

    async def _pass(self, viewer: FromViewer, message: bytes) -> None:
        passes = viewer.feed(message)
        if not self.gateway.budget.hold(self, self.visitor_here.name, viewer.held):
            self.end(LATER, NO_ROOM)
            return
        if viewer.acted():
            self.gateway.activity.happened()
        if viewer.wants():
            self._want(viewer)
        if passes and self._stream is not None:
            try:
                await self._stream.write(passes)
            except StreamClosedError:
                self.end(ENDED, "The desktop ended.")

    def _want(self, viewer: FromViewer) -> None:
        self._wanted.set()
        if viewer.wants_whole() and not self._look.whole:
            # She may be on the lookout, or wait for a change: neither would bring it.
            self._look.whole = True
            if self.gateway.turns.on_the_lookout(self._look):
                self._came.set()
            self.gateway.turns.tell()

    async def _ask_in_turn(self, stream: IOStream, viewer: FromViewer) -> None:
        while True:
            await self._wanted.wait()
            await self._reading.wait()
            async with self.gateway.turns.turn(self._look) as seconds:
                if not self._reading.is_set():
                    continue  # her browser has not taken what came meanwhile, and nobody waits for that
                try:
                    await self._pictured(stream, viewer, seconds)
                except StreamClosedError:
                    return  # `_from_server` says so

    async def _pictured(self, stream: IOStream, viewer: FromViewer, seconds: float | None) -> None:
        """Until the first bytes of her picture, or it is clear that there is none."""
        self._wanted.clear()
        if await self._asks(stream, viewer, seconds):
            return
        if await self._brings(stream, ONE_PIXEL, _ENDING) and self._look.forgotten:
            await self._asks(stream, viewer, _ENDING)  # Xvnc may have had it by then

    async def _asks(self, stream: IOStream, viewer: FromViewer, seconds: float | None) -> bool:
        self._look.asks()
        self._remind()
        return await self._brings(stream, viewer.asked(), seconds)

    async def _brings(self, stream: IOStream, request: bytes, seconds: float | None) -> bool:
        self._came.clear()
        await stream.write(request)
        try:
            async with asyncio.timeout(seconds):
                await self._came.wait()
        except TimeoutError:
            return False
        return True

    async def _from_server(self, stream: IOStream, server: FromServer) -> None:
        try:
            while True:
                self._reading.set()
                before = server.seen
                data = server.feed(await stream.read_bytes(upstream.CHUNK, partial=True))
                self._saw(before, server.seen)
                self._reading.clear()
                answers = server.fences()
                if answers:
                    await stream.write(answers)
                self._meter.passed(len(data), server.frames)
                if data:
                    await self._tell_soon(data)
                await asyncio.sleep(0)  # neither of the above waits while both ends are quick
        except StreamClosedError:
            self.end(ENDED, "The desktop ended.")
        except Violation as error:
            log.warning("A viewer's connection to the desktop is ended: %s", error)
            self.end(ENDED, str(error))

    async def _tell_soon(self, data: bytes) -> None:
        """Whose browser is slow to take it keeps nobody else waiting for her turn to end."""
        patience = asyncio.get_running_loop().call_later(AT_MOST, self._came.set)
        try:
            await self.tell(data)
        finally:
            patience.cancel()

    def _saw(self, before: Seen, now: Seen) -> None:
        if now.sizes != before.sizes:
            self._look.sized()
        if now.pixels - before.pixels > 1:  # not what ended a request
            self._look.drawn()
            self._remind()
        if now.updates != before.updates:
            self._came.set()
            self.gateway.turns.pictured(self._look)

    def _remind(self) -> None:
        """Xvnc sends better pictures of the same by itself, but forgets to when it is busy. Any request reminds it."""
        if self._reminder is None and self._look.better < math.inf:
            seconds = self._look.better - clock.elapsed()
            self._reminder = asyncio.get_running_loop().call_later(seconds, self._reminds)

    def _reminds(self) -> None:
        self._reminder = None
        viewer, stream = self._from_viewer, self._stream
        if self._look.due:
            if viewer is None or stream is None or not self._awaits(viewer):
                return  # she asks when her turn comes
            self._look.again()
            with contextlib.suppress(StreamClosedError):  # `_from_server` says so
                stream.write(viewer.again())
        self._remind()

    def _awaits(self, viewer: FromViewer) -> bool:
        return viewer.pushed or (self.gateway.turns.on_the_lookout(self._look) and not self._came.is_set())

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """The X server forgets this viewer, and nobody waits for her turn to end."""
        self._came.set()
        if self._stream is not None:
            self._stream.close()

    def on_close(self) -> None:
        """She is not here any more."""
        for timer in (self._patience, self._reminder):
            if timer is not None:
                timer.cancel()  # or it would keep all of this for that long
        self.gateway.budget.release(self)
        super().on_close()
