"""Members of an instance with a real hub, a real gateway and a real Jupyter: in at once, out at once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from datetime import timedelta
from typing import Any

import httpx
import pytest
import yaml

from tests.hub.sharing.members import Instance, closed_within, problem, refused
from tests.services.hub import Backend, Browser, RunningHub, until
from visa import clock

SERVICE = "0123456789abcdef0123456789abcdef"
SHARER = f"""
c.JupyterHub.services.append({{"name": "sharer", "api_token": "{SERVICE}"}})
c.JupyterHub.load_roles.append({{"name": "sharer", "services": ["sharer"],
    "scopes": ["shares", "access:servers", "start:servers", "read:users:name"]}})
"""


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[RunningHub]:
    """It looks every second. A service may make JupyterHub's own shares."""
    with backend.running(tmp_path_factory.mktemp("sharing"), look_every=1.0, extra=SHARER) as running:
        yield running


@pytest.fixture(scope="module")
def instance(hub: RunningHub) -> Iterator[Instance]:
    """Runs for all tests of this file; members may come whenever they like."""
    made = Instance(hub, "together")
    made.start()
    made.share()
    yield made
    made.remove()


@pytest.fixture
def rosalind(instance: Instance) -> Iterator[str]:
    """A collaborator, for one test."""
    instance.let_in("rosalind", "collaborator")
    instance.in_within("rosalind")
    yield "rosalind"
    instance.let_in("rosalind", None)
    until(lambda: not shares(instance.hub), 60, "JupyterHub's right is taken back")


def shares(hub: RunningHub) -> list[tuple[str, str]]:
    """JupyterHub's own: person and scopes."""
    with closing(sqlite3.connect(f"file:{hub.state / 'hub.sqlite'}?mode=ro", uri=True)) as database:
        query = "SELECT users.name, shares.scopes FROM shares JOIN users ON users.id = shares.user_id"
        return list(database.execute(query))


def looked_once_more(instance: Instance) -> None:
    """When a look of the watch has taken back what VISA gave: it does so with a member whose time is over."""
    instance.let_in("rosalind", "observer", until=clock.now())
    until(lambda: not instance.is_member("rosalind"), 60, "a look")


def page(hub: RunningHub, who: str, instance: Instance) -> tuple[Browser, httpx.Response]:
    """What a browser shows that goes straight to the instance."""
    browser = hub.login(who)
    return browser, browser.get(
        instance.url, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    )


@pytest.mark.backend
def test_a_member_is_in_within_seconds_and_everybody_else_is_not(instance: Instance) -> None:
    assert instance.enter("rosalind").status_code == 403
    assert instance.said("enter", "rosalind")[0].allowed is False
    assert instance.get("rosalind").status_code == 401
    instance.let_in("rosalind", "collaborator")
    instance.in_within("rosalind")
    assert instance.put("rosalind") == 201
    assert instance.said("enter", "rosalind")[0].allowed is True
    assert instance.get("lise").status_code == 401
    assert refused(instance, "lise")
    instance.let_in("rosalind", None)
    instance.out_within("rosalind")
    until(lambda: not shares(instance.hub), 60, "JupyterHub's right is taken back")


@pytest.mark.backend
def test_removed_while_she_works(instance: Instance, rosalind: str) -> None:
    browser, shown = page(instance.hub, rosalind, instance)
    with browser:
        assert shown.status_code == 200, "she came straight by the address, and nothing is left to confirm"
        assert str(shown.url).startswith(instance.url)
        cookies = {c.name: c.value or "" for c in browser.cookies.jar if c.name == "visa-session"}
        with instance.kernel(rosalind) as socket:
            instance.let_in(rosalind, None)
            assert closed_within(socket) == 4403
        assert instance.get(rosalind).status_code in (401, 403)
        answer = httpx.get(instance.url + "api/status", cookies=cookies, timeout=60)
        assert answer.status_code in (401, 403)
        assert refused(instance, rosalind)
        again = browser.get(
            instance.url, headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        )
        assert again.status_code == 403
        assert f"/services/visa/instances/{instance.id}" in again.text


@pytest.mark.backend
def test_a_changed_role_is_held_within_seconds(instance: Instance, rosalind: str) -> None:
    assert instance.put(rosalind) in (200, 201)
    instance.let_in(rosalind, "observer")
    until(lambda: instance.put(rosalind) == 403, 60, "it is held")
    assert instance.get(rosalind).status_code == 200


def test_a_membership_that_ends(instance: Instance, rosalind: str) -> None:
    with instance.kernel(rosalind) as socket:
        instance.let_in(rosalind, "collaborator", until=clock.now() + timedelta(seconds=2))
        assert closed_within(socket) == 4403
    assert instance.get(rosalind).status_code in (401, 403)
    assert instance.enter(rosalind).status_code == 403
    until(lambda: not instance.is_member(rosalind), 60, "the hub's look ends it")


def test_the_team_changes_in_the_catalogue(instance: Instance, rosalind: str) -> None:
    catalogue = instance.hub.facility.with_name("catalogue.yaml")
    before = catalogue.read_text()
    without: dict[str, Any] = yaml.safe_load(before)
    without["experiments"][0]["team"] = ["marie"]
    try:
        with instance.kernel(rosalind) as socket:
            catalogue.write_text(yaml.safe_dump(without))
            assert closed_within(socket) == 4403
    finally:
        catalogue.write_text(before)
    assert not instance.is_member(rosalind)
    (ended, *_) = instance.said("member-end", "visa")
    assert ended.detail["username"] == rosalind


def test_an_account_that_is_not_active_any_more_is_out_at_once(instance: Instance, rosalind: str) -> None:
    with instance.kernel(rosalind) as socket:
        instance.hub.store.deactivate_person(rosalind)
        assert closed_within(socket) == 4403
    assert instance.enter(rosalind).status_code == 403
    instance.hub.login(rosalind).close()


@pytest.mark.backend
def test_an_administrator_s_rights_in_jupyterhub_are_no_way_in(instance: Instance) -> None:
    answer = instance.get("grace")
    assert answer.status_code in (401, 403)
    assert refused(instance, "grace")
    assert instance.enter("grace").status_code == 403
    browser, shown = page(instance.hub, "grace", instance)
    with browser:
        assert shown.status_code == 403
        assert f"/services/visa/instances/{instance.id}" in shown.text


def test_jupyterhub_s_own_shares_open_nothing_and_stay(instance: Instance) -> None:
    with instance.hub.api(SERVICE) as api:
        for who in ("lise", "rosalind"):
            instance.token(who)
            answer = api.post(f"/shares/marie/{instance.name}", json={"user": who})
            assert answer.status_code == 200, answer.text
        until(lambda: instance.get("lise").status_code == 403, 60, "JupyterHub lets her, the gateway does not")
        assert problem(instance.get("lise"))["ask"].endswith(f"/services/visa/instances/{instance.id}")
        assert refused(instance, "lise")
        until(lambda: [d for d in instance.said("enter", "lise") if not d.allowed], 60, "the audit trail says so")
        browser, shown = page(instance.hub, "lise", instance)
        with browser:
            assert shown.status_code == 403
            assert f"/services/visa/instances/{instance.id}" in shown.text
        instance.let_in("rosalind", "observer")
        instance.in_within("rosalind")
        instance.let_in("rosalind", None)
        instance.out_within("rosalind")
        looked_once_more(instance)
        assert sorted(name for name, _ in shares(instance.hub)) == ["lise", "rosalind"], "these are not VISA's"
        code = api.post(f"/share-codes/marie/{instance.name}").json()["accept_url"]
        with instance.hub.login("dorothy") as dorothy:
            xsrf = next(c.value for c in dorothy.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
            dorothy.get(code)
            dorothy.post("/hub/accept-share", data={"code": code.rpartition("=")[2], "_xsrf": xsrf})
        assert instance.get("dorothy").status_code == 403
        assert api.delete(f"/shares/marie/{instance.name}").status_code == 204


def test_enter_is_for_people_with_tokens(instance: Instance) -> None:
    path = f"/visa/instances/{instance.id}/enter"
    with instance.hub.api(instance.token("marie")) as marie:
        assert marie.post(path).status_code == 204, "the owner may anyway"
        assert marie.post("/visa/instances/0123456789abcdef/enter").status_code == 404
        assert marie.get(path).status_code == 405
    with instance.hub.api(SERVICE) as service:
        assert service.post(path).status_code == 403
    with instance.hub.login("marie") as cookies:
        assert cookies.post(f"/hub/api{path}").status_code == 403
    little = instance.hub.token("marie", scopes=["read:users!user=marie"])
    with instance.hub.api(little) as api:
        assert api.post(path).status_code == 403


def test_presence_is_the_owner_s(instance: Instance, rosalind: str) -> None:
    instance.share(presence="with-owner")
    try:
        instance.out_within(rosalind)
        assert "only while marie is there" in problem(instance.get(rosalind))["title"]
        with ExitStack() as members:
            with instance.kernel("marie"):
                until(lambda: instance.get(rosalind).status_code == 200, 60, "she may while Marie is there")
                socket = members.enter_context(instance.kernel(rosalind))
            assert closed_within(socket) == 4403
    finally:
        instance.share()


@pytest.mark.backend
def test_who_is_here_is_written_down(instance: Instance, rosalind: str) -> None:
    with instance.kernel(rosalind):
        until(lambda: instance.said("visit", rosalind), 60, "the visit")
    until(lambda: instance.said("visit-end", rosalind), 60, "its end")


@pytest.mark.backend
def test_a_hub_that_restarts_keeps_members(instance: Instance, rosalind: str) -> None:
    with instance.kernel(rosalind) as socket:
        instance.hub.kill()
        assert instance.get(rosalind).status_code == 200
        instance.hub.start()
        assert instance.get(rosalind).status_code == 200
        assert socket.ping().wait(60)
        instance.let_in(rosalind, None)
        assert closed_within(socket) == 4403
