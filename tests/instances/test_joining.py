"""Who may be a member: the team, outsiders, embargo, and what the catalogue does not know."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import experiment, facility, person
from visa.catalogue.base import Experiment
from visa.identifiers import Username
from visa.instances.access import Role
from visa.instances.joining import known, last_end, may_join, of_team
from visa.instances.members import GUESTS
from visa.instances.model import Person, Reason

TODAY = date(2026, 11, 26)
NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
MINE = experiment("exp-1", team=frozenset({Username("marie"), Username("lise")}))
OPEN = experiment("exp-4", team=frozenset({Username("marie")}), release=date(2020, 1, 1))
LISE, OSCAR = person("lise"), person("oscar")


def reason(who: Person, role: Role, *experiments: Experiment | None, **sharing: Any) -> Reason | None:
    refusal = may_join(who, role, experiments, facility(sharing=sharing), TODAY)
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize("role", GUESTS)
def test_the_team_may_be_anything(role: Role) -> None:
    assert reason(LISE, role, MINE, outsiders="none") is None
    assert reason(person("dorothy"), role, experiment(instrument_scientists=frozenset({Username("dorothy")}))) is None


def test_outsiders_as_the_facility_says() -> None:
    assert reason(OSCAR, Role.OBSERVER, OPEN) is None
    assert reason(OSCAR, Role.COLLABORATOR, OPEN) is Reason.OUTSIDE_THE_TEAM
    assert reason(OSCAR, Role.COLLABORATOR, OPEN, outsiders="collaborator") is None
    assert reason(OSCAR, Role.OBSERVER, OPEN, outsiders="none") is Reason.OUTSIDE_THE_TEAM


def test_under_embargo_no_outsider_by_default() -> None:
    assert reason(OSCAR, Role.OBSERVER, MINE) is Reason.UNDER_EMBARGO
    assert reason(OSCAR, Role.OBSERVER, OPEN, MINE) is Reason.UNDER_EMBARGO
    assert reason(OSCAR, Role.OBSERVER, MINE, embargoed="observer") is None
    assert reason(OSCAR, Role.COLLABORATOR, MINE, embargoed="collaborator") is Reason.OUTSIDE_THE_TEAM  # the lower
    tomorrow = experiment(release=TODAY + timedelta(days=1))
    assert reason(OSCAR, Role.OBSERVER, tomorrow) is Reason.UNDER_EMBARGO
    assert reason(OSCAR, Role.OBSERVER, experiment(release=TODAY)) is None


def test_who_is_on_one_team_of_two_is_an_outsider() -> None:
    assert reason(LISE, Role.OBSERVER, MINE, OPEN) is Reason.UNDER_EMBARGO
    assert reason(LISE, Role.OBSERVER, OPEN) is None


def test_what_the_catalogue_does_not_know_is_nobodys_and_under_embargo() -> None:
    there = known(["exp-1", "exp-9"], {"exp-1": MINE})
    assert reason(LISE, Role.OBSERVER, *there) is Reason.UNDER_EMBARGO
    assert not of_team(LISE, there)
    assert reason(OSCAR, Role.OBSERVER, OPEN, None) is Reason.UNDER_EMBARGO


def test_without_experiments_everybody_is_an_outsider() -> None:
    assert reason(LISE, Role.OBSERVER) is None
    assert reason(LISE, Role.COLLABORATOR) is Reason.OUTSIDE_THE_TEAM


@pytest.mark.parametrize("role", [role for role in Role if role not in GUESTS])
def test_other_roles_are_given_to_nobody(role: Role) -> None:
    assert reason(LISE, role, MINE, outsiders="collaborator") is Reason.ROLE_NOT_GIVEN


def test_members_may_be_switched_off_and_accounts_too() -> None:
    assert reason(LISE, Role.OBSERVER, MINE, members=False) is Reason.SHARING_OFF
    assert reason(person("lise", active=False), Role.OBSERVER, MINE) is Reason.PERSON_NOT_ACTIVE


def test_outsiders_do_not_stay_longer_than_the_facility_allows() -> None:
    rules = facility(sharing={"longest": "10d"})
    latest = NOW + timedelta(days=10)
    assert last_end(LISE, [MINE], rules, NOW, None) is None
    assert last_end(OSCAR, [MINE], rules, NOW, None) == latest
    assert last_end(OSCAR, [MINE], rules, NOW, NOW + timedelta(days=11)) == latest
    assert last_end(OSCAR, [MINE], rules, NOW, NOW + timedelta(days=1)) == NOW + timedelta(days=1)


mosts = st.sampled_from(["none", "observer", "collaborator"])


@given(mosts, mosts, st.lists(st.sampled_from([MINE, OPEN, None]), max_size=3), st.sampled_from([LISE, OSCAR]))
def test_who_may_act_may_look(
    outsiders: str, embargoed: str, experiments: list[Experiment | None], who: Person
) -> None:
    rules = {"outsiders": outsiders, "embargoed": embargoed}
    if reason(who, Role.COLLABORATOR, *experiments, **rules) is None:
        assert reason(who, Role.OBSERVER, *experiments, **rules) is None
    if not of_team(who, experiments) and outsiders == "none":
        assert reason(who, Role.OBSERVER, *experiments, **rules) is not None


def test_nobody_joins_what_is_not_released_without_the_role_that_it_needs() -> None:
    rules = facility(people={"roles": {"identified": ["high"]}, "embargoed_needs": ["identified"]})
    for there in ([MINE], [OPEN, MINE], [None]):
        refusal = may_join(LISE, Role.OBSERVER, there, rules, TODAY)
        assert refusal is not None
        assert refusal.reason is Reason.NOT_ASSURED
    assert may_join(LISE, Role.OBSERVER, [OPEN], rules, TODAY) is None
    proven = person("lise", roles=frozenset({"identified"}))
    assert may_join(proven, Role.COLLABORATOR, [MINE], rules, TODAY) is None
