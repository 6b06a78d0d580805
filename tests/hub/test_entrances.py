"""Every way to start passes admission; what is refused leaves no server and no stored option."""

from __future__ import annotations

import json
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from jupyterhub.apihandlers.users import UserServerAPIHandler

from tests.services.hub import RunningHub, until
from visa.hub.entrances import ServerHandler
from visa.identifiers import instance_id

GOOD: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@pytest.fixture(scope="module")
def marie(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    with shared_hub.api(shared_hub.token("marie")) as client:
        yield client


def servers(client: httpx.Client, name: str = "marie") -> dict[str, Any]:
    found = client.get(f"/users/{name}?include_stopped_servers=1").json()["servers"]
    return dict(found)


REFUSED = [
    pytest.param({**GOOD, "experiments": ["exp-3"]}, 403, "experiment-not-available", id="not hers"),
    pytest.param({**GOOD, "experiments": ["exp-99"]}, 403, "experiment-not-available", id="unknown experiment"),
    pytest.param({**GOOD, "environment": "nowhere"}, 400, "unknown-environment", id="unknown environment"),
    pytest.param({**GOOD, "environment": "staff"}, 403, "environment-not-allowed", id="beyond her role"),
    pytest.param({**GOOD, "flavour": "huge"}, 400, "unknown-flavour", id="unknown flavour"),
    pytest.param({**GOOD, "session": "desktop"}, 400, "session-not-offered", id="no desktop"),
    pytest.param({**GOOD, "image": "evil"}, 400, "unknown-option", id="image"),
    pytest.param({"volumes": [{"hostPath": "/"}]}, 400, "unknown-option", id="volumes"),
    pytest.param({**GOOD, "experiments": ["../../etc"]}, 400, "malformed-options", id="climbs"),
    pytest.param({**GOOD, "experiments": ["{userid.__class__}"]}, 400, "malformed-options", id="braces"),
    pytest.param({**GOOD, "experiments": []}, 400, "no-experiment", id="none"),
    pytest.param({**GOOD, "experiments": ["exp-1", "exp-1"]}, 400, "repeated-experiment", id="twice"),
    pytest.param({"__jupyterhub_bytes__": "AA=="}, 400, "unknown-option", id="bytes"),
    pytest.param({**GOOD, "flavour": {"__jupyterhub_bytes__": "?"}}, 400, "malformed-options", id="bytes inside"),
    pytest.param({**GOOD, "flavour": 7}, 400, "malformed-options", id="number"),
    pytest.param({**GOOD, "experiments": "exp-1"}, 400, "malformed-options", id="text for a list"),
    pytest.param({**GOOD, "environment": None}, 400, "malformed-options", id="null"),
    pytest.param({**GOOD, "environment": "x" * 20_000}, 400, "malformed-options", id="long"),
]


@pytest.mark.parametrize("wrapped", [False, True], ids=["plain", "user_options"])
@pytest.mark.parametrize(("options", "status", "reason"), REFUSED)
def test_post_is_refused_with_a_reason_and_leaves_nothing(
    marie: httpx.Client, options: dict[str, Any], status: int, reason: str, wrapped: bool
) -> None:
    before = servers(marie)
    answer = marie.post("/users/marie/servers/refused", json={"user_options": options} if wrapped else options)
    assert answer.status_code == status, answer.text
    assert answer.json()["reason"] == reason
    assert answer.json()["remedy"]
    assert servers(marie) == before


@pytest.mark.parametrize("body", ["[]", '"text"', "7", "not json", '{"user_options": []}', '{"display_name": 7}'])
def test_bodies_that_are_no_options(marie: httpx.Client, body: str) -> None:
    answer = marie.post("/users/marie/servers/odd", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400, answer.text
    assert "odd" not in servers(marie)


def test_a_megabyte_is_refused(marie: httpx.Client) -> None:
    answer = marie.post("/users/marie/servers/big", json={**GOOD, "environment": "x" * 1_000_000})
    assert answer.status_code == 413
    assert "64 KiB" in answer.json()["message"]
    assert "big" not in servers(marie)


def test_deep_nesting_does_not_stop_the_hub(marie: httpx.Client) -> None:
    answer = marie.post("/users/marie/servers/deep", content="[" * 30_000 + "]" * 30_000)
    assert answer.status_code in (400, 413, 500)
    assert "deep" not in servers(marie)
    assert marie.get("/user").status_code == 200


@pytest.mark.parametrize("path", ["/users/marie/server", "/users/marie/servers/"])
def test_the_unnamed_server_is_refused(marie: httpx.Client, path: str) -> None:
    answer = marie.post(path, json=GOOD)
    assert answer.status_code == 400, answer.text
    assert answer.json()["reason"] == "unnamed-server"
    assert not marie.get("/users/marie").json()["server"]


@pytest.mark.backend
def test_put_and_patch_pass_admission(marie: httpx.Client) -> None:
    bad = {**GOOD, "experiments": ["exp-3"]}
    path = "/users/marie/servers/kept"
    assert marie.put(path, json={"user_options": bad}).status_code == 403
    assert "kept" not in servers(marie)
    assert marie.put(path, json={"user_options": GOOD, "display_name": "Kept"}).status_code == 201
    try:
        for change in (
            {"user_options": bad},
            {"user_options": 7},
            {"user_options": None},
            {"user_options": {"image": 1}},
        ):
            assert marie.patch(path, json=change).status_code in (400, 403), change
        assert servers(marie)["kept"]["user_options"] == GOOD
        assert marie.patch(path, json={"name": "other"}).status_code == 400
        assert marie.patch(path, json={"state": {}}).status_code == 400
        assert marie.patch(path, json={"display_name": "x" * 300}).status_code == 400
        assert marie.patch(path, json={"display_name": "Another"}).status_code == 200
        assert servers(marie)["kept"]["display_name"] == "Another"
    finally:
        marie.request("DELETE", path, json={"remove": True})


def test_a_refused_new_option_keeps_the_old_one(marie: httpx.Client) -> None:
    path = "/users/marie/servers/twice"
    marie.put(path, json={"user_options": GOOD})
    try:
        assert marie.post(path, json={**GOOD, "flavour": "huge"}).status_code == 400
        assert servers(marie)["twice"]["user_options"] == GOOD
    finally:
        marie.request("DELETE", path, json={"remove": True})


def test_nobody_starts_for_somebody_else(shared_hub: RunningHub, marie: httpx.Client) -> None:
    shared_hub.token("lise")  # she logged in once
    assert marie.post("/users/lise/servers/x", json={**GOOD, "experiments": ["exp-3"]}).status_code in (403, 404)


def test_an_administrator_starts_with_the_owners_rights_only(shared_hub: RunningHub) -> None:
    shared_hub.token("lise")
    with shared_hub.api(shared_hub.token("grace")) as grace:
        answer = grace.post("/users/lise/servers/byadmin", json=GOOD)
        assert answer.status_code == 403, answer.text
        assert answer.json()["reason"] == "experiment-not-available"
        assert "byadmin" not in servers(grace, "lise")


@pytest.mark.backend
def test_spawn_page_and_query_lead_to_the_portal_or_refuse(shared_hub: RunningHub) -> None:
    with shared_hub.login("marie") as browser:
        shown = browser.get("/hub/spawn")
        assert str(shown.url).startswith(f"{shared_hub.portal}new")
        good = "opt-experiments=exp-1&opt-environment=scattering&opt-flavour=small"
        chosen = browser.get(f"/hub/spawn/marie/viaquery?{good}")
        assert str(chosen.url) == f"{shared_hub.portal}new?experiments=exp-1"
        refused = browser.get("/hub/spawn/marie/viaquery?opt-image=evil")
        assert refused.status_code == 400
        assert "is not known" in refused.text
        others = browser.get(f"/hub/spawn/marie/x?{good.replace('exp-1', 'exp-3')}")
        assert others.status_code == 403
        assert browser.get("/hub/spawn/lise/x?opt-experiments=exp-3").status_code == 403
        xsrf = next(c.value for c in browser.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
        assert browser.post("/hub/spawn/marie/x", data={"_xsrf": xsrf or ""}).status_code == 405
        assert str(browser.get("/hub/home").url) == shared_hub.portal
        assert str(browser.get("/hub/").url) == shared_hub.portal
    assert not any(i.name in ("viaquery", "x") for i in shared_hub.store.instances_of("marie"))


@pytest.mark.backend
def test_a_good_start_runs_and_its_end_gives_the_quota_back(shared_hub: RunningHub, marie: httpx.Client) -> None:
    path = "/users/marie/servers/good"
    answer = marie.post(path, json={"user_options": GOOD, "display_name": "A good one"})
    assert answer.status_code in (201, 202), answer.text
    try:
        until(lambda: servers(marie)["good"]["ready"], 60)
        (instance,) = [i for i in shared_hub.store.holding() if i.name == "good"]
        assert (instance.state, instance.title) == ("running", "A good one")
        assert marie.post(path, json=GOOD).status_code == 400, "it runs already"
    finally:
        marie.delete(path)
    until(lambda: not [i for i in shared_hub.store.holding() if i.name == "good"], 60, "the quota's return")
    assert marie.post(path).status_code in (201, 202), "stored options are admitted again"
    marie.request("DELETE", path, json={"remove": True})
    until(lambda: not [i for i in shared_hub.store.instances_of("marie") if i.name == "good"], 60, "forgetting")


def test_stopping_and_deleting_are_in_the_audit_trail_by_their_names(
    shared_hub: RunningHub, marie: httpx.Client
) -> None:
    path, identifier = "/users/marie/servers/ended", instance_id("marie", "ended")

    def acts() -> list[tuple[str, str, str, bool]]:
        found = [one.decision for one in reversed(shared_hub.store.audit(limit=200))]
        return [(d.actor, d.owner, d.action, d.allowed) for d in found if d.instance_id == identifier]

    assert marie.put(path, json={"user_options": GOOD}).status_code == 201
    before = len(acts())
    assert marie.delete(path).status_code in (202, 204, 404)
    assert acts()[before:] == [], "it did not run"
    assert marie.post(path).status_code in (201, 202)
    until(lambda: servers(marie)["ended"]["ready"], 60)
    before = len(acts())
    marie.delete(path)
    until(lambda: acts()[before:] == [("marie", "marie", "stop", True)], what=lambda: f"a stop in {acts()[before:]}")
    until(lambda: not servers(marie)["ended"]["pending"], 60)
    with shared_hub.api(shared_hub.token("grace")) as grace:
        assert grace.request("DELETE", path, json={"remove": True}).status_code == 204
    assert acts()[before + 1 :] == [("grace", "marie", "delete", True)]


class Asked(ServerHandler):
    """A request for marie's server ``work``, as far as admission's part of it needs one."""

    db: Any = None

    def __init__(self, user: Any, db: Any = None) -> None:
        self._known, self.prechecked = {"marie": user}, list[object]()
        self.db = db

    def get_server_json_body(self) -> dict[str, Any]:
        return {"user_options": GOOD}

    async def _precheck(self, user_name: str, server_name: str, options: object) -> None:
        self.prechecked.append(options)


def server(*, active: bool) -> Any:
    return SimpleNamespace(active=active, _spawn_future=None, user_options={})


@pytest.mark.parametrize(
    ("spawners", "asked"),
    [({}, [GOOD]), ({"work": server(active=False)}, [GOOD]), ({"work": server(active=True)}, [])],
    ids=["new", "stopped", "running"],
)
async def test_only_what_runs_is_left_to_jupyterhub_alone(
    monkeypatch: pytest.MonkeyPatch, spawners: dict[str, Any], asked: list[object]
) -> None:
    async def post(self: Any, user_name: str, server_name: str) -> None: ...

    monkeypatch.setattr(UserServerAPIHandler, "post", post)
    handler = Asked(SimpleNamespace(orm_spawners={}, spawners=spawners))
    await ServerHandler.post.__wrapped__(handler, "marie", "work")
    assert handler.prechecked == asked


class Database:
    """Notes what is deleted and how often it is committed."""

    def __init__(self) -> None:
        self.deleted: list[object] = []
        self.commits = 0

    def delete(self, row: object) -> None:
        self.deleted.append(row)

    def commit(self) -> None:
        self.commits += 1


@pytest.mark.parametrize("before", [None, {}, GOOD])
def test_options_of_a_server_that_was_there_are_as_before_a_refusal(before: dict[str, Any] | None) -> None:
    row, spawner = SimpleNamespace(user_options="new"), server(active=False)
    user = SimpleNamespace(orm_spawners={"work": row}, spawners={"work": spawner})
    database = Database()
    Asked(user, database)._undo(user, "work", True, before)
    assert (row.user_options, spawner.user_options) == (before, before or {})
    assert (database.deleted, database.commits) == ([], 1)


def test_a_server_that_was_refused_is_not_there_and_one_that_went_meanwhile_is_let_go() -> None:
    row, database = object(), Database()
    user = SimpleNamespace(orm_spawners={"work": row}, spawners={"work": server(active=False)})
    Asked(user, database)._undo(user, "work", False, None)
    assert (user.spawners, database.deleted, database.commits) == ({}, [row], 1)
    user.orm_spawners.clear()
    Asked(user, database)._undo(user, "work", False, None)
    assert database.commits == 1


def test_refusals_are_in_the_audit_trail(shared_hub: RunningHub) -> None:
    """Of somebody who is refused seldom: what is refused again and again gets no row each time."""
    with shared_hub.api(shared_hub.token("dorothy")) as dorothy:
        dorothy.post("/users/dorothy/servers/audited", json={**GOOD, "experiments": ["exp-99"]})
    newest = shared_hub.store.audit(limit=1)[0].decision
    assert (newest.actor, newest.owner, newest.allowed) == ("dorothy", "dorothy", False)
    assert newest.reason == "experiment-not-available"
    assert json.dumps(newest.detail)
