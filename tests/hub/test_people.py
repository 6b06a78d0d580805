"""From claims and catalogue to a person: what is taken, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services import facility
from visa.catalogue.base import CataloguePerson, Instrument
from visa.facility.model import BUILT_IN_ROLES, People
from visa.hub.claims import BadClaims
from visa.hub.people import colour, initials, may_log_in, person_of, roles_of, username_of
from visa.identifiers import InstrumentId, Username
from visa.instances.model import Person

NOW = datetime(2026, 1, 2, tzinfo=UTC)
PEOPLE = {"uid_claim": "uid", "gid_claim": "gid", "gids_claim": "gids", "roles": {"administrator": ["admins", "root"]}}
HOLDER = facility.facility(people=PEOPLE)
KNOWN = CataloguePerson(
    Username("marie"), "Marie of the user office", "m@example.org", uid=5001, gid=5002, gids=(5003,),
    groups=frozenset({"office"}), roles=frozenset({"scientist"}),
)  # fmt: skip


def person(claims: dict[str, Any], known: CataloguePerson | None = None, *instruments: Instrument) -> Person:
    return person_of({"preferred_username": "marie", **claims}, known, instruments, HOLDER, NOW)


def test_claims_win_and_the_catalogue_fills_what_they_do_not_say() -> None:
    bare = person({}, KNOWN)
    assert (bare.name, bare.email, bare.uid, bare.gid) == ("Marie of the user office", "m@example.org", 5001, 5002)
    assert bare.gids == (5003,)
    said = person({"name": "Marie", "email": "x@y", "uid": 1, "gid": 2, "gids": [3, 4]}, KNOWN)
    assert (said.name, said.email, said.uid, said.gid, said.gids) == ("Marie", "x@y", 1, 2, (3, 4))
    for word in (False, "false"):  # the provider does not vouch for it: links are bound to addresses
        assert person({"email": "x@y", "email_verified": word}, KNOWN).email == "m@example.org"
    assert person({"email": "x@y", "email_verified": True}, KNOWN).email == "x@y"
    assert said.verified_at == NOW
    assert said.active


def test_roles_and_groups_of_both_add_up() -> None:
    both = person({"roles": ["student"], "groups": ["login"]}, KNOWN)
    assert both.roles == {"student", "scientist"}
    assert both.groups == {"login", "office"}


def test_an_instruments_scientist_is_one_by_the_catalogue() -> None:
    d22 = Instrument(InstrumentId("d22"), "D22", scientists=frozenset({Username("marie")}))
    assert person({}, None, d22).roles == {"instrument_scientist"}
    assert person({}, None, Instrument(InstrumentId("d22"), "D22")).roles == frozenset()


def test_a_mapped_role_comes_by_its_mapping_only() -> None:
    people = People.model_validate({"roles": PEOPLE["roles"]})
    assert roles_of(["administrator"], [], people) == frozenset(), "the bare value is not enough any more"
    assert roles_of(["admins"], [], people) == {"administrator"}
    assert roles_of(["it_support", "unknown"], [], people) == {"it_support"}
    assert person({"groups": ["root"]}).roles == {"administrator"}, "groups map too"


@pytest.mark.parametrize("claim", ["uid", "gid"])
@pytest.mark.parametrize("value", [True, False, -1, 1.0, "1.0", "-5", "0x10", "١", [1], {}, "9" * 11])
def test_numbers_that_are_none_are_refused(claim: str, value: object) -> None:
    with pytest.raises(BadClaims, match=f"claim '{claim}'"):
        person({claim: value}, KNOWN)


@pytest.mark.parametrize("value", [5, "5", {"a": 1}, [True], [-1], ["x"], [1.5]])
def test_gids_that_are_no_numbers_are_refused(value: object) -> None:
    with pytest.raises(BadClaims, match="gid"):
        person({"gids": value}, KNOWN)


@pytest.mark.parametrize("claim", ["roles", "groups"])
@pytest.mark.parametrize("value", [5, True, {"a": 1}, [True], ["a", 1.5], [["a"]]])
def test_lists_that_are_none_are_refused(claim: str, value: object) -> None:
    with pytest.raises(BadClaims, match=f"claim '{claim}'"):
        person({claim: value})


def test_allow_rules() -> None:
    def may(allow: list[str], **claims: Any) -> bool:
        return may_log_in(person(claims), People.model_validate({"allow": allow}))

    assert may([])
    assert may(["student"], roles=["student"])
    assert not may(["student"], groups=["student-club"])
    assert may(["group:staff"], groups=["staff"])
    assert not may(["group:staff"], roles=["staff"])
    assert not may(["staff"], groups=["staff"]), "a group is named as group:NAME"


CLAIMS = ["preferred_username", "name", "email", "roles", "groups", "uid", "gid", "gids"]
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats() | st.sampled_from(["marie", "admins", "7"]),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=5,
)


@given(st.dictionaries(st.sampled_from(CLAIMS), ANYTHING))
def test_whatever_the_claims_are_a_person_is_safe_or_refused(claims: dict[str, Any]) -> None:
    try:
        made = person_of(claims, None, (), HOLDER, NOW)
    except BadClaims:
        return
    assert made.username == claims["preferred_username"] == Username(made.username)
    assert made.name.isprintable()
    for number in (made.uid, made.gid, *made.gids):
        assert number is None or (type(number) is int and number >= 0)
    assert made.roles <= {"administrator", *BUILT_IN_ROLES}


@pytest.mark.parametrize("value", [None, "", 5, ["marie"], "a/b", "..", "a b", "-x", "é", "a\n", "x" * 200])
def test_unsafe_names_are_refused(value: object) -> None:
    with pytest.raises(BadClaims, match="preferred_username"):
        username_of({"preferred_username": value}, People())


def test_names_are_not_folded() -> None:
    assert username_of({"preferred_username": "Marie@Example.org"}, People()) == "Marie@Example.org"


@pytest.mark.parametrize(
    ("name", "letters"), [("Marie Curie", "MC"), ("Marie", "M"), ("Marie de la Cour", "MC"), ("", "?"), ("!", "?")]
)
def test_initials(name: str, letters: str) -> None:
    assert initials(name) == letters
    assert colour("marie").startswith("var(--jp-collaborator-color")
