"""Whose pictures are drawn next, of all who only look: Xvnc draws once for each, and the owner waits meanwhile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

AT_ONCE = 2
"""How many wait for a picture at Xvnc. When nothing moves they are all who do, so a change is drawn for few at once."""
BETWEEN = 1 / 120
"""Seconds between two turns: one who looks alone has all the pictures that Xvnc makes, sixty have two a second each."""


class Turns:
    """In the order in which they asked. Who has no picture yet does not wait for those who wait for a change."""

    def __init__(self) -> None:
        self._changes = asyncio.Semaphore(AT_ONCE)
        self._whole = asyncio.Semaphore(1)
        self._pace = asyncio.Lock()
        self._next = 0.0

    @asynccontextmanager
    async def turn(self, whole: bool) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block. ``whole``: for a whole picture, which Xvnc draws at once."""
        async with self._whole if whole else self._changes:
            async with self._pace:
                await asyncio.sleep(self._next - time.monotonic())
                self._next = time.monotonic() + BETWEEN
            yield
