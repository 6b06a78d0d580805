"""Looks at the store once a second for all instances: gateways are woken, JupyterHub's rights follow."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Container
from typing import Any

from visa import clock
from visa.hub import settings
from visa.hub.sharing.entering import members_of, take_back
from visa.hub.sharing.shares import given

log = logging.getLogger(__name__)

EVERY = 1.0
"""Seconds between two looks, which are one query each."""
_SWEEP = 5
"""Every so many looks, what is over by itself is ended."""


class Watch:
    """Runs beside one hub application until it ends."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.hub = settings.get()
        self._failed = False
        self._rounds = 0

    async def run(self) -> None:
        """Look, wait, look."""
        while True:
            try:
                await self.look()
                self._failed = False
            except Exception:
                self.hub.changes.blind = True
                if not self._failed:  # a store that is away is away for a while
                    log.exception("The store's changes cannot be read; trying again every second")
                self._failed = True
            await asyncio.sleep(EVERY)

    async def look(self) -> None:
        """One round; the first one finds everything changed, so a restarted hub takes back what is over."""
        moved = self.hub.changes.looked(await asyncio.to_thread(self.hub.people.views.numbers))
        if moved:
            await self.take_back(moved)
        if self._rounds % _SWEEP == 0:
            await asyncio.to_thread(self.hub.people.sweep, clock.now())
        self._rounds += 1

    async def take_back(self, identifiers: Container[str] | None = None) -> None:
        """JupyterHub's right to open these instances (or any) ends for who is no member."""
        db = self.app.db
        known = await members_of({identifier for identifier, _who, _share in given(db, identifiers)})
        for identifier, username in take_back(db, known):
            log.info("%s may not open instance %s any more", username, identifier)
