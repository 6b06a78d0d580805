"""Support: whose instances staff may help on, help that people ask for, and experiments that are measured now."""

from __future__ import annotations

import asyncio
from functools import partial

from visa.catalogue.base import CatalogueUnavailable, Experiment, Instrument, Search
from visa.clock import now
from visa.instances import joining
from visa.instances.admission import belongs
from visa.instances.confirming import asks_again
from visa.instances.members import Membership
from visa.instances.model import Person, Refusal
from visa.instances.support import Cover, asks_for_dates, cover, may_break_glass, support_kind, window
from visa.portal.problems import not_found, refused
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models, outs
from visa.portal.sharing.standing import Standings, again, granted
from visa.store.people import People
from visa.store.sharing.records import AccessRequest, Listed

MOST_BEAMTIMES = 50
MOST_IN_BEAMTIME = 50


class SupportService:
    """What staff do, and what people ask of them. One object per request; it keeps nothing."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.people = service, People(service.store)
        self.standings = Standings(service)

    # acts

    async def ask(self, caller: Caller, identifier: str, given: models.SupportIn) -> models.SupportOut:
        """In by standing consent, else the owner is asked."""
        standing = await self.standings.of(caller, identifier)
        act = given.wanted == "act"
        ask = partial(self.people.support.ask, caller.username, identifier, act, given.reason, standing.facts, now())
        outcome: Membership | AccessRequest | Refusal = await asyncio.to_thread(ask)
        if isinstance(outcome, Refusal):
            raise refused(outcome)
        url = self.service.opening(identifier)
        if isinstance(outcome, AccessRequest):
            return models.SupportOut(joined=False, role=None, request=outcome.id, url=url)
        return models.SupportOut(joined=True, role=outs.role(outcome.role), request=None, url=url)

    async def break_glass(
        self, caller: Caller, identifier: str, given: models.BreakGlassIn, *, confirmed: bool = False
    ) -> models.JoinedOut:
        """In without consent; the owner is told and the audit trail has it. ``confirmed``: by a login made for it."""
        standing = await self.standings.on(caller, identifier)
        allowed = may_break_glass(standing.person, self.service.facility)
        if allowed and not confirmed and asks_again(self.service.facility):
            raise again(self.service, identifier)
        enter = partial(self.people.support.break_glass, caller.username, identifier, given.act, given.reason)
        done = granted(await asyncio.to_thread(enter, self.service.facility, now()))
        return models.JoinedOut(instance=identifier, role=outs.role(done.role), url=self.service.opening(identifier))

    async def help(self, caller: Caller, identifier: str, message: str) -> models.HelpOut:
        """Ask the support people for help."""
        return outs.help_wanted(await self.standings.act(caller, identifier, self.people.help.ask, message))

    async def close_help(self, caller: Caller, identifier: str) -> None:
        """Help is not needed any more."""
        await self.standings.act(caller, identifier, self.people.help.close)

    async def take(self, caller: Caller, identifier: str, number: int) -> models.HelpOut:
        """Say that one looks after it."""
        standing = await self.standings.of(caller, identifier)
        wanted = await asyncio.to_thread(self.people.help.open, identifier)
        if wanted is None or wanted.id != number:
            raise not_found("request for help")
        take = partial(self.people.help.take, caller.username, number, standing.facts, now())
        return outs.help_wanted(granted(await asyncio.to_thread(take)))

    # lists

    async def page(self, caller: Caller, query: models.SupportQuery) -> models.SupportedPageOut:
        """One page of what she may support, help wanted first, then the newest."""
        person = await self.service.person(caller)
        look = partial(
            self.people.views.supportable,
            caller.username,
            await self.cover(person),
            search=query.search,
            instrument=query.instrument,
            help_only=bool(query.help),
            offset=query.offset,
            limit=query.limit,
        )
        found = await asyncio.to_thread(look)
        known = await self._experiments(found.rows)
        rows = [self._row(person, listed, known) for listed in found.rows]
        return models.SupportedPageOut(instances=rows, total=found.total, offset=query.offset)

    def _row(self, person: Person, listed: Listed, known: dict[str, Experiment]) -> models.SupportedOut:
        instance = listed.instance
        kind = support_kind(person, joining.known(instance.experiments, known), self.service.facility, now())
        return models.SupportedOut(
            id=instance.id,
            title=instance.title,
            owner=instance.owner,
            owner_name=listed.owner_name,
            state=instance.state.value,
            experiments=list(instance.experiments),
            instruments=sorted({known[i].instrument_name for i in instance.experiments if i in known}),
            session=instance.session,
            started=instance.started_at,
            because=None if kind is None else kind.value,
            role=outs.role(listed.membership.role) if listed.membership else None,
            pending=listed.request is not None,
            help=outs.help_wanted(listed.help) if listed.help else None,
        )

    async def cover(self, person: Person) -> Cover:
        """What she may support."""
        catalogue = self.service.admissions.catalogue()
        instruments: tuple[Instrument, ...] = ()
        running: list[Experiment] = []
        try:
            instruments = (await catalogue.instruments()).value
            if asks_for_dates(person, self.service.facility):
                ids = await asyncio.to_thread(self.people.views.running_experiments)
                running = list((await catalogue.experiments(sorted(ids))).value.values())
        except CatalogueUnavailable:
            instruments = ()
        return cover(person, instruments, running, self.service.facility, now())

    async def supports(self, person: Person) -> bool:
        """Whether the page is for her, though nothing may run now."""
        if asks_for_dates(person, self.service.facility):
            return True
        return not (await self.cover(person)).nothing

    async def instruments(self) -> list[tuple[str, str]]:
        """To filter by, by name."""
        try:
            found = (await self.service.admissions.catalogue().instruments()).value
        except CatalogueUnavailable:
            return []
        return sorted(((str(one.id), one.name) for one in found), key=lambda one: one[1].lower())

    async def beamtimes(self, caller: Caller) -> list[models.BeamtimeOut]:
        """Hers that are measured now; for instrument control, those within its window that have instances."""
        person = await self.service.person(caller)
        mine = {str(one.id): one for one in await self._measured(caller) if belongs(person, one)}
        windows = {}
        if asks_for_dates(person, self.service.facility):
            covered = (await self.cover(person)).experiments
            windows = await self._known(sorted(covered))
        found = sorted({**windows, **mine}.values(), key=lambda one: (one.end, one.id))[:MOST_BEAMTIMES]
        ids = [str(one.id) for one in found]
        listed = await asyncio.to_thread(self.people.views.on_experiments, caller.username, ids)
        known = await self._experiments(listed)
        return [self._beamtime(person, one, listed, known, str(one.id) in windows) for one in found]

    def _beamtime(
        self,
        person: Person,
        experiment: Experiment,
        listed: tuple[Listed, ...],
        known: dict[str, Experiment],
        by_window: bool,
    ) -> models.BeamtimeOut:
        of_it = [one for one in listed if str(experiment.id) in one.instance.experiments][:MOST_IN_BEAMTIME]
        return models.BeamtimeOut(
            experiment=experiment.id,
            title=experiment.title,
            instrument=experiment.instrument,
            instrument_name=experiment.instrument_name,
            start=experiment.start,
            end=experiment.end,
            until=window(experiment, self.service.facility)[1] if by_window else None,
            instances=[self._in_beamtime(person, one, known) for one in of_it],
        )

    def _in_beamtime(self, person: Person, listed: Listed, known: dict[str, Experiment]) -> models.BeamtimeInstanceOut:
        instance = listed.instance
        experiments = joining.known(instance.experiments, known)
        kind = support_kind(person, experiments, self.service.facility, now())
        mine = instance.owner == person.username
        # A title may speak of an experiment that is not hers.
        told = mine or kind or listed.membership or all(one is not None and belongs(person, one) for one in experiments)
        return models.BeamtimeInstanceOut(
            id=instance.id,
            title=instance.title if told else f"An instance of {listed.owner_name}",
            owner=instance.owner,
            owner_name=listed.owner_name,
            session=instance.session,
            started=instance.started_at,
            role="owner" if mine else outs.role(listed.membership.role) if listed.membership else None,
            support=kind is not None and not mine,
        )

    async def _measured(self, caller: Caller) -> list[Experiment]:
        """Hers that are measured now: among those that began last."""
        catalogue, today = self.service.admissions.catalogue(), self.service.admissions.today()
        try:
            found = await catalogue.search(caller.username, Search(limit=500), today)
        except CatalogueUnavailable:
            return []
        return [one for one in found.value.experiments if one.start <= today <= one.end]

    async def _experiments(self, listed: tuple[Listed, ...]) -> dict[str, Experiment]:
        return await self._known(sorted({i for one in listed for i in one.instance.experiments}))

    async def _known(self, ids: list[str]) -> dict[str, Experiment]:
        try:
            return (await self.service.admissions.catalogue().experiments(ids)).value if ids else {}
        except CatalogueUnavailable:
            return {}
