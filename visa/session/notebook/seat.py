"""One of a kernel's audience: how far behind she is, and what she asks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from visa.session.frames import BINARY, TEXT, Jupyters, Part, frame

log = logging.getLogger(__name__)

BEHIND = 4 * 2**20
"""Bytes on their way to one watcher from which she is sent away."""
MOST_WAITING = 8
"""Questions of one watcher that are kept until they can be asked."""
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


def framed(message: str | bytes) -> bytes:
    """A message as a server's websocket frame, uncompressed: made once for all."""
    return frame(Part(BINARY, message) if isinstance(message, bytes) else Part(TEXT, message.encode()))
