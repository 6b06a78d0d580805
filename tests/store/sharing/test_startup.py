"""The owner asks what changed in start-up files since somebody joined."""

from __future__ import annotations

from datetime import timedelta

from tests.store.sharing.rig import FACTS, HOUR, MARIES, NOW, done, why
from visa.instances.access import Role
from visa.instances.model import Reason
from visa.store.people import People
from visa.store.sharing.records import Here

FOUND = {"found": [], "unread": 0, "whole": True, "told": True}


def join(people: People, role: Role = Role.COLLABORATOR) -> None:
    done(people.members.add("marie", MARIES, "lise", role, FACTS, NOW))


def test_a_look_is_told_to_the_gateway_until_it_is_answered(people: People) -> None:
    join(people)
    before = people.views.gateway(MARIES)
    assert before is not None
    assert before.look is None
    asked = done(people.startup.ask("marie", MARIES, "lise", NOW + HOUR))
    assert asked.since == NOW
    state = people.views.gateway(MARIES)
    assert state is not None
    assert state.look == asked
    assert state.number > before.number, "the gateway is woken"
    people.startup.answer(MARIES, asked.number + 1, FOUND, NOW)
    assert people.startup.look(MARIES) == asked, "another look's answer"
    people.startup.answer(MARIES, asked.number, FOUND, NOW + HOUR)
    people.startup.answer(MARIES, asked.number, {**FOUND, "unread": 7}, NOW + HOUR)
    answered = people.startup.look(MARIES)
    assert answered is not None
    assert answered.found == FOUND, "the first answer counts"
    state = people.views.gateway(MARIES)
    assert state is not None
    assert state.look is None
    again = done(people.startup.ask("marie", MARIES, "lise", NOW + HOUR))
    assert again.number == asked.number + 1
    assert again.found is None


def test_a_look_goes_back_to_the_first_that_is_known_of_somebody(people: People) -> None:
    join(people, Role.OBSERVER)
    people.visits.here(MARIES, [Here("lise", Role.OBSERVER, "notebook", NOW + HOUR)], NOW + HOUR)
    done(people.members.add("marie", MARIES, "lise", Role.COLLABORATOR, FACTS, NOW + 2 * HOUR))
    assert done(people.startup.ask("marie", MARIES, "lise", NOW + 3 * HOUR)).since == NOW + HOUR
    people.members.remove("marie", MARIES, "lise", NOW + 4 * HOUR)
    assert done(people.startup.ask("marie", MARIES, "lise", NOW + 5 * HOUR)).since == NOW + HOUR


def test_who_was_removed_is_listed_when_they_could_act(people: People) -> None:
    join(people)
    done(people.members.add("marie", MARIES, "irene", Role.OBSERVER, FACTS, NOW))
    for who in ("lise", "irene"):
        assert people.members.remove("marie", MARIES, who, NOW + HOUR) is None
    (one,) = people.startup.removed(MARIES)
    assert (one.username, one.role, one.at) == ("lise", Role.COLLABORATOR, NOW + HOUR)
    assert done(people.startup.ask("marie", MARIES, "lise", NOW + 2 * HOUR)).since == NOW
    join(people)
    assert people.startup.removed(MARIES) == (), "who is back is in the list of people"


def test_only_the_owner_asks_and_only_of_who_was_there(people: People) -> None:
    join(people)
    ask = people.startup.ask
    assert why(ask("lise", MARIES, "lise", NOW)) is Reason.NOT_THE_OWNER
    assert why(ask("oscar", MARIES, "lise", NOW)) is Reason.NO_INSTANCE
    assert why(ask("marie", MARIES, "oscar", NOW)) is Reason.NOT_A_MEMBER
    people.store.release(MARIES)
    assert why(ask("marie", MARIES, "lise", NOW + timedelta(1))) is Reason.NOT_RUNNING
