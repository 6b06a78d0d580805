"""One of a kernel's audience: how far behind she is, and what she asks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from visa import clock
from visa.session.frames import BINARY, TEXT, Jupyters, Part, frame
from visa.session.notebook import kernel

log = logging.getLogger(__name__)

BEHIND = 4 * 2**20
"""Bytes on their way to one watcher from which she is sent away."""
MOST_WAITING = 8
"""Questions of one watcher that are kept until they can be asked."""
SELDOM = 5.0
"""Seconds between two questions of one watcher how widgets stand: the kernel answers with all of them."""
_AGAIN = 1013


class Watcher(Protocol):
    """Her websocket."""

    async def connect(self) -> Jupyters: ...

    def send(self, frames: bytes) -> asyncio.Future[None] | None: ...

    def end(self, code: int, reason: str) -> None: ...


class Seat:
    """What waits for one watcher, and what she asks. The bytes themselves are shared with the others.

    ``late``: she came in the middle of a message, and hears from the next one on.
    """

    def __init__(self, watcher: Watcher, late: bool = False) -> None:
        self.watcher, self.behind, self.late = watcher, 0, late
        self.questions: deque[str | bytes] = deque(maxlen=MOST_WAITING)
        self.widgets = Widgets()

    def asks(self, question: str | bytes) -> None:
        """Keep it until it can be asked."""
        kind, comm = kernel.of_comm(question)
        if kind:
            self.widgets.take(kind, comm, question)
        else:
            self.questions.append(question)

    def hear(self, frames: bytes) -> asyncio.Future[None] | None:
        """Done when they are on their way; None when they never will be."""
        if self.late:
            return None
        if self.behind > BEHIND:
            self.send_away()
            return None
        written = self.watcher.send(frames)
        if written is not None:
            self.behind += len(frames)
            written.add_done_callback(lambda _: self._took(len(frames)))
        return written

    def send_away(self, code: int = _AGAIN, reason: str = "Your page did not take what the kernel told.") -> None:
        """Her page comes again."""
        log.info("a watcher is sent away: %s", reason)
        self.watcher.end(code, reason)

    def _took(self, size: int) -> None:
        self.behind -= size


class Widgets:
    """What one watcher asks how widgets stand: seldom, on one comm, and never again before the kernel answered."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[str, str | bytes]] = deque()
        self._last: dict[str, float] = {}
        self._comm = self._unanswered = ""

    def take(self, kind: str, comm: str, question: str | bytes) -> None:
        """Keep it; a second comm, what is on no comm of hers, and what is too many is dropped."""
        if len(self._waiting) >= MOST_WAITING or (self._comm if kind == "comm_open" else comm != self._comm):
            return
        if kind == "comm_msg" and any(waits == kind for waits, _ in self._waiting):
            return
        if kind != "comm_msg":
            self._comm = comm if kind == "comm_open" else ""
        self._waiting.append((kind, question))

    def due(self) -> float | None:
        """Seconds until the next may be asked; None when none is to be asked before something comes."""
        if self._unanswered or not self._waiting:
            return None
        last = self._last.get(self._waiting[0][0])
        return 0.0 if last is None else max(0.0, last + SELDOM - clock.elapsed())

    def next(self) -> str | bytes:
        """That is asked now."""
        kind, question = self._waiting.popleft()
        if kind != "comm_close":
            self._last[kind] = clock.elapsed()
        self._unanswered = kernel.identifier(question)
        return question

    def heard(self, state: str, about: str) -> None:
        """How the kernel does: idle after a question is its answer. One that starts has no comms."""
        if state == "idle" and about == self._unanswered:
            self._unanswered = ""
        elif state in ("starting", "restarting"):
            self._comm = self._unanswered = ""
            self._waiting.clear()

    def parted(self) -> None:
        """What was asked is not answered any more."""
        self._unanswered = ""


def framed(message: str | bytes) -> bytes:
    """A message as a server's websocket frame, uncompressed: made once for all."""
    return frame(Part(BINARY, message) if isinstance(message, bytes) else Part(TEXT, message.encode()))
