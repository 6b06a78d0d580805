"""The store on SQLite and PostgreSQL: reservations, people, instances, audit."""

from __future__ import annotations

import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from tests.conftest import REPOSITORY
from tests.services.facility import person
from tests.store.racer import reserve
from visa.identifiers import instance_id
from visa.instances.model import Amount, InstanceSpec, Person, QuotaScope, Reason, Refusal, Resources, StartRequest
from visa.store.store import Decision, Instance, InstanceIdTaken, State, Store

OWN = QuotaScope("user", "marie")


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


def test_no_other_instance_is_forgotten(store: Store) -> None:
    for number in range(5):
        reserve(store, number)
    kept = sorted(one.id for one in store.holding())
    store.forget(kept.pop(2))
    assert sorted(one.id for one in store.instances_of("marie")) == kept
    assert held(store) == 4


def take(store: Store, name: str, **changed: Any) -> Instance:
    """Start Marie's ``name`` with what is ``changed`` of an admitted one; the instance."""
    admitted = reserve(store, 0)
    assert isinstance(admitted, InstanceSpec)
    store.forget(instance_id("marie", "n0"))
    request = StartRequest(admitted.experiments, admitted.environment, admitted.flavour, admitted.session)
    spec = replace(admitted, **changed)
    store.reserve("marie", name, request, spec.scopes, lambda use: spec, actor="marie", holder="test")
    instance = store.instance(instance_id("marie", name))
    assert instance is not None
    return instance


@pytest.mark.parametrize("maximum", [None, timedelta(days=14)])
@pytest.mark.parametrize("idle", [None, timedelta(hours=4)])
def test_lifetimes_are_kept_and_none_is_none(store: Store, maximum: timedelta | None, idle: timedelta | None) -> None:
    instance = take(store, "timed", maximum=maximum, idle=idle)
    assert (instance.maximum, instance.idle) == (maximum, idle)


def test_every_amount_is_summed_and_given_back(store: Store) -> None:
    for name, gpu in (("one", 3), ("other", 2)):
        take(store, name, resources=Resources(cpu=0.5, memory=2**20, gpu=gpu, scratch=0))
    assert store.use([OWN]).held == {OWN: Amount(2, 1.0, 2**21, 5)}
    assert store.use([OWN], without=instance_id("marie", "one")).held == {OWN: Amount(1, 0.5, 2**20, 2)}
    take(store, "one", resources=Resources(cpu=2, memory=2**10, gpu=1, scratch=0))
    assert store.use([OWN]).held == {OWN: Amount(2, 2.5, 2**20 + 2**10, 3)}, "instead of what it held"
    store.release(instance_id("marie", "other"))
    assert store.use([OWN]).held == {OWN: Amount(1, 2.0, 2**10, 1)}


def test_audit_pages_from_the_newest(store: Store) -> None:
    for number in range(5):
        store.record(Decision("grace", "marie", f"act-{number}", True, detail={"n": number}))
    first = store.audit(limit=2)
    assert [entry.decision.action for entry in first] == ["act-4", "act-3"]
    assert [entry.decision.action for entry in store.audit(before=first[-1].id, limit=2)] == ["act-2", "act-1"]
    assert first[0].decision.detail == {"n": 4}


def test_a_person_who_logs_in_twice_at_once_is_kept(store: Store) -> None:
    """Two tabs at the first login: neither may fail because the other was quicker."""
    for number in range(5):
        together = threading.Barrier(8)

        def put(who: Person, together: threading.Barrier = together) -> None:
            together.wait()
            store.put_person(who)

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(put, [person(f"new{number}")] * 8))
        assert store.person(f"new{number}") == person(f"new{number}")


def test_sums_are_made_anew_when_the_hub_starts(store: Store) -> None:
    """An operator who deletes a row by hand would else leave its quota held for ever."""
    for number in range(3):
        reserve(store, number)
    store.release(instance_id("marie", "n2"))
    with store.engine.begin() as connection:
        connection.execute(text("DELETE FROM instances WHERE name = 'n0'"))
        connection.execute(text("UPDATE instances SET state = 'stopped' WHERE name = 'n1'"))
    assert held(store) == 2
    store.upgrade()
    assert held(store) == 0
    assert isinstance(reserve(store, 1), InstanceSpec), "nothing of the old hold is in its way"
    assert held(store) == 1
    store.upgrade()
    assert held(store) == 1, "what runs still counts"


def test_an_id_that_is_another_instances_is_not_taken_over(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids are short hashes; a name that was searched for until it met somebody else's gets nothing."""
    assert isinstance(reserve(store, 1), InstanceSpec)
    before = store.instance(instance_id("marie", "n1"))
    monkeypatch.setattr("visa.store.store.instance_id", lambda owner, name: instance_id("marie", "n1"))
    with pytest.raises(InstanceIdTaken, match="marie's"):
        reserve(store, 2, person("lise"))
    assert store.instance(instance_id("marie", "n1")) == before
    assert held(store) == 1


def test_names_that_are_longer_than_a_column_do_not_stop_a_start(store: Store) -> None:
    """Services' names and the provider's groups are of any length; PostgreSQL refuses what is too long."""
    who = person(groups=frozenset({"g" * 300, "a\x00b", "sans"}))
    assert isinstance(reserve(store, 1, who, actor="service-" * 50), InstanceSpec)
    assert held(store) == 1
    assert store.use([QuotaScope("group", "sans")]).held[QuotaScope("group", "sans")].instances == 1
    assert store.audit()[0].decision.actor.startswith("service-service-")
    assert store.release(instance_id("marie", "n1"))
    assert store.use([QuotaScope("group", "sans")]).held == {}


def test_a_refusal_is_in_the_audit_trail_with_who_what_and_why(store: Store) -> None:
    for number in range(6):
        reserve(store, number, actor="grace")
    refused = store.audit(limit=1)[0].decision
    assert (refused.actor, refused.owner, refused.action, refused.allowed) == ("grace", "marie", "start", False)
    assert (refused.reason, refused.instance_id) == ("quota-exceeded", instance_id("marie", "n5"))
    assert refused.detail == {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


def test_nothing_changes_or_deletes_the_audit_trail(store: Store) -> None:
    """Whatever else happens to people and instances, rows are only added."""
    reserve(store, 1)
    before = store.audit()
    store.release(instance_id("marie", "n1"))
    store.deactivate_person("marie")
    store.forget(instance_id("marie", "n1"))
    store.upgrade()
    assert store.audit() == before


def test_starting_again_keeps_title_and_first_day(store: Store) -> None:
    reserve(store, 1)
    identifier = instance_id("marie", "n1")
    store.rename(identifier, "Micelles")
    before = store.instance(identifier)
    store.release(identifier, failed=True, reason="It broke.")
    reserve(store, 1)
    after = store.instance(identifier)
    assert before is not None
    assert after is not None
    assert (after.title, after.created_at, after.state) == ("Micelles", before.created_at, State.STARTING)
    assert (after.reason, after.ended_at) == (None, None)


def test_only_what_starts_becomes_running(store: Store) -> None:
    reserve(store, 1)
    identifier = instance_id("marie", "n1")
    store.release(identifier)
    store.mark_running(identifier)
    instance = store.instance(identifier)
    assert instance is not None
    assert instance.state is State.STOPPED, "a start that was given up does not come back"
    assert held(store) == 0


def test_the_plain_word_postgresql_means_the_driver_that_is_there(postgres_url: str) -> None:
    store = Store(postgres_url.replace("postgresql+psycopg://", "postgresql://"))
    store.upgrade()
    assert isinstance(reserve(store, 1), InstanceSpec)
    store.close()


def test_what_was_started_meanwhile_is_not_forgotten(store: Store) -> None:
    """The portal deletes what the hub does not know; between its two questions somebody may start it again."""
    reserve(store, 1)
    identifier = instance_id("marie", "n1")
    assert not store.forget(identifier, ended_only=True)
    assert held(store) == 1
    store.release(identifier)
    assert store.forget(identifier, ended_only=True)
    assert store.instance(identifier) is None
