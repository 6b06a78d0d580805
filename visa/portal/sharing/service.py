"""Members, rules, links and requests of one instance. What is allowed is decided in the store's transactions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from visa.clock import now
from visa.instances import joining
from visa.instances.access import Role
from visa.instances.confirming import asks_again
from visa.instances.members import GUESTS, Membership, sharing
from visa.instances.model import Facts, Person, Refusal
from visa.portal.problems import Problem, not_found
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models, outs
from visa.portal.sharing.standing import Standing, Standings, again, granted
from visa.store.people import People
from visa.store.sharing.records import KEEP, InvitationKind

T = TypeVar("T")

LETTERS = 3
MOST_FOUND = 20
MOST_VISITS = 200


class SharingService:
    """What people do with one instance's people. One object per request; it keeps nothing."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.people = service, People(service.store)
        self.standings = Standings(service)

    async def _do(self, act: Callable[..., T | Refusal], *given: object, **named: object) -> T:
        return granted(await asyncio.to_thread(partial(act, *given, **named)))

    # members

    async def members(self, caller: Caller, identifier: str) -> list[models.MemberOut]:
        """The owner first, then the others in the order in which they came."""
        return await self.of(await self.standings.on(caller, identifier))

    async def of(self, standing: Standing) -> list[models.MemberOut]:
        """The same for a standing that was found already."""
        owner = standing.instance.owner
        there, person = await asyncio.gather(
            asyncio.to_thread(self.people.visits.now, standing.instance.id),
            asyncio.to_thread(self.service.store.person, owner),
        )
        return outs.members(owner, person.name if person else owner, standing.members, there)

    async def add(self, caller: Caller, identifier: str, given: models.MemberIn) -> models.MemberOut:
        """A new member, or another role for one."""
        known = await self.standings.listed(given.username)
        named = {"until": given.until, "with_owner": given.with_owner, "known": known}
        who, role = given.username, Role(given.role)
        add = self.people.members.add
        return await self._member(await self.standings.act(caller, identifier, add, who, role, facts=None, **named))

    async def change(
        self, caller: Caller, identifier: str, username: str, given: models.MemberChangeIn
    ) -> models.MemberOut:
        """Another role, end, or presence."""
        until = given.until if "until" in given.model_fields_set else KEEP
        named = {
            "role": Role(given.role) if given.role else None,
            "until": until,
            "with_owner": given.with_owner,
        }
        change = self.people.members.change
        return await self._member(await self.standings.act(caller, identifier, change, username, facts=None, **named))

    async def remove(self, caller: Caller, identifier: str, username: str) -> None:
        """Remove a member; one's own name leaves."""
        await self.standings.act(caller, identifier, self.people.members.remove, username)

    async def _member(self, membership: Membership) -> models.MemberOut:
        views = await asyncio.to_thread(self.people.members.of, membership.instance_id)
        there = await asyncio.to_thread(self.people.visits.now, membership.instance_id)
        mine = [view for view in views if view.membership.username == membership.username]
        return outs.member(mine[0], there) if mine else outs.plain_member(membership)

    # rules

    async def sharing(self, caller: Caller, identifier: str) -> models.SharingOut:
        """How it is shared."""
        standing = await self.standings.owned(caller, identifier)
        return outs.sharing(standing.sharing)

    async def share(self, caller: Caller, identifier: str, given: models.SharingIn) -> models.SharingOut:
        """Share it in another way."""
        changed = {name: value for name, value in given.model_dump().items() if value is not None}
        try:
            sharing(changed)
        except ValueError as error:
            raise Problem(
                400, "bad-request", f"folders: {error}.", "Name folders as home/analysis.", "folders"
            ) from None
        return outs.sharing(await self.standings.act(caller, identifier, self.people.members.share, changed))

    # links

    async def invitations(self, caller: Caller, identifier: str) -> list[models.InvitationOut]:
        """All of the instance's links, the newest first."""
        await self.standings.owned(caller, identifier)
        found = await asyncio.to_thread(self.people.invitations.of, identifier)
        return [outs.invitation(one) for one in sorted(found, key=lambda one: -one.id)]

    async def invite(
        self, caller: Caller, identifier: str, given: models.InvitationIn, *, confirmed: bool = False
    ) -> models.InvitationMadeOut:
        """A new link; its token is told this once. ``confirmed``: by a login made for it, as one for many needs it."""
        if given.kind == "public" and not confirmed and asks_again(self.service.facility):
            await self.standings.owned(caller, identifier)
            raise again(self.service, identifier)
        make = self.people.invitations.make
        how = (InvitationKind(given.kind), Role(given.role), given.expires, self.service.facility)
        link = await self.standings.act(caller, identifier, make, *how, email=given.email)
        return outs.made(link, self.service.prefix)

    async def withdraw(self, caller: Caller, identifier: str, number: int) -> None:
        """A link that lets nobody in any more."""
        await self.standings.act(caller, identifier, self.people.invitations.withdraw, number)

    async def look(self, caller: Caller, token: str) -> models.LookOut:
        """What a link leads to, for whom the rules let in by it. Looking uses nothing up."""
        await self.service.person(caller)
        facts = await self._facts_of(caller, token)
        return outs.look(await self._do(self.people.invitations.look, caller.username, token, facts, now()))

    async def _facts_of(self, caller: Caller, token: str) -> Facts:
        """About the experiments of the instance that a link leads to."""
        experiments = await self._do(self.people.invitations.experiments, caller.username, token, now())
        return await self.standings.facts(experiments)

    async def redeem(self, caller: Caller, token: str) -> models.JoinedOut:
        """Join by a link."""
        facts = await self._facts_of(caller, token)
        joined = await self._do(self.people.invitations.redeem, caller.username, token, facts, now())
        return models.JoinedOut(
            instance=joined.instance_id, role=outs.role(joined.role), url=self.service.opening(joined.instance_id)
        )

    # requests

    async def ask(self, caller: Caller, identifier: str, given: models.AskIn) -> models.AskedOut:
        """Ask the owner. The answer is the same whether or not there is such an instance and whoever may join."""
        await self.service.person(caller)
        standing = await self.standings.maybe(caller, identifier)
        if standing is not None:
            wanted = Role(given.wanted)
            work = partial(self.people.requests.ask, caller.username, identifier, wanted, given.reason)
            outcome = await asyncio.to_thread(work, standing.facts, now())
            if not standing.stranger:
                granted(outcome)
        return models.AskedOut(state="asked")

    async def requests(self, caller: Caller, identifier: str) -> list[models.RequestOut]:
        """Those that wait for the caller's answer."""
        standing = await self.standings.on(caller, identifier)
        if not standing.answers:
            await self.standings.owned(caller, identifier)
        return await self.waiting(standing)

    async def waiting(self, standing: Standing) -> list[models.RequestOut]:
        """Requests that the person may answer: consent to support is the owner's alone."""
        if not standing.answers:
            return []
        found = await asyncio.to_thread(self.people.requests.pending, standing.instance.id)
        title = standing.instance.title
        return [outs.request(one, title) for one in found if standing.owner or one.kind.value == "guest"]

    async def request(self, caller: Caller, identifier: str, number: int) -> models.RequestOut:
        """One request, for who made it and who answers it."""
        found = await asyncio.to_thread(self.people.requests.one, identifier, number)
        standing = await self.standings.maybe(caller, identifier)
        mine = found is not None and found.requester == caller.username
        if found is None or standing is None or not (mine or standing.answers):
            raise not_found("request")
        title = "" if standing.stranger else standing.instance.title
        return outs.request(found, title)

    async def answer(self, caller: Caller, identifier: str, number: int, given: models.AnswerIn) -> models.RequestOut:
        """Yes or no."""
        role, approve = Role(given.role) if given.role else None, given.answer == "approve"
        answer = self.people.requests.answer
        done = await self.standings.act(caller, identifier, answer, number, approve, facts=None, role=role)
        instance = await asyncio.to_thread(self.service.store.instance, identifier)
        return outs.request(done, instance.title if instance else "")

    async def cancel(self, caller: Caller, identifier: str, number: int) -> None:
        """Do not ask any more."""
        await self._do(self.people.requests.cancel, caller.username, identifier, number, now())

    async def cancel_mine(self, caller: Caller, identifier: str) -> None:
        """The same without the number; says nothing of whether there was one."""
        for one in await asyncio.to_thread(self.people.requests.pending, identifier):
            if one.requester == caller.username:
                await asyncio.to_thread(self.people.requests.cancel, caller.username, identifier, one.id, now())

    # who may be added, who was here

    async def candidates(self, caller: Caller, query: models.PeopleQuery) -> list[models.PersonOut]:
        """The team that is not there yet; with three letters, people of that name. Names only are told."""
        await self.standings.owned(caller, query.instance)
        standing = await self.standings.of(caller, query.instance)
        there = {standing.instance.owner, *(view.membership.username for view in standing.members)}
        search = " ".join(query.search.split())
        if search and len(search) < LETTERS:
            remedy = f"Type at least {LETTERS} letters."
            raise Problem(400, "bad-request", "search: too short", remedy, "search")
        team = [one for one in await self._team(standing) if _named(one, search)]
        others: list[Person] = []
        if search and self.service.facility.sharing.search:
            found = await asyncio.to_thread(self.people.views.find_people, search, MOST_FOUND + len(there) + len(team))
            known = {one.username for one in team}
            others = [one for one in found if one.username not in known]
        shown = [one for one in (*team, *others) if str(one.username) not in there][:MOST_FOUND]
        return [self._candidate(one, standing) for one in shown]

    async def _team(self, standing: Standing) -> list[Person]:
        """People of every experiment's team, by name."""
        teams = [
            {str(who) for who in (*one.team, one.principal) if who} if one else set() for one in standing.experiments
        ]
        names = sorted(set.intersection(*teams)) if teams else []
        return sorted([one for name in names[:100] if (one := await self._person(name))], key=lambda one: one.name)

    async def _person(self, username: str) -> Person | None:
        known = await asyncio.to_thread(self.service.store.person, username)
        return known or await self.standings.listed(username)

    def _candidate(self, person: Person, standing: Standing) -> models.PersonOut:
        facility, today = self.service.facility, self.service.admissions.today()
        roles: list[models.GuestRole] = []
        why_not = None
        for role in GUESTS:
            refusal = joining.may_join(person, role, standing.experiments, facility, today)
            if refusal is not None:
                why_not = str(refusal)
                break
            roles.append("observer" if role is Role.OBSERVER else "collaborator")
        team = joining.of_team(person, standing.experiments)
        return models.PersonOut(username=person.username, name=person.name, team=team, roles=roles, why_not=why_not)

    async def visits(self, caller: Caller, identifier: str) -> list[models.VisitOut]:
        """Who was here, the newest first."""
        await self.standings.owned(caller, identifier)
        found = await asyncio.to_thread(partial(self.people.visits.of, identifier, limit=MOST_VISITS))
        return [outs.visit(one) for one in found]


def _named(person: Person, search: str) -> bool:
    text = f"{person.name} {person.username}".lower()
    return all(word in text for word in search.lower().split())
