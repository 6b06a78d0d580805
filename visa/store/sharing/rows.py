"""Rows to values, and the few questions that several parts ask. Every function reads in the caller's session."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from visa.instances import members
from visa.instances.access import Role
from visa.instances.members import Membership, Sharing, WayIn, role_now
from visa.store.sharing.records import (
    AccessRequest,
    HelpRequest,
    Invitation,
    InvitationKind,
    RequestKind,
    RequestState,
    Visit,
)
from visa.store.tables import (
    AccessRequestRow,
    HelpRow,
    InstanceRow,
    InvitationRow,
    MemberRow,
    PersonRow,
    SharingRow,
    VisitRow,
)

UNHEARD = timedelta(seconds=180)
"""After so long without a word of the gateway (it speaks once a minute) nobody is there."""


def membership(row: MemberRow) -> Membership:
    return Membership(
        instance_id=row.instance_id,
        username=row.username,
        role=Role(row.role),
        way=WayIn(row.way),
        granted_by=row.granted_by,
        since=row.since,
        until=row.until,
        with_owner=row.with_owner,
    )


def invitation(row: InvitationRow) -> Invitation:
    return Invitation(
        id=row.id,
        instance_id=row.instance_id,
        kind=InvitationKind(row.kind),
        role=Role(row.role),
        email=row.email,
        expires=row.expires,
        created_by=row.created_by,
        created_at=row.created_at,
        redeemed_by=row.redeemed_by,
        redeemed_at=row.redeemed_at,
        withdrawn_at=row.withdrawn_at,
    )


def requests(session: Session, rows: Iterable[AccessRequestRow]) -> tuple[AccessRequest, ...]:
    found = list(rows)
    known = names(session, (row.requester for row in found))
    return tuple(
        AccessRequest(
            id=row.id,
            instance_id=row.instance_id,
            requester=row.requester,
            name=known.get(row.requester, row.requester),
            kind=RequestKind(row.kind),
            wanted=Role(row.wanted),
            reason=row.reason,
            state=RequestState(row.state),
            asked_at=row.asked_at,
            expires=row.expires,
            answered_by=row.answered_by,
            answered_at=row.answered_at,
            given=None if row.given is None else Role(row.given),
            ended_why=row.ended_why,
        )
        for row in found
    )


def helps(session: Session, rows: Iterable[HelpRow]) -> tuple[HelpRequest, ...]:
    found = list(rows)
    known = names(session, (row.asked_by for row in found))
    return tuple(
        HelpRequest(
            id=row.id,
            instance_id=row.instance_id,
            asked_by=row.asked_by,
            name=known.get(row.asked_by, row.asked_by),
            message=row.message,
            asked_at=row.asked_at,
            taken_by=row.taken_by,
            taken_at=row.taken_at,
            closed_at=row.closed_at,
        )
        for row in found
    )


def visits(session: Session, rows: Iterable[VisitRow]) -> tuple[Visit, ...]:
    found = list(rows)
    known = names(session, (row.username for row in found))
    return tuple(
        Visit(
            id=row.id,
            instance_id=row.instance_id,
            username=row.username,
            name=known.get(row.username, row.username),
            role=Role(row.role),
            session=row.session,
            began=row.began,
            seen=row.seen,
            ended=row.ended,
        )
        for row in found
    )


def names(session: Session, usernames: Iterable[str]) -> dict[str, str]:
    """The names of those who logged in once."""
    wanted = sorted(set(usernames))
    if not wanted:
        return {}
    rows = session.execute(select(PersonRow.username, PersonRow.name).where(PersonRow.username.in_(wanted)))
    return {row.username: row.name for row in rows}


def sharing(session: Session, instance: str) -> Sharing:
    """How the instance is shared; what the owner never touched has its default."""
    row = session.get(SharingRow, instance)
    if row is None:
        return Sharing()
    told = {name: getattr(row, name) for name in ("presence", "on_leave", "folders", "support", "approvers")}
    return members.sharing(told)


def owner_here(session: Session, row: InstanceRow, at: datetime) -> bool:
    """Whether the owner is there, as its gateway last said."""
    query = select(VisitRow.id).where(
        VisitRow.instance_id == row.id,
        VisitRow.username == row.owner,
        VisitRow.ended.is_(None),
        VisitRow.seen > at - UNHEARD,
    )
    return session.scalar(query.limit(1)) is not None


def was_here(session: Session, row: InstanceRow, username: str, at: datetime) -> bool:
    """Whether she was in when the owner last left, as the gateway reported it: her visits went on after that."""
    of_it = VisitRow.instance_id == row.id
    left = select(func.max(VisitRow.ended)).where(of_it, VisitRow.username == row.owner).scalar_subquery()
    there = and_(VisitRow.ended.is_(None), VisitRow.seen > at - UNHEARD)
    hers = select(VisitRow.id).where(of_it, VisitRow.username == username, or_(there, VisitRow.ended > left))
    return session.scalar(hers.limit(1)) is not None


def live_member(session: Session, row: InstanceRow, username: str, at: datetime) -> MemberRow | None:
    """Her membership, unless it is over or her account is not active."""
    one = session.get(MemberRow, (row.id, username))
    if one is None or membership(one).over(at):
        return None
    person = session.get(PersonRow, username)
    return one if person is None or person.active else None


def role(session: Session, row: InstanceRow, username: str, at: datetime) -> Role:
    """What she is there at this moment, as her gateway says it too."""
    one = live_member(session, row, username, at)
    member = None if one is None else membership(one)
    here = owner_here(session, row, at)
    was = not here and was_here(session, row, username, at)
    return role_now(username, row.owner, member, sharing(session, row.id), here, was, at)
