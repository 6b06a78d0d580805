"""A portal's service in this process, on a real store, with a catalogue that answers when a test lets it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from tests.services import facility
from tests.store.sharing import rig
from visa import clock
from visa.catalogue.base import Answer, CatalogueHealth, CataloguePerson, Experiment, Found, Instrument, Search
from visa.facility.watch import FacilitySource
from visa.portal.hub import HubClient
from visa.portal.service import Caller, PortalService
from visa.store.admissions import Admissions
from visa.store.store import Store

MARIE, LISE, OSCAR, GRACE = (Caller(name, "") for name in ("marie", "lise", "oscar", "grace"))


class HeldCatalogue:
    """Answers nobody before `answer` is set; ``asked`` has every question."""

    def __init__(self) -> None:
        self.answer, self.began, self.asked = asyncio.Event(), asyncio.Event(), list[str]()

    async def _wait(self, question: str) -> None:
        self.asked.append(question)
        self.began.set()
        await self.answer.wait()

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        await self._wait("person")
        return Answer(None, clock.now(), False)

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        await self._wait("people")
        return Answer((), clock.now(), False)

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        await self._wait("instruments")
        return Answer((), clock.now(), False)

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        await self._wait("experiments")
        return Answer({"exp-1": rig.EXPERIMENT}, clock.now(), False)

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]:
        await self._wait("search")
        return Answer(Found((), 0), clock.now(), False)

    async def health(self) -> CatalogueHealth:
        await self._wait("health")
        return CatalogueHealth(True, clock.now())

    async def close(self) -> None:
        """Nothing is open."""


def service(store: Store, catalogue: HeldCatalogue, folder: Path) -> PortalService:
    """Of a facility whose rules are the defaults."""
    source = FacilitySource(facility.write(folder, sharing={"outsiders": "observer"}))
    admissions = Admissions(source, lambda: catalogue, store, lambda: rig.NOW.date())
    return PortalService(source, admissions, store, HubClient("http://127.0.0.1:1/hub/api"), "/")
