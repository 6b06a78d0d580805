"""The owner's page after somebody was removed: what they may have left, the list, the restart."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, expect

from tests.portal.people import Callers, check, instance_of
from tests.services.portal import RunningPortal
from tests.services.waiting import until
from visa.clock import now
from visa.instances.startup import read_look
from visa.portal.sharing import startup as module
from visa.store.people import People

pytestmark = pytest.mark.timeout(240)
FOUND = [
    {"path": ".ipython/profile_default/startup/0.py", "kind": "file", "changed": 1.7e9, "why": "kernels run these"},
    {"path": ".bashrc", "kind": "link", "changed": 1.6e9, "why": "shells"},
    {"path": "<img src=x onerror=alert(1)>\u202e", "kind": "folder", "changed": 1.5e9, "why": "<b>"},
]  # fmt: skip


@pytest.fixture(scope="module")
def to(site: RunningPortal) -> Iterator[Callers]:
    callers = Callers(site)
    for name in ("marie", "rosalind", "lise"):
        getattr(callers, name).get("me")
    yield callers
    callers.close()


@pytest.fixture
def instance(site: RunningPortal, to: Callers) -> Iterator[str]:
    """Rosalind was a collaborator on it."""
    with instance_of(site) as identifier:
        path = f"instances/{identifier}/members"
        assert to.marie.post(path, json={"username": "rosalind", "role": "collaborator"}).status_code == 201
        assert to.marie.delete(f"{path}/rosalind").status_code == 204
        yield identifier


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    with contextlib.closing(browser.new_context()) as context:
        yield context


@contextlib.contextmanager
def gateway(site: RunningPortal, instance: str, **changed: Any) -> Iterator[None]:
    """Answers looks, in a thread, for the length of a block."""
    people, over = People(site.store), threading.Event()
    found = read_look({"found": FOUND, "unread": 1, "whole": False, **changed})

    def answer() -> None:
        while not over.wait(0.05):
            look = people.startup.look(instance)
            if look is not None and look.found is None:
                people.startup.answer(instance, look.number, found, now())

    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def test_the_list_is_the_owner_s(site: RunningPortal, to: Callers, instance: str) -> None:
    description = to.marie.get("openapi.json").json()
    path, body = f"instances/{instance}/startup-files", {"username": "rosalind"}
    with gateway(site, instance):
        found = check(description, "POST", "instances/{id}/startup-files", to.marie.post(path, json=body))
        assert (found["told"], found["whole"], found["unread"], len(found["files"])) == (True, False, 1, 3)
        assert all(one["path"].isprintable() for one in found["files"])
        assert to.lise.post(path, json=body).status_code == 404
        assert to.rosalind.post(path, json=body).status_code == 404
        assert to.marie.post(path, json={"username": "lise"}).json()["reason"] == "not-a-member"
    with gateway(site, instance, found=[], told=False):
        silent = to.marie.post(path, json=body).json()
        assert (silent["told"], silent["whole"], silent["files"]) == (False, False, [])


def test_a_gateway_that_does_not_answer_is_said(
    site: RunningPortal, to: Callers, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 0.5)
    answer = to.marie.post(f"instances/{instance}/startup-files", json={"username": "rosalind"})
    assert (answer.status_code, answer.json()["reason"]) == (503, "not-answered")


def test_the_page_tells_offers_and_restarts(
    site: RunningPortal, to: Callers, instance: str, context: BrowserContext
) -> None:
    page = site.enter(context, "marie")
    page.goto(f"{site.portal}instances/{instance}")
    expect(page.get_by_role("list", name="Removed people")).to_contain_text("programs may run on")
    with gateway(site, instance):
        page.get_by_role("button", name="What changed in start-up files").click()
        shown = page.locator("#startup")
        expect(shown).to_contain_text("~/.ipython/profile_default/startup/0.py")
    expect(shown).to_contain_text("a link, which was not followed")
    expect(shown).to_contain_text("restart first and look again")
    expect(shown).to_contain_text("<img src=x")
    assert shown.locator("img, b").count() == 0
    before = to.marie.get(f"instances/{instance}").json()["started"]
    page.get_by_role("button", name="Restart with clean processes").click()
    expect(page.locator("#sure-text")).to_contain_text("kernels with what is in their memory")
    page.locator("#sure-yes").click()
    until(lambda: to.marie.get(f"instances/{instance}").json()["started"] not in (None, before), 60, "the restart")
    after = context.new_page()
    after.goto(f"{site.portal}instances/{instance}")
    expect(after.get_by_role("list", name="Removed people")).to_contain_text("their programs have ended")
    expect(after.get_by_role("button", name="Restart with clean processes")).to_have_count(0)


def test_removing_says_what_stays(site: RunningPortal, to: Callers, instance: str, context: BrowserContext) -> None:
    to.marie.post(f"instances/{instance}/members", json={"username": "rosalind", "role": "collaborator"})
    page = site.enter(context, "marie")
    page.goto(f"{site.portal}instances/{instance}")
    page.get_by_role("button", name="Remove Rosalind Franklin").click()
    expect(page.locator("#sure-text")).to_contain_text("Programs that they started run on as you")
    page.locator("#sure-yes").click()
    expect(page.get_by_role("list", name="Removed people")).to_contain_text("Rosalind Franklin")


def test_restarting_is_the_owner_s_and_starts_what_is_stopped(site: RunningPortal, to: Callers, instance: str) -> None:
    path = f"instances/{instance}/restart"
    assert to.rosalind.post(path).status_code == 404
    assert to.marie.post(f"instances/{instance}/stop").status_code == 202
    assert to.marie.post(path).status_code == 202
    until(lambda: to.marie.get(f"instances/{instance}").json()["state"] == "running", 60, "the instance")
    site.hold()
    try:
        first = to.marie.post(path)
        assert first.json()["state"] == "starting"
        assert to.marie.post(path).json()["reason"] == "busy"
    finally:
        site.let_go()
