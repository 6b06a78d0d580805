"""No sequence of acts lets anybody in by two doors, twice by one, or with more than was given: against a model."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.store.sharing.rig import FACTS, HOUR, MARIES, NOW, PEOPLE, TEAM, filled
from visa.instances.access import Role
from visa.instances.members import GUESTS
from visa.instances.model import Refusal
from visa.store.people import People
from visa.store.sharing.records import InvitationKind, RequestState
from visa.store.store import Store
from visa.store.tables import Base

OTHERS = ("lise", "irene", "oscar")
LONGEST = timedelta(days=30)


@dataclass(frozen=True)
class Member:
    """As the model counts."""

    role: Role
    until: datetime | None
    link: int | None = None


@dataclass
class Link:
    token: str
    kind: InvitationKind
    role: Role
    expires: datetime
    made: datetime
    open: bool = True


@dataclass
class Wish:
    who: str
    role: Role
    expires: datetime
    open: bool = True


def may(who: str, role: Role) -> bool:
    """`rig.FACTS` by hand: the data is released, outsiders look only."""
    return who in TEAM or role is Role.OBSERVER


class Sequences(RuleBasedStateMachine):
    """Marie's instance against dictionaries."""

    url = ""
    whos, roles, numbers = st.sampled_from(OTHERS), st.sampled_from(GUESTS), st.integers(0, 5)

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.url)
        with self.store.engine.begin() as connection:
            for table in reversed(Base.metadata.sorted_tables):
                connection.execute(table.delete())
        self.people: People = filled(self.store)
        self.at = NOW
        self.members: dict[str, Member] = {}
        self.removed: dict[str, datetime] = {}
        self.links: list[tuple[int, Link]] = []
        self.wishes: list[tuple[int, Wish]] = []
        self.number = 0

    def live(self, who: str) -> Member | None:
        one = self.members.get(who)
        return one if one is not None and (one.until is None or one.until > self.at) else None

    def joins(self, who: str, role: Role, link: int | None = None, until: datetime | None = None) -> None:
        latest = None if who in TEAM else self.at + LONGEST
        end = min((one for one in (latest, until) if one is not None), default=None)
        self.members[who] = Member(role, end, link)
        self.removed.pop(who, None)

    @rule(minutes=st.sampled_from([1, 50, 500, 50_000]))
    def time_passes(self, minutes: int) -> None:
        self.at += timedelta(minutes=minutes)

    @rule()
    def swept(self) -> None:
        self.people.sweep(self.at)
        self.members = {who: one for who, one in self.members.items() if self.live(who)}
        for _, wish in self.wishes:
            wish.open = wish.open and wish.expires > self.at

    @rule(who=whos, role=roles)
    def added(self, who: str, role: Role) -> None:
        outcome = self.people.members.add("marie", MARIES, who, role, FACTS, self.at)
        assert isinstance(outcome, Refusal) != may(who, role)
        if may(who, role):
            self.joins(who, role)

    @rule(who=whos, role=roles)
    def changed(self, who: str, role: Role) -> None:
        outcome = self.people.members.change("marie", MARIES, who, FACTS, self.at, role=role)
        one = self.live(who)
        assert isinstance(outcome, Refusal) == (one is None or not may(who, role)), outcome
        if one is not None and may(who, role):
            self.members[who] = replace(one, role=role)

    @rule(who=whos, by_owner=st.booleans())
    def removed_or_left(self, who: str, by_owner: bool) -> None:
        outcome = self.people.members.remove("marie" if by_owner else who, MARIES, who, self.at)
        assert (outcome is None) == (who in self.members)
        if self.members.pop(who, None) is not None and by_owner:
            self.removed[who] = self.at

    @rule(kind=st.sampled_from(InvitationKind), role=roles)
    def link_made(self, kind: InvitationKind, role: Role) -> None:
        made = self.people.invitations.make("marie", MARIES, kind, role, self.at + HOUR, FACTS.facility, self.at)
        assert not isinstance(made, Refusal)
        self.links.append((made.invitation.id, Link(made.token, kind, role, self.at + HOUR, self.at)))

    @rule(which=numbers, who=whos)
    def link_taken(self, which: int, who: str) -> None:
        if which >= len(self.links):
            return
        number, link = self.links[-1 - which]
        outcome = self.people.invitations.redeem(who, link.token, FACTS, self.at)
        has = self.live(who)
        enough = has is not None and (has.role is Role.COLLABORATOR or link.role is Role.OBSERVER)
        barred = who in self.removed and link.made <= self.removed[who]
        works = link.open and link.expires > self.at and may(who, link.role) and not enough and not barred
        assert isinstance(outcome, Refusal) != works, outcome
        if works:
            public = link.kind is InvitationKind.PUBLIC
            self.joins(who, link.role, number if public else None, link.expires if public else None)
            link.open = public

    @rule(which=numbers)
    def link_withdrawn(self, which: int) -> None:
        if which >= len(self.links):
            return
        number, link = self.links[-1 - which]
        self.people.invitations.withdraw("marie", MARIES, number, self.at)
        link.open = False
        self.members = {who: one for who, one in self.members.items() if one.link != number}

    @rule(who=whos, role=roles)
    def asked(self, who: str, role: Role) -> None:
        outcome = self.people.requests.ask(who, MARIES, role, "", FACTS, self.at)
        has = self.live(who)
        enough = has is not None and (has.role is Role.COLLABORATOR or role is Role.OBSERVER)
        waits = any(wish.open and wish.who == who and wish.expires > self.at for _, wish in self.wishes)
        works = may(who, role) and not enough and not waits
        assert isinstance(outcome, Refusal) != works, outcome
        if not isinstance(outcome, Refusal):
            for _, wish in self.wishes:
                wish.open = wish.open and wish.who != who
            self.wishes.append((outcome.id, Wish(who, role, self.at + timedelta(hours=8))))

    @rule(which=numbers, approve=st.booleans(), by=st.sampled_from(["marie", *OTHERS]))
    def answered(self, which: int, approve: bool, by: str) -> None:
        if which >= len(self.wishes):
            return
        number, wish = self.wishes[-1 - which]
        outcome: Any = self.people.requests.answer(by, MARIES, number, approve, FACTS, self.at)
        works = by == "marie" and wish.open and wish.expires > self.at
        assert isinstance(outcome, Refusal) != works, outcome
        if works:
            wish.open = False
            has = self.live(wish.who)
            if approve and not (has and (has.role is Role.COLLABORATOR or wish.role is Role.OBSERVER)):
                self.joins(wish.who, wish.role)

    @rule(which=numbers)
    def cancelled(self, which: int) -> None:
        if which < len(self.wishes):
            number, wish = self.wishes[-1 - which]
            outcome = self.people.requests.cancel(wish.who, MARIES, number, self.at)
            assert (outcome is None) == (wish.open and wish.expires > self.at)
            wish.open = wish.open and outcome is not None

    @rule()
    def stopped_and_started_again(self) -> None:
        from tests.store.sharing.rig import start

        self.store.release(MARIES)
        start(self.store, "marie")
        for _, wish in self.wishes:
            wish.open = False

    @invariant()
    def members_are_those_who_were_let_in(self) -> None:
        kept = {one.membership.username: one.membership for one in self.people.members.of(MARIES)}
        assert {who: (one.role, one.until) for who, one in kept.items()} == {
            who: (one.role, one.until) for who, one in self.members.items()
        }
        assert all(may(who, one.role) for who, one in kept.items())
        assert "marie" not in kept

    @invariant()
    def requests_wait_once(self) -> None:
        waiting = [one.requester for one in self.people.requests.pending(MARIES)]
        assert sorted(waiting) == sorted(wish.who for _, wish in self.wishes if wish.open)
        assert len(set(waiting)) == len(waiting)
        for number, wish in self.wishes:
            one = self.people.requests.one(MARIES, number)
            assert one is not None
            assert (one.state is RequestState.PENDING) == wish.open

    @invariant()
    def numbers_never_fall(self) -> None:
        number = self.people.views.numbers().get(MARIES, 0)
        assert number >= self.number
        self.number = number

    def teardown(self) -> None:
        self.store.close()


def test_no_sequence_of_acts_lets_anybody_in_by_another_door(store_url: str) -> None:
    store = Store(store_url)
    store.upgrade()
    store.close()
    assert set(OTHERS) < set(PEOPLE)
    machine = type("Here", (Sequences,), {"url": store_url})
    examples = 8 if "postgresql" in store_url else 25
    run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=30, deadline=None))
