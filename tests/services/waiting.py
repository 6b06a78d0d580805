"""Wait for what must come. Nothing else in the tests sleeps on the wall's clock: tests/docs/test_time.py holds that."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import time
from collections.abc import Callable
from typing import Any

from visa import clock

What = str | Callable[[], object]

ENOUGH = 60.0
"""Seconds after which what is waited for is taken never to come: only a fault reaches it, however busy the machine."""
LATER = 0.05
SELDOM = 0.3
"""Seconds between two looks at most, where `pause` is not longer."""


def until(
    condition: Callable[[], Any],
    seconds: float = ENOUGH,
    what: What = "it",
    process: subprocess.Popen[Any] | None = None,
    pause: float = 0.02,
) -> Any:
    """Give the first true value of ``condition()``; say ``what`` did not happen where there is none in time.

    Raise `RuntimeError` at once when ``process`` ends. ``pause``: between two looks; longer where a look is an act
    that takes its time to be seen. What has been waited for long is looked at less often, `LATER` of the time so far:
    looks keep the machine from what they wait for.
    """
    begun = time.monotonic()
    end = begun + seconds
    while not (value := condition()):
        if process is not None and process.poll() is not None:
            raise RuntimeError(f"{_words(what)}: the process ended with {process.returncode}")
        if time.monotonic() > end:
            raise AssertionError(f"{_words(what)} did not happen within {seconds} s")
        time.sleep(max(pause, min(LATER * (time.monotonic() - begun), SELDOM)))
    return value


async def eventually(
    condition: Callable[[], Any], what: What = "it", seconds: float = ENOUGH, pause: float = 0.02
) -> Any:
    """Give the first true value of ``condition()``, while all in this process goes on; on the loop's own clock.

    ``pause`` is that of `until`.
    """
    end = clock.elapsed() + seconds
    while not (value := await _value(condition)):
        if clock.elapsed() > end:
            raise AssertionError(f"{_words(what)} did not happen within {seconds} s")
        await asyncio.sleep(pause)
    return value


async def elsewhere(condition: Callable[[], Any], what: What = "it", seconds: float = ENOUGH) -> Any:
    """As `eventually`, for what asks another program and may not keep this process waiting."""
    return await eventually(lambda: asyncio.to_thread(condition), what, seconds)


async def at_rest(measure: Callable[[], Any], pause: float = 0.5) -> Any:
    """Give what ``measure()`` says when two looks, ``pause`` apart, say the same: where nothing tells that it is over.

    A busy machine makes it end too early. So what is asserted then may be weak, but may not fail for it.
    """
    before: list[Any] = [object()]

    async def same() -> bool:
        last = before[0]
        before[0] = await _value(measure)
        return bool(last == before[0])

    await eventually(same, lambda: f"rest ({before[0]})", pause=pause)
    return before[0]


def leap(seconds: float) -> None:
    """Put the running loop's clock forward: for tests with threads or programs, to which virtual time means nothing."""
    loop = asyncio.get_running_loop()
    before = loop.time
    loop.time = lambda: before() + seconds  # type: ignore[method-assign]


async def _value(condition: Callable[[], Any]) -> Any:
    value = condition()
    return await value if inspect.isawaitable(value) else value


def _words(what: What) -> object:
    return what() if callable(what) else what
