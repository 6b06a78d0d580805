"""What a real hub can change: starts that take their time, the way into an instance, and what is logged."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from playwright.sync_api import Browser, expect

from tests.portal.people import START, check, instance_of
from tests.services.browser import log_in
from tests.services.hub import RunningHub
from tests.services.waiting import until
from visa.clock import now

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def rest(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    with shared_hub.rest(shared_hub.token("marie")) as client:
        yield client


@pytest.fixture(scope="module")
def instance(shared_hub: RunningHub) -> Iterator[str]:
    """Marie's running instance on exp-1, on whose team are Marie and Rosalind."""
    shared_hub.token("rosalind")
    with instance_of(shared_hub, title="Micelles together") as identifier:
        yield identifier


@pytest.mark.backend
def test_the_life_of_an_instance(rest: httpx.Client) -> None:
    description = rest.get("openapi.json").json()
    created = rest.post("instances", json={**START, "title": "A life"})
    assert created.status_code == 202, created.text
    instance = check(description, "POST", "instances", created)
    assert created.headers["location"].endswith(f"/api/v1/instances/{instance['id']}")
    path = f"instances/{instance['id']}"
    with rest.stream("GET", f"{path}/events") as events:
        told = [json.loads(line[5:]) for line in events.iter_lines() if line.startswith("data:")]
    assert told[-1]["state"] == "running"
    running = check(description, "GET", "instances/{id}", rest.get(path))
    assert running["state"] == "running"
    assert running["ends"] is not None
    (owner,) = rest.get(f"{path}/members").json()
    assert (owner["username"], owner["name"], owner["role"]) == ("marie", "Marie Curie", "owner")
    assert rest.patch(path, json={"title": "  Another\tlife "}).json()["title"] == "Another life"
    held = {q["resource"]: q["held"] for q in rest.get("quotas").json()}
    assert held["instances"] >= 1
    check(description, "POST", "instances/{id}/stop", rest.post(f"{path}/stop"))
    until(lambda: rest.get(path).json()["state"] == "stopped", 30)
    check(description, "POST", "instances/{id}/start", rest.post(f"{path}/start"))
    until(lambda: rest.get(path).json()["state"] == "running", 30)
    assert rest.delete(path).status_code == 204
    until(lambda: rest.get(path).status_code == 404, 30)


def test_a_member_opens_it(shared_hub: RunningHub, rest: httpx.Client, instance: str, browser: Browser) -> None:
    rest.patch(f"instances/{instance}/sharing", json={"presence": "any"})
    added = rest.post(f"instances/{instance}/members", json={"username": "rosalind", "role": "observer"})
    assert added.status_code == 201, added.text
    contexts = [browser.new_context(viewport={"width": 1440, "height": 900}) for _ in range(2)]
    marie, rosalind = (
        log_in(one, shared_hub.url, who) for one, who in zip(contexts, ("marie", "rosalind"), strict=True)
    )
    rosalind.locator(f'[data-shared="{instance}"]').get_by_role("link", name="Open notebook").click()
    rosalind.wait_for_url("**/user/marie/**/lab**", timeout=60_000)
    marie.goto(f"{shared_hub.portal}instances/{instance}")
    here = marie.get_by_role("list", name="People", exact=True).get_by_role("listitem").nth(1)
    expect(here).to_contain_text("here: notebook")
    for one in contexts:
        one.close()
    rest.delete(f"instances/{instance}/members/rosalind")


def test_tokens_of_links_are_not_in_the_log(shared_hub: RunningHub, rest: httpx.Client, instance: str) -> None:
    body = {"kind": "once", "role": "observer", "expires": (now() + timedelta(hours=1)).isoformat()}
    made = rest.post(f"instances/{instance}/invitations", json=body).json()
    with shared_hub.login("rosalind") as browser:
        page = browser.get(made["path"])
        assert "Micelles together" in page.text
        assert page.headers["referrer-policy"] == "no-referrer"
        assert browser.get(made["path"]).status_code == 200, "looking uses nothing up"
    with shared_hub.rest(shared_hub.token("rosalind")) as rosalind:
        assert rosalind.post("invitations/redeem", json={"token": made["token"]}).status_code == 200
    log = shared_hub.log.read_text()
    assert made["token"] not in log
    assert "/join/..." in log
    audit = json.dumps([repr(entry) for entry in shared_hub.store.audit(limit=50)])
    assert made["token"] not in audit
