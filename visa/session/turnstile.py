"""So many requests at once go on to Jupyter for each person, and for all who are not the owner; the next wait."""

from __future__ import annotations

import asyncio
from collections import Counter

EACH, OTHERS = 24, 64
"""A request under way holds up to three quarters of a megabyte while its browser does not read."""


class Turnstile:
    """Nobody's requests wait for those of somebody else but the other guests'."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._own: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()
        self._others = asyncio.Semaphore(OTHERS)

    async def enter(self, name: str) -> None:
        """When it is ``name``'s turn."""
        self._users[name] += 1
        try:
            await self._own.setdefault(name, asyncio.Semaphore(EACH)).acquire()
            try:
                if name != self._owner:
                    await self._others.acquire()
            except BaseException:
                self._own[name].release()
                raise
        except BaseException:
            self._forget(name)
            raise

    def leave(self, name: str) -> None:
        """The next may come."""
        self._own[name].release()
        if name != self._owner:
            self._others.release()
        self._forget(name)

    def _forget(self, name: str) -> None:
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name], self._own[name]
