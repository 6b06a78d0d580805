"""What JupyterHub lets its administrators do and VISA does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services.hub import RunningHub


@pytest.fixture
def grace(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    """The administrator; Marie has logged in before."""
    shared_hub.token("marie")
    with shared_hub.api(shared_hub.token("grace")) as client:
        assert client.get("/users/marie").status_code == 200, "an administrator sees who is there"
        yield client


@pytest.mark.parametrize("body", [{}, {"scopes": ["access:servers!server=marie/x"]}, {"expires_in": 60}])
def test_no_tokens_of_other_people(shared_hub: RunningHub, grace: httpx.Client, body: dict[str, Any]) -> None:
    answer = grace.post("/users/marie/tokens", json=body)
    assert answer.status_code == 403
    assert "identity provider" in answer.json()["message"]
    newest = shared_hub.store.audit(limit=1)[0].decision
    assert (newest.actor, newest.owner, newest.action, newest.allowed) == ("grace", "marie", "administration", False)


@pytest.mark.parametrize("body", [{"name": "marie2"}, {"admin": True}, {"auth_state": {}}, {}])
@pytest.mark.parametrize("who", ["marie", "grace"])
def test_nobody_is_changed(grace: httpx.Client, who: str, body: dict[str, Any]) -> None:
    assert grace.patch(f"/users/{who}", json=body).status_code == 403
    assert grace.get(f"/users/{who}").json()["name"] == who


def test_nobody_is_made_an_administrator(grace: httpx.Client) -> None:
    assert grace.post("/users/newcomer", json={"admin": True}).status_code == 403
    assert grace.post("/users", json={"usernames": ["newcomer"], "admin": True}).status_code == 403
    assert grace.get("/users/newcomer").status_code == 404


def test_logins_are_shown_to_nobody(grace: httpx.Client) -> None:
    assert "auth_state" not in grace.get("/users/marie").json()
    assert not any("auth_state" in person for person in grace.get("/users").json())


def test_ones_own_tokens_are_made_as_ever(shared_hub: RunningHub) -> None:
    assert shared_hub.token("marie") != shared_hub.token("marie")


@pytest.mark.parametrize(
    "body",
    [
        {"api_token": "f" * 40, "admin": True},
        {"api_token": "f" * 40},
        {"api_token": "f" * 40, "oauth_client_id": "service-mine", "oauth_redirect_uri": "http://127.0.0.1:9/"},
    ],
)
def test_no_services_that_would_not_be_held_to_this(
    shared_hub: RunningHub, grace: httpx.Client, body: dict[str, Any]
) -> None:
    answer = grace.post("/services/mine", json=body)
    with shared_hub.api("f" * 40) as service:
        assert service.post("/users/marie/tokens", json={}).status_code == 403
    grace.delete("/services/mine")
    assert answer.status_code == 403
    assert set(grace.get("/services").json()) == {"visa"}
    newest = shared_hub.store.audit(limit=1)[0].decision
    assert (newest.actor, newest.action, newest.allowed) == ("grace", "administration", False)


def test_requests_are_not_led_elsewhere(grace: httpx.Client) -> None:
    """Whoever holds the proxy sees everybody's logins."""
    for body in ({"api_url": "http://127.0.0.1:9"}, {"auth_token": "mine"}, {}):
        assert grace.patch("/proxy", json=body).status_code == 403
