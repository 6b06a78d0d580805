"""The store on SQLite and PostgreSQL: reservations, people, instances, audit."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.conftest import REPOSITORY
from tests.services.facility import person
from tests.store.racer import reserve
from visa.identifiers import instance_id
from visa.instances.model import Amount, InstanceSpec, QuotaScope, Reason, Refusal
from visa.store.store import Decision, State, Store

OWN = QuotaScope("user", "marie")


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    made = Store(store_url)
    made.upgrade()
    yield made
    made.close()


def held(store: Store) -> int:
    return (store.use([OWN]).held.get(OWN) or Amount(0)).instances or 0


def test_five_of_a_hundred_parallel_starts_across_processes(store: Store, store_url: str) -> None:
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.racer", store_url, str(25 * number), "25"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for number in range(4)
    ]
    outputs = [racer.communicate(timeout=120) for racer in racers]
    assert [racer.returncode for racer in racers] == [0, 0, 0, 0], [error[-500:] for _, error in outputs]
    assert sum(int(output) for output, _ in outputs) == 5
    assert held(store) == 5
    assert len(store.holding()) == 5
    entries = store.audit(limit=500)
    assert sum(entry.decision.allowed for entry in entries) == 5
    assert sum(entry.decision.reason == "quota-exceeded" for entry in entries) == 95


def test_a_reservation_is_held_and_given_back_once(store: Store) -> None:
    assert isinstance(reserve(store, 1), InstanceSpec)
    identifier = instance_id("marie", "n1")
    scopes = [OWN, QuotaScope("instrument", "d22"), QuotaScope("proposal", "p1"), QuotaScope("role", "scientist")]
    assert store.use(scopes).held == dict.fromkeys(scopes, Amount(1, 1.0, 2**30, 0))
    store.mark_running(identifier)
    assert held(store) == 1
    assert store.release(identifier, failed=True, reason="It broke.")
    assert not store.release(identifier), "twice is harmless"
    assert store.use(scopes).held == {}
    instance = store.instance(identifier)
    assert instance is not None
    assert (instance.state, instance.reason) == (State.FAILED, "It broke.")


def test_starting_again_does_not_count_itself(store: Store) -> None:
    for number in range(5):
        assert isinstance(reserve(store, number), InstanceSpec)
    refusal = reserve(store, 5)
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.QUOTA
    assert isinstance(reserve(store, 0), InstanceSpec), "its own hold is not in its way"
    assert held(store) == 5
    assert store.instance(instance_id("marie", "n5")) is None, "what is refused leaves nothing"


def test_reservations_of_a_dead_hub_are_found(store: Store) -> None:
    reserve(store, 1)
    reserve(store, 2)
    store.mark_running(instance_id("marie", "n2"))
    assert [i.name for i in store.starting_of_others("another")] == ["n1"]
    assert store.starting_of_others("racer") == ()


def test_a_decision_that_fails_holds_nothing(store: Store) -> None:
    def broken(use: object) -> InstanceSpec:
        raise RuntimeError("a fault while deciding")

    spec = reserve(store, 1)
    assert isinstance(spec, InstanceSpec)
    from visa.instances.request import parse_request

    request = parse_request({"experiments": [], "environment": "e", "flavour": "f"})
    assert not isinstance(request, Refusal)
    with pytest.raises(RuntimeError):
        store.reserve("marie", "n9", request, [OWN], broken, actor="marie", holder="h")
    assert store.instance(instance_id("marie", "n9")) is None
    assert isinstance(reserve(store, 2), InstanceSpec), "the lock is free again"


def test_people_are_kept_as_they_are(store: Store) -> None:
    someone = replace(person(), groups=frozenset({"a", "b"}), verified_at=datetime(2026, 1, 1, 12, tzinfo=UTC))
    store.put_person(someone)
    assert store.person("marie") == someone
    store.deactivate_person("marie")
    assert store.person("marie") == replace(someone, active=False)
    store.put_person(someone)
    assert store.person("marie") == someone
    assert store.person("nobody") is None


def test_times_without_a_zone_are_refused(store: Store) -> None:
    naive = replace(person(), verified_at=datetime(2026, 1, 1))
    with pytest.raises(Exception, match="zone"):
        store.put_person(naive)


def test_deleting_forgets_the_instance_but_not_the_audit(store: Store) -> None:
    reserve(store, 1)
    identifier = instance_id("marie", "n1")
    store.rename(identifier, "Another title")
    instance = store.instance(identifier)
    assert instance is not None
    assert instance.title == "Another title"
    store.forget(identifier)
    assert store.instance(identifier) is None
    assert store.instances_of("marie") == ()
    assert held(store) == 0
    assert [entry.decision.action for entry in store.audit()] == ["start"]


def test_audit_pages_from_the_newest(store: Store) -> None:
    for number in range(5):
        store.record(Decision("grace", "marie", f"act-{number}", True, detail={"n": number}))
    first = store.audit(limit=2)
    assert [entry.decision.action for entry in first] == ["act-4", "act-3"]
    assert [entry.decision.action for entry in store.audit(before=first[-1].id, limit=2)] == ["act-2", "act-1"]
    assert first[0].decision.detail == {"n": 4}


class Starts(RuleBasedStateMachine):
    """Starts, stops, failures and hub crashes in any order: the quota of five holds, nothing is lost."""

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.url)
        for instance in self.store.instances_of("marie"):
            self.store.forget(instance.id)
        self.running: set[str] = set()
        self.starting: set[str] = set()

    @rule(number=st.integers(0, 9))
    def start(self, number: int) -> None:
        name = f"n{number}"
        others = (self.running | self.starting) - {name}
        outcome = reserve(self.store, number)
        assert isinstance(outcome, InstanceSpec) == (len(others) < 5)
        if isinstance(outcome, InstanceSpec):
            self.running.discard(name)
            self.starting.add(name)

    @rule(number=st.integers(0, 9))
    def becomes_ready(self, number: int) -> None:
        self.store.mark_running(instance_id("marie", f"n{number}"))
        if f"n{number}" in self.starting:
            self.starting.remove(f"n{number}")
            self.running.add(f"n{number}")

    @rule(number=st.integers(0, 9), failed=st.booleans())
    def ends(self, number: int, failed: bool) -> None:
        self.store.release(instance_id("marie", f"n{number}"), failed=failed)
        self.running.discard(f"n{number}")
        self.starting.discard(f"n{number}")

    @rule(number=st.integers(0, 9))
    def is_deleted(self, number: int) -> None:
        self.store.forget(instance_id("marie", f"n{number}"))
        self.running.discard(f"n{number}")
        self.starting.discard(f"n{number}")

    @rule()
    def hub_crashes(self) -> None:
        for instance in self.store.starting_of_others("the next hub"):
            self.store.release(instance.id, failed=True)
        self.starting.clear()

    @invariant()
    def what_is_held_is_what_runs(self) -> None:
        count = held(self.store)
        assert count == len(self.running | self.starting)
        assert count <= 5

    def teardown(self) -> None:
        self.store.close()


def test_no_sequence_of_starts_and_stops_breaks_a_quota(store: Store, store_url: str) -> None:
    machine = type("Here", (Starts,), {"url": store_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=15, stateful_step_count=25, deadline=None))
    assert held(store) <= 5
