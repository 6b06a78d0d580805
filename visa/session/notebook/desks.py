"""Who is connected to one kernel. Who only looks is connected to Jupyter only while somebody who acts is.

Jupyter keeps a kernel's outputs for the last connection that closed, and hands them to nobody else: a watcher who is
still there, or who comes first, would cost the owner what ran while her computer slept.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from visa.session.notebook.audience import Audience

APART = 0.3
"""Seconds between the ends of the watchers' connections and that of the last who acted."""


class Desk:
    """Of one kernel. ``audiences``: who only looks, by encoding."""

    def __init__(self) -> None:
        self.audiences: dict[bool, Audience] = {}
        self._acting: set[object] = set()
        self._watching: set[Callable[[], None]] = set()
        self._attended = asyncio.Event()

    def came(self, socket: object) -> None:
        """Somebody who acts has it open."""
        self._acting.add(socket)
        self._attended.set()

    def went(self, socket: object) -> float:
        """She leaves: seconds to wait with it, so that watchers are gone before the last one is."""
        self._acting.discard(socket)
        if self._acting:
            return 0
        self._attended.clear()
        for end in list(self._watching):
            end()
        return APART if self._watching else 0

    @contextmanager
    def watching(self, end: Callable[[], None]) -> Iterator[None]:
        """``end`` is called when nobody acts any more."""
        self._watching.add(end)
        try:
            yield
        finally:
            self._watching.discard(end)

    async def attended(self) -> None:
        """Until somebody acts."""
        await self._attended.wait()
