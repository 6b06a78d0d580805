"""Claims as a real Keycloak's mappers make them, read from its userinfo endpoint."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.services import facility
from tests.services.keycloak import Keycloak
from visa.hub.claims import Claims
from visa.hub.people import person_of

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(400)]

NOW = datetime(2026, 1, 2, tzinfo=UTC)
EGI = "urn:mace:egi.eu:group:vo.ill.eu"
NAME = f"{'0123456789abcdef' * 4}@egi.eu"
HARD_CODED = {
    "voperson_id": NAME,
    "realm_access.roles": ["scientist"],
    r"dotted\.name": ["student"],
    "eduperson_entitlement": [f"{EGI}:visa-admins:role=member#aai.egi.eu"],
    "entitlements": ["URN:mace:EGI.eu:group:vo.ill.eu:staff"],
    "eduperson_assurance": ["https://refeds.org/assurance", "https://refeds.org/assurance/IAP/medium"],
    "groups": ["administrator", "it_support"],
    "as_text": "[instrument_control, student]",
    "uid_number": "",
}


@pytest.fixture(scope="module")
def userinfo(keycloak: Keycloak) -> Iterator[dict[str, Any]]:
    """Of Marie, by a client of this module's own, which is removed afterwards."""
    client = f"visa-claims-{uuid4().hex[:8]}"
    mappers = [_mapper(name, value) for name, value in HARD_CODED.items()]
    with keycloak.client(client, mappers):
        yield _userinfo(keycloak.issuer, client)


def _mapper(name: str, value: object) -> dict[str, Any]:
    text = isinstance(value, str)
    config = {
        "claim.name": name,
        "claim.value": value if text else json.dumps(value),
        "jsonType.label": "String" if text else "JSON",
        "userinfo.token.claim": "true",
        "access.token.claim": "true",
    }
    return {
        "name": name,
        "protocol": "openid-connect",
        "protocolMapper": "oidc-hardcoded-claim-mapper",
        "config": config,
    }


def _userinfo(issuer: str, client: str) -> dict[str, Any]:
    form = {"grant_type": "password", "client_id": client, "username": "marie", "password": "marie", "scope": "openid"}
    token = httpx.post(f"{issuer}/protocol/openid-connect/token", data=form, timeout=60).raise_for_status().json()
    headers = {"Authorization": f"Bearer {token['access_token']}"}
    answer = httpx.get(f"{issuer}/protocol/openid-connect/userinfo", headers=headers, timeout=60)
    return dict(answer.raise_for_status().json())


def roles(userinfo: dict[str, Any], **people: Any) -> frozenset[str]:
    rules = facility.facility(people={"username_claim": "voperson_id", **people})
    return person_of(userinfo, None, (), rules, NOW).roles


def test_nested_claims_and_names_with_dots(userinfo: dict[str, Any]) -> None:
    assert isinstance(userinfo["realm_access"], dict)
    assert "scientist" in roles(userinfo, roles_claim="realm_access.roles")
    assert roles(userinfo, roles_claim="dotted.name") == {"student"}


def test_entitlements_and_the_name_that_an_aai_keeps(userinfo: dict[str, Any]) -> None:
    mapping = {"administrator": [f"{EGI}:visa-admins:role=member"], "it_support": [f"{EGI}:other"], "student": [EGI]}
    rules = facility.facility(people={"username_claim": "voperson_id", "roles_claim": "none", "roles": mapping})
    person = person_of(userinfo, None, (), rules, NOW)
    assert person.username == NAME
    assert person.roles == {"administrator", "student"}


def test_assurance_gives_the_role_that_embargoed_data_may_need(userinfo: dict[str, Any]) -> None:
    mapping = {"identified": ["https://refeds.org/assurance/IAP/medium", "https://refeds.org/assurance/IAP/high"]}
    assert roles(userinfo, roles_claim="none", roles=mapping) == {"identified"}
    assert roles(userinfo, roles_claim="none", roles={"identified": mapping["identified"][1:]}) == frozenset()


def test_groups_called_as_roles_give_none(userinfo: dict[str, Any]) -> None:
    assert userinfo["groups"] == ["administrator", "it_support"]
    assert roles(userinfo, roles_claim="none") == frozenset()


def test_a_list_as_text_and_an_empty_uid_are_read_and_said(userinfo: dict[str, Any]) -> None:
    claims = Claims(userinfo)
    people = {"username_claim": "voperson_id", "roles_claim": "as_text", "uid_claim": "uid_number"}
    person = person_of(claims, None, (), facility.facility(people=people), NOW)
    assert person.roles == {"instrument_control", "student"}
    assert person.uid is None
    assert any("as_text" in note and "list written as text" in note for note in claims.notes)
    assert any("uid_number" in note for note in claims.notes)
