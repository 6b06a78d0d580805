"""What people are after the owner left, told once: the portal reads what the gateway reported."""

from __future__ import annotations

from datetime import timedelta

from tests.store.sharing.rig import FACTS, MARIES, NOW, done
from visa.instances.access import Role
from visa.store.people import People
from visa.store.sharing.records import Here

MARIE = Here("marie", Role.OWNER, "notebook", NOW)
SECOND = timedelta(seconds=1)


def shared(people: People, on_leave: str) -> None:
    done(people.members.share("marie", MARIES, {"on_leave": on_leave}, NOW))
    for name, role in (("lise", Role.COLLABORATOR), ("irene", Role.OBSERVER), ("oscar", Role.OBSERVER)):
        done(people.members.add("marie", MARIES, name, role, FACTS, NOW))


def here(name: str, role: Role) -> Here:
    return Here(name, role, "notebook", NOW)


def roles(people: People, after: timedelta) -> list[str]:
    return [people.members.role(MARIES, name, NOW + after).value for name in ("lise", "irene", "oscar")]


def test_who_was_there_goes_on_looking(people: People) -> None:
    """As gateways narrow them. Oscar was not there; Lise may load her page again; Irene left with the owner."""
    shared(people, "read-only")
    people.visits.here(MARIES, [MARIE, here("lise", Role.COLLABORATOR), here("irene", Role.OBSERVER)], NOW)
    assert roles(people, SECOND) == ["collaborator", "observer", "observer"]
    people.visits.here(MARIES, [here("lise", Role.OBSERVER)], NOW + 20 * SECOND)
    assert roles(people, 21 * SECOND) == ["observer", "none", "none"]
    people.visits.here(MARIES, [], NOW + 30 * SECOND)
    assert roles(people, 31 * SECOND) == ["observer", "none", "none"]
    people.visits.here(MARIES, [MARIE], NOW + 40 * SECOND)
    people.visits.here(MARIES, [], NOW + 50 * SECOND)
    assert roles(people, 51 * SECOND) == ["none", "none", "none"]


def test_who_still_looks_on_stays_what_the_gateway_says(people: People) -> None:
    """For as long as the gateway is heard."""
    shared(people, "read-only")
    people.visits.here(MARIES, [MARIE, here("irene", Role.OBSERVER)], NOW)
    people.visits.here(MARIES, [here("irene", Role.OBSERVER)], NOW + 20 * SECOND)
    assert roles(people, 60 * SECOND) == ["none", "observer", "none"]
    assert roles(people, 300 * SECOND) == ["none", "none", "none"]


def test_everybody_goes_where_the_owner_said_so(people: People) -> None:
    shared(people, "disconnect")
    people.visits.here(MARIES, [MARIE, here("lise", Role.COLLABORATOR)], NOW)
    people.visits.here(MARIES, [], NOW + 20 * SECOND)
    assert roles(people, 21 * SECOND) == ["none", "none", "none"]
