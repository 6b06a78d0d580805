"""Whose pictures are drawn next, of all who only look: Xvnc draws once for each, and the owner waits meanwhile.

One of them is on the lookout: her request waits at Xvnc for a change. The others ask one after the other, and only when
something may have changed since their last picture, so that a change is drawn for few at once. A request that Xvnc has
nothing for is ended, or they would pile up there.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

LOOKOUT, BETWEEN = 1 / 120, 1 / 40
"""Seconds between two turns of the lookout's, and of the others': one who looks alone has all the pictures that Xvnc
makes; of ten each has four a second, of sixty two in three seconds, and the owner feels little of it."""
AT_MOST = 0.05
"""Seconds that somebody's turn lasts when Xvnc has nothing new for her."""


@dataclass(eq=False)
class Look:
    """How far one has seen: her last picture is from between ``asked`` and ``came``, in seconds of the monotonic clock.

    ``whole``: she wants all of it, changed or not.
    """

    asked: float = -math.inf
    came: float = -math.inf
    whole: bool = False

    def sized(self) -> None:
        """The desktop's size came: Xvnc draws nothing with it, and forgets what was asked for."""
        self.asked = -math.inf


class Turns:
    """Of one desktop.

    While somebody is on the lookout, `_changed` is not before her last picture, and every change after that is told.
    So who asked after `_changed` has seen everything.
    """

    def __init__(self) -> None:
        self._changed = -math.inf
        self._lookout: Look | None = None
        self._last: Look | None = None
        self._queue = asyncio.Lock()
        self._news = asyncio.Event()
        self._next = 0.0

    @asynccontextmanager
    async def turn(self, look: Look) -> AsyncIterator[float | None]:
        """Wait for one; it ends with the block. Yield how many seconds it may last; None: until something changes."""
        while True:
            behind = look.whole or look.asked <= self._changed
            if self._lookout is None and not look.whole and (not behind or look is self._last):
                self._lookout = self._last = look
                self._changed = max(self._changed, look.came)
                try:
                    await asyncio.sleep(look.asked + LOOKOUT - time.monotonic())
                    yield None
                finally:
                    self._lookout = None
                    self.tell()
                return
            if behind:
                async with self._queue:
                    await self._pace()
                    yield AT_MOST
                return
            await self._news.wait()

    def pictured(self, look: Look) -> None:
        """Something of a picture came for her; to who is on the lookout it comes because something changed."""
        look.came = time.monotonic()
        if look is self._lookout:
            self._changed = look.came
            self.tell()

    def tell(self) -> None:
        """Those who wait look again whether it is their turn."""
        self._news.set()
        self._news = asyncio.Event()

    async def _pace(self) -> None:
        now = time.monotonic()
        begin = max(now, self._next)
        self._next = begin + BETWEEN
        await asyncio.sleep(begin - now)
