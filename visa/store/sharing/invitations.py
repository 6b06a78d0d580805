"""Links that let people in. Only the SHA-256 of a token is kept: who reads the database gets in nowhere."""

from __future__ import annotations

import hashlib
import re
import secrets
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from visa.facility.model import Facility
from visa.instances.access import Role
from visa.instances.joining import Experiments, last_end, may_join
from visa.instances.members import GUESTS, Membership, WayIn, suffices
from visa.instances.model import Facts, Person, Reason, Refusal
from visa.store.sharing import ends, rows
from visa.store.sharing.acts import Act, No, Part, fresh, later, no_owner
from visa.store.sharing.members import member_row
from visa.store.sharing.records import Invitation, InvitationKind, Invited, Made
from visa.store.store import instance_of
from visa.store.tables import InstanceRow, InvitationRow, MemberRow, RemovalRow

_MAIL = re.compile(r"[!-?A-~]{1,64}@[A-Za-z0-9.-]{1,255}")
"""ASCII only: other letters have look-alikes that become the same in small letters."""


class Invitations(Part):
    """Links of an instance."""

    def of(self, instance_id: str) -> tuple[Invitation, ...]:
        """All of the instance, newest first."""
        with self.reading() as session:
            query = select(InvitationRow).where(InvitationRow.instance_id == instance_id)
            return tuple(rows.invitation(row) for row in session.scalars(query.order_by(InvitationRow.id.desc())))

    def make(
        self,
        actor: str,
        instance_id: str,
        kind: InvitationKind,
        role: Role,
        expires: datetime,
        facility: Facility,
        at: datetime,
        *,
        email: str | None = None,
    ) -> Made | Refusal:
        """The owner makes a link; its role cannot be changed later."""
        token = secrets.token_urlsafe(32)

        def do(act: Act) -> Made:
            row = act.owned()
            _switched_on(kind, facility)
            if role not in GUESTS:
                raise No(
                    Reason.ROLE_NOT_GIVEN, f"No link makes {role.value}.", "Choose observer or collaborator.", "role"
                )
            later(expires, at, at + facility.sharing.longest)
            made = InvitationRow(
                instance_id=row.id,
                kind=kind.value,
                token=digest(token),
                role=role.value,
                email=_mail(email, kind),
                expires=expires,
                created_by=actor,
                created_at=at,
            )
            act.session.add(made)
            act.session.flush()
            detail = {"invitation": made.id, "kind": kind.value, "role": role.value, "email": made.email}
            act.allowed(**detail, expires=expires.isoformat())
            return Made(rows.invitation(made), token)

        return self.perform(actor, "invitation", instance_id, at, do)

    def withdraw(self, actor: str, instance_id: str, number: int, at: datetime) -> Refusal | None:
        """The owner takes a link back; whom a public one let in is out."""

        def do(act: Act) -> None:
            row = act.owned()
            one = act.session.get(InvitationRow, number)
            if one is None or one.instance_id != row.id or one.redeemed_by is not None:
                raise _not_valid("There is no such link, or it has been used.", "Remove the member instead.")
            one.withdrawn_at = one.withdrawn_at or at
            came = select(MemberRow).where(
                MemberRow.instance_id == row.id, MemberRow.invitation == number, MemberRow.way == WayIn.LINK.value
            )
            for member in list(act.session.scalars(came)):
                ends.member(act.session, row, member, "link-withdrawn", actor=actor)
            act.allowed(invitation=number)

        return self.perform(actor, "invitation-withdraw", instance_id, at, do)

    def experiments(self, username: str, token: str, at: datetime) -> tuple[str, ...] | Refusal:
        """Of the instance that the link leads to: what has to be known before `look` and `redeem`."""
        with self.reading() as session:
            try:
                one = _valid(session, _find(session, token), username, at)
            except No as no:
                return no.refusal
            instance = session.get(InstanceRow, one.instance_id)
            return () if instance is None else tuple(instance.experiments)

    def look(self, username: str, token: str, facts: Facts, at: datetime) -> Invited | Refusal:
        """What the link leads to, before she takes it. Whom the rules exclude is told as little as by `redeem`."""
        with self.reading() as session:
            one = _find(session, token)
            instance = None if one is None else session.get(InstanceRow, one.instance_id)
            act = Act(session, instance, username, "invitation-look", at)
            try:
                valid = _valid(session, one, username, at)
                if act.row.owner != username:
                    _lets_in(act, valid, facts)
            except No as no:
                return no.refusal
            name = rows.names(session, [act.row.owner]).get(act.row.owner, act.row.owner)
            return Invited(rows.invitation(valid), instance_of(act.row), name)

    def redeem(self, username: str, token: str, facts: Facts, at: datetime) -> Membership | Refusal:
        """She takes the link. ``facts`` are about the experiments of the instance that `look` told."""
        with self.reading() as session:
            found = _find(session, token)
            instance = "" if found is None else found.instance_id

        def do(act: Act) -> Membership:
            one = _valid(act.session, _find(act.session, token), username, at)
            kind, role = InvitationKind(one.kind), Role(one.role)
            no_owner(act, username)
            person, there = _lets_in(act, one, facts)
            has = rows.live_member(act.session, act.row, username, at)
            if has is not None and suffices(Role(has.role), role):
                raise _already(has.role)
            public = kind is InvitationKind.PUBLIC
            end = last_end(person, there, facts.facility, at, one.expires if public else None)
            way = WayIn.LINK if public else WayIn.INVITATION
            member = Membership(one.instance_id, username, role, way, one.created_by, at, end, with_owner=public)
            if not public:
                one.redeemed_by, one.redeemed_at = username, at
            act.put(member_row(member, one.id))
            act.allowed(invitation=one.id, kind=kind.value, role=role.value)
            return member

        return self.perform(username, "invitation-redeem", instance, at, do)


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def _find(session: Session, token: str) -> InvitationRow | None:
    return session.scalar(select(InvitationRow).where(InvitationRow.token == digest(token)))


def _valid(session: Session, one: InvitationRow | None, username: str, at: datetime) -> InvitationRow:
    if one is None:
        raise _not_valid()
    if one.redeemed_by == username and session.get(MemberRow, (one.instance_id, username)) is not None:
        raise _already(one.role)
    if one.redeemed_by is not None:
        raise _not_valid("The link has been used.")
    if one.withdrawn_at is not None:
        raise _not_valid("The link was withdrawn.")
    if one.expires <= at:
        raise _not_valid("The link is over.")
    return one


def _not_valid(sentence: str = "There is no such link.", remedy: str = "Ask who gave it to you for another.") -> No:
    return No(Reason.LINK_NOT_VALID, sentence, remedy)


def _already(role: str) -> No:
    return No(Reason.ALREADY_MEMBER, f"You are a member already, as {role}.", "Open the instance.")


def _lets_in(act: Act, one: InvitationRow, facts: Facts) -> tuple[Person, Experiments]:
    """The actor and the experiments, when the link is for her and the rules let her in by it."""
    person = act.myself()
    _for_her(one, person)
    _not_removed(act, one)
    _switched_on(InvitationKind(one.kind), facts.facility)
    fresh(facts)
    there = act.experiments(facts)
    refusal = may_join(person, Role(one.role), there, facts.facility, facts.today)
    if refusal is not None:
        raise No.because(refusal)
    return person, there


def _for_her(one: InvitationRow, person: Person) -> None:
    if one.email is None:
        return
    hers = person.email or ""
    if not hers.isascii() or hers.strip().lower() != one.email.lower():
        sentence = "The link is for somebody with another mail address."
        raise No(Reason.LINK_FOR_ANOTHER, sentence, "Ask who gave it to you for one of your own.")


def _not_removed(act: Act, one: InvitationRow) -> None:
    """Whom the owner removed does not come back by a link from before, though it is for everybody."""
    removed = act.session.get(RemovalRow, (one.instance_id, act.actor))
    if removed is not None and one.created_at <= removed.at:
        raise _not_valid("The owner removed you after the link was made.", "Ask the owner.")


def _switched_on(kind: InvitationKind, facility: Facility) -> None:
    rules = facility.sharing
    if not rules.members or not (rules.public_links if kind is InvitationKind.PUBLIC else rules.invitations):
        contact = facility.facility.contact
        raise No(Reason.SHARING_OFF, "The facility does not allow links of this kind.", f"Ask {contact}.")


def _mail(email: str | None, kind: InvitationKind) -> str | None:
    if email is None or not email.strip():
        return None
    clean = email.strip()
    if kind is InvitationKind.PUBLIC or not _MAIL.fullmatch(clean):
        right = "Give an address as lise@example.org, and only to links for one person."
        raise No(Reason.MALFORMED, "The mail address cannot be used.", right, "email")
    return clean
