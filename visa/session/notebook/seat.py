"""One of a kernel's audience: how far behind she is, and what she asks."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Protocol

from tornado.websocket import WebSocketClientConnection

log = logging.getLogger(__name__)

BEHIND = 16 * 2**20
"""Bytes on their way to one watcher from which she is sent away."""
MOST_WAITING = 8
"""Questions of one watcher that are kept until they can be asked."""
_AGAIN = 1013


class Watcher(Protocol):
    """Her websocket."""

    async def connect(self) -> WebSocketClientConnection: ...

    def send(self, frames: bytes) -> asyncio.Future[None] | None: ...

    def end(self, code: int, reason: str) -> None: ...


class Seat:
    """What waits for one watcher, and what she asks. The bytes themselves are shared with the others."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher, self.behind = watcher, 0
        self.questions: deque[str | bytes] = deque(maxlen=MOST_WAITING)

    def hear(self, frames: bytes) -> asyncio.Future[None] | None:
        """Done when they are on their way; None when they never will be."""
        if self.behind > BEHIND:
            log.info("a watcher who does not read is sent away")
            self.watcher.end(_AGAIN, "You did not read what the kernel told.")
            return None
        written = self.watcher.send(frames)
        if written is not None:
            self.behind += len(frames)
            written.add_done_callback(lambda _: self._took(len(frames)))
        return written

    def _took(self, size: int) -> None:
        self.behind -= size


def framed(message: str | bytes) -> bytes:
    """A message as a server's websocket frame, uncompressed: made once for all."""
    data, first = (message, 0x82) if isinstance(message, bytes) else (message.encode(), 0x81)
    if len(data) < 126:
        return bytes((first, len(data))) + data
    kind, size = (126, 2) if len(data) < 2**16 else (127, 8)
    return bytes((first, kind)) + len(data).to_bytes(size, "big") + data
