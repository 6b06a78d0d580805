"""Tell the time: spans on the event loop's clock, moments on the wall's. Nothing else in VISA reads a clock.

Tests run on a loop whose clock jumps to what is waited for, and give a wall clock of their own to `wall`: what the
code waits for is then asserted exactly, and costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime


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
