"""How instances end, and that every end gives the quota back and says why."""

from __future__ import annotations

import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.catalogue.test_sql import execute, make
from tests.services.hub import Backend, RunningHub, until
from visa.store.store import Instance

GOOD: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[RunningHub]:
    """One that looks every second."""
    with backend.running(tmp_path_factory.mktemp("ends"), look_every=1.0) as made:
        yield made


@pytest.fixture(scope="module")
def marie(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.api(hub.token("marie")) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_left(hub: RunningHub, marie: httpx.Client) -> Iterator[None]:
    yield
    for name in marie.get("/users/marie").json()["servers"]:
        if name:
            marie.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
    until(lambda: not hub.store.holding() and not hub.alive(), 60, "the end of everything")


def rewrite(hub: RunningHub, content: str) -> None:
    """Another facility.yaml, when the hub has read it (the portal's log lines look otherwise)."""

    def reloads() -> int:
        return len(re.findall(r"visa\.facility\.watch .*\] Loaded ", hub.tail(1_000_000)))

    before = reloads()
    hub.facility.write_text(content)
    until(lambda: reloads() > before, 60, "the reload")


def instance(hub: RunningHub, name: str) -> Instance:
    (found,) = [i for i in hub.store.instances_of("marie") if i.name == name]
    return found


def start(marie: httpx.Client, name: str, **changed: Any) -> None:
    answer = marie.post(f"/users/marie/servers/{name}", json={**GOOD, **changed})
    assert answer.status_code in (201, 202), answer.text


@pytest.mark.backend
def test_a_race_for_the_quota_leaves_exactly_what_it_allows(hub: RunningHub, marie: httpx.Client) -> None:
    def begin(number: int) -> int:
        return marie.post(f"/users/marie/servers/race{number}", json=GOOD).status_code

    with ThreadPoolExecutor(14) as pool:
        answers = list(pool.map(begin, range(14)))
    # 202: the start goes on, on a busy machine.
    assert set(answers) <= {201, 202, 409}, answers
    assert answers.count(409) == 14 - 5
    assert len(hub.store.holding()) == 5
    kept = set(marie.get("/users/marie?include_stopped_servers=1").json()["servers"]) - {""}
    assert kept == {i.name for i in hub.store.holding()}, "the refused left no server"


@pytest.mark.backend
def test_stop_in_the_middle_of_a_start(hub: RunningHub, marie: httpx.Client) -> None:
    with ThreadPoolExecutor(1) as pool:
        started = pool.submit(marie.post, "/users/marie/servers/hasty", json=GOOD)
        until(lambda: hub.store.holding(), 60, "the reservation")
        assert marie.delete("/users/marie/servers/hasty").status_code in (202, 204)
        started.result(60)
    until(lambda: not hub.store.holding() and not hub.alive(), 60, "its end")
    ended = instance(hub, "hasty")
    assert (ended.state, ended.reason) == ("stopped", None)
    until(lambda: not marie.get("/users/marie/servers/hasty").json()["pending"], 60)
    start(marie, "hasty")
    assert instance(hub, "hasty").state == "running"
    said = [e.decision.action for e in hub.store.audit() if e.decision.instance_id == ended.id]
    assert said[:3] == ["start", "stop", "start"]


@pytest.mark.backend
def test_who_leaves_an_experiment_loses_the_instance_on_it(hub: RunningHub, marie: httpx.Client) -> None:
    start(marie, "mine")
    start(marie, "open", experiments=["exp-4"])
    catalogue = hub.facility.with_name("catalogue.yaml")
    before = catalogue.read_text()
    without: dict[str, Any] = yaml.safe_load(before)
    without["experiments"][0]["team"] = ["rosalind"]
    without["proposals"][0]["principal"] = "lise"
    try:
        catalogue.write_text(yaml.safe_dump(without))
        until(lambda: instance(hub, "mine").state == "stopped", 60, "the end")
    finally:
        catalogue.write_text(before)
    assert "exp-1 is not one of yours any more" in (instance(hub, "mine").reason or "")
    assert instance(hub, "open").state == "running"
    ended = instance(hub, "mine").id
    (said,) = [d for e in hub.store.audit() if (d := e.decision).instance_id == ended and d.action == "end"]
    assert said.reason == "experiment-withdrawn"
    until(lambda: hub.alive() == {instance(hub, "open").id}, 60, "its processes' end")


def test_a_role_that_embargoed_data_needs_ends_what_runs_without_it(hub: RunningHub, marie: httpx.Client) -> None:
    start(marie, "secret")
    start(marie, "open", experiments=["exp-4"])
    before = hub.facility.read_text()
    document = yaml.safe_load(before)
    document["people"] = {"roles": {"identified": ["high"]}, "embargoed_needs": ["identified"]}
    try:
        rewrite(hub, yaml.safe_dump(document))
        until(lambda: instance(hub, "secret").state == "stopped", 60, "the end")
        answer = marie.post("/users/marie/servers/again", json=GOOD)
    finally:
        rewrite(hub, before)
    assert "needs a role that you do not have" in (instance(hub, "secret").reason or "")
    assert instance(hub, "open").state == "running"
    assert (answer.status_code, answer.json()["reason"]) == (403, "not-assured")


@pytest.mark.backend
def test_a_row_that_does_not_read_ends_nothing_and_a_withdrawal_in_one_that_reads_does(
    hub: RunningHub, marie: httpx.Client
) -> None:
    start(marie, "spoiled")
    start(marie, "withdrawn", experiments=["exp-2"])
    catalogue = hub.facility.with_name("catalogue.yaml")
    before = catalogue.read_text()
    bad: dict[str, Any] = yaml.safe_load(before)
    bad["experiments"][0]["team"] = ["rosalind", "o'neil"]
    bad["experiments"][1]["team"] = ["rosalind"]
    bad["proposals"][0]["principal"] = "lise"
    try:
        catalogue.write_text(yaml.safe_dump(bad))
        until(lambda: instance(hub, "withdrawn").state == "stopped", 60, "the end of the one whose row reads")
        assert instance(hub, "spoiled").state == "running", "after the same two looks"
        bad["experiments"][0]["team"] = ["rosalind"]
        catalogue.write_text(yaml.safe_dump(bad))
        until(lambda: instance(hub, "spoiled").state == "stopped", 60, "the end once the row reads")
    finally:
        catalogue.write_text(before)


SPOILED = (
    "INSERT INTO instrument_scientists VALUES ('d22', 'jürgen')",
    "INSERT INTO team VALUES ('exp-1', 'o''neil')",
    "INSERT INTO team VALUES ('exp-1', 'FACILITY\\marie')",
    "UPDATE proposals SET principal = 'marie curie', title = '' WHERE id = 'p1'",
    "UPDATE experiments SET title = '', end_date = '0000-00-00' WHERE id = 'exp-1'",
    "INSERT INTO people (username, name) VALUES (' ', '')",
    "UPDATE people SET name = CAST(x'ff41' AS TEXT) WHERE username = 'rosalind'",
    "DELETE FROM team WHERE experiment = 'exp-1' AND username = 'marie'",
)
"""Rows of a database, each of which once ended other people's instances or stopped every start."""


def test_rows_of_a_database_that_do_not_read_end_nothing(hub: RunningHub, marie: httpx.Client, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make(url)
    before = hub.facility.read_text()
    try:
        rewrite(
            hub, yaml.safe_dump({**yaml.safe_load(before), "catalogue": {"type": "sql", "url": url, "refresh": "1s"}})
        )
        start(marie, "spoiled")
        start(marie, "withdrawn", experiments=["exp-4"])
        execute(url, *SPOILED, "UPDATE experiments SET release_date = NULL WHERE id = 'exp-4'")
        until(lambda: instance(hub, "withdrawn").state == "stopped", 60, "the end of the one whose row reads")
        assert instance(hub, "spoiled").state == "running", "after the same two looks"
        execute(url, "INSERT INTO team VALUES ('exp-3', 'marie')")
        start(marie, "another", experiments=["exp-3"])
    finally:
        rewrite(hub, before)


def test_a_catalogue_that_is_gone_ends_nothing_and_starts_nothing(hub: RunningHub, marie: httpx.Client) -> None:
    start(marie, "goes-on")
    catalogue = hub.facility.with_name("catalogue.yaml")
    before = catalogue.read_text()
    try:
        catalogue.unlink()
        refused = until(lambda: _refused(marie), 60, "the refusal")
        assert refused.json()["reason"] in ("catalogue-unavailable", "person-not-verified"), refused.text
        looks = hub.tail(100_000).count("catalogue")
        assert looks
        until(lambda: marie.get("/users/marie").json()["servers"]["goes-on"]["ready"], 60)
        assert instance(hub, "goes-on").state == "running"
    finally:
        catalogue.write_text(before)


def _refused(marie: httpx.Client) -> httpx.Response | None:
    answer = marie.post("/users/marie/servers/new", json=GOOD)
    if answer.status_code in (201, 202):
        marie.request("DELETE", "/users/marie/servers/new", json={"remove": True})
        return None
    return answer


@pytest.mark.backend
@pytest.mark.parametrize(
    ("limit", "words"), [("maximum", "it reached its longest life"), ("idle", "nobody had used it for too long")]
)
@pytest.mark.backend
def test_lifetimes_end(hub: RunningHub, marie: httpx.Client, limit: str, words: str) -> None:
    before = hub.facility.read_text()
    changed: dict[str, Any] = yaml.safe_load(before)
    changed["lifetimes"] = [{"who": "everyone", limit: "3s"}]
    name = f"short-{limit}"
    try:
        rewrite(hub, yaml.safe_dump(changed))
        start(marie, name)
        until(lambda: instance(hub, name).state == "stopped", 60, "the end")
    finally:
        rewrite(hub, before)
    assert words in (instance(hub, name).reason or "")
    assert "files are kept" in (instance(hub, name).reason or "")
    (said,) = [
        d for e in hub.store.audit() if (d := e.decision).instance_id == instance(hub, name).id and d.action == "end"
    ]
    assert said.reason == f"lifetime-{limit}"


@pytest.mark.backend
def test_a_reservation_whose_server_is_gone_is_given_back(hub: RunningHub, marie: httpx.Client) -> None:
    """As when the hub's own database was restored from a backup."""
    start(marie, "real")
    store = hub.store
    with store.engine.begin() as connection:
        columns = "owner, title, state, experiments, environment, flavour, session, cpu, memory, gpu, created_at"
        connection.exec_driver_sql(
            f"INSERT INTO instances (id, name, {columns}) SELECT 'ghost', 'ghost', {columns} FROM instances"
            " WHERE name = 'real'"
        )
    until(lambda: store.instance("ghost").state == "failed", 60, "its release")  # type: ignore[union-attr]
    assert "while the service was not looking" in str(store.instance("ghost").reason)  # type: ignore[union-attr]
    assert instance(hub, "real").state == "running"


SLOW = """
import asyncio
from {module} import {name}

class Slow({name}):
    async def start_instance(self, spec):
        await super().start_instance(spec)
        await asyncio.sleep(60)

c.JupyterHub.spawner_class = Slow
c.Spawner.start_timeout = 3
"""


@pytest.mark.backend
def test_a_start_that_takes_too_long_is_given_up_and_says_so(tmp_path: Path, backend: Backend) -> None:
    module, _, name = backend.hub.spawner_class.rpartition(".")
    with backend.running(tmp_path, extra=SLOW.format(module=module, name=name)) as made:
        with made.api(made.token("marie")) as api:
            answer = api.post("/users/marie/servers/slow", json=GOOD)
            assert answer.status_code >= 500
        (ended,) = made.store.instances_of("marie")
        assert ended.state == "failed"
        assert "took longer than" in (ended.reason or "")
        assert made.store.holding() == ()
        until(lambda: not made.alive(), 60, "its processes' end")
