"""Requests to come in, and their answers. An answer binds to one request, of one instance, once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import func, select

from visa.instances.access import Role
from visa.instances.joining import last_end, may_join
from visa.instances.members import GUESTS, STAFF, Approvers, Membership, WayIn, suffices
from visa.instances.model import Facts, Reason, Refusal
from visa.instances.support import support_ends
from visa.store.sharing import ends, rows
from visa.store.sharing.acts import Act, No, Part, fresh, needed, no_owner, text
from visa.store.sharing.members import member_row
from visa.store.sharing.records import AccessRequest, RequestKind, RequestState
from visa.store.tables import AccessRequestRow

LASTS = timedelta(hours=8)
"""How long a request waits for an answer."""

MOST = 20
"""How many requests of one person may wait at once."""


class Requests(Part):
    """Requests of guests and of support."""

    def one(self, instance_id: str, number: int) -> AccessRequest | None:
        """The request, when it is of this instance."""
        with self.reading() as session:
            row = session.get(AccessRequestRow, number)
            if row is None or row.instance_id != instance_id:
                return None
            return rows.requests(session, [row])[0]

    def pending(self, instance_id: str) -> tuple[AccessRequest, ...]:
        """Those that wait for an answer, the oldest first."""
        with self.reading() as session:
            query = select(AccessRequestRow).where(
                AccessRequestRow.instance_id == instance_id, AccessRequestRow.state == RequestState.PENDING.value
            )
            return rows.requests(session, session.scalars(query.order_by(AccessRequestRow.id)))

    def ask(
        self, username: str, instance_id: str, wanted: Role, reason: str, facts: Facts, at: datetime
    ) -> AccessRequest | Refusal:
        """A guest asks to become ``wanted``."""

        def do(act: Act) -> AccessRequest:
            person = act.myself()
            no_owner(act, username)
            act.running()
            if wanted not in GUESTS:
                sentence = f"Nobody can ask to be {wanted.value}."
                raise No(Reason.ROLE_NOT_GIVEN, sentence, "Choose observer or collaborator.", "wanted")
            fresh(facts)
            refusal = may_join(person, wanted, act.experiments(facts), facts.facility, facts.today)
            if refusal is not None:
                raise No.because(refusal)
            return new(act, RequestKind.GUEST, wanted, text(reason, needed=False))

        return self.perform(username, "request", instance_id, at, do)

    def cancel(self, username: str, instance_id: str, number: int, at: datetime) -> Refusal | None:
        """Who asked wants it no more."""

        def do(act: Act) -> None:
            row = _of(act, number)
            if row.requester != username:
                raise _no_request()
            _waits(row, at)
            row.state, row.answered_at = RequestState.CANCELLED.value, at
            act.session.flush()
            act.changed()
            act.allowed(request=number)

        return self.perform(username, "request-cancel", instance_id, at, do)

    def answer(
        self,
        actor: str,
        instance_id: str,
        number: int,
        approve: bool,
        facts: Facts | None,
        at: datetime,
        *,
        role: Role | None = None,
    ) -> AccessRequest | Refusal:
        """The owner, or a collaborator whom she lets, answers. ``role``: another than was asked for."""

        def do(act: Act) -> AccessRequest:
            row = _of(act, number)
            _may_answer(act, row)
            _waits(row, at)
            given: Role | None = None
            if approve:
                act.running()
                given = _let_in(act, row, role or Role(row.wanted), needed(facts))
            row.state = (RequestState.APPROVED if approve else RequestState.REFUSED).value
            row.answered_by, row.answered_at, row.given = actor, at, None if given is None else given.value
            act.session.flush()
            act.changed()
            act.allowed(request=number, username=row.requester, answer=row.state, role=row.given, kind=row.kind)
            return rows.requests(act.session, [row])[0]

        return self.perform(actor, "request-answer", instance_id, at, do)


def new(act: Act, kind: RequestKind, wanted: Role, reason: str) -> AccessRequest:
    """The actor's request, when she needs one and has none; also for support."""
    has = rows.live_member(act.session, act.row, act.actor, act.at)
    if has is not None and suffices(Role(has.role), wanted):
        raise No(Reason.ALREADY_MEMBER, f"You are a member already, as {has.role}.", "Open the instance.")
    mine = (AccessRequestRow.requester == act.actor, AccessRequestRow.state == RequestState.PENDING.value)
    here = select(AccessRequestRow).where(*mine, AccessRequestRow.instance_id == act.row.id)
    for one in list(act.session.scalars(here)):
        if at_end(one, act.at):
            ends.request(act.session, act.row, one, "expired", act.at)
        else:
            raise No(Reason.REQUEST_PENDING, "Your request waits for an answer.", "Wait, or cancel it.")
    if (act.session.scalar(select(func.count()).select_from(AccessRequestRow).where(*mine)) or 0) >= MOST:
        raise No(Reason.REQUEST_PENDING, "Too many of your requests wait for answers.", "Cancel some of them.")
    row = AccessRequestRow(
        instance_id=act.row.id,
        requester=act.actor,
        kind=kind.value,
        wanted=wanted.value,
        reason=reason,
        state=RequestState.PENDING.value,
        asked_at=act.at,
        expires=act.at + LASTS,
    )
    act.session.add(row)
    act.session.flush()
    act.changed()
    act.allowed(request=row.id, kind=kind.value, wanted=wanted.value, reason=reason)
    return rows.requests(act.session, [row])[0]


def at_end(row: AccessRequestRow, at: datetime) -> bool:
    """Whether it waited too long."""
    return row.expires <= at


def _of(act: Act, number: int) -> AccessRequestRow:
    """The request, when it is of the act's own instance: an answer for another one is none."""
    row = act.session.get(AccessRequestRow, number)
    if row is None or row.instance_id != act.row.id:
        raise _no_request()
    return row


def _no_request() -> No:
    return No(Reason.NO_REQUEST, "There is no such request of this instance.", "Look at your home page.")


def _waits(row: AccessRequestRow, at: datetime) -> None:
    if row.state == RequestState.PENDING.value and not at_end(row, at):
        return
    state = RequestState.ENDED.value if row.state == RequestState.PENDING.value else row.state
    sentence = "The request ended before it was answered." if state == "ended" else f"The request was {state} already."
    raise No(Reason.REQUEST_OVER, sentence, "A new one can be made.")


def _may_answer(act: Act, row: AccessRequestRow) -> None:
    """The owner; for guests also a collaborator who may be there now, if the owner lets collaborators."""
    if act.actor == act.row.owner:
        return
    role = rows.role(act.session, act.row, act.actor, act.at)
    open_to = rows.sharing(act.session, act.row.id).approvers is Approvers.COLLABORATORS
    guest = row.kind == RequestKind.GUEST.value and row.requester != act.actor
    if role is Role.COLLABORATOR and open_to and guest:
        return
    if role is Role.NONE and row.requester != act.actor:
        raise _no_request()
    raise No(Reason.NOT_THE_OWNER, "You may not answer this request.", f"Ask {act.row.owner}.")


def _let_in(act: Act, row: AccessRequestRow, role: Role, facts: Facts) -> Role:
    """Make the requester a member, if the rules still allow it; the role that she got."""
    person = act.person(row.requester)
    if row.kind == RequestKind.SUPPORT.value:
        if role not in STAFF or not suffices(Role(row.wanted), role):
            sentence = "Support gets what it asked for, or less."
            raise No(Reason.ROLE_NOT_GIVEN, sentence, "Let her look only, or refuse.", "role")
        kind, there = act.supports(person, facts)
        way, end = WayIn.SUPPORT, support_ends(kind, there, facts.facility, act.at)
    else:
        fresh(facts)
        there = act.experiments(facts)
        refusal = may_join(person, role, there, facts.facility, facts.today)
        if refusal is not None:
            raise No.because(refusal)
        way, end = WayIn.REQUEST, last_end(person, there, facts.facility, act.at, None)  # type: ignore[assignment]
    has = rows.live_member(act.session, act.row, row.requester, act.at)
    if has is not None and suffices(Role(has.role), role):
        return Role(has.role)
    act.put(member_row(Membership(act.row.id, row.requester, role, way, act.actor, act.at, end)))
    return role
