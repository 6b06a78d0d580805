"""What ends when something else does: an instance, its experiments, an account. In the caller's transaction."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import BindParameter, bindparam, delete, exists, or_, select, update
from sqlalchemy.orm import Session

from visa.instances.members import STAFF
from visa.store import audit
from visa.store.audit import Decision
from visa.store.sharing import changes
from visa.store.tables import (
    AccessRequestRow,
    HelpRow,
    InstanceRow,
    InvitationRow,
    MemberRow,
    RemovalRow,
    SharingRow,
    VisitRow,
)

ITSELF = "visa"
"""The actor of what nobody asked for."""
_STAFF = [role.value for role in STAFF]
_ONE: BindParameter[str] = bindparam("instance")
_ANYBODY = select(
    or_(
        exists().where(MemberRow.instance_id == _ONE, MemberRow.role.in_(_STAFF)),
        exists().where(AccessRequestRow.instance_id == _ONE, AccessRequestRow.state == "pending"),
        exists().where(VisitRow.instance_id == _ONE, VisitRow.ended.is_(None)),
        exists().where(HelpRow.instance_id == _ONE, HelpRow.closed_at.is_(None)),
    )
)


def member(session: Session, row: InstanceRow, one: MemberRow, why: str, *, actor: str = ITSELF) -> None:
    """The membership is over."""
    session.delete(one)
    session.flush()
    detail = {"username": one.username, "role": one.role, "way": one.way, "why": why}
    audit.write(session, Decision(actor, row.owner, "member-end", True, row.id, None, detail))
    changes.count(session, [row.id])


def request(session: Session, row: InstanceRow, one: AccessRequestRow, why: str, at: datetime) -> None:
    """The request has no answer any more."""
    one.state, one.ended_why, one.answered_at = "ended", why, at
    session.flush()
    detail = {"request": one.id, "username": one.requester, "why": why}
    audit.write(session, Decision(ITSELF, row.owner, "request-end", True, row.id, None, detail))
    changes.count(session, [row.id])


def visit(session: Session, row: InstanceRow, one: VisitRow, at: datetime) -> None:
    """She is not there any more; owners are not written down."""
    one.ended = at
    session.flush()
    if one.username != row.owner:
        detail = {"role": one.role, "session": one.session, "began": one.began.isoformat()}
        audit.write(session, Decision(one.username, row.owner, "visit-end", True, row.id, None, detail))


def stopped(session: Session, row: InstanceRow, at: datetime) -> None:
    """The instance ended: nobody is there, nobody waits, and consent was for what ran."""
    changes.count(session, [row.id])
    # One question instead of four: most instances are nobody's but their owner's.
    if not session.scalar(_ANYBODY, {"instance": row.id}):
        return
    _members(session, row, "instance-stopped", of=_STAFF)
    _requests(session, row, "instance-stopped", at)
    for one in session.scalars(select(VisitRow).where(VisitRow.instance_id == row.id, VisitRow.ended.is_(None))):
        visit(session, row, one, at)
    session.execute(
        update(HelpRow).where(HelpRow.instance_id == row.id, HelpRow.closed_at.is_(None)).values(closed_at=at)
    )


def other_experiments(session: Session, row: InstanceRow, at: datetime) -> None:
    """It starts again on other data: who was let in was let in to something else. Links and openings go too."""
    _members(session, row, "experiments-changed")
    _requests(session, row, "experiments-changed", at)
    session.execute(
        update(InvitationRow)
        .where(InvitationRow.instance_id == row.id, InvitationRow.withdrawn_at.is_(None))
        .values(withdrawn_at=at)
    )
    session.execute(delete(SharingRow).where(SharingRow.instance_id == row.id))
    session.execute(delete(RemovalRow).where(RemovalRow.instance_id == row.id))
    changes.count(session, [row.id])


def deleted(session: Session, instance: str, at: datetime) -> None:
    """The instance goes, and the rows of this module with it; the audit trail says so."""
    row = session.get(InstanceRow, instance)
    if row is not None:
        _members(session, row, "instance-deleted")
        _requests(session, row, "instance-deleted", at)


def account_changed(session: Session, username: str) -> None:
    """Her account became active or inactive."""
    changes.count(session, session.scalars(select(MemberRow.instance_id).where(MemberRow.username == username)))


def _members(session: Session, row: InstanceRow, why: str, of: Iterable[str] | None = None) -> None:
    query = select(MemberRow).where(MemberRow.instance_id == row.id).order_by(MemberRow.username)
    for one in list(session.scalars(query if of is None else query.where(MemberRow.role.in_(list(of))))):
        member(session, row, one, why)


def _requests(session: Session, row: InstanceRow, why: str, at: datetime) -> None:
    waiting = (AccessRequestRow.instance_id == row.id, AccessRequestRow.state == "pending")
    for one in list(session.scalars(select(AccessRequestRow).where(*waiting))):
        request(session, row, one, why, at)
