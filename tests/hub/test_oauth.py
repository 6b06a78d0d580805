"""VisaAuthenticator in this process, with a provider whose faults can be chosen. test_login.py has a real hub."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from tornado import web

from tests.hub.test_login import PEOPLE, claims
from tests.services import facility, oidc
from visa import clock
from visa.facility.watch import FacilitySource
from visa.hub import oauth, settings
from visa.hub.oauth import NotConfiguredForLogin, VisaAuthenticator
from visa.store.store import Store

pytestmark = pytest.mark.usefixtures("well")

NOON = datetime(2026, 3, 28, 12, tzinfo=UTC)
CALLBACK = "http://127.0.0.1:8000/hub/oauth_callback"
VERIFIER = "v" * 43


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> settings.HubSettings:
    """What the hub's plug-ins share, with a real store and catalogue."""
    store = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}")
    store.upgrade()
    (tmp_path / "secrets").mkdir()
    source = FacilitySource(facility.write(tmp_path / "facility", people=PEOPLE))
    made = settings.HubSettings(source, store, tmp_path)
    monkeypatch.setattr(settings, "_settings", made)
    return made


class Logins:
    """An authenticator, and people who come to it from the provider's login page."""

    def __init__(self, provider: oidc.Provider, **traits: Any) -> None:
        self.provider = provider
        known = {"client_id": oidc.CLIENT, "client_secret": oidc.SECRET, "oauth_callback_url": CALLBACK}
        self.authenticator = VisaAuthenticator(issuer=provider.issuer, **{**known, **traits})

    async def come(self, username: str, **changed: Any) -> Any:
        """Log in; JupyterHub's user, whose login is kept as the hub keeps it. Raise ``HTTPError``."""
        self.provider.people[username] = claims(username, **changed)
        self.provider.who = username
        digest = base64.urlsafe_b64encode(hashlib.sha256(VERIFIER.encode()).digest()).decode().rstrip("=")
        query = {"redirect_uri": CALLBACK, "state": "s", "code_challenge": digest, "code_challenge_method": "S256"}
        page = await asyncio.to_thread(httpx.get, f"{self.provider.issuer}/authorize", params=query)
        code = httpx.URL(page.headers["location"]).params["code"]
        state = base64.urlsafe_b64encode(json.dumps({"code_verifier": VERIFIER}).encode()).decode()
        handler = SimpleNamespace(get_argument=lambda name: code, get_state_cookie=lambda: state)
        model = await self.authenticator.authenticate(handler)
        assert model is not None
        user = SimpleNamespace(name=model["name"], model=model)

        async def get_auth_state() -> Any:
            return user.model["auth_state"]

        user.get_auth_state = get_auth_state
        return user

    async def again(self, user: Any) -> bool:
        """Ask about her again, as JupyterHub does; whether she may go on."""
        answer = await self.authenticator.refresh_user(user)
        if isinstance(answer, dict):
            user.model = answer
        return bool(answer)


@pytest.fixture
def logins(hub: settings.HubSettings, provider: oidc.Provider) -> Logins:
    return Logins(provider)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"roles": 7}, "roles"),
        ({"roles": ["scientist", True]}, "roles"),
        ({"groups": {"a": 1}}, "groups"),
        ({"uid_number": True}, "uid_number"),
        ({"uid_number": -1}, "uid_number"),
        ({"uid_number": 1.5}, "uid_number"),
        ({"preferred_username": "../../etc"}, "user name"),
        ({"preferred_username": ["marie"]}, "no user name"),
        ({"preferred_username": None}, "no user name"),
        ({"roles": ["visitor"]}, "none of the roles"),
    ],
)
async def test_claims_that_make_no_person_are_refused_with_words(
    hub: settings.HubSettings, logins: Logins, changed: dict[str, Any], words: str
) -> None:
    with pytest.raises(web.HTTPError) as refused:
        await logins.come("nobody", **changed)
    assert refused.value.status_code == 403
    assert words in refused.value.jupyterhub_message
    assert hub.store.person("nobody") is None
    newest = hub.store.audit(limit=1)[0].decision
    assert (newest.action, newest.allowed, newest.reason) == ("login", False, "login-refused")


@pytest.mark.parametrize("fault", ["closed", "500", "page", "client"])
async def test_an_outage_lets_people_go_on_for_the_grace_to_the_second(
    hub: settings.HubSettings, logins: Logins, fault: str
) -> None:
    moment = [NOON]
    with clock.wall(lambda: moment[0]):
        marie = await logins.come("marie")
        logins.provider.fault = fault
        assert await logins.again(marie)
        assert hub.unanswered == {"marie"}, "and starts nothing"
        moment[0] = NOON + timedelta(hours=1)
        assert await logins.again(marie)
        moment[0] += timedelta(seconds=1)
        assert not await logins.again(marie)
        person = hub.store.person("marie")
        assert person is not None
        assert person.active, "nothing is known against her"
        logins.provider.fault = ""
        assert await logins.again(marie)
        assert hub.unanswered == set()
        person = hub.store.person("marie")
        assert person is not None
        assert person.verified_at == moment[0]


async def test_who_asks_at_once_shares_one_answer_and_a_refresh_token_is_used_once(logins: Logins) -> None:
    lise = await logins.come("lise")
    for _ in range(3):
        logins.provider.expire_access_tokens()
        logins.provider.asked.clear()
        assert all(await asyncio.gather(*(logins.authenticator.refresh_user(lise) for _ in range(24))))
        assert logins.provider.asked["/token"] == 1
    assert logins.provider.misused == [], "though the hub still has the login of the beginning"


async def test_an_account_that_the_provider_withdrew_is_not_active_until_it_is_back(
    hub: settings.HubSettings, logins: Logins
) -> None:
    marie = await logins.come("marie")
    logins.provider.disabled.add("marie")
    logins.provider.end_session("marie")
    assert not await logins.again(marie)
    person = hub.store.person("marie")
    assert person is not None
    assert not person.active
    newest = hub.store.audit(limit=1)[0].decision
    assert (newest.action, newest.allowed, newest.reason) == ("refresh", False, "person-not-active")
    logins.provider.disabled.clear()
    await logins.come("marie")
    person = hub.store.person("marie")
    assert person is not None
    assert person.active


async def test_a_part_of_the_provider_that_lags_withdraws_nobody(
    hub: settings.HubSettings, logins: Logins, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It does not know yet the token that another part gave a moment ago."""
    monkeypatch.setattr(oauth, "_PAUSES", (0.0, 0.0, 0.0))
    logins.provider.lag = 3
    marie = await logins.come("marie")
    logins.provider.expire_access_tokens()
    logins.provider.lag = 3
    logins.provider.asked.clear()
    assert await logins.again(marie)
    assert logins.provider.asked == {"/userinfo": 5, "/token": 1}, "an old token is not asked with again"
    assert logins.provider.misused == []
    logins.provider.expire_access_tokens()
    logins.provider.lag = 4
    assert not await logins.again(marie), "then its word counts"
    person = hub.store.person("marie")
    assert person is not None
    assert not person.active


def test_settings_that_hold_together_are_taken(hub: settings.HubSettings, provider: oidc.Provider) -> None:
    Logins(provider).authenticator.check_allow_config()


@pytest.mark.parametrize(
    ("traits", "words"),
    [
        ({"allowed_users": {"marie"}}, "allowed_users is set, but facility.yaml"),
        ({"admin_users": {"marie"}}, "admin_users is set, but facility.yaml"),
        ({"client_id": ""}, "client_id is not set"),
        ({"issuer": ""}, "issuer is not set"),
        ({"auth_refresh_age": 0}, "auth_refresh_age above 0"),
        ({"refresh_pre_spawn": False}, "needs refresh_pre_spawn"),
        ({"userdata_from_id_token": True}, "no userdata_from_id_token"),
    ],
)
def test_settings_that_would_mislead_are_refused(
    hub: settings.HubSettings, provider: oidc.Provider, traits: dict[str, Any], words: str
) -> None:
    authenticator = Logins(provider).authenticator
    for name, value in traits.items():
        setattr(authenticator, name, value)
    with pytest.raises(NotConfiguredForLogin, match=words):
        authenticator.check_allow_config()
