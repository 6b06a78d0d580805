"""Claims as providers write them: nested, as text, with holes; and who becomes what by them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services import facility
from visa.catalogue.base import CataloguePerson
from visa.facility.model import BUILT_IN_ROLES
from visa.hub.claims import BadClaims, Claims
from visa.hub.people import person_of
from visa.identifiers import Username
from visa.instances.model import Person

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KNOWN = CataloguePerson(Username("ana"), "Ana", uid=5001, gid=5002)


def person(people: dict[str, Any], **claims: Any) -> tuple[Person, list[str]]:
    given = Claims({"preferred_username": "ana", **claims})
    return person_of(given, KNOWN, (), facility.facility(people=people), NOW), given.notes


@pytest.mark.parametrize(
    "claims",
    [
        {"realm_access": {"roles": ["scientist"]}},
        {"realm_access.roles": ["scientist"]},
        {"realm_access.roles": ["scientist"], "realm_access": {"roles": ["student"]}},
    ],
    ids=["nested", "a name with a dot", "both: the name wins"],
)
def test_nested_claims_are_found(claims: dict[str, Any]) -> None:
    made, notes = person({"roles_claim": "realm_access.roles"}, **claims)
    assert made.roles == {"scientist"}
    assert notes == []


@pytest.mark.parametrize(
    ("path", "claims"),
    [
        ("resource_access.visa.org.roles", {"resource_access": {"visa.org": {"roles": ["student"]}}}),
        ("https://ill.eu/roles", {"https://ill.eu/roles": ["student"]}),
        ("https://ill.eu/access.roles", {"https://ill.eu/access": {"roles": ["student"]}}),
    ],
)
def test_parts_may_have_dots_of_their_own(path: str, claims: dict[str, Any]) -> None:
    assert person({"roles_claim": path}, **claims)[0].roles == {"student"}


@pytest.mark.parametrize(
    "claims", [{}, {"realm_access": {}}, {"realm_access": ["roles"]}, {"realm_access": None}, {"roles": ["scientist"]}]
)
def test_a_named_claim_that_does_not_come_is_said(claims: dict[str, Any]) -> None:
    made, notes = person({"roles_claim": "realm_access.roles"}, **claims)
    assert made.roles == frozenset()
    (note,) = notes
    assert note.startswith("claim 'realm_access.roles' (people.roles_claim) did not come; userinfo has: ")
    assert "preferred_username" in note


@pytest.mark.parametrize(
    ("value", "roles", "says"),
    [
        ('["scientist", "student"]', {"scientist", "student"}, "list written as text"),
        ("[scientist, student]", {"scientist", "student"}, "list written as text"),
        ("scientist", {"scientist"}, ""),
        ("scientist,administrator", set(), "several values must come as a list"),
        ("scientist administrator", set(), "several values must come as a list"),
        (["scientist", None], {"scientist"}, "null"),
        (["scientist", 7], {"scientist"}, "numbers"),
        ([], set(), ""),
        ("", set(), ""),
    ],
)
def test_lists_in_other_forms(value: Any, roles: set[str], says: str) -> None:
    made, notes = person({}, roles=value)
    assert made.roles == roles
    assert [says in note for note in notes] == ([True] if says else [])


def test_numbers_in_lists_are_names_of_groups() -> None:
    made, notes = person({}, groups=["a", 42])
    assert made.groups == {"a", "42"}
    assert notes == ["claim 'groups' has numbers in its list, which are read as text"]


@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_uid_is_the_catalogue_s(empty: object) -> None:
    made, notes = person({"uid_claim": "ldap.uid"}, ldap={"uid": empty})
    assert made.uid == 5001
    assert len(notes) == 1
    assert "ldap.uid" in notes[0]


def test_lists_of_numbers_as_text() -> None:
    made, notes = person({"gids_claim": "gids"}, gids='[5, "6", null]')
    assert made.gids == (5, 6)
    assert len(notes) == 2
    with pytest.raises(BadClaims, match="gids"):
        person({"gids_claim": "gids"}, gids="[5, x]")


@pytest.mark.parametrize("role", sorted(BUILT_IN_ROLES))
@pytest.mark.parametrize("claim", ["groups", "eduperson_entitlement", "entitlements"])
def test_a_group_called_as_a_role_gives_none(role: str, claim: str) -> None:
    """Whoever may name a group would be administrator."""
    assert person({}, **{claim: [role]})[0].roles == frozenset()
    assert person({"roles": {role: ["staff", role]}}, **{claim: [role]})[0].roles == {role}, "but a mapping does"
    assert person({}, roles=[role])[0].roles == {role}


def test_a_catalogue_s_group_gives_none_either() -> None:
    known = CataloguePerson(Username("ana"), "Ana", groups=frozenset({"administrator"}), roles=frozenset({"student"}))
    made = person_of({"preferred_username": "ana"}, known, (), facility.facility(), NOW)
    assert made.roles == {"student"}


def test_the_name_that_an_aai_keeps() -> None:
    name = f"{'0123456789abcdef' * 4}@egi.eu"
    made = person_of({"voperson_id": name}, None, (), facility.facility(people={"username_claim": "voperson_id"}), NOW)
    assert made.username == name


def test_entitlements_of_both_claims_count() -> None:
    mapping = {
        "administrator": ["urn:mace:egi.eu:group:vo.ill.eu:visa-admins:role=member"],
        "student": ["urn:a:b:group:c"],
    }
    made, _ = person(
        {"roles": mapping},
        eduperson_entitlement=["URN:mace:egi.eu:group:vo.ill.eu:visa-admins:role=member#aai.egi.eu"],
        entitlements="urn:a:b:group:c:sub",
    )
    assert made.roles == {"administrator", "student"}


def test_assurance_gives_roles_that_are_mapped_and_no_built_in_one() -> None:
    people = {"roles": {"identified": ["https://refeds.org/assurance/IAP/high"]}}
    high, _ = person(
        people, eduperson_assurance=["https://refeds.org/assurance", "https://refeds.org/assurance/IAP/high"]
    )
    assert high.roles == {"identified"}
    low, _ = person(people, eduperson_assurance=["https://refeds.org/assurance/IAP/low", "administrator"])
    assert low.roles == frozenset()
    elsewhere, _ = person(
        {**people, "assurance_claim": "voperson.assurance"}, voperson={"assurance": people["roles"]["identified"]}
    )
    assert elsewhere.roles == {"identified"}


def test_an_assurance_claim_that_is_named_and_does_not_come_is_said() -> None:
    _, notes = person({"assurance_claim": "assurance"})
    assert any("claim 'assurance' (people.assurance_claim) did not come" in note for note in notes)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["[", "]", "[a]", "[[]]"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "a.b"]), inner, max_size=3),
    max_leaves=8,
)


@given(JSON, st.sampled_from(["a", "a.b", "b.a.b"]))
def test_whatever_comes_is_a_set_of_texts_or_refused(value: object, path: str) -> None:
    claims = Claims({"a": value, "b": value})
    try:
        found = claims.texts(path)
    except BadClaims:
        return
    assert all(isinstance(one, str) for one in found)
