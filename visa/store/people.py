"""People in one instance: members, links, requests, support, help, visits (docs/developers/people.md).

Synchronous, as the store. An act answers what it made, or a `visa.instances.model.Refusal`; either is in
the audit trail in the same transaction. Times are given in, never read.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, exists, or_, select
from sqlalchemy.orm import Session

from visa.instances.members import OWNER_AWAY
from visa.store.sharing import ends, rows
from visa.store.sharing.confirmations import Confirmations
from visa.store.sharing.help import Help
from visa.store.sharing.invitations import Invitations
from visa.store.sharing.members import Members
from visa.store.sharing.records import RequestState
from visa.store.sharing.requests import Requests
from visa.store.sharing.startup import Startup
from visa.store.sharing.support import Support
from visa.store.sharing.views import Views
from visa.store.sharing.visits import Visits
from visa.store.store import Store
from visa.store.tables import AccessRequestRow, InstanceRow, MemberRow, VisitRow

_OWNER_GONE = 2 * OWNER_AWAY
"""An owner who comes back within it may still answer: the portal's page is another one."""

# Of `People.sweep`, made once: it runs at every start and stop too.
_AT: BindParameter[datetime] = bindparam("at")
_GONE: BindParameter[datetime] = bindparam("gone")
_OWNERS = (VisitRow.instance_id == InstanceRow.id, VisitRow.username == InstanceRow.owner)
_MEMBERS = (
    select(MemberRow, InstanceRow)
    .join(InstanceRow, InstanceRow.id == MemberRow.instance_id)
    .where(MemberRow.until <= _AT)
)
_REQUESTS = (
    select(AccessRequestRow, InstanceRow)
    .join(InstanceRow, InstanceRow.id == AccessRequestRow.instance_id)
    .where(AccessRequestRow.state == RequestState.PENDING.value)
)
_WAITING = _REQUESTS.where(AccessRequestRow.expires <= _AT)
# The owner was there when it was asked or later, and is there no more.
_LEFT = _REQUESTS.where(
    exists().where(*_OWNERS, VisitRow.ended > AccessRequestRow.asked_at, VisitRow.ended <= _GONE),
    ~exists().where(*_OWNERS, or_(VisitRow.ended.is_(None), VisitRow.ended > _GONE)),
)
_UNHEARD = (
    select(VisitRow, InstanceRow)
    .join(InstanceRow, InstanceRow.id == VisitRow.instance_id)
    .where(VisitRow.ended.is_(None), VisitRow.seen <= bindparam("unheard"))
)
_ANYTHING = select(or_(*(query.exists() for query in (_MEMBERS, _WAITING, _LEFT, _UNHEARD))))


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
        self.confirmations = Confirmations(store)
        self.startup = Startup(store)
        self.views = Views(store)

    def sweep(self, at: datetime) -> int:
        """End what is over at ``at``; how many. Cheap when nothing is: the hub calls it often."""
        times = {"at": at, "gone": at - _OWNER_GONE, "unheard": at - rows.UNHEARD}
        with Session(self.store.engine) as session:
            if not session.scalar(_ANYTHING, times):
                return 0
        with self.store.exclusive() as session:
            return _sweep(session, times)


def _sweep(session: Session, times: Mapping[str, datetime]) -> int:
    at = times["at"]
    members = session.execute(_MEMBERS, times).all()
    for one, row in members:
        ends.member(session, row, one, "expired")
    ended = len(members)
    for query, why in ((_WAITING, "expired"), (_LEFT, "owner-left")):
        requests = session.execute(query, times).all()
        for request, row in requests:
            ends.request(session, row, request, why, at)
        ended += len(requests)
    visits = session.execute(_UNHEARD, times).all()
    for visit, row in visits:
        ends.visit(session, row, visit, visit.seen)
    return ended + len(visits)
