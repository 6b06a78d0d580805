"""Whether anything changed that one person's pages show: a few quick reads, once a second while she looks."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from visa.clock import now
from visa.store.store import Store
from visa.store.tables import (
    AccessRequestRow,
    AuditRow,
    ChangeRow,
    HelpRow,
    InstanceRow,
    InvitationRow,
    MemberRow,
    VisitRow,
)


def heartbeat(store: Store) -> Hashable:
    """A value that is another one after each change for anybody; four reads that do not grow with people.

    Every act and every guest's visit adds to the audit trail; an owner's visits do not.
    """
    open_visits = select(func.count()).select_from(VisitRow).where(VisitRow.ended.is_(None))
    with Session(store.engine) as session:
        return (
            session.scalar(select(func.max(AuditRow.id))),
            session.scalar(select(func.max(VisitRow.id))),
            session.scalar(open_visits),
            session.scalar(select(func.sum(ChangeRow.number))),
        )


def pulse(store: Store, username: str, *, supports: bool) -> Hashable:
    """A value that is another one after each change.

    ``supports``: she supports instances, so that every request for help may be for her.
    """
    hers = select(InstanceRow.id).where(InstanceRow.owner == username)
    mine = hers.union(select(MemberRow.instance_id).where(MemberRow.username == username))
    queries: list[Select[*tuple[Any, ...]]] = [
        select(ChangeRow.instance_id, ChangeRow.number).where(ChangeRow.instance_id.in_(mine)),
        select(VisitRow.id, VisitRow.role).where(VisitRow.instance_id.in_(mine), VisitRow.ended.is_(None)),
        select(AccessRequestRow.id).where(
            AccessRequestRow.instance_id.in_(mine),
            AccessRequestRow.state == "pending",
            AccessRequestRow.expires > now(),
        ),
        select(AccessRequestRow.state, func.count(), func.max(AccessRequestRow.id))
        .where(AccessRequestRow.requester == username)
        .group_by(AccessRequestRow.state),
        select(HelpRow.id, HelpRow.taken_by).where(HelpRow.instance_id.in_(mine), HelpRow.closed_at.is_(None)),
        select(InvitationRow.id, InvitationRow.redeemed_at, InvitationRow.withdrawn_at).where(
            InvitationRow.instance_id.in_(hers), InvitationRow.expires > now()
        ),
        select(MemberRow.instance_id, MemberRow.role, MemberRow.until).where(MemberRow.username == username),
    ]
    if supports:
        queries.append(select(HelpRow.id, HelpRow.taken_by).where(HelpRow.closed_at.is_(None)))
    with Session(store.engine) as session:
        return tuple(frozenset(map(tuple, session.execute(query))) for query in queries)
