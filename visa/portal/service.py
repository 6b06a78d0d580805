"""What the portal does for one person: her experiments, choices and instances. No HTTP in here."""

from __future__ import annotations

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from visa.addresses import Origins
from visa.catalogue.base import Answer, CatalogueHealth, CatalogueUnavailable, Experiment, Found, Search
from visa.clock import elapsed, now
from visa.facility.model import Environment, Facility
from visa.facility.watch import FacilitySource
from visa.identifiers import EnvironmentId, instance_id
from visa.instances import choices, pictures, quotas, texts
from visa.instances.admission import entitled
from visa.instances.lifetimes import time_left
from visa.instances.model import Person, Refusal, Use
from visa.portal import models
from visa.portal.hub import HubClient
from visa.portal.problems import UNAVAILABLE, Problem, not_found, refused
from visa.store.admissions import Admissions
from visa.store.store import Instance, Store

_STOPPED_WITHIN = 60.0
"""Seconds that `PortalService.restart` waits for the end."""
_QUICK = 1.5
"""Seconds that a start may take before it is answered as under way."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, with their own hub token; ``browser``: the secret of theirs, empty when a program asks."""

    username: str
    token: str
    browser: str = ""


class PortalService:
    """Shared by pages and API."""

    def __init__(
        self,
        facility: FacilitySource,
        admissions: Admissions,
        store: Store,
        hub: HubClient,
        base: str,
        prefix: str = "/services/visa/",
        origins: Origins | None = None,
        pictures: bytes = b"",
    ) -> None:
        """``origins``: where instances are seen; ``pictures``: the secret of `visa.instances.pictures`."""
        self.source, self.admissions, self.store, self.hub = facility, admissions, store, hub
        self._base, self.prefix, self.origins, self._pictures = base, prefix, origins or Origins(), pictures
        self._starts: set[asyncio.Task[None]] = set()

    @property
    def facility(self) -> Facility:
        """As facility.yaml says now."""
        return self.source.current

    async def person(self, caller: Caller) -> Person:
        """What the hub knows about her; raise `Problem` when she never logged in."""
        person = await asyncio.to_thread(self.store.person, caller.username)
        if person is None:
            raise Problem(403, "person-not-verified", "The facility does not know who you are yet.", "Log in again.")
        return person

    async def me(self, caller: Caller) -> models.MeOut:
        """Her own description."""
        person = await self.person(caller)
        about = self.facility.facility
        return models.MeOut(
            username=person.username,
            name=person.name,
            email=person.email,
            roles=sorted(person.roles),
            groups=sorted(person.groups),
            facility=about.name,
            contact=about.contact,
        )

    # experiments

    async def search(self, caller: Caller, search: Search) -> Answer[Found]:
        """One page of her experiments; raise `Problem` when the catalogue has never answered."""
        try:
            return await self.admissions.catalogue().search(caller.username, search, self.admissions.today())
        except CatalogueUnavailable as error:
            raise Problem(
                503, "catalogue-unavailable", "The catalogue of experiments does not answer.", "Try again soon."
            ) from error

    async def experiments(self, caller: Caller, ids: list[str]) -> tuple[list[Experiment], list[str]]:
        """Those of ``ids`` that she may use, in order, and those that she may not (or that do not exist)."""
        person = await self.person(caller)
        try:
            found = (await self.admissions.catalogue().experiments(ids)).value
        except CatalogueUnavailable:
            found = {}
        today = self.admissions.today()
        mine = [found[i] for i in ids if i in found and entitled(person, found[i], today)]
        known = {experiment.id for experiment in mine}
        return mine, [i for i in ids if i not in known]

    async def catalogue_health(self) -> CatalogueHealth:
        """For banners."""
        return await self.admissions.catalogue().health()

    # choices

    async def own_use(self, person: Person) -> Use:
        """What she holds."""
        return await asyncio.to_thread(self.store.use, quotas.scopes_of(person, ()))

    async def environments(self, caller: Caller) -> list[models.EnvironmentOut]:
        """Every environment, with the reason where it is not for her."""
        person = await self.person(caller)
        return [
            models.EnvironmentOut(
                id=choice.id,
                title=choice.environment.title,
                description=choice.environment.description,
                sessions=list(choice.environment.sessions),
                software=await asyncio.to_thread(software, choice.environment),
                refused=choice.refused,
            )
            for choice in choices.environments(person, self.facility)
        ]

    async def flavours(self, caller: Caller) -> list[models.FlavourOut]:
        """Every flavour, with the reason where it is not for her or not now."""
        person = await self.person(caller)
        return [
            models.FlavourOut(
                id=choice.id,
                title=choice.flavour.title or choice.id,
                cpu=choice.flavour.cpu,
                memory=int(choice.flavour.memory),
                gpu=choice.flavour.gpu,
                scratch=int(choice.flavour.scratch),
                refused=choice.refused,
            )
            for choice in choices.flavours(person, self.facility, await self.own_use(person))
        ]

    async def preselection(self, caller: Caller, experiments: list[Experiment]) -> choices.Preselection:
        """What the page chooses before she does."""
        person = await self.person(caller)
        return choices.preselect(person, self.facility, await self.own_use(person), experiments)

    async def quotas(self, caller: Caller) -> list[models.QuotaOut]:
        """Her own limits."""
        person = await self.person(caller)
        standing = quotas.standing(person, self.facility, await self.own_use(person))
        return [
            models.QuotaOut(resource=limit.resource, allowed=limit.allowed, held=held, source=limit.source)
            for limit, held in standing
        ]

    # instances

    async def instances(self, caller: Caller) -> list[models.InstanceOut]:
        """All of hers, newest first. Without the hub the store's word is given."""
        known, servers = await asyncio.gather(
            asyncio.to_thread(self.store.instances_of, caller.username), self._servers(caller)
        )
        return [self._instance(instance, servers) for instance in known if servers is None or instance.name in servers]

    async def instance(self, caller: Caller, identifier: str) -> models.InstanceOut:
        """One of hers; raise `Problem` for anything else."""
        known = await self._own(caller, identifier)
        servers = await self._servers(caller)
        if servers is not None and known.name not in servers:
            raise not_found("instance")
        return self._instance(known, servers)

    async def _own(self, caller: Caller, identifier: str) -> Instance:
        known = await asyncio.to_thread(self.store.instance, identifier)
        if known is None or known.owner != caller.username:
            raise not_found("instance")
        return known

    async def _servers(self, caller: Caller) -> dict[str, dict[str, Any]] | None:
        try:
            return await self.hub.servers(caller.token, caller.username)
        except Problem as problem:
            if problem.reason in UNAVAILABLE:
                return None
            raise

    def _instance(self, known: Instance, servers: dict[str, dict[str, Any]] | None) -> models.InstanceOut:
        server = (servers or {}).get(known.name, {})
        state = _state(known, server, servers is None)
        ends, because = None, None
        if state == "running" and known.started_at is not None:
            left = time_left(known.started_at, _time(server.get("last_activity")), known.maximum, known.idle, now())
            if left is not None:
                ends, because = now() + left.left, left.because
        url = self._url(known)
        ways = ways_in(known.session, self._offered(known.environment), url)
        shows = state == "running" and any(way.session == "desktop" for way in ways) and self.facility.desktop.preview
        return models.InstanceOut(
            id=known.id,
            name=known.name,
            title=known.title,
            state=state,
            experiments=list(known.experiments),
            environment=known.environment,
            flavour=known.flavour,
            session=known.session,
            url=url,
            ways=ways,
            preview=f"{url}desktop/preview.png?ticket={self._ticket(known.id)}" if shows else None,
            created=known.created_at,
            started=known.started_at if state in ("starting", "running") else None,
            ends=ends,
            ends_because=because,
            reason=known.reason if state in ("failed", "stopped") else None,
            notice=known.notice,
        )

    def _url(self, known: Instance) -> str:
        return self.origins.url(self._base, known.owner, known.name)

    def _ticket(self, identifier: str) -> str:
        return pictures.ticket(pictures.key_of(self._pictures, identifier), now().timestamp())

    def opening(self, identifier: str) -> str:
        """The page that leads a member into the instance."""
        return f"{self.prefix}instances/{identifier}/open"

    def login_again(self, number: int) -> str:
        """The hub's page that asks for another login (`visa.hub.again`)."""
        return f"{self._base}hub/visa/again/{number}"

    def kinds(self, known: Instance) -> list[str]:
        """Sessions that the instance has, the one asked for first."""
        return [way.session for way in ways_in(known.session, self._offered(known.environment), "")]

    def way(self, known: Instance, session: str) -> str:
        """Where ``session`` of the instance opens; the one asked for when it has none of that kind."""
        ways = ways_in(known.session, self._offered(known.environment), self._url(known))
        return next((way.url for way in ways if way.session == session), ways[0].url)

    def _offered(self, environment: str) -> tuple[str, ...]:
        """Session kinds; none when the environment is not in facility.yaml any more."""
        known = self.facility.environments.get(EnvironmentId(environment))
        return known.sessions if known else ()

    async def start_new(self, caller: Caller, wanted: models.StartIn) -> models.InstanceOut:
        """Start a new instance; raise `Problem` when admission says no."""
        options = wanted.model_dump(exclude={"title"})
        name = new_name(wanted.experiments)
        outcome = await self.admissions.check(caller.username, options, name)
        if isinstance(outcome, Refusal):
            await self.admissions.refused(caller.username, outcome, actor=caller.username)
            raise refused(outcome)
        title = wanted.title or await self._title(wanted.experiments)
        made = await self._start(caller, name, title, options)
        if made.title == title:
            return made
        await asyncio.to_thread(self.store.rename, made.id, title)  # JupyterHub does not take all that people write
        return await self.instance(caller, made.id)

    async def start_again(self, caller: Caller, identifier: str) -> models.InstanceOut:
        """Start a stopped instance with the options it had."""
        known = await self._own(caller, identifier)
        current = await self.instance(caller, identifier)
        if current.state in ("starting", "stopping"):
            raise Problem(409, "busy", f"The instance is {current.state}.", "Wait until it is done.")
        if current.state == "running":
            return current
        return await self._start(caller, known.name, known.title, None)

    async def _start(self, caller: Caller, name: str, title: str, options: dict[str, Any] | None) -> models.InstanceOut:
        """Ask the hub; after a moment the start goes on by itself and the progress page shows it."""
        work = self.hub.start(caller.token, caller.username, name, texts.for_hub(title), options)
        task = asyncio.create_task(work)
        self._starts.add(task)
        task.add_done_callback(self._starts.discard)
        done, _ = await asyncio.wait([task], timeout=_QUICK)
        if done:
            task.result()
        identifier = instance_id(caller.username, name)
        for _ in range(100):
            if await asyncio.to_thread(self.store.instance, identifier) is not None:
                return await self.instance(caller, identifier)
            if task.done():
                task.result()
            await asyncio.sleep(0.1)
        raise Problem(503, "hub-unavailable", "JupyterHub is slow to begin the start.", "Look at your home page.")

    async def _title(self, experiments: list[str]) -> str:
        if not experiments:
            return "Without an experiment"
        found = (await self.admissions.catalogue().experiments(experiments[:1])).value
        first = found.get(experiments[0])
        title = first.title if first else experiments[0]
        more = f" and {len(experiments) - 1} more" if len(experiments) > 1 else ""
        return f"{texts.shown(title, experiments[0])[:180]}{more}"

    async def stop(self, caller: Caller, identifier: str) -> models.InstanceOut:
        """Stop it; its files stay."""
        known = await self._own(caller, identifier)
        await self.hub.stop(caller.token, caller.username, known.name, remove=False)
        return await self.instance(caller, identifier)

    async def restart(self, caller: Caller, identifier: str) -> models.InstanceOut:
        """Stop it and start it again: nothing that ran goes on. What refuses the start leaves it stopped."""
        current = await self.instance(caller, identifier)
        if current.state in ("starting", "stopping"):
            raise Problem(409, "busy", f"The instance is {current.state}.", "Wait until it is done.")
        if current.state == "running":
            current = await self.stop(caller, identifier)
        end = elapsed() + _STOPPED_WITHIN
        while current.state in ("running", "stopping"):
            if elapsed() > end:
                remedy = "Start it again when it is stopped."
                raise Problem(409, "busy", "The instance takes long to stop.", remedy)
            await asyncio.sleep(0.25)
            current = await self.instance(caller, identifier)
        return await self.start_again(caller, identifier)

    async def delete(self, caller: Caller, identifier: str) -> None:
        """Stop and forget it; files in the home folder stay."""
        known = await self._own(caller, identifier)
        try:
            await self.hub.stop(caller.token, caller.username, known.name, remove=True)
        except Problem as problem:
            if problem.status != 404:
                raise
            if not await asyncio.to_thread(partial(self.store.forget, identifier, ended_only=True)):
                raise Problem(409, "busy", "The instance was started meanwhile.", "Stop it first.") from None

    async def rename(self, caller: Caller, identifier: str, title: str) -> models.InstanceOut:
        """Another title."""
        await self._own(caller, identifier)
        await asyncio.to_thread(self.store.rename, identifier, title)
        return await self.instance(caller, identifier)

    async def progress(self, caller: Caller, identifier: str) -> AsyncIterator[dict[str, Any]]:
        """Steps of a start in plain words; the last one says ``ready`` or ``failed`` with the reason."""
        known = await self._own(caller, identifier)
        current = await self.instance(caller, identifier)
        if current.state == "starting":
            async for event in self.hub.progress(caller.token, caller.username, known.name):
                if event.get("ready") or event.get("failed"):
                    break
                yield {"state": "starting", "message": event.get("message"), "progress": event.get("progress")}
            current = await self.instance(caller, identifier)
        yield {"state": current.state, "message": current.reason, "progress": 100, "url": current.url}


_PATHS = {"notebook": "lab", "desktop": "desktop/"}


def ways_in(session: str, offered: tuple[str, ...], url: str) -> list[models.WayOut]:
    """The session asked for at the instance's own address, then the others where each is."""
    others = [kind for kind in offered if kind != session and kind in _PATHS]
    first = models.WayOut(session=session, url=url)
    return [first, *(models.WayOut(session=kind, url=url + _PATHS[kind]) for kind in others)]


def _state(known: Instance, server: dict[str, Any], hub_down: bool) -> models.State:
    if server.get("pending") == "spawn":
        return "starting"
    if server.get("pending") == "stop":
        return "stopping"
    if server.get("ready"):
        return "running"
    if hub_down:
        return known.state.value
    return "failed" if known.state.value == "failed" else "stopped"


def _time(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    return datetime.fromisoformat(text.replace("Z", "+00:00")).astimezone(UTC)


def new_name(experiments: list[str]) -> str:
    """A server name that JupyterHub takes: ``^[a-z][a-z0-9-]*$``, at most 30 characters, no ``--``."""
    text = re.sub(r"[^a-z0-9]+", "-", (experiments[0] if experiments else "desk").lower()).strip("-")[:20].strip("-")
    first = text if text[:1].isalpha() else f"e{text}"
    return f"{first}-{secrets.token_hex(3)}"


def software(environment: Environment) -> dict[str, str]:
    """Name to version: what is really installed when the environment says so, else what facility.yaml says."""
    if environment.local is not None:
        try:
            content = json.loads((Path(environment.local.prefix) / "share" / "visa" / "software.json").read_text())
        except (OSError, ValueError):
            return dict(environment.software)
        if isinstance(content, dict):
            return {str(name): str(version) for name, version in content.items()}
    return dict(environment.software)
