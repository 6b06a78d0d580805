"""Tell the time: spans on the event loop's clock, moments on the wall's. Nothing else in VISA reads a clock.

Tests run on a loop whose clock jumps to what is waited for, and give a wall clock of their own to `wall`: what the
code waits for is then asserted exactly, and costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta, tzinfo
from datetime import time as time_of_day


def elapsed() -> float:
    """Give seconds on the running event loop's clock, or on the system's steady clock where no loop runs.

    Only differences mean something. A thread has no loop: do not compare what it was given with what the loop was.
    """
    try:
        return asyncio.get_running_loop().time()
    except RuntimeError:
        return time.monotonic()


def _system() -> datetime:
    return datetime.now(UTC)


_wall: Callable[[], datetime] = _system


def now() -> datetime:
    """Give the moment, in UTC."""
    return _wall()


@contextmanager
def wall(clock: Callable[[], datetime]) -> Iterator[None]:
    """Take moments from ``clock`` for the length of the block, in every thread of the process."""
    global _wall
    before, _wall = _wall, clock
    try:
        yield
    finally:
        _wall = before


_FIRST, _LAST = datetime(100, 1, 1), datetime(9900, 1, 1)


def wall_moment(wall: date | datetime, zone: tzinfo, after: timedelta = timedelta(0)) -> datetime:
    """Give the moment (UTC) at which clocks in ``zone`` show ``wall`` plus ``after`` for the first time.

    A day begins at midnight. ``after`` is counted on the wall: a day more is the same hour, though daylight saving made
    the day 23 or 25 hours long. Where clocks are put forward over that hour (or day), it is the moment of the change.
    What lies before the year 100 or after 9900 counts as then.
    """
    shown = wall if isinstance(wall, datetime) else datetime.combine(wall, time_of_day())
    shown = max(_FIRST, min(shown, _LAST))
    shown = _LAST if after > _LAST - shown else _FIRST if after < _FIRST - shown else shown + after
    # Of a time that is left out, fold 0 counts with the offset from before the change, fold 1 with that after it: the
    # change lies between them.
    late, early = (shown.replace(tzinfo=zone, fold=fold).astimezone(UTC) for fold in (0, 1))
    if late.astimezone(zone).replace(tzinfo=None) == shown:
        return late
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        reached = middle.astimezone(zone).replace(tzinfo=None) >= shown
        early, late = (early, middle) if reached else (middle, late)
    return late
