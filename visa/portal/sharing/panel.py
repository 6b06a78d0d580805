"""What an instance's page shows of its people, for one person."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta

from visa.instances.access import Role
from visa.instances.confirming import asks_again
from visa.instances.support import may_break_glass
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models, outs
from visa.portal.sharing.service import SharingService
from visa.portal.sharing.standing import Standing
from visa.store.people import People
from visa.store.store import HOLDING, Instance

_LIVES = (
    (1, "an hour"),
    (8, "8 hours"),
    (24, "a day"),
    (168, "a week"),
    (720, "30 days"),
)


@dataclass(frozen=True, slots=True)
class RemovedOut:
    """Somebody whom the owner removed. ``lingers``: what they started may run still."""

    username: str
    name: str
    at: datetime
    lingers: bool


@dataclass(frozen=True, slots=True)
class Panel:
    """Values for templates."""

    instance: Instance
    owner: bool
    owner_name: str
    member: models.MemberOut | None
    mine: str
    members: list[models.MemberOut]
    requests: list[models.RequestOut]
    asked: models.RequestOut | None
    help: models.HelpOut | None
    invitations: list[models.InvitationOut]
    sharing: models.SharingOut
    may_ask_help: bool
    may_close: bool
    may_take: bool
    supports: bool
    breaks: bool
    again: bool
    away: bool
    searches: bool
    removed: tuple[RemovedOut, ...]
    invites: bool
    publics: bool
    lives: tuple[tuple[int, str], ...]
    experiments: tuple[tuple[str, str, str], ...]
    sessions: tuple[str, ...]


async def panel(service: PortalService, caller: Caller, standing: Standing) -> Panel:
    """For somebody who is no stranger there."""
    sharing = SharingService(service)
    rules = service.facility.sharing
    instance, owner = standing.instance, standing.owner
    members = await sharing.of(standing)
    mine = next((one for one in members if one.username == caller.username and one.role != "owner"), None)
    wanted = await asyncio.to_thread(sharing.people.help.open, instance.id)
    pending = await asyncio.to_thread(sharing.people.requests.pending, instance.id)
    asked = next((one for one in pending if one.requester == caller.username), None)
    links = await sharing.invitations(caller, instance.id) if owner else []
    seen = {str(one.id): one for one in sharing.standings.seen(standing.person, standing.experiments)}
    told = instance.experiments if owner or mine or standing.kind else seen
    experiments = dict(zip(instance.experiments, standing.experiments, strict=True))
    return Panel(
        instance=instance,
        owner=owner,
        owner_name=members[0].name,
        member=mine,
        mine=f"{mine.role if mine else ''} {asked.id if asked else ''}",
        members=members,
        requests=await sharing.waiting(standing),
        asked=outs.request(asked, instance.title) if asked else None,
        help=outs.help_wanted(wanted) if wanted else None,
        invitations=links,
        sharing=outs.sharing(standing.sharing),
        may_ask_help=owner or standing.role is Role.COLLABORATOR,
        may_close=wanted is not None and caller.username in (instance.owner, wanted.asked_by, wanted.taken_by),
        may_take=standing.kind is not None and not owner,
        supports=standing.kind is not None and not owner,
        breaks=may_break_glass(standing.person, service.facility) and not owner,
        again=asks_again(service.facility),
        away=mine is not None and standing.role is Role.NONE,
        searches=rules.search and rules.members and rules.outsiders != "none",
        removed=await _removed(service, instance) if owner else (),
        invites=rules.members and rules.invitations,
        publics=rules.members and rules.public_links,
        lives=tuple(life for life in _LIVES if timedelta(hours=life[0]) <= rules.longest),
        experiments=tuple(
            (i, one.title if (one := experiments[i]) else "", one.instrument_name if one else "") for i in told
        ),
        sessions=tuple(service.kinds(instance)),
    )


async def _removed(service: PortalService, instance: Instance) -> tuple[RemovedOut, ...]:
    """Programs end with the run in which they were started."""
    found = await asyncio.to_thread(People(service.store).startup.removed, instance.id)
    began = instance.started_at if instance.state in HOLDING else None
    return tuple(RemovedOut(one.username, one.name, one.at, began is not None and one.at >= began) for one in found)
