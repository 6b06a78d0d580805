"""Login, refresh, withdrawal and outage with a real Keycloak."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import facility
from tests.services.hub import RunningHub, log_out, run_in, until
from tests.services.keycloak import Keycloak, log_in, token_of

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(400)]

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
PEOPLE = {
    "uid_claim": "uid_number",
    "gid_claim": "gid_number",
    "roles": {"administrator": ["admin"]},
    "allow": ["scientist", "student", "instrument_scientist", "administrator", "it_support"],
    "outage_grace": "1h",
}
EXTRA = """
c.VisaAuthenticator.issuer = {issuer!r}
c.VisaAuthenticator.client_id = "visa"
c.VisaAuthenticator.client_secret = "visa-test-secret"
c.VisaAuthenticator.oauth_callback_url = {callback!r}
c.Authenticator.auth_refresh_age = 2
"""


@pytest.fixture(scope="module")
def hub(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("keycloak")
    path = facility.write(folder / "facility", environment_prefix, people=PEOPLE)
    made = RunningHub(folder, path, authenticator="visa")
    extra = EXTRA.format(issuer=keycloak.issuer, callback=f"{made.url}/hub/oauth_callback")
    made.config.write_text(made.config.read_text() + extra)
    try:
        made.start()
        yield made
    finally:
        made.end()


def test_claims_become_a_person(hub: RunningHub) -> None:
    with log_in(hub.url, "marie") as client:
        assert str(client.answer.url) == f"{hub.url}/hub/token"  # type: ignore[attr-defined]
        person = hub.store.person("marie")
        assert person is not None
        assert person.active
        assert person.uid is not None
        assert person.uid >= 1000
        assert "scientist" in person.roles
        model = client.get("/hub/api/user").json()
        assert model["name"] == "marie"
        assert not model["admin"]
    with log_in(hub.url, "grace") as client:
        assert client.get("/hub/api/user").json()["admin"]


def test_pkce_is_asked_of_the_provider(hub: RunningHub) -> None:
    with httpx.Client(base_url=hub.url, timeout=20) as client:
        location = client.get("/hub/oauth_login").headers["location"]
        assert "code_challenge_method=S256" in location
        assert "code_challenge=" in location


def test_who_has_no_role_is_told_so_and_not_let_in(hub: RunningHub) -> None:
    with log_in(hub.url, "noaccount") as client:
        answer = client.answer  # type: ignore[attr-defined]
        assert answer.status_code == 403
        assert "none of the roles" in answer.text
        assert client.get("/hub/api/user").status_code == 403
        assert hub.store.person("noaccount") is None


def test_a_role_that_changes_is_seen_at_the_next_refresh(hub: RunningHub, keycloak: Keycloak) -> None:
    with log_in(hub.url, "lise") as client:
        keycloak.set_role("lise", "instrument_scientist", given=True)
        try:

            def changed() -> bool:
                client.get("/hub/api/user")
                person = hub.store.person("lise")
                return person is not None and "instrument_scientist" in person.roles

            assert until(changed, 60, "the refresh")
        finally:
            keycloak.set_role("lise", "instrument_scientist", given=False)


def test_a_disabled_account_neither_gets_in_nor_starts_by_token(hub: RunningHub, keycloak: Keycloak) -> None:
    with log_in(hub.url, "rosalind") as client:
        token = token_of(client, "rosalind")
        with hub.api(token) as api:
            assert api.get("/user").status_code == 200
            keycloak.change("rosalind", enabled=False)
            keycloak.end_sessions("rosalind")
            try:
                until(lambda: api.get("/user").status_code == 403, 60, "the refusal of her token")
                refused = api.post("/users/rosalind/servers/x", json=GOOD)
                assert refused.status_code == 403
                page = client.get("/hub/home")
                assert "/realms/" in str(page.url) or "/hub/login" in str(page.url)
                person = hub.store.person("rosalind")
                assert person is not None
                assert not person.active
                with log_in(hub.url, "rosalind") as again:
                    assert again.get("/hub/api/user").status_code == 403
            finally:
                keycloak.change("rosalind", enabled=True)
        with log_in(hub.url, "rosalind") as back:
            assert back.get("/hub/api/user").status_code == 200
            person = hub.store.person("rosalind")
            assert person is not None
            assert person.active


def test_logout_ends_the_session_at_the_provider_too(hub: RunningHub) -> None:
    with log_in(hub.url, "dorothy") as client:
        client.follow_redirects = False
        location = log_out(client, follow_redirects=False).headers["location"]
        assert "/protocol/openid-connect/logout" in location
        assert "id_token_hint=" in location
        client.follow_redirects = True
        client.get(location)
        page = client.get("/hub/oauth_login")
        assert "password" in page.text, "the provider asks for the password again"


def test_an_outage_keeps_running_work_and_grants_nothing_new(hub: RunningHub, keycloak: Keycloak) -> None:
    with log_in(hub.url, "marie") as client:
        token = token_of(client, "marie")
        with hub.api(token) as api:
            assert api.post("/users/marie/servers/before", json=GOOD).status_code in (201, 202)
            assert "42" in run_in(hub, token, "marie/before", "print(42)")
            keycloak.down()
            try:
                until(lambda: api.get("/user").status_code == 200, 60)
                assert "43" in run_in(hub, token, "marie/before", "print(43)"), "running work goes on"
                assert client.get("/services/visa/").status_code == 200

                def refused() -> httpx.Response | None:
                    answer = api.post("/users/marie/servers/during", json=GOOD)
                    if answer.status_code in (201, 202):
                        api.request("DELETE", "/users/marie/servers/during", json={"remove": True})
                        return None
                    return answer

                answer = until(refused, 200, "refusing new starts")
                assert "identity provider" in json.dumps(answer.json()).lower(), answer.text
                assert "during" not in api.get("/users/marie?include_stopped_servers=1").json()["servers"]
                hub.stop()
                hub.start()
                assert "44" in run_in(hub, token, "marie/before", "print(44)"), "also after a hub restart"
            finally:
                keycloak.up()
            with log_in(hub.url, "marie"):  # this Keycloak forgets its sessions when it is stopped
                assert api.post("/users/marie/servers/after", json=GOOD).status_code in (201, 202)
            assert "45" in run_in(hub, token, "marie/before", "print(45)")
            for name in ("before", "after"):
                api.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
