"""Marie's running instance on one experiment, and the people around it."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any, TypeVar

from tests.services.facility import experiment, facility, person
from tests.store.racer import reserve
from visa.identifiers import Username, instance_id
from visa.instances.model import Facts, InstanceSpec, Reason, Refusal
from visa.store.people import People
from visa.store.store import Store

T = TypeVar("T")
NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)
MARIES = instance_id("marie", "n0")
LISES = instance_id("lise", "n0")

TEAM = frozenset(map(Username, ("marie", "lise", "irene")))
EXPERIMENT = experiment(
    team=TEAM,
    instrument_scientists=frozenset({Username("dorothy")}),
    start=date(2026, 11, 20),
    end=date(2026, 11, 22),
    release=date(2026, 1, 1),
)
PEOPLE = {
    "marie": person("marie", email="marie@example.org"),
    "lise": person("lise", email="Lise@Example.org"),
    "irene": person("irene"),
    "oscar": person("oscar", email="oscar@example.org"),  # of no team
    "dorothy": person("dorothy", roles=frozenset({"instrument_scientist"})),
    "grace": person("grace", roles=frozenset({"administrator"})),
    "clara": person("clara", roles=frozenset({"instrument_control"})),
}


def facts(
    *, embargo: bool = False, stale: bool = False, support: dict[str, Any] | None = None, **sharing: Any
) -> Facts:
    """What catalogue and facility.yaml say."""
    there = replace(EXPERIMENT, release=None) if embargo else EXPERIMENT
    rules = facility(sharing={"outsiders": "observer", **sharing}, support=support or {})
    return Facts(rules, {"exp-1": there}, NOW.date(), stale)


FACTS = facts()


def filled(store: Store) -> People:
    """Everybody logged in once; Marie's and Lise's instances run."""
    for one in PEOPLE.values():
        store.put_person(one)
    for owner in ("marie", "lise"):
        start(store, owner)
    return People(store)


def start(store: Store, owner: str, number: int = 0) -> str:
    """A running instance; its id."""
    assert isinstance(reserve(store, number, PEOPLE[owner], actor=owner), InstanceSpec)
    identifier = instance_id(owner, f"n{number}")
    store.mark_running(identifier)
    return identifier


def done(outcome: T | Refusal) -> T:
    """What was made; a refusal fails the test."""
    assert not isinstance(outcome, Refusal), outcome
    return outcome


def why(outcome: object) -> Reason:
    """The reason of a refusal, which says something and what can be done."""
    assert isinstance(outcome, Refusal), outcome
    assert outcome.sentence.endswith(".")
    assert outcome.remedy.endswith(".")
    return outcome.reason


def trail(store: Store, instance: str = MARIES) -> list[tuple[str, str, bool]]:
    """Actor, action, allowed: of sharing, oldest first."""
    found = [entry.decision for entry in reversed(store.audit(limit=1000)) if entry.decision.instance_id == instance]
    return [(one.actor, one.action, one.allowed) for one in found if one.action != "start"]
