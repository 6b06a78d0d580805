"""What has to be done and could not be, because somebody was away: tried again, for as long as it is of use."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from visa import clock

log = logging.getLogger(__name__)


class Again:
    """``most`` things at once are tried again, every ``pause`` seconds for ``seconds``; then they are given up."""

    def __init__(self, most: int = 50, seconds: float = 600.0, pause: float = 2.0) -> None:
        self._most, self._seconds, self._pause = most, seconds, pause
        self._tasks: set[asyncio.Task[None]] = set()

    async def until_done(self, once: Callable[[], Awaitable[bool]]) -> None:
        """Do it now; where that gives False, go on to try it later."""
        if await once():
            return
        if len(self._tasks) >= self._most:
            log.warning("Too much is to be tried again; one more is not")
            return
        task = asyncio.create_task(self._go_on(once))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _go_on(self, once: Callable[[], Awaitable[bool]]) -> None:
        end = clock.elapsed() + self._seconds
        while clock.elapsed() < end:
            await asyncio.sleep(self._pause)
            if await once():
                return
        log.warning("Something was tried again in vain for %.0f s", self._seconds)

    def stop(self) -> None:
        """Try nothing any more."""
        for task in list(self._tasks):
            task.cancel()
