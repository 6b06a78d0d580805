"""Whose pictures are drawn next, of all who only look: Xvnc draws once for each, and the owner waits meanwhile.

One of them is on the lookout: her request waits at Xvnc for a change. The others ask one after the other, and only when
something may have changed since their last picture, so that a change is drawn for few at once. A request of theirs that
Xvnc has nothing for is ended, or they would pile up there.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator
from dataclasses import dataclass

from visa import clock

LOOKOUT, BETWEEN = 1 / 120, 1 / 40
"""Seconds between two turns of the lookout's, and of the others': one who looks alone has all the pictures that Xvnc
makes; of ten each has four a second, of sixty two in three seconds, and the owner feels little of it."""
AT_MOST = 0.05
"""Seconds after which a request is ended for which Xvnc has nothing."""
REFINED, AT_LAST = 0.2, 3.2
"""Seconds after a picture in which TigerVNC begins to send better ones of those parts that it had made quickly. It says
nothing of how many there are, is late when the machine is busy, and sometimes takes a request and answers nothing: so
who got none asks again after twice the time, up to so many seconds."""
_EARLY = 1e-6
"""Seconds by which a timer may come before its time."""


@dataclass(eq=False)
class Look:
    """How far one has seen: her last picture is from between ``asked`` and ``came``, in seconds of the loop's clock.

    ``whole``: she wants all of it, changed or not. ``better``: from when on Xvnc may have a better one of the same.
    """

    asked: float = -math.inf
    came: float = -math.inf
    whole: bool = False
    better: float = math.inf
    _refines: bool = False
    _pause: float = REFINED

    def asks(self) -> None:
        """For what she has not seen of all, now."""
        self.asked, self.whole = clock.elapsed(), False
        self._refines = self.due
        if self._refines:
            self.again()

    def again(self) -> None:
        """For better ones of the same; there may be none, or not yet."""
        self.better = clock.elapsed() + self._pause if self._pause <= AT_LAST else math.inf
        self._pause *= 2

    def drawn(self) -> None:
        """Pixels came. Better ones come in pieces, each when it is asked for."""
        self.better, self._pause = clock.elapsed() + (0 if self._refines else REFINED), REFINED

    def sized(self) -> None:
        """The desktop's size came: Xvnc draws nothing with it, and forgets what was asked for."""
        self.asked = -math.inf

    @property
    def due(self) -> bool:
        """Whether Xvnc may have a better one by now."""
        return self.better <= clock.elapsed() + _EARLY

    @property
    def forgotten(self) -> bool:
        """Whether the desktop's size came since she asked."""
        return self.asked == -math.inf


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

    @contextlib.asynccontextmanager
    async def turn(self, look: Look) -> AsyncIterator[float | None]:
        """Wait for one; it ends with the block. Yield how many seconds it may last; None: until something changes."""
        while True:
            behind = look.whole or look.asked <= self._changed
            if self._lookout is None and not look.whole and (not behind or look is self._last):
                self._lookout = self._last = look
                self._changed = max(self._changed, look.came)
                try:
                    await asyncio.sleep(look.asked + LOOKOUT - clock.elapsed())
                    yield None
                finally:
                    self._lookout = None
                    self.tell()
                return
            if behind or look.due:
                async with self._queue:
                    await self._pace()
                    yield AT_MOST
                return
            await self._wait(look.better)

    def on_the_lookout(self, look: Look) -> bool:
        """Whether her request waits for a change."""
        return look is self._lookout

    def pictured(self, look: Look) -> None:
        """A picture begins to come for her; to who is on the lookout it comes because something changed."""
        look.came = clock.elapsed()
        if look is self._lookout:
            self._changed = look.came
            self.tell()

    def tell(self) -> None:
        """Those who wait look again whether it is their turn."""
        self._news.set()
        self._news = asyncio.Event()

    async def _wait(self, until: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if until == math.inf else until - clock.elapsed()):
                await self._news.wait()

    async def _pace(self) -> None:
        now = clock.elapsed()
        begin = max(now, self._next)
        self._next = begin + BETWEEN
        await asyncio.sleep(begin - now)
