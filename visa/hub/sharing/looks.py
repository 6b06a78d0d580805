"""At each look of the reconciler the rules are asked again for all members of running instances.

A membership that the rules would not give now ends: at once when the account is not active, after two looks in a row
when it follows from the catalogue, and never on an answer of the catalogue that is not fresh.
"""

from __future__ import annotations

import asyncio
import logging

from visa import clock
from visa.catalogue.base import Reading
from visa.hub.settings import HubSettings
from visa.instances.joining import Experiments, known, may_join
from visa.instances.members import GUESTS, Membership, WayIn
from visa.instances.model import Person
from visa.instances.support import may_break_glass, support_kind
from visa.instances.withdrawal import Withdrawals
from visa.store.sharing.records import MemberView
from visa.store.store import Instance

log = logging.getLogger(__name__)

_Key = tuple[str, str]
NOT_ACTIVE = "person-not-active"


class MemberLooks:
    """What one hub process noticed at its last look."""

    def __init__(self, hub: HubSettings) -> None:
        self.hub = hub
        self._doubted: frozenset[_Key] = frozenset()
        self._seen = Withdrawals()

    async def look(self, experiments: Reading | None) -> None:
        """End what does not hold. ``experiments``: of running instances, fresh; None: they are not known now."""
        found = await asyncio.to_thread(self.hub.people.members.to_check)
        doubted = await asyncio.to_thread(self._doubts, found, experiments)
        over = {key: why for key, why in doubted.items() if why == NOT_ACTIVE or key in self._doubted}
        if experiments is not None:
            self._doubted = frozenset(doubted)
        for (identifier, username), why in over.items():
            log.info("Membership of %s of instance %s ends: %s", username, identifier, why)
            await asyncio.to_thread(self.hub.people.members.end, identifier, username, why, clock.now())

    def _doubts(
        self, found: tuple[tuple[Instance, tuple[MemberView, ...]], ...], experiments: Reading | None
    ) -> dict[_Key, str]:
        doubted: dict[_Key, str] = {}
        if experiments is not None:
            self._seen.begin()
        for instance, members in found:
            for one in members:
                why = NOT_ACTIVE if not one.active else self._why_not(one.membership, instance, experiments)
                if why is not None:
                    doubted[instance.id, one.membership.username] = why
        return doubted

    def _why_not(self, member: Membership, instance: Instance, reading: Reading | None) -> str | None:
        """The rule that does not hold any more, as a code; None when all do, or nobody can tell."""
        person = self.hub.store.person(member.username)
        if person is None:
            return None  # never logged in, so never here
        # A row that does not read says nothing, as a catalogue that does not answer.
        experiments: Experiments | None = None
        if reading is not None and self._seen.all_clear(person, instance.experiments, reading):
            experiments = known(instance.experiments, reading.experiments)
        facility = self.hub.facility.current
        if member.way is WayIn.BREAK_GLASS:
            return None if may_break_glass(person, facility) else "not-support"
        if member.role in GUESTS:
            return None if experiments is None else self._no_guest(person, member, experiments)
        if support_kind(person, experiments or (), facility, clock.now()) is not None:
            return None
        return None if experiments is None else "not-support"

    def _no_guest(self, person: Person, member: Membership, experiments: Experiments) -> str | None:
        today = self.hub.admissions.today()
        refusal = may_join(person, member.role, experiments, self.hub.facility.current, today)
        return None if refusal is None else refusal.reason.value
