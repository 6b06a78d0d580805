"""All who only look at one kernel, in one encoding: one connection to Jupyter for them together, while somebody acts.

A long message passes in parts: nobody has to read it, because answers are short.

What comes is gathered for an eye's blink and handed to everybody in the same bytes, so sixty who watch cost about what
one does. Nobody waits for who does not read: she is sent away before much is kept for her, and her page comes again.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from visa import clock
from visa.session import upstream
from visa.session.budget import Budget
from visa.session.frames import BINARY, Jupyters, Part, frame
from visa.session.notebook import kernel
from visa.session.notebook.desks import Desk
from visa.session.notebook.seat import Seat, Watcher, framed

GATHERED = 0.03
"""Seconds for which messages are gathered before they are handed out."""
LARGEST = 2**18
"""Bytes from which they are handed out at once."""
PACE = 0.2
"""Seconds that the quickest of the watchers has for what was handed out, before more is read from Jupyter."""
PATIENCE, PAUSE = 1.0, 0.01
"""Seconds that a question waits for the answer to the one before, and after it."""
SHORT = 2**18
"""Bytes of a message that is read as a whole: it may be an answer."""
_MOST_ASKED = 512
_BROKEN = 1011


class Audience:
    """Of one kernel, in one encoding."""

    def __init__(self, desk: Desk, budget: Budget) -> None:
        self._desk, self._budget = desk, budget
        self._seats: dict[Watcher, Seat] = {}
        self._asked: dict[str, Watcher] = {}
        self._to_ask, self._answered = asyncio.Event(), asyncio.Event()
        self._end: Jupyters | None = None
        self._heard, self._long = bytearray(), False
        self._apart = self._counting = False
        self._task: asyncio.Task[None] | None = None

    def came(self, watcher: Watcher) -> None:
        """The first one begins it."""
        self._seats[watcher] = Seat(watcher, self._long)
        if self._task is None:
            self._task = asyncio.create_task(self._attend())

    def went(self, watcher: Watcher) -> None:
        """The last one ends it; called more than once."""
        self._seats.pop(watcher, None)
        if not self._seats and self._task is not None:
            self._task.cancel()
            self._task = None
            self._budget.release(self)
            self._part()

    def asks(self, watcher: Watcher, question: str | bytes) -> None:
        """When it is her turn and somebody uses the kernel."""
        if watcher in self._seats:
            self._seats[watcher].asks(question)
            self._to_ask.set()

    async def _attend(self) -> None:
        """Connected to the kernel for as long as somebody acts, again and again."""
        code, reason = _BROKEN, "Jupyter refused the connection."
        with self._desk.watching(self._part):
            while True:
                await self._desk.attended()
                self._apart = False
                try:
                    end = await self._connect()
                except (upstream.NotListening, HTTPClientError):
                    break
                await self._pass_on(end)
                if not self._apart:
                    code, reason = end.close_code or _BROKEN, end.close_reason or "Jupyter closed the connection"
                    break
        seats, self._seats, self._task = self._seats, {}, None
        self._budget.release(self)
        for watcher in seats:
            watcher.end(code, reason)

    async def _connect(self) -> Jupyters:
        """As one of those who watch. It is closed when the last one leaves meanwhile."""
        connecting = asyncio.create_task(next(iter(self._seats)).connect())
        try:
            end = await asyncio.shield(connecting)
        except asyncio.CancelledError:
            connecting.add_done_callback(_closed)
            raise
        if self._apart:
            end.close(1001)
        self._end = end
        return end

    def _part(self) -> None:
        self._apart = True
        if self._end is not None:
            self._end.close(1001)

    async def _pass_on(self, end: Jupyters) -> None:
        asking = asyncio.create_task(self._ask(end))
        try:
            await self._gather(end)
        finally:
            asking.cancel()
            self._asked.clear()
            for seat in self._seats.values():
                seat.widgets.parted()
            self._end = None
            self._heard = bytearray()
            if self._long:  # the rest will not come
                self._long = False
                for seat in list(self._seats.values()):
                    seat.send_away(reason="What the kernel told was cut.")
            end.close(1001)

    async def _gather(self, end: Jupyters) -> None:
        frames, due = bytearray(), 0.0
        reading = asyncio.ensure_future(end.read_part())
        while True:
            done, _ = await asyncio.wait([reading], timeout=max(0, due - clock.elapsed()) if frames else None)
            ended = False
            if done:
                part = reading.result()
                if part is None:
                    self._hand_out(bytes(frames), self._seats.values())
                    return
                due = due if frames else clock.elapsed() + GATHERED
                ended = self._long and part.last
                frames += self._of(part)
                reading = asyncio.ensure_future(end.read_part())
            if frames and (ended or len(frames) >= LARGEST or clock.elapsed() >= due):
                written = self._hand_out(bytes(frames), self._seats.values())
                frames = bytearray()
                if ended:
                    self._long_ended()
                if written:
                    await asyncio.wait(written, timeout=PACE, return_when=asyncio.FIRST_COMPLETED)

    def _of(self, part: Part) -> bytes:
        """What everybody is to hear of it now: nothing, while it may become an answer."""
        if self._long:
            return frame(part)
        self._heard += part.data
        if part.last:
            data, self._heard = bytes(self._heard), bytearray()
            return self._to_all(data if part.opcode == BINARY else data.decode(errors="replace"))
        if len(self._heard) < SHORT:
            return b""
        data, self._heard, self._long = bytes(self._heard), bytearray(), True
        return frame(Part(part.opcode, data, last=False))

    def _long_ended(self) -> None:
        """Who came meanwhile hears the next."""
        self._long = False
        for seat in self._seats.values():
            seat.late = False

    def _to_all(self, message: str | bytes) -> bytes:
        """What everybody is to hear of it: an answer is for who asked."""
        identifier, frame = kernel.answered(message), framed(message)
        if identifier is None:
            if (told := kernel.status(message)) is not None:
                for one in self._seats.values():
                    one.widgets.heard(*told)
                self._to_ask.set()
            return frame
        self._answered.set()
        seat = self._seats.get(self._asked.pop(identifier)) if identifier in self._asked else None
        self._hand_out(frame, [seat] if seat else [])
        return b""

    def _hand_out(self, frames: bytes, seats: Iterable[Seat]) -> list[asyncio.Future[None]]:
        heard = [seat.hear(frames) for seat in list(seats)]
        for slowest in sorted(self._seats.values(), key=lambda seat: -seat.behind):
            # They share the bytes, so who is furthest behind holds what all hold.
            if self._budget.hold(self, "", slowest.behind):
                break
            slowest.send_away()
        under_way = [written for written in heard if written is not None]
        for written in under_way:
            written.add_done_callback(self._took)
        return under_way

    def _took(self, _: asyncio.Future[None]) -> None:
        """Counted once for all who took it at the same time."""
        if not self._counting:
            self._counting = True
            asyncio.get_running_loop().call_soon(self._count)

    def _count(self) -> None:
        self._counting = False
        if behind := max((seat.behind for seat in self._seats.values()), default=0):
            self._budget.hold(self, "", behind)
        else:
            self._budget.release(self)

    async def _ask(self, end: Jupyters) -> None:
        """One question after the other, everybody in turn: sixty pages that open at once do not flood the kernel."""
        with contextlib.suppress(WebSocketClosedError, StreamClosedError):
            while True:
                self._to_ask.clear()
                for seat in [seat for seat in self._seats.values() if seat.questions or seat.widgets.due() == 0]:
                    await self._put(end, seat)
                if not any(seat.questions for seat in self._seats.values()):
                    due = [due for seat in self._seats.values() if (due := seat.widgets.due()) is not None]
                    with contextlib.suppress(TimeoutError):
                        await asyncio.wait_for(self._to_ask.wait(), min(due, default=None))

    async def _put(self, end: Jupyters, seat: Seat) -> None:
        question = seat.questions.popleft() if seat.questions else seat.widgets.next()
        if len(self._asked) >= _MOST_ASKED:
            del self._asked[next(iter(self._asked))]
        if not kernel.has_answer(question):
            await end.write_message(question, binary=isinstance(question, bytes))
            await asyncio.sleep(PAUSE)
            return
        # Who repeats another's identifier does not get her answer.
        self._asked.setdefault(kernel.identifier(question), seat.watcher)
        self._answered.clear()
        await end.write_message(question, binary=isinstance(question, bytes))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._answered.wait(), PATIENCE)
        await asyncio.sleep(PAUSE)


def _closed(connecting: asyncio.Task[Jupyters]) -> None:
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().close(1001)
