"""People in one instance: members, links, requests, support, help, visits (docs/developers/people.md).

Synchronous, as the store. An act answers what it made, or a `visa.instances.model.Refusal`; either is in
the audit trail in the same transaction. Times are given in, never read.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Select, exists, or_, select
from sqlalchemy.orm import Session

from visa.instances.members import OWNER_AWAY
from visa.store.sharing import ends, rows
from visa.store.sharing.help import Help
from visa.store.sharing.invitations import Invitations
from visa.store.sharing.members import Members
from visa.store.sharing.records import RequestState
from visa.store.sharing.requests import Requests
from visa.store.sharing.support import Support
from visa.store.sharing.views import Views
from visa.store.sharing.visits import Visits
from visa.store.store import Store
from visa.store.tables import AccessRequestRow, InstanceRow, MemberRow, VisitRow

_OWNER_GONE = 2 * OWNER_AWAY
"""An owner who comes back within it may still answer: the portal's page is another one."""


class People:
    """Its parts hold one method per act."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.members = Members(store)
        self.invitations = Invitations(store)
        self.requests = Requests(store)
        self.support = Support(store)
        self.help = Help(store)
        self.visits = Visits(store)
        self.views = Views(store)

    def sweep(self, at: datetime) -> int:
        """End what is over at ``at``; how many. Cheap when nothing is: the hub calls it often."""
        with Session(self.store.engine) as session:
            if not session.scalar(select(or_(*(query.exists() for query in _due(at))))):
                return 0
        with self.store.exclusive() as session:
            return _sweep(session, at)


def _sweep(session: Session, at: datetime) -> int:
    members = session.execute(_members(at)).all()
    for one, row in members:
        ends.member(session, row, one, "expired")
    ended = len(members)
    for query, why in ((_waiting(at), "expired"), (_left(at), "owner-left")):
        requests = session.execute(query).all()
        for request, row in requests:
            ends.request(session, row, request, why, at)
        ended += len(requests)
    visits = session.execute(_unheard(at)).all()
    for visit, row in visits:
        ends.visit(session, row, visit, visit.seen)
    return ended + len(visits)


def _due(at: datetime) -> tuple[Select[Any, Any], ...]:
    return _members(at), _waiting(at), _left(at), _unheard(at)


def _members(at: datetime) -> Select[MemberRow, InstanceRow]:
    """Memberships whose time is up."""
    joined = select(MemberRow, InstanceRow).join(InstanceRow, InstanceRow.id == MemberRow.instance_id)
    return joined.where(MemberRow.until <= at)


def _requests() -> Select[AccessRequestRow, InstanceRow]:
    joined = select(AccessRequestRow, InstanceRow).join(InstanceRow, InstanceRow.id == AccessRequestRow.instance_id)
    return joined.where(AccessRequestRow.state == RequestState.PENDING.value)


def _waiting(at: datetime) -> Select[AccessRequestRow, InstanceRow]:
    """Requests that nobody answered in time."""
    return _requests().where(AccessRequestRow.expires <= at)


def _left(at: datetime) -> Select[AccessRequestRow, InstanceRow]:
    """Requests whose owner was there when they were made or later, and is there no more."""
    owners = (VisitRow.instance_id == InstanceRow.id, VisitRow.username == InstanceRow.owner)
    left = exists().where(*owners, VisitRow.ended > AccessRequestRow.asked_at, VisitRow.ended <= at - _OWNER_GONE)
    there = exists().where(*owners, or_(VisitRow.ended.is_(None), VisitRow.ended > at - _OWNER_GONE))
    return _requests().where(left, ~there)


def _unheard(at: datetime) -> Select[VisitRow, InstanceRow]:
    """Visits that no gateway speaks of any more."""
    joined = select(VisitRow, InstanceRow).join(InstanceRow, InstanceRow.id == VisitRow.instance_id)
    return joined.where(VisitRow.ended.is_(None), VisitRow.seen <= at - rows.UNHEARD)
