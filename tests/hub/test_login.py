"""Login and refresh with a provider whose faults can be chosen. tests/keycloak asks a real one."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from tests.services import facility, oidc
from tests.services.hub import Browser, RunningHub, log_out, until

pytestmark = pytest.mark.usefixtures("well")

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
PEOPLE = {
    "uid_claim": "uid_number",
    "gid_claim": "gid_number",
    "allow": ["scientist", "instrument_scientist", "group:guests"],
    "outage_grace": "1h",
}
CONFIG = """
c.VisaAuthenticator.issuer = {issuer!r}
c.VisaAuthenticator.client_id = {client!r}
c.VisaAuthenticator.client_secret = {secret!r}
c.VisaAuthenticator.oauth_callback_url = {callback!r}
c.Authenticator.auth_refresh_age = 1
"""


def claims(username: str, **changed: Any) -> dict[str, Any]:
    """A scientist's."""
    made = {
        "preferred_username": username,
        "name": username.title(),
        "roles": ["scientist"],
        "uid_number": 20001,
        "gid_number": 20001,
    }
    return {**made, **changed}


def configure(hub: RunningHub, provider: oidc.Provider, extra: str = "") -> None:
    callback = f"{hub.url}/hub/oauth_callback"
    text = CONFIG.format(issuer=provider.issuer, client=oidc.CLIENT, secret=oidc.SECRET, callback=callback)
    hub.config.write_text(hub.config.read_text() + text + extra)


@pytest.fixture(scope="module")
def hub(
    provider: oidc.Provider, tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path
) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("login")
    path = facility.write(folder / "facility", environment_prefix, people=PEOPLE)
    made = RunningHub(folder, path, authenticator="visa")
    configure(made, provider)
    try:
        made.start()
        yield made
    finally:
        made.end()


def log_in(hub: RunningHub, provider: oidc.Provider, username: str, **changed: Any) -> tuple[Browser, httpx.Response]:
    """Her browser, and where it ended."""
    provider.people[username] = claims(username, **changed)
    provider.who = username
    browser = Browser(base_url=hub.url, follow_redirects=True, timeout=60)
    return browser, browser.get("/hub/oauth_login?next=/hub/token")


def token_of(hub: RunningHub, provider: oidc.Provider, username: str, **changed: Any) -> str:
    browser, answer = log_in(hub, provider, username, **changed)
    assert answer.status_code == 200, answer.text
    with browser:
        xsrf = next(c.value for c in browser.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
        made = browser.post(
            f"/hub/api/users/{username}/tokens", json={"note": "test"}, headers={"X-XSRFToken": xsrf or ""}
        )
        assert made.status_code == 201, made.text
        return str(made.json()["token"])


def test_claims_and_catalogue_become_a_person(hub: RunningHub, provider: oidc.Provider) -> None:
    browser, answer = log_in(hub, provider, "dorothy", roles=[], groups=["guests"], uid_number="20044", name="D.  H.")
    with browser:
        assert answer.url == f"{hub.url}/hub/token"
        assert browser.get("/hub/api/user").json()["groups"] == ["guests"]
    person = hub.store.person("dorothy")
    assert person is not None
    assert (person.name, person.uid, person.gid) == ("D. H.", 20044, 20001), "claims win"
    assert person.roles == {"instrument_scientist"}, "from the catalogue"
    newest = next(e.decision for e in hub.store.audit() if e.decision.owner == "dorothy")
    assert (newest.action, newest.allowed) == ("login", True)


def test_claims_that_make_no_person_are_refused_with_words(hub: RunningHub, provider: oidc.Provider) -> None:
    browser, answer = log_in(hub, provider, "nobody", roles=["visitor"])
    with browser:
        assert answer.status_code == 403
        assert "none of the roles" in answer.text
        assert browser.get("/hub/api/user").status_code == 403
    assert hub.store.person("nobody") is None


def test_root_and_low_accounts_start_nothing(hub: RunningHub, provider: oidc.Provider) -> None:
    for uid in (0, "0", 999):
        token = token_of(hub, provider, "marie", uid_number=uid)
        with hub.api(token) as api:
            answer = api.post("/users/marie/servers/low", json=GOOD)
            assert (answer.status_code, answer.json()["reason"]) == (403, "no-account")


def test_names_that_differ_in_case_are_different_people(hub: RunningHub, provider: oidc.Provider) -> None:
    small, big = token_of(hub, provider, "marie"), token_of(hub, provider, "Marie", uid_number=20077)
    with hub.api(big) as api:
        assert api.get("/user").json()["name"] == "Marie"
        assert api.post("/users/Marie/servers/x", json=GOOD).json()["reason"] == "experiment-not-available"
        assert api.get("/users/marie").status_code == 404
    with hub.api(small) as api:
        assert api.get("/user").json()["name"] == "marie"


def test_many_requests_at_once_use_a_refresh_token_once(hub: RunningHub, provider: oidc.Provider) -> None:
    """How often the hub asks again is its own affair (after a second, here); test_oauth.py counts it."""
    token = token_of(hub, provider, "lise")
    provider.asked.clear()
    with hub.api(token) as api, ThreadPoolExecutor(12) as pool:

        def refreshed() -> bool:
            answers = list(pool.map(lambda _: api.get("/users/lise").status_code, range(24)))
            assert set(answers) == {200}
            return provider.asked["/token"] >= 3

        with provider.tokens_for_one_question():
            until(refreshed, what="three refreshes")
    assert provider.misused == []


def test_many_starts_at_once_use_a_refresh_token_once(hub: RunningHub, provider: oidc.Provider) -> None:
    token = token_of(hub, provider, "lise")
    wanted = {**GOOD, "experiments": ["exp-3"]}

    def start(number: int) -> int:
        return api.post(f"/users/lise/servers/n{number}", json=wanted).status_code

    provider.expire_access_tokens()
    provider.asked.clear()
    with hub.api(token) as api, ThreadPoolExecutor(5) as pool:
        with provider.tokens_for_one_question():
            assert set(pool.map(start, range(5))) <= {201, 202}
        assert provider.asked["/token"] >= 1
        for number in range(5):
            api.request("DELETE", f"/users/lise/servers/n{number}", json={"remove": True})
    assert provider.misused == []


def test_a_lost_role_is_seen_and_ends_the_login(hub: RunningHub, provider: oidc.Provider) -> None:
    token = token_of(hub, provider, "rosalind")
    with hub.api(token) as api:
        assert api.get("/user").status_code == 200
        provider.people["rosalind"]["roles"] = ["visitor"]
        assert api.post("/users/rosalind/servers/x", json=GOOD).status_code == 403
        until(lambda: api.get("/user").status_code == 403, 60, "the refusal")
        person = hub.store.person("rosalind")
        assert person is not None
        assert not person.active
        said = [e.decision for e in hub.store.audit() if e.decision.owner == "rosalind"]
        assert any(
            d.action == "refresh" and d.detail == {"why": "none of the roles or groups that may log in"} for d in said
        )
        gateway = api.post("/users/rosalind/activity", json={"last_activity": "2026-01-01T00:00:00Z"})
        assert gateway.status_code == 200, "gateways go on telling what is in use"
    assert hub.store.instances_of("rosalind") == ()


def test_while_the_provider_fails_work_goes_on_and_nothing_starts(hub: RunningHub, provider: oidc.Provider) -> None:
    browser, _ = log_in(hub, provider, "marie")
    token = token_of(hub, provider, "marie")
    with browser, hub.api(token) as api:
        provider.fault = "500"
        answer = api.post("/users/marie/servers/during", json=GOOD)
        assert answer.status_code == 403, answer.text
        assert answer.json()["reason"] == "person-not-verified"
        assert "identity provider cannot be asked" in answer.json()["message"]
        for _ in range(3):
            assert api.get("/user").status_code == 200
            assert browser.get("/hub/api/user").status_code == 200
        assert "during" not in api.get("/users/marie?include_stopped_servers=1").json()["servers"]
        person = hub.store.person("marie")
        assert person is not None
        assert person.active
        provider.fault = ""
        assert api.put("/users/marie/servers/after", json={"user_options": GOOD}).status_code == 201
        assert api.request("DELETE", "/users/marie/servers/after", json={"remove": True}).status_code == 204


def test_a_withdrawn_account_loses_its_running_instance_until_it_is_back(
    hub: RunningHub, provider: oidc.Provider
) -> None:
    def status(token: str) -> int:
        address = f"{hub.url}/user/marie/kept/api/status"
        return httpx.get(address, headers={"Authorization": f"token {token}"}, timeout=60).status_code

    # A gateway keeps the hub's word for some seconds, so each look is with a token that it has not seen.
    first, second = token_of(hub, provider, "marie"), token_of(hub, provider, "marie")
    with hub.api(first) as api:
        assert api.post("/users/marie/servers/kept", json=GOOD).status_code in (201, 202)
        until(lambda: status(first) == 200, 60, "Jupyter")
        provider.disabled.add("marie")
        provider.end_session("marie")
        until(lambda: api.get("/user").status_code == 403, 60, "the hub's refusal")
        assert status(second) in (401, 403)
        assert api.post("/users/marie/servers/more", json=GOOD).status_code == 403
        provider.disabled.clear()
        assert status(token_of(hub, provider, "marie")) == 200, "her work went on"
        api.request("DELETE", "/users/marie/servers/kept", json={"remove": True})


def test_nobody_logs_in_while_the_provider_is_down(hub: RunningHub, provider: oidc.Provider) -> None:
    provider.fault = "500"
    browser = Browser(base_url=hub.url, timeout=60)
    page = browser.get("/hub/oauth_login")
    provider.fault = ""
    answer = browser.get(page.headers["location"])
    provider.fault = "500"
    refused = browser.get(answer.headers["location"], follow_redirects=True)
    assert refused.status_code == 503
    assert "identity provider does not answer" in refused.text


def test_logging_out_leads_to_the_provider(hub: RunningHub, provider: oidc.Provider) -> None:
    browser, _ = log_in(hub, provider, "marie")
    with browser:
        browser.follow_redirects = False
        where = httpx.URL(log_out(browser).headers["location"])
        assert str(where).startswith(f"{provider.issuer}/logout?")
        told = jwt.decode(where.params["id_token_hint"], options={"verify_signature": False})
        assert told["sub"] == "sub-marie"
        assert where.params["post_logout_redirect_uri"] == f"{hub.url}/hub/login"


def test_a_hub_that_starts_while_the_provider_is_down_knows_its_people(
    hub: RunningHub, provider: oidc.Provider
) -> None:
    token = token_of(hub, provider, "marie")
    provider.fault = "closed"
    hub.kill()
    hub.start()
    with hub.api(token) as api:
        assert api.get("/user").status_code == 200, "within the grace"
        page = Browser(base_url=hub.url, timeout=60).get("/hub/oauth_login")
        assert page.headers["location"].startswith(f"{provider.issuer}/authorize")
        provider.fault = ""
        provider.asked.clear()
        until(lambda: api.get("/user").status_code == 200 and provider.asked["/userinfo"], 60, "the provider's return")


def test_settings_that_would_mislead_stop_the_hub(tmp_path: Path, provider: oidc.Provider) -> None:
    made = RunningHub(tmp_path, facility.write(tmp_path / "facility"), authenticator="visa")
    configure(made, provider, "c.VisaAuthenticator.allowed_users = {'marie'}\n")
    try:
        made.start(wait=False)
        assert made.process is not None
        assert made.process.wait(60) != 0
        assert "allowed_users is set, but facility.yaml" in made.tail(20_000)
    finally:
        made.end()
