"""Members of an instance, and how it is shared: the owner's acts, leaving, and what the hub ends."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import select

from visa.identifiers import Username
from visa.instances import members
from visa.instances.access import Role
from visa.instances.joining import last_end, may_join, of_team
from visa.instances.members import GUESTS, Membership, Sharing, Standing, WayIn, suffices
from visa.instances.model import Facts, Person, Reason, Refusal
from visa.store.sharing import ends, rows
from visa.store.sharing.acts import Act, No, Part, fresh, later, needed, no_owner
from visa.store.sharing.records import KEEP, Keep, MemberView
from visa.store.store import HOLDING, Instance, instance_of
from visa.store.tables import InstanceRow, MemberRow, PersonRow, RemovalRow, SharingRow


class Members(Part):
    """Who is a member, and what she may do."""

    # looking

    def of(self, instance_id: str) -> tuple[MemberView, ...]:
        """All members, in the order of their names."""
        with self.reading() as session:
            query = (
                select(MemberRow, PersonRow.name, PersonRow.active)
                .outerjoin(PersonRow, PersonRow.username == MemberRow.username)
                .where(MemberRow.instance_id == instance_id)
            )
            found = [
                MemberView(rows.membership(row), name or row.username, active is not False)
                for row, name, active in session.execute(query)
            ]
        return tuple(sorted(found, key=lambda one: (one.name.casefold(), one.membership.username)))

    def role(self, instance_id: str, username: str, at: datetime) -> Role:
        """What she is there at this moment."""
        with self.reading() as session:
            row = session.get(InstanceRow, instance_id)
            return Role.NONE if row is None else rows.role(session, row, username, at)

    def to_check(self) -> tuple[tuple[Instance, tuple[MemberView, ...]], ...]:
        """Running instances that have members: the hub asks the rules about each again."""
        with self.reading() as session:
            query = select(InstanceRow).where(
                InstanceRow.state.in_([state.value for state in HOLDING]),
                InstanceRow.id.in_(select(MemberRow.instance_id)),
            )
            instances = [instance_of(row) for row in session.scalars(query)]
        return tuple((instance, self.of(instance.id)) for instance in instances)

    def sharing(self, instance_id: str) -> Sharing:
        """How the instance is shared."""
        with self.reading() as session:
            return rows.sharing(session, instance_id)

    # the owner

    def add(
        self,
        actor: str,
        instance_id: str,
        username: str,
        role: Role,
        facts: Facts | None,
        at: datetime,
        *,
        until: datetime | None = None,
        with_owner: bool = False,
        known: Person | None = None,
    ) -> Membership | Refusal:
        """The owner makes somebody a member. ``known``: as the catalogue knows her, when she never logged in."""

        def do(act: Act) -> Membership:
            row = act.owned()
            no_owner(act, username)
            _not_broken_in(act, username)
            person = act.person(username, known)
            asked = needed(facts)
            end = self._may(act, person, role, asked, until)
            team = of_team(person, act.experiments(asked))
            if not team and not asked.facility.sharing.search:
                sentence = "People outside the team are not added by name here."
                raise No(Reason.SHARING_OFF, sentence, f"Ask {asked.facility.facility.contact}.")
            way = WayIn.TEAM if team else WayIn.SEARCH
            member = member_row(Membership(row.id, username, role, way, actor, at, end, with_owner))
            act.put(member)
            act.allowed(**_detail(member))
            return rows.membership(member)

        return self.perform(actor, "member-add", instance_id, at, do)

    def change(
        self,
        actor: str,
        instance_id: str,
        username: str,
        facts: Facts | None,
        at: datetime,
        *,
        role: Role | None = None,
        until: datetime | Literal[Keep.KEEP] | None = KEEP,
        with_owner: bool | None = None,
    ) -> Membership | Refusal:
        """The owner changes what somebody may do, or for how long. Of staff she only takes something away."""

        def do(act: Act) -> Membership:
            act.owned()
            row = _live(act, username)
            _not_broken_in(act, username)
            new = role or Role(row.role)
            end = row.until if until is KEEP else until
            if Role(row.role) not in GUESTS:
                _only_less(row, new, end)
            elif not suffices(Role(row.role), new) or new not in GUESTS or (end != row.until and not _sooner(end, row)):
                end = self._may(act, act.person(username, _unknown(username)), new, needed(facts), end)
            if end is not None:
                later(end, at, None)
            row.role, row.until = new.value, end
            row.with_owner = row.with_owner if with_owner is None else with_owner
            act.session.flush()
            act.changed()
            act.allowed(**_detail(row))
            return rows.membership(row)

        return self.perform(actor, "member-change", instance_id, at, do)

    def remove(self, actor: str, instance_id: str, username: str, at: datetime) -> Refusal | None:
        """The owner removes somebody, or a member leaves. Links made before let whom she removed in no more."""
        leaves = actor == username

        def do(act: Act) -> None:
            if not leaves:
                act.owned()
                _not_broken_in(act, username)
            row = act.session.get(MemberRow, (act.row.id, username))
            if row is None:
                raise _no_member(username)
            if not leaves:
                was = {"since": row.since, "role": row.role}
                act.session.merge(RemovalRow(instance_id=act.row.id, username=username, at=at, **was))
            ends.member(act.session, act.row, row, "left" if leaves else "removed", actor=actor)

        return self.perform(actor, "member-leave" if leaves else "member-remove", instance_id, at, do)

    def share(self, actor: str, instance_id: str, changed: Mapping[str, Any], at: datetime) -> Sharing | Refusal:
        """The owner says how the instance is shared; what is not ``changed`` stays. ``changed``: as `Sharing.told`.

        Less standing consent takes back what it gave.
        """

        def do(act: Act) -> Sharing:
            row = act.owned()
            try:
                checked = members.sharing({**rows.sharing(act.session, row.id).told(), **changed})
            except ValueError as error:
                sentence = f"{str(error)[:1].upper()}{str(error)[1:]}."
                raise No(Reason.MALFORMED, sentence, "Choose other folders.", "folders") from None
            act.session.merge(SharingRow(instance_id=row.id, **checked.told()))
            self._standing(act, checked.support)
            act.session.flush()
            act.changed()
            act.allowed(**checked.told())
            return checked

        return self.perform(actor, "sharing", instance_id, at, do)

    # the hub

    def end(self, instance_id: str, username: str, why: str, at: datetime) -> bool:
        """A rule holds no more; False when she was no member. ``why``: a short code for the audit trail."""
        with self.store.exclusive() as session:
            row, one = session.get(InstanceRow, instance_id), session.get(MemberRow, (instance_id, username))
            if row is None or one is None:
                return False
            ends.member(session, row, one, why)
        return True

    def enter(self, username: str, instance_id: str, at: datetime) -> Role | Refusal:
        """She wants to log in at the instance: what she is there when its rules of presence let her."""

        def do(act: Act) -> Role:
            if username == act.row.owner:
                return Role.OWNER
            row = rows.live_member(act.session, act.row, username, at)
            if row is None:
                raise _no_member(username)
            act.allowed(role=row.role, way=row.way)
            return Role(row.role)

        return self.perform(username, "enter", instance_id, at, do)

    # helpers

    @staticmethod
    def _may(act: Act, person: Person, role: Role, facts: Facts, until: datetime | None) -> datetime | None:
        """When the membership ends; refused when the rules do not allow it."""
        fresh(facts)
        there = act.experiments(facts)
        refusal = may_join(person, role, there, facts.facility, facts.today)
        if refusal is not None:
            raise No.because(refusal)
        latest = last_end(person, there, facts.facility, act.at, None)
        if until is not None:
            later(until, act.at, latest)
        return latest if until is None else until

    @staticmethod
    def _standing(act: Act, consent: Standing) -> None:
        query = select(MemberRow).where(MemberRow.instance_id == act.row.id, MemberRow.way == WayIn.STANDING.value)
        for one in list(act.session.scalars(query)):
            if consent is Standing.ASK:
                ends.member(act.session, act.row, one, "consent-withdrawn", actor=act.actor)
            elif consent is Standing.VIEW:
                one.role = Role.SUPPORT_VIEW.value


def member_row(one: Membership, invitation: int | None = None) -> MemberRow:
    """As the table keeps it."""
    return MemberRow(
        instance_id=one.instance_id,
        username=one.username,
        role=one.role.value,
        way=one.way.value,
        granted_by=one.granted_by,
        since=one.since,
        until=one.until,
        with_owner=one.with_owner,
        invitation=invitation,
    )


def _detail(row: MemberRow) -> dict[str, Any]:
    until = None if row.until is None else row.until.isoformat()
    return {"username": row.username, "role": row.role, "way": row.way, "until": until, "with_owner": row.with_owner}


def _live(act: Act, username: str) -> MemberRow:
    row = act.session.get(MemberRow, (act.row.id, username))
    if row is None or rows.membership(row).over(act.at):
        raise _no_member(username)
    return row


def _no_member(username: str) -> No:
    return No(Reason.NOT_A_MEMBER, f"{username[:128]} is no member of this instance.", "Its owner can add people.")


def _not_broken_in(act: Act, username: str) -> None:
    row = act.session.get(MemberRow, (act.row.id, username))
    if row is not None and row.way == WayIn.BREAK_GLASS.value and not rows.membership(row).over(act.at):
        sentence = f"{username} came in by the facility's emergency rule and is not removed by the owner."
        raise No(Reason.BREAK_GLASS_STAYS, sentence, "You can stop the instance, or ask the facility.")


def _sooner(end: datetime | None, row: MemberRow) -> bool:
    return end is not None and (row.until is None or end <= row.until)


def _only_less(row: MemberRow, new: Role, end: datetime | None) -> None:
    """Staff's role and time come from the facility's rules."""
    less = new == row.role or (row.role == Role.SUPPORT and new is Role.SUPPORT_VIEW)
    if not less or (end != row.until and not _sooner(end, row)):
        sentence = "What support may do can only be made less here."
        raise No(Reason.ROLE_NOT_GIVEN, sentence, "She can ask again for more.", "role")


def _unknown(username: str) -> Person:
    """Who never logged in: nobody's team, until the hub learns more."""
    return Person(Username(username), username)
