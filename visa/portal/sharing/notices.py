"""What a person should know or answer, and what others share with her."""

from __future__ import annotations

import asyncio
from functools import partial

from visa.clock import now
from visa.instances import joining
from visa.instances.access import Role
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models, outs
from visa.portal.sharing.standing import Standings
from visa.portal.sharing.support import SupportService
from visa.store.people import People
from visa.store.sharing.records import Asked, Entered, Listed


class NoticeService:
    """Lists for one person. One object per request; it keeps nothing."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.people = service, People(service.store)
        self.support = SupportService(service)

    async def notices(self, caller: Caller) -> models.NoticesOut:
        """Those that wait for her first."""
        person = await self.service.person(caller)
        cover = await self.support.cover(person)
        found = await asyncio.to_thread(partial(self.people.views.notifications, caller.username, cover, now()))
        titles = await asyncio.to_thread(self._titles, {one.instance_id for one in found.entered})
        waiting = [_request(one) for one in found.asked]
        told = [
            *(_entered(one, titles.get(one.instance_id, "")) for one in found.entered),
            *(_help(one) for one in found.help),
            *(_answered(one) for one in found.answers if one.request.state.value != "pending"),
        ]
        urgent = len(waiting) + len(found.help)
        return models.NoticesOut(notices=[*waiting, *told], waiting=urgent)

    def _titles(self, instances: set[str]) -> dict[str, str]:
        found = {identifier: self.service.store.instance(identifier) for identifier in instances}
        return {identifier: one.title for identifier, one in found.items() if one is not None}

    async def shared(self, caller: Caller) -> list[models.SharedOut]:
        """Other people's instances that she is a member of, the running ones first."""
        person = await self.service.person(caller)
        listed = await asyncio.to_thread(self.people.views.shared_with, caller.username, now())
        ids = tuple(sorted({i for one in listed for i in one.instance.experiments}))
        facts = await Standings(self.service).facts(ids) if ids else None
        seen = Standings(self.service).seen(person, joining.known(ids, facts.experiments if facts else {}))
        known = {str(one.id) for one in seen}
        rows = await asyncio.to_thread(lambda: [self._shared(caller.username, one, known) for one in listed])
        return sorted(rows, key=lambda one: one.state not in ("running", "starting"))

    def _shared(self, username: str, listed: Listed, seen: set[str]) -> models.SharedOut:
        instance, membership = listed.instance, listed.membership
        if membership is None:
            raise ValueError("the store lists an instance that is not shared")
        members = self.people.members
        return models.SharedOut(
            id=instance.id,
            title=instance.title,
            owner=instance.owner,
            owner_name=listed.owner_name,
            state=instance.state.value,
            session=instance.session,
            sessions=self.service.kinds(instance),
            experiments=[one for one in instance.experiments if one in seen],
            role=outs.role(membership.role),
            now=members.role(instance.id, username, now()).value,
            since=membership.since,
            until=membership.until,
            url=self.service.opening(instance.id),
        )


def _request(one: Asked) -> models.NoticeOut:
    return models.NoticeOut(
        kind="request",
        instance=one.instance.id,
        title=one.instance.title,
        name=one.request.name,
        username=one.request.requester,
        text="asks to come in",
        since=one.request.asked_at,
        request=outs.request(one.request, one.instance.title),
    )


def _answered(one: Asked) -> models.NoticeOut:
    words = {
        "approved": "You were let in to",
        "refused": "You were not let in to",
        "ended": "Your request ended without an answer:",
    }
    request = one.request
    return models.NoticeOut(
        kind="answered",
        instance=one.instance.id,
        title=one.instance.title if request.state.value == "approved" else "the instance that you asked for",
        name="",
        username=request.answered_by or "",
        text=words.get(request.state.value, "You do not ask any more for"),
        since=request.answered_at or request.asked_at,
    )


def _help(one: Listed) -> models.NoticeOut:
    wanted = one.help
    if wanted is None:
        raise ValueError("the store lists an instance where nobody asks for help")
    return models.NoticeOut(
        kind="help",
        instance=one.instance.id,
        title=one.instance.title,
        name=wanted.name,
        username=wanted.asked_by,
        text="asks for help on",
        since=wanted.asked_at,
        help=outs.help_wanted(wanted),
    )


def _entered(one: Entered, title: str) -> models.NoticeOut:
    how = "to act" if one.role is Role.SUPPORT else "to look"
    return models.NoticeOut(
        kind="break-glass",
        instance=one.instance_id,
        title=title,
        name=one.name,
        username=one.by,
        text=f"entered without your consent, {how} (“{one.reason}”):",
        since=one.at,
    )
