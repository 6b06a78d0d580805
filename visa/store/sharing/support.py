"""Staff in people's instances: by consent, by consent given beforehand, and by break-glass."""

from __future__ import annotations

from datetime import datetime

from visa.facility.model import Facility
from visa.instances.access import Role
from visa.instances.members import Membership, Standing, WayIn, suffices
from visa.instances.model import Facts, Reason, Refusal
from visa.instances.support import may_break_glass, support_ends
from visa.store.sharing import requests, rows
from visa.store.sharing.acts import Act, No, Part, no_owner, text
from visa.store.sharing.members import member_row
from visa.store.sharing.records import AccessRequest, RequestKind

_CONSENTS = {Standing.ASK: Role.NONE, Standing.VIEW: Role.SUPPORT_VIEW, Standing.ACT: Role.SUPPORT}


class Support(Part):
    """How support comes in."""

    def ask(
        self, username: str, instance_id: str, act_too: bool, reason: str, facts: Facts, at: datetime
    ) -> Membership | AccessRequest | Refusal:
        """Somebody of support wants in, to look or to act: at once by standing consent, else the owner is asked."""
        wanted = Role.SUPPORT if act_too else Role.SUPPORT_VIEW

        def do(act: Act) -> Membership | AccessRequest:
            person = act.myself()
            no_owner(act, username)
            act.running()
            kind, there = act.supports(person, facts)
            why = text(reason, needed=True)
            if not suffices(_CONSENTS[rows.sharing(act.session, act.row.id).support], wanted):
                return requests.new(act, RequestKind.SUPPORT, wanted, why)
            has = rows.live_member(act.session, act.row, username, at)
            if has is not None and suffices(Role(has.role), wanted):
                raise No(Reason.ALREADY_MEMBER, f"You are a member already, as {has.role}.", "Open the instance.")
            end = support_ends(kind, there, facts.facility, at)
            member = Membership(act.row.id, username, wanted, WayIn.STANDING, act.row.owner, at, end)
            act.put(member_row(member))
            act.allowed(role=wanted.value, way=WayIn.STANDING.value, reason=why, until=end.isoformat(), rule=kind.value)
            return member

        return self.perform(username, "support", instance_id, at, do)

    def break_glass(
        self, username: str, instance_id: str, act_too: bool, reason: str, facility: Facility, at: datetime
    ) -> Membership | Refusal:
        """In without consent. The owner reads it on her instance at once, and the audit trail keeps it."""
        role = Role.SUPPORT if act_too else Role.SUPPORT_VIEW

        def do(act: Act) -> Membership:
            person = act.myself()
            no_owner(act, username)
            row = act.running()
            if not may_break_glass(person, facility):
                contact = facility.facility.contact
                raise No(Reason.NOT_SUPPORT, "You may not enter without the owner's consent.", f"Ask {contact}.")
            why = text(reason, needed=True)
            has = rows.live_member(act.session, row, username, at)
            if has is not None and has.way == WayIn.BREAK_GLASS.value and suffices(Role(has.role), role):
                raise No(Reason.ALREADY_MEMBER, "You came in already.", "Open the instance.")
            end = at + facility.support.lasts
            member = Membership(row.id, username, role, WayIn.BREAK_GLASS, username, at, end)
            act.put(member_row(member))
            row.notice = " ".join(filter(None, [row.notice, _told(person.name, act_too, why, at)]))
            act.session.flush()
            act.allowed(role=role.value, reason=why, until=end.isoformat(), name=person.name)
            return member

        return self.perform(username, "break-glass", instance_id, at, do)


def _told(name: str, act_too: bool, why: str, at: datetime) -> str:
    what = "to act" if act_too else "to look"
    return f"{name} entered without your consent on {at:%Y-%m-%d at %H:%M} UTC, {what}: {' '.join(why.split())}"
