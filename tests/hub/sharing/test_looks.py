"""Which memberships end at a look, with a real store; the catalogue's answers are the tests' own."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy.orm import Session

from tests.hub.pods.making import spec
from tests.services import facility
from visa.catalogue.base import Experiment, Part, Reading
from visa.hub.sharing.looks import MemberLooks
from visa.identifiers import Username
from visa.instances.model import InstanceSpec, StartRequest
from visa.store.people import People
from visa.store.store import Store
from visa.store.tables import MemberRow

NOW = datetime.now(UTC)
TEAM = facility.experiment(team=frozenset({Username("marie"), Username("rosalind")}))


class Place:
    """An instance of Marie's on exp-1 in a store, and its members."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder / 'visa.sqlite'}")
        self.store.upgrade()
        self.people = People(self.store)
        self.facility = facility.facility(support={"everywhere": ["it_support"]})
        self.hub: Any = SimpleNamespace(
            store=self.store,
            people=self.people,
            facility=SimpleNamespace(current=self.facility),
            admissions=SimpleNamespace(today=lambda: date(2026, 1, 1)),
        )
        self.looks = MemberLooks(self.hub)
        for name, roles in (("rosalind", {"student"}), ("lise", {"scientist"}), ("grace", {"administrator"}),
                            ("ida", {"it_support"}), ("ivan", {"instrument_control"})):  # fmt: skip
            self.store.put_person(facility.person(name, roles=frozenset(roles)))
        self.id = _instance(self.store)

    def let_in(self, who: str, role: str = "observer", way: str = "team") -> None:
        member = MemberRow(instance_id=self.id, username=who, role=role, way=way, granted_by="marie", since=NOW,
                           with_owner=False)  # fmt: skip
        with Session(self.store.engine) as session:
            session.add(member)
            session.commit()

    @property
    def members(self) -> set[str]:
        return {one.membership.username for one in self.people.members.of(self.id)}

    async def look(self, *experiments: Experiment, known: bool = True) -> set[str]:
        """Who is left."""
        await self.looks.look(Reading({str(one.id): one for one in experiments}) if known else None)
        return self.members


def _instance(store: Store) -> str:
    one = spec()
    outcome = store.reserve("marie", "work", _request(one), (), lambda use: one, actor="marie", holder="h")
    assert outcome is one
    (made,) = store.instances_of("marie")
    return made.id


def _request(one: InstanceSpec) -> StartRequest:
    return StartRequest(one.experiments, one.environment, one.flavour, one.session)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_who_left_the_team_is_out_after_two_looks_in_a_row(place: Place) -> None:
    place.let_in("rosalind", "collaborator")
    left = replace(TEAM, team=frozenset({Username("marie")}))
    assert await place.look(TEAM) == {"rosalind"}
    assert await place.look(left) == {"rosalind"}
    assert await place.look(TEAM) == {"rosalind"}, "it was a mistake of the catalogue's"
    assert await place.look(left) == {"rosalind"}
    assert await place.look(known=False) == {"rosalind"}, "nobody knows"
    assert await place.look(left) == set()


async def test_a_catalogue_that_does_not_answer_ends_nothing(place: Place) -> None:
    place.let_in("rosalind")
    place.let_in("lise", "collaborator", "invitation")
    for _ in range(3):
        assert await place.look(known=False) == {"rosalind", "lise"}
    await place.look()
    assert await place.look() == set(), "an experiment that is gone has no team"


async def test_an_account_that_is_not_active_is_out_at_once(place: Place) -> None:
    place.let_in("rosalind")
    place.store.deactivate_person("rosalind")
    assert await place.look(known=False) == set()


async def test_the_release_lets_outsiders_stay_as_observers(place: Place) -> None:
    place.let_in("lise", "observer", "invitation")
    place.let_in("ida", "collaborator", "invitation")
    released = replace(TEAM, release=date(2025, 6, 1))
    await place.look(released)
    assert await place.look(released) == {"lise"}, "the facility lets outsiders watch, and no more"
    await place.look(TEAM)
    assert await place.look(TEAM) == set(), "not released after all"


async def test_staff_stay_while_a_rule_lets_them(place: Place) -> None:
    place.let_in("ida", "support", "support")
    place.let_in("grace", "support-view", "break-glass")
    place.let_in("ivan", "support", "standing")
    place.let_in("lise", "support", "support")
    soon = replace(TEAM, start=date.today(), end=date.today())
    await place.look(soon)
    assert await place.look(soon) == {"ida", "grace", "ivan"}, "Lise is no staff"
    over = replace(TEAM, start=date.today() - timedelta(days=30), end=date.today() - timedelta(days=20))
    await place.look(known=False)
    assert await place.look(known=False) == {"ida", "grace", "ivan"}
    await place.look(over)
    assert await place.look(over) == {"ida", "grace"}
    for name in ("ida", "grace"):
        place.store.put_person(facility.person(name, roles=frozenset({"scientist"})))
    await place.look(over)
    assert await place.look(over) == set()


async def test_a_stopped_instance_is_not_looked_at(place: Place) -> None:
    place.let_in("lise")
    place.store.release(place.id)
    await place.look(TEAM)
    assert "lise" in await place.look(TEAM)


async def test_a_row_that_does_not_read_ends_no_membership(place: Place) -> None:
    place.let_in("rosalind", "collaborator")
    partly = replace(TEAM, team=frozenset({Username("marie")}), unread=frozenset({Part.TEAM}))
    for _round in range(3):
        assert await place.look(partly) == {"rosalind"}
    whole = replace(partly, unread=frozenset())
    await place.look(whole)
    assert await place.look(whole) == set(), "the source says so, twice, in a row that reads"


async def test_a_name_that_does_not_read_keeps_only_whom_it_may_mean(place: Place) -> None:
    """`jürgen` was there beside Rosalind and Lise: when Rosalind leaves, she is out; Jürgen's own account stays."""
    place.store.put_person(facility.person("jmueller", name="Jürgen Müller"))
    for name in ("rosalind", "lise", "jmueller"):
        place.let_in(name, "collaborator")
    team = frozenset(map(Username, ("marie", "rosalind", "lise", "jmueller")))
    odd = replace(TEAM, team=team, unread=frozenset({Part.SCIENTISTS}), left_out=("jürgen",))
    assert await place.look(odd) == {"rosalind", "lise", "jmueller"}
    left = replace(odd, team=team - {"rosalind", "jmueller"})
    assert await place.look(left) == {"rosalind", "lise", "jmueller"}, "once is not enough"
    assert await place.look(left) == {"lise", "jmueller"}


async def test_a_name_that_was_not_there_before_may_mean_who_is_missing(place: Place) -> None:
    place.let_in("rosalind", "collaborator")
    await place.look(TEAM)
    other = replace(
        TEAM, team=frozenset({Username("marie")}), unread=frozenset({Part.TEAM}), left_out=("Anonymous User",)
    )
    for _round in range(3):
        assert await place.look(other) == {"rosalind"}


async def test_a_hub_that_was_just_started_goes_by_the_spelling_of_a_name_that_does_not_read(place: Place) -> None:
    place.store.put_person(facility.person("jmueller", name="Jürgen Müller"))
    for name in ("rosalind", "jmueller"):
        place.let_in(name, "collaborator")
    left = replace(TEAM, team=frozenset({Username("marie")}), unread=frozenset({Part.TEAM}), left_out=("jürgen",))
    assert await place.look(left) == {"rosalind", "jmueller"}, "once is not enough"
    for _round in range(2):
        assert await place.look(left) == {"jmueller"}
