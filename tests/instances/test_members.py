"""Who is what at this moment: every combination of presence, time and way, against a table written by hand."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.instances.access import PERMISSIONS, Role
from visa.instances.members import (
    GUESTS,
    STAFF,
    UNBOUND,
    Approvers,
    Membership,
    OnLeave,
    Presence,
    Sharing,
    Standing,
    WayIn,
    folders,
    membership,
    opened,
    role_now,
    sharing,
    suffices,
)

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
LISE = Membership("0" * 16, "lise", Role.COLLABORATOR, WayIn.TEAM, "marie", NOW)
ANY = Sharing(presence=Presence.ANY)

times = st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1), timezones=st.just(UTC))
memberships = st.builds(
    Membership,
    instance_id=st.just("0" * 16),
    username=st.sampled_from(["lise", "oscar"]),
    role=st.sampled_from([*GUESTS, *STAFF]),
    way=st.sampled_from(WayIn),
    granted_by=st.just("marie"),
    since=times,
    until=st.none() | times,
    with_owner=st.booleans(),
)
ways_of_sharing = st.builds(
    Sharing,
    presence=st.sampled_from(Presence),
    on_leave=st.sampled_from(OnLeave),
    folders=st.sampled_from([(), ("shared",), ("home/a b", "data")]),
    support=st.sampled_from(Standing),
    approvers=st.sampled_from(Approvers),
)


def role(one: Membership | None, how: Sharing = ANY, *, owner: bool = False, was: bool = False) -> Role:
    return role_now("lise", "marie", one, how, owner, was, NOW)


def test_without_a_membership_of_her_own_she_is_nobody() -> None:
    assert role(None) is Role.NONE
    assert role(replace(LISE, username="oscar")) is Role.NONE
    assert role(LISE) is Role.COLLABORATOR
    assert role_now("marie", "marie", None, ANY, False, False, NOW) is Role.OWNER


def test_a_membership_ends_at_its_very_end() -> None:
    assert role(replace(LISE, until=NOW + timedelta(microseconds=1))) is Role.COLLABORATOR
    assert role(replace(LISE, until=NOW)) is Role.NONE


@pytest.mark.parametrize("given_role", [Role.OWNER, Role.NONE])
def test_a_membership_makes_no_owner(given_role: Role) -> None:
    assert role(replace(LISE, role=given_role), owner=True) is Role.NONE


@pytest.mark.parametrize(
    ("has", "left"),
    [
        (Role.COLLABORATOR, Role.OBSERVER),
        (Role.OBSERVER, Role.OBSERVER),
        (Role.SUPPORT, Role.SUPPORT_VIEW),
        (Role.SUPPORT_VIEW, Role.SUPPORT_VIEW),
    ],
)
def test_when_the_owner_leaves(has: Role, left: Role) -> None:
    one = replace(LISE, role=has)
    closing, reading = Sharing(), Sharing(on_leave=OnLeave.READ_ONLY)
    assert role(one, closing, owner=True) is has
    assert role(one, closing, was=True) is Role.NONE
    assert role(one, reading, was=True) is left
    assert role(one, reading, was=False) is Role.NONE  # nobody new comes in


def test_a_membership_with_the_owner_is_bound_where_others_are_not() -> None:
    assert role(replace(LISE, with_owner=True)) is Role.NONE
    assert role(replace(LISE, with_owner=True), owner=True) is Role.COLLABORATOR


@pytest.mark.parametrize("way", sorted(UNBOUND))
def test_standing_consent_and_break_glass_do_not_ask_for_the_owner(way: WayIn) -> None:
    assert role(replace(LISE, role=Role.SUPPORT, way=way, with_owner=True), Sharing()) is Role.SUPPORT


@given(memberships, ways_of_sharing, st.booleans(), st.booleans(), times)
def test_nobody_ever_has_more_than_her_membership_gives(
    one: Membership, how: Sharing, owner_here: bool, was_here: bool, now: datetime
) -> None:
    has = role_now("lise", "marie", one, how, owner_here, was_here, now)
    assert PERMISSIONS[has] <= PERMISSIONS[one.role]
    if one.username != "lise" or one.over(now):
        assert has is Role.NONE
    with_owner = role_now("lise", "marie", one, how, True, was_here, now)
    assert PERMISSIONS[has] <= PERMISSIONS[with_owner]  # her presence never takes anything away


@given(memberships, ways_of_sharing)
def test_what_is_told_is_what_is_read(one: Membership, how: Sharing) -> None:
    assert membership(one.instance_id, one.told()) == one
    assert sharing(how.told()) == replace(how, folders=folders(how.folders))


@pytest.mark.parametrize("wrong", [{"role": "owner"}, {"role": "none"}, {"role": "x"}, {"way": "x"}, {"until": "2026"}])
def test_a_strange_membership_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        membership("0" * 16, {**LISE.told(), **wrong})


@pytest.mark.parametrize(
    ("path", "open_to_her"),
    [
        ("shared", True),
        ("shared/exp-1/x.h5", True),
        ("sharedx/y", False),
        ("home/analysis/a.ipynb", True),
        ("home/analysis", True),
        ("home/analysis2", False),
        ("home", False),
        ("home/analysis/../secret", False),
        ("home/analysis//x", False),
        ("", False),
        ("data/exp-1", False),
    ],
)
def test_folders_opened_to_members(path: str, open_to_her: bool) -> None:
    assert opened(path, ("shared", "home/analysis")) is open_to_her


def test_folders_are_tidied_and_strange_ones_refused() -> None:
    assert folders(["home/a/b", "/home/a/", "shared"]) == ("home/a", "shared")
    assert folders([]) == ()
    for wrong in ("etc", "home/../x", "home//x", "", "home/a\nb", "home\\x", 5, "home/" + "x" * 1000):
        with pytest.raises(ValueError, match=r"folder|name"):
            folders([wrong])
    with pytest.raises(ValueError, match="list"):
        folders("home")
    with pytest.raises(ValueError, match="at most"):
        folders(f"home/{n}" for n in range(51))


def test_who_may_do_as_much() -> None:
    for has in Role:
        for wanted in (*GUESTS, *STAFF):
            assert suffices(has, wanted) == (PERMISSIONS[wanted] <= PERMISSIONS[has])


def test_the_gateway_pays_nothing_for_it() -> None:
    code = "import visa.instances.members, sys; print({'pydantic', 'sqlalchemy', 'asyncio'} & set(sys.modules))"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "set()\n"
