"""The REST API: what it gives, what it refuses, and that its description is true."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from tests.portal.people import START, check
from tests.services.hub import page_headers
from tests.services.portal import RunningPortal
from visa.navigation import ONLY_PAGES
from visa.portal import api, openapi
from visa.portal.problems import REASONS


@pytest.fixture(scope="module")
def rest(site: RunningPortal) -> Iterator[httpx.Client]:
    with site.rest(site.token("marie")) as client:
        yield client


@pytest.fixture(scope="module")
def description(rest: httpx.Client) -> dict[str, Any]:
    return dict(rest.get("openapi.json").json())


def test_the_description_is_valid_openapi_and_names_every_operation(description: dict[str, Any]) -> None:
    validate(description)
    assert description["openapi"].startswith("3.1")
    described = {(m.upper(), p[1:]) for p, methods in description["paths"].items() for m in methods}
    assert described == {(o.method, o.path) for o in api.OPERATIONS}
    assert openapi.document("/x")["paths"] == description["paths"]


def test_the_description_is_made_once() -> None:
    assert openapi.content("/x") is openapi.content("/x")
    assert json.loads(openapi.content("/x")) == openapi.document("/x")


@pytest.mark.parametrize(
    "path", ["me", "experiments", "environments", "flavours", "quotas", "instances", "experiments?text=flow&limit=1"]
)
def test_reading(rest: httpx.Client, description: dict[str, Any], path: str) -> None:
    answer = rest.get(path)
    assert answer.status_code == 200, answer.text
    check(description, "GET", path.partition("?")[0], answer)


def test_what_she_sees(rest: httpx.Client) -> None:
    assert rest.get("me").json()["username"] == "marie"
    found = rest.get("experiments").json()
    assert [e["id"] for e in found["experiments"]] == ["exp-2", "exp-1"], "hers only, newest first"
    assert [e["id"] for e in rest.get("experiments?scope=open").json()["experiments"]] == ["exp-4"]
    assert rest.get("experiments?scope=all").json()["total"] == 3
    assert rest.get("experiments?text=FLOW").json()["total"] == 1
    assert rest.get("experiments?instrument=id10").json()["total"] == 0
    refused = {e["id"]: e["refused"] for e in rest.get("environments").json()}
    assert refused == {"scattering": None, "staff": "For instrument scientists only. Ask help@example.org."}
    software = {e["id"]: e["software"] for e in rest.get("environments").json()}["scattering"]
    assert {"numpy", "scipp", "jupyterlab"} <= set(software)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "reason"),
    [
        ("GET", "nothing", None, 404, "not-found"),
        ("GET", "instances/0123456789abcdef", None, 404, "not-found"),
        ("POST", "instances/0123456789abcdef/stop", None, 404, "not-found"),
        ("DELETE", "instances/0123456789abcdef", None, 404, "not-found"),
        ("PUT", "instances", {}, 405, "method-not-allowed"),
        ("DELETE", "me", None, 405, "method-not-allowed"),
        ("GET", "experiments?limit=0", None, 400, "bad-request"),
        ("GET", "experiments?limit=9999", None, 400, "bad-request"),
        ("GET", "experiments?sort=random", None, 400, "bad-request"),
        ("GET", "experiments?colour=red", None, 400, "bad-request"),
        ("POST", "instances", {}, 400, "bad-request"),
        ("POST", "instances", [], 400, "bad-request"),
        ("POST", "instances", {**START, "image": "x"}, 400, "bad-request"),
        ("POST", "instances", {**START, "title": ""}, 400, "bad-request"),
        ("POST", "instances", {**START, "experiments": ["exp-3"]}, 403, "experiment-not-available"),
        ("POST", "instances", {**START, "experiments": []}, 400, "no-experiment"),
        ("POST", "instances", {**START, "experiments": ["../x"]}, 400, "malformed-options"),
        ("POST", "instances", {**START, "environment": "staff"}, 403, "environment-not-allowed"),
        ("POST", "instances", {**START, "flavour": "huge"}, 400, "unknown-flavour"),
    ],
)
def test_refusals_are_problems_with_a_reason(
    rest: httpx.Client, method: str, path: str, body: Any, status: int, reason: str
) -> None:
    answer = rest.request(method, path, json=body)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert (problem["status"], problem["reason"]) == (status, reason)
    assert problem["detail"]


def test_bodies_that_are_not_json(rest: httpx.Client) -> None:
    assert rest.post("instances", content="{").json()["reason"] == "bad-request"
    assert rest.post("instances", content="[" * 60_000).json()["reason"] == "bad-request"
    assert rest.post("instances", content="x" * 100_000).status_code == 413


def test_without_a_login_and_with_a_token_that_lacks_the_scope(site: RunningPortal) -> None:
    with httpx.Client(base_url=f"{site.portal}api/v1/", timeout=60) as nobody:
        for path in ("me", "instances", "experiments"):
            answer = nobody.get(path)
            assert answer.status_code == 401
            assert answer.json()["reason"] == "not-logged-in"
    weak = site.token("marie", scopes=["access:services!service=visa", "custom:visa:read"])
    with site.rest(weak) as client:
        assert client.get("me").status_code == 200
        answer = client.post("instances", json=START)
        assert answer.status_code == 403
        assert answer.json()["reason"] == "scope-missing"
        assert "custom:visa:write" in answer.json()["detail"]
    useless = site.token("marie", scopes=["read:users:name!user"])
    with site.rest(useless) as client:
        assert client.get("me").status_code == 403
        assert client.get("me").json()["reason"] == "scope-missing"


def test_a_cookie_works_for_the_portals_own_pages_only(site: RunningPortal) -> None:
    with site.login("marie") as browser:
        assert browser.get("/services/visa/").status_code == 200
        address = "/services/visa/api/v1/instances"
        own = page_headers(browser)
        page = {"X-Visa-Page": own["X-Visa-Page"]}
        cases: list[dict[str, str]] = [
            {},
            {**page, "X-Visa-Request": "1"},
            {**page, "Origin": "http://evil.example", "X-Visa-Request": "1"},
            {**page, "Origin": "null", "X-Visa-Request": "1"},
            {**page, "Sec-Fetch-Site": "cross-site", "X-Visa-Request": "1"},
            {**page, "Sec-Fetch-Site": "same-site", "X-Visa-Request": "1"},
            {**page, "Origin": site.url},
            {"Origin": site.url, "X-Visa-Request": "1"},
            {**own, "X-Visa-Page": "0" * 64},
            {**own, "X-Visa-Page": "0" * 64, "Authorization": "token nonsense"},
        ]
        for headers in cases:
            answer = browser.post(address, json={}, headers=headers)
            assert answer.json()["reason"] == "cross-site", headers
        with site.login("lise") as other:
            another = {**own, "X-Visa-Page": page_headers(other)["X-Visa-Page"]}
        assert browser.post(address, json={}, headers=another).json()["reason"] == "cross-site"
        for piece in ("cards", "experiments", "changes", "api/v1/me"):
            assert browser.get(f"/services/visa/{piece}").status_code == 403
        assert browser.get("/services/visa/cards", headers=own).status_code == 200
        assert browser.get("/services/visa/api/v1/me", headers=own).json()["username"] == "marie"
        assert browser.post(address, json={}, headers=own).json()["reason"] == "bad-request"


@pytest.mark.parametrize("mode", ["cors", "no-cors", "same-origin", "websocket"])
@pytest.mark.parametrize("path", ["", "new", "instances/0123456789abcdef", "nowhere"])
def test_scripts_do_not_read_pages(site: RunningPortal, path: str, mode: str) -> None:
    with site.login("marie") as browser:
        assert browser.get("/services/visa/").status_code == 200
        script = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}
        frame = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
        for headers in (script, frame, {**script, "X-Visa-Request": "1", "Origin": site.url}):
            answer = browser.get(f"/services/visa/{path}", headers=headers)
            assert (answer.status_code, answer.text) == (403, ONLY_PAGES)
        person = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert "visa-page" in browser.get("/services/visa/new", headers=person).text, "she is still logged in"


def test_another_persons_instance_is_not_there(site: RunningPortal, rest: httpx.Client) -> None:
    created = rest.post("instances", json={**START, "title": "Mine alone"})
    assert created.status_code == 202, created.text
    identifier = created.json()["id"]
    try:
        for name in ("lise", "grace"):
            with site.rest(site.token(name)) as other:
                assert all(i["id"] != identifier for i in other.get("instances").json())
                for method, path in [
                    ("GET", ""),
                    ("GET", "/events"),
                    *([] if name == "grace" else [("GET", "/members")]),  # who may support it may see who is there
                    ("POST", "/start"),
                    ("POST", "/stop"),
                    ("DELETE", ""),
                ]:
                    answer = other.request(method, f"instances/{identifier}{path}")
                    assert (answer.status_code, answer.json()["reason"]) == (404, "not-found")
                assert other.patch(f"instances/{identifier}", json={"title": "x"}).status_code == 404
    finally:
        rest.delete(f"instances/{identifier}")


def test_the_quota_is_said_before_anything_starts(site: RunningPortal) -> None:
    with site.rest(site.token("rosalind")) as rest:
        first = rest.post("instances", json=START)
        assert first.status_code == 202, first.text
        try:
            second = rest.post("instances", json=START)
            assert second.status_code == 409
            problem = second.json()
            assert problem["reason"] == "quota-exceeded"
            assert "1 instance" in problem["detail"]
            assert "help@example.org" in problem["remedy"]
            assert len(rest.get("instances").json()) == 1
            refused = {f["id"]: f["refused"] for f in rest.get("flavours").json()}
            assert "quota" in refused["small"]
        finally:
            rest.delete(f"instances/{first.json()['id']}")


def test_every_reason_of_the_portal_is_documented() -> None:
    assert all(text.endswith(".") for text in REASONS.values())
