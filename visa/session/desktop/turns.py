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
    """In the order in which they asked."""

    def __init__(self) -> None:
        self._free = asyncio.Semaphore(AT_ONCE)
        self._next = 0.0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for a turn; it ends with the block."""
        async with self._free:
            now = time.monotonic()
            begin = max(now, self._next)
            self._next = begin + BETWEEN
            await asyncio.sleep(begin - now)
            yield
