"""What gateways wait for: the store's number of their instance, which grows with every change they must know."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from visa import clock

HELD = 50.0
"""Seconds for which a gateway's question is held."""
AHEAD = 1.5
"""Seconds for which it is held when it knows a later number than the last look saw."""


class Changes:
    """The numbers as they were last seen, and who waits for another one."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}
        self._looked = asyncio.Event()
        self.blind = False
        """Whether the last look failed: what did not change is then not known."""

    def looked(self, numbers: Mapping[str, int]) -> frozenset[str]:
        """All numbers as they are now: whoever waits for one that is another is woken. The ids of those."""
        moved = frozenset(i for i, number in numbers.items() if self._numbers.get(i) != number)
        self._numbers, self.blind = dict(numbers), False
        self._looked.set()
        for identifier in moved:
            for waiting in self._waiting.pop(identifier, ()):
                if not waiting.done():
                    waiting.set_result(None)
        return moved

    async def other(self, identifier: str, after: int, seconds: float = HELD) -> bool:
        """Whether the number is another one than ``after`` within ``seconds``."""
        await self._looked.wait()
        end = clock.elapsed() + seconds
        if self._numbers.get(identifier, 0) < after:  # the gateway read it after the last look; or an old database
            end = min(end, clock.elapsed() + AHEAD)
        while (number := self._numbers.get(identifier, 0)) <= after and (left := end - clock.elapsed()) > 0:
            await self._next(identifier, left)
        return number != after

    async def _next(self, identifier: str, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(identifier, set()).add(waiting)
        try:
            await asyncio.wait_for(waiting, seconds)
        except TimeoutError:
            return
        finally:
            others = self._waiting.get(identifier)
            if others is not None:
                others.discard(waiting)
                if not others:
                    del self._waiting[identifier]
