"""The catalogue that facility.yaml names at the moment of each question."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, tzinfo

from visa.catalogue.base import (
    Answer,
    Catalogue,
    CatalogueHealth,
    CataloguePerson,
    Experiment,
    Found,
    Instrument,
    Search,
)
from visa.catalogue.opening import open_catalogue
from visa.catalogue.shrinking import Memory
from visa.facility.model import CatalogueSource, Facility
from visa.facility.watch import FacilitySource

log = logging.getLogger(__name__)


@dataclass(eq=False, slots=True)
class _Open:
    """A source with the questions under way; ``loop`` is where it was asked, None: never."""

    catalogue: Catalogue
    questions: int = 0
    replaced: bool = False
    loop: asyncio.AbstractEventLoop | None = None


class CurrentCatalogue:
    """`Catalogue`. Who holds this object never holds a source that was replaced.

    An edit of facility.yaml that changes nothing of ``catalogue`` or the time zone keeps the source and its
    caches; another source is opened, and the former one is closed with its last answer.
    ``memory``: where it is kept how much a source held. Raise ``ValueError`` as `open_catalogue`.
    """

    def __init__(self, facility: FacilitySource, memory: Memory | None = None) -> None:
        self._lock = threading.Lock()  # edits are noticed in a thread
        self._source = _source(facility.current)
        self._memory = memory
        self._open = _Open(open_catalogue(*self._source, memory))
        self._closing: set[asyncio.Task[None]] = set()
        facility.subscribe(self._follow)

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        async with self._asked() as catalogue:
            return await catalogue.person(username)

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        async with self._asked() as catalogue:
            return await catalogue.people()

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        async with self._asked() as catalogue:
            return await catalogue.instruments()

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        async with self._asked() as catalogue:
            return await catalogue.experiments(ids)

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]:
        async with self._asked() as catalogue:
            return await catalogue.search(username, search, today)

    async def health(self) -> CatalogueHealth:
        async with self._asked() as catalogue:
            return await catalogue.health()

    async def close(self) -> None:
        """Close the source of now; nothing is asked afterwards."""
        await self._open.catalogue.close()

    @asynccontextmanager
    async def _asked(self) -> AsyncIterator[Catalogue]:
        with self._lock:
            used = self._open
            used.questions += 1
            used.loop = asyncio.get_running_loop()
        try:
            yield used.catalogue
        finally:
            with self._lock:
                used.questions -= 1
                last = used.replaced and not used.questions
            if last:
                self._close(used)

    def _follow(self, facility: Facility) -> None:
        source = _source(facility)
        if source == self._source:
            return
        log.info("facility.yaml names another catalogue: opening it")
        new = _Open(open_catalogue(*source, self._memory))
        with self._lock:
            former, self._open, self._source = self._open, new, source
            former.replaced = True
            idle = not former.questions
        if idle and former.loop is not None and not former.loop.is_closed():
            former.loop.call_soon_threadsafe(self._close, former)

    def _close(self, former: _Open) -> None:
        task = asyncio.get_running_loop().create_task(former.catalogue.close())
        self._closing.add(task)
        task.add_done_callback(self._closed)

    def _closed(self, task: asyncio.Task[None]) -> None:
        self._closing.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.warning("A former catalogue did not close: %s", error)


def _source(facility: Facility) -> tuple[CatalogueSource, tzinfo]:
    return facility.catalogue, facility.facility.zone
