"""What one person is to one instance, and the facts that acts on it are decided by."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from visa.catalogue.base import CatalogueUnavailable, Experiment
from visa.clock import now
from visa.instances import joining
from visa.instances.access import Role
from visa.instances.admission import entitled
from visa.instances.members import Approvers, Sharing
from visa.instances.model import Facts, Person, Reason, Refusal
from visa.instances.support import SupportKind, support_kind
from visa.portal.problems import Problem, not_found, refused
from visa.portal.service import Caller, PortalService
from visa.store import facts
from visa.store.people import People
from visa.store.sharing.acts import FactsNeeded
from visa.store.sharing.records import MemberView
from visa.store.store import Instance

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """A person and an instance, now. ``members``: all of the instance's; ``kind``: why she may support it."""

    person: Person
    instance: Instance
    facts: Facts
    members: tuple[MemberView, ...]
    kind: SupportKind | None
    sharing: Sharing
    role: Role

    @property
    def owner(self) -> bool:
        """Whether it is hers."""
        return self.person.username == self.instance.owner

    @property
    def member(self) -> MemberView | None:
        """Her membership."""
        mine = [one for one in self.members if one.membership.username == self.person.username and one.active]
        return mine[0] if mine and not mine[0].membership.over(now()) else None

    @property
    def stranger(self) -> bool:
        """Whether nothing tells her that it exists."""
        return not self.owner and self.member is None and self.kind is None

    @property
    def answers(self) -> bool:
        """Whether she lets guests in."""
        shared = self.sharing.approvers is Approvers.COLLABORATORS and self.role is Role.COLLABORATOR
        return self.owner or shared

    @property
    def experiments(self) -> joining.Experiments:
        """The instance's; None for each that the catalogue does not know."""
        return joining.known(self.instance.experiments, self.facts.experiments)


class Standings:
    """Finds them."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.people = service, People(service.store)

    async def of(self, caller: Caller, identifier: str) -> Standing:
        """Hers to the instance; raise `Problem` 404 when nothing tells her that it exists."""
        found = await self.maybe(caller, identifier)
        if found is None or found.stranger:
            raise not_found("instance")
        return found

    async def on(self, caller: Caller, identifier: str) -> Standing:
        """The same for what says nothing of experiments: for who is on it the catalogue is not asked."""
        near = await self.near(caller, identifier)
        return await self.of(caller, identifier) if near is None or near.stranger else near

    async def owned(self, caller: Caller, identifier: str) -> Standing:
        """The same for what the owner alone may see; raise `Problem` 403 for members and supporters."""
        found = await self.on(caller, identifier)
        if not found.owner:
            raise refused(_OWNER_ONLY)
        return found

    async def maybe(self, caller: Caller, identifier: str) -> Standing | None:
        """Hers to the instance, a stranger's too; None when there is no such instance."""
        near = await self.near(caller, identifier)
        if near is None:
            return None
        known = await self.facts(near.instance.experiments)
        return await asyncio.to_thread(self._standing, near.person, near.instance, known)

    async def near(self, caller: Caller, identifier: str) -> Standing | None:
        """The same as far as the store knows: no experiment is known, and who supports it by one is a stranger."""
        person = await self.service.person(caller)
        instance = await asyncio.to_thread(self.service.store.instance, identifier)
        if instance is None:
            return None
        unasked = Facts(self.service.facility, {}, self.service.admissions.today(), catalogue_stale=True)
        return await asyncio.to_thread(self._standing, person, instance, unasked)

    async def act(
        self, caller: Caller, identifier: str, act: Callable[..., T | Refusal], *given: object, **named: object
    ) -> T:
        """``act`` on an instance. Only one that says `FactsNeeded` (it takes ``facts``) waits for the catalogue.

        A stranger's is refused, and in the audit trail, but for her it is as if there were no such instance.
        """
        near = await self.near(caller, identifier)
        if near is None:
            raise not_found("instance")
        work = partial(act, caller.username, identifier, *given, **named)
        try:
            outcome = await asyncio.to_thread(partial(work, at=now()))
        except FactsNeeded:
            known = await self.facts(near.instance.experiments)
            outcome = await asyncio.to_thread(partial(work, facts=known, at=now()))
        if isinstance(outcome, Refusal) and near.stranger:
            raise not_found("instance")
        return granted(outcome)

    def _standing(self, person: Person, instance: Instance, known: Facts) -> Standing:
        members = self.people.members
        there = joining.known(instance.experiments, known.experiments)
        return Standing(
            person=person,
            instance=instance,
            facts=known,
            members=members.of(instance.id),
            kind=support_kind(person, there, self.service.facility, now()),
            sharing=members.sharing(instance.id),
            role=members.role(instance.id, str(person.username), now()),
        )

    async def facts(self, experiments: tuple[str, ...] = ()) -> Facts:
        """What the catalogue says of ``experiments`` now."""
        admissions = self.service.admissions
        return await facts.gather(self.service.source, admissions.catalogue(), experiments, admissions.today())

    async def listed(self, username: str) -> Person | None:
        """A person who never logged in, as the catalogue knows her."""
        try:
            found = (await self.service.admissions.catalogue().person(username)).value
        except (CatalogueUnavailable, ValueError):
            return None
        if found is None:
            return None
        return Person(username=found.username, name=found.name, roles=found.roles, groups=found.groups)

    def seen(self, person: Person, experiments: joining.Experiments) -> list[Experiment]:
        """Those that she may see."""
        today = self.service.admissions.today()
        return [one for one in experiments if one is not None and entitled(person, one, today)]


def granted(outcome: T | Refusal) -> T:
    """What was done; raise `Problem` when it was refused."""
    if isinstance(outcome, Refusal):
        raise refused(outcome)
    return outcome


def again(service: PortalService, identifier: str) -> Problem:
    """A login of before is not enough."""
    remedy = f"Do it in a browser, on {service.prefix}instances/{identifier}: it leads to the login and back."
    return Problem(403, Reason.LOGIN_AGAIN.value, "This needs another login, just before it.", remedy)


_OWNER_ONLY = Refusal(Reason.NOT_THE_OWNER, "Only the owner may do this.", "Ask the owner of the instance.")
