"""Logins that a page of an instance set in somebody's browser, under the portal's name."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.services.hub import Browser
from tests.services.portal import RunningPortal
from visa.doubled import SENTENCE

NAME = "service-visa"


@pytest.fixture(scope="module")
def logins(site: RunningPortal) -> dict[str, str]:
    """What the portal's cookie is, for each."""
    found = {}
    for name in ("marie", "lise"):
        with site.login(name) as browser:
            assert browser.get("/services/visa/").is_success
            found[name] = next(one.value or "" for one in browser.cookies.jar if one.name == NAME)
    return found


@pytest.fixture
def asking(site: RunningPortal) -> Iterator[httpx.Client]:
    with Browser(base_url=site.url) as client:
        yield client


@pytest.mark.parametrize("order", [("lise", "marie"), ("marie", "lise")])
def test_two_logins_are_nobodys_and_the_other_is_taken_away(
    asking: httpx.Client, logins: dict[str, str], order: tuple[str, str]
) -> None:
    both = {"Cookie": "; ".join(f"{NAME}={logins[name]}" for name in order)}
    answer = asking.get("/services/visa/new?experiments=exp-1", headers=both)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/services/visa/new?experiments=exp-1")
    removed = [
        one.split("; Expires")[0]
        for one in answer.headers.get_list("set-cookie")
        if one.startswith(f"{NAME}=;") and "Partitioned" not in one
    ]
    paths = ("/", "/services", "/services/", "/services/visa", "/services/visa/new", "/services/visa/new/")
    assert removed == [f"{NAME}=; Path={path}" for path in paths], "but for the portal's own, /services/visa/"
    script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
    refused = asking.get("/services/visa/api/v1/me", headers={**both, **script})
    assert (refused.status_code, refused.text) == (403, SENTENCE)
    assert asking.post("/services/visa/api/v1/instances", json={}, headers=both).status_code == 403


def test_one_login_that_came_twice_is_one(asking: httpx.Client, logins: dict[str, str]) -> None:
    twice = {"Cookie": f"{NAME}={logins['marie']}; other=1; {NAME}={logins['marie']}"}
    assert "Logged in as marie" in asking.get("/services/visa/", headers=twice).text


def test_a_cookie_for_a_whole_domain_is_taken_away_too(asking: httpx.Client, logins: dict[str, str]) -> None:
    both = {"Cookie": f"{NAME}={logins['lise']}; {NAME}={logins['marie']}", "Host": "visa.localhost"}
    both |= {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    answer = asking.get("/services/visa/", headers=both)
    removed = answer.headers.get_list("set-cookie")
    assert any("Path=/services/visa/; Domain=visa.localhost" in one for one in removed)
    assert not any(one.startswith(f"{NAME}=; Path=/services/visa/; Expires") for one in removed)
