"""Entering without consent and links for everybody need a login of their own, in one browser, once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.portal.people import API, Callers, again, finish, instance_of
from tests.services.hub import page_headers
from tests.services.portal import RunningPortal
from visa.clock import now

pytestmark = pytest.mark.timeout(240)
GLASS = {"break_glass": {"reason": "The room is on fire", "act": False}}


@pytest.fixture(scope="module")
def to(site: RunningPortal) -> Iterator[Callers]:
    callers = Callers(site)
    for name in ("marie", "lise", "grace"):
        getattr(callers, name).get("me")
    yield callers
    callers.close()


@pytest.fixture(scope="module")
def instance(site: RunningPortal) -> Iterator[str]:
    with instance_of(site) as identifier:
        yield identifier


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with contextlib.closing(browser.new_context()) as context:
        yield context


def link(**changed: Any) -> dict[str, Any]:
    expires = (now() + timedelta(hours=1)).isoformat()
    return {"invitation": {"kind": "public", "role": "observer", "expires": expires, **changed}}


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


def test_programs_are_told_where_the_login_is(to: Callers, instance: str) -> None:
    """Neither the acts nor their beginning are a token's, whatever its scopes."""
    base = f"instances/{instance}"
    for person, path, body in (
        (to.grace, f"{base}/break-glass", GLASS["break_glass"]),
        (to.grace, f"{base}/confirmations", GLASS),
        (to.marie, f"{base}/invitations", link()["invitation"]),
        (to.marie, f"{base}/confirmations", link()),
    ):
        answer = person.post(path, json=body)
        assert reason(answer) == (403, "login-again")
        assert f"/services/visa/instances/{instance}" in answer.json()["remedy"]
    assert [one["username"] for one in to.marie.get(f"{base}/members").json()] == ["marie"]
    assert not [one for one in to.marie.get(f"{base}/invitations").json() if one["state"] == "open"]
    once = to.marie.post(f"{base}/invitations", json=link(kind="once")["invitation"])
    assert once.status_code == 201, "a link for one person needs none"
    to.marie.delete(f"{base}/invitations/{once.json()['id']}")


def test_a_login_of_before_is_not_enough_for_the_portals_own_page(site: RunningPortal, instance: str) -> None:
    with site.login("grace") as browser:
        path = f"{API}instances/{instance}/break-glass"
        answer = browser.post(path, json=GLASS["break_glass"], headers=page_headers(browser))
        assert reason(answer) == (403, "login-again")


def test_another_browser_of_the_same_person_does_nothing_with_the_key(site: RunningPortal, instance: str) -> None:
    with site.login("grace") as browser, site.login("grace") as another:
        for thief in (another, site.rest(site.token("grace"))):
            key = again(site, browser, instance, GLASS)
            number, code = key.split(".")
            if thief is another:
                taken = finish(thief, key)
            else:
                taken = thief.post(f"confirmations/{number}", json={"code": code})
            assert reason(taken) == (403, "login-again")
            assert reason(finish(browser, key)) == (403, "login-again"), "it is spent"


def test_a_browser_in_which_somebody_else_s_wish_is_confirmed_does_nothing(site: RunningPortal, instance: str) -> None:
    """Who has a person's portal session leads them to a login: the key is then in the wrong browser."""
    with site.login("grace") as wishes, site.login("grace") as confirms:
        made = wishes.post(f"{API}instances/{instance}/confirmations", json=GLASS, headers=page_headers(wishes)).json()
        answer = confirms.post(made["login"], data={"password": "visa"}, follow_redirects=False)
        number, code = answer.headers["location"].partition("#")[2].split(".")
        assert reason(finish(confirms, f"{number}.{code}")) == (403, "login-again")
        assert reason(finish(wishes, f"{number}.{code}")) == (403, "login-again")


def test_strangers_learn_nothing_and_one_act_at_a_time(site: RunningPortal, instance: str) -> None:
    with site.login("lise") as browser:
        path = f"{API}instances/{instance}/confirmations"
        assert browser.post(path, json=GLASS, headers=page_headers(browser)).status_code == 404
    with site.login("marie") as browser:
        for body in ({}, {**GLASS, **link()}, link(kind="once")):
            assert reason(browser.post(path, json=body, headers=page_headers(browser))) == (400, "bad-request")
        assert reason(browser.post(path, json=GLASS, headers=page_headers(browser))) == (409, "is-the-owner")


def test_the_owner_s_page_leads_to_the_login_and_shows_the_link(
    site: RunningPortal, context: BrowserContext, to: Callers, instance: str
) -> None:
    page = site.enter(context, "marie")
    page.goto(f"{site.portal}instances/{instance}")
    page.locator("#links summary").click()
    page.locator("#link [name=kind]").select_option("public")
    expect(page.locator("#link-why")).to_contain_text("You log in again first.")
    page.get_by_role("button", name="Make the link").click()
    page.get_by_label("Password").fill("visa")
    page.get_by_role("button", name="Log in again").click()
    expect(page.get_by_text("The link is made.")).to_be_visible()
    assert "/join/" in page.locator("#made-link").input_value()
    assert "#" not in page.url, "the key left the address"
    (made,) = [one for one in to.marie.get(f"instances/{instance}/invitations").json() if one["state"] == "open"]
    assert made["kind"] == "public"
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("nothing to do")
    to.marie.delete(f"instances/{instance}/invitations/{made['id']}")


def test_staff_enter_without_consent_after_a_login(
    site: RunningPortal, context: BrowserContext, to: Callers, instance: str
) -> None:
    page = site.enter(context, "grace")
    page.goto(f"{site.portal}instances/{instance}")
    form = page.locator("form[data-act$=break-glass]")
    form.get_by_label("Why").fill("The room is on fire")
    form.get_by_role("button", name="Enter to look").click()
    page.locator("#sure-yes").click()
    page.get_by_label("Password").fill("visa")
    assert [one["username"] for one in to.marie.get(f"instances/{instance}/members").json()] == ["marie"]
    page.get_by_role("button", name="Log in again").click()
    page.wait_for_url(f"**/instances/{instance}")
    members = to.marie.get(f"instances/{instance}/members").json()
    assert [(one["username"], one["role"], one["way"]) for one in members[1:]] == [
        ("grace", "support-view", "break-glass")
    ]
    to.grace.delete(f"instances/{instance}/membership")
