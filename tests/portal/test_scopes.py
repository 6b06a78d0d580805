"""What a token must allow, for every page and every operation there is: the lists come from the portal's own routes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from tornado.web import RedirectHandler

from tests.services.portal import RunningPortal
from visa.portal import pages
from visa.portal.app import Static, routes
from visa.portal.handlers import Api, Callback, Guard
from visa.portal.operations import OPERATIONS, READ, WRITE, Operation

ENTER = "access:services!service=visa"
SOME = "0123456789abcdef"
"""Fits every part of an address that is a choice."""

FOR_EVERYBODY = {RedirectHandler, pages.Accent, Static}
"""They tell nothing of anybody."""
LOGIN = {Callback, pages.Logout}
"""They work on a browser's cookies only."""

SHOWN: list[tuple[str, type[Guard]]] = [
    (re.sub(r"\([^)]*\)", SOME, path).replace(".*", "/services/visa/nowhere"), handler)
    for path, handler, *_ in routes("/services/visa/")
    if handler not in {*FOR_EVERYBODY, *LOGIN, Api}
]
ACTS = [(operation.method, re.sub(r"\{\w+\}", SOME, operation.path), operation) for operation in OPERATIONS]


@pytest.fixture(scope="module")
def tokens(site: RunningPortal) -> Iterator[dict[str, httpx.Client]]:
    """Programs of Marie's, by what their token allows beside coming in."""
    clients = {
        name: httpx.Client(base_url=site.url, timeout=60, headers={"Authorization": f"token {token}"})
        for name, token in (
            ("nothing", site.token("marie", scopes=[ENTER])),
            (READ, site.token("marie", scopes=[ENTER, READ])),
            (WRITE, site.token("marie", scopes=[ENTER, WRITE])),
            ("not even that", site.token("marie", scopes=[READ, WRITE])),
        )
    }
    yield clients
    for client in clients.values():
        client.close()


def asked(client: httpx.Client, path: str) -> int:
    """The answer's status; what is sent without an end is not waited for."""
    with client.stream("GET", path, headers={"Accept": "text/html"}) as answer:
        return answer.status_code


@pytest.mark.parametrize(("path", "handler"), SHOWN, ids=[path for path, _ in SHOWN])
def test_a_page_asks_for_its_scope(tokens: dict[str, httpx.Client], path: str, handler: type[Guard]) -> None:
    other = WRITE if handler.scope == READ else READ
    assert asked(tokens["nothing"], path) == 403
    assert asked(tokens["not even that"], path) == 403
    assert asked(tokens[other], path) == 403
    assert asked(tokens[handler.scope], path) in (200, 404, 410)


def test_what_a_refused_page_tells(tokens: dict[str, httpx.Client]) -> None:
    told = tokens["nothing"].get("/services/visa/", headers={"Accept": "text/html"}).text
    assert f"The token lacks the scope {READ}." in told
    assert "Micelles" not in told


@pytest.mark.parametrize(("method", "path", "operation"), ACTS, ids=[f"{method} {path}" for method, path, _ in ACTS])
def test_an_operation_asks_for_its_scope(
    tokens: dict[str, httpx.Client], method: str, path: str, operation: Operation
) -> None:
    assert operation.scope == (READ if method == "GET" else WRITE)
    other = WRITE if operation.scope == READ else READ
    for name in ("nothing", "not even that", other):
        answer = tokens[name].request(method, f"/services/visa/api/v1/{path}", json={} if method != "GET" else None)
        assert (answer.status_code, answer.json()["reason"]) == (403, "scope-missing"), name


@pytest.mark.parametrize(
    ("page", "operation"), [("Join", "invitations/look"), ("Home", "instances"), ("Changes", "me")]
)
def test_a_page_asks_for_what_the_api_asks_for(page: str, operation: str) -> None:
    (scope,) = {handler.scope for _, handler in SHOWN if handler.__name__ == page}
    assert scope in {one.scope for one in OPERATIONS if one.path == operation}


def test_those_that_are_for_everybody_tell_nothing_of_anybody(site: RunningPortal) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as nobody:
        assert nobody.get("/services/visa/accent.css").text.lstrip().startswith(":root")
        assert nobody.get("/services/visa/static/api.js").is_success
        described = nobody.get("/services/visa/api/v1/openapi.json")
        assert described.is_success
        assert "marie" not in described.text
