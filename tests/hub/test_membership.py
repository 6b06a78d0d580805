"""An account that is withdrawn while something else waits for the catalogue stays withdrawn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.portal.sharing.rig import HeldCatalogue
from tests.services import facility
from visa.facility.watch import FacilitySource
from visa.hub import membership, settings
from visa.hub.oauth import LoginRefused, VisaAuthenticator
from visa.hub.settings import HubSettings
from visa.store.store import Store

CLAIMS: dict[str, Any] = {"preferred_username": "marie", "roles": ["scientist"]}


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[HubSettings]:
    """Settings of a hub process whose catalogue answers when a test lets it."""
    store = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}")
    store.upgrade()
    made = HubSettings(FacilitySource(facility.write(tmp_path)), store, tmp_path)
    made.catalogue = HeldCatalogue()
    monkeypatch.setattr(settings, "_settings", made)
    yield made
    store.close()


def active(hub: HubSettings) -> bool:
    found = hub.store.person("marie")
    return found is not None and found.active


async def test_a_login_from_before_does_not_bring_it_back(hub: HubSettings) -> None:
    catalogue = hub.catalogue
    assert isinstance(catalogue, HeldCatalogue)
    login = asyncio.create_task(membership.resolve(CLAIMS))
    await catalogue.began.wait()
    await membership.withdraw("marie", "the provider says so")
    catalogue.answer.set()
    assert not await membership.keep(await login)
    assert not active(hub)


async def test_the_next_login_does(hub: HubSettings) -> None:
    catalogue = hub.catalogue
    assert isinstance(catalogue, HeldCatalogue)
    catalogue.answer.set()
    for _ in range(2):
        assert await membership.keep(await membership.resolve(CLAIMS))
        assert active(hub)
        await membership.withdraw("marie", "the provider says so")
        assert not active(hub)


async def test_who_is_not_let_in_reads_which_claim_did_not_come(
    hub: HubSettings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """And the log has it once, though she is asked about again."""
    people = {"roles_claim": "realm_access.roles", "allow": ["scientist"]}
    facility.write(tmp_path, people=people)
    assert hub.facility.check()
    catalogue = hub.catalogue
    assert isinstance(catalogue, HeldCatalogue)
    catalogue.answer.set()
    authenticator = VisaAuthenticator()
    state = {authenticator.user_auth_state_key: CLAIMS}
    for _ in range(2):
        with pytest.raises(LoginRefused) as refused:
            await authenticator.update_auth_model({"name": "marie", "auth_state": state})
        assert "none of the roles" in refused.value.jupyterhub_message
        assert "The claim 'realm_access.roles' (people.roles_claim) did not come" in refused.value.jupyterhub_message
    said = [record.getMessage() for record in caplog.records if "did not come" in record.getMessage()]
    assert len(said) == 1
    assert said[0].startswith("Login of marie: claim 'realm_access.roles'")
    nested = {"preferred_username": "marie", "realm_access": {"roles": ["scientist"]}}
    state = {authenticator.user_auth_state_key: nested}
    model = await authenticator.update_auth_model({"name": "marie", "auth_state": state})
    assert model["name"] == "marie"
    assert active(hub)
