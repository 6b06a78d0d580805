"""The hub killed in the middle: nothing lost, nothing left, running work reachable."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import httpx
import pytest

from tests.services.hub import RunningHub, run_in, until
from visa.hub.admitted import RESTARTED
from visa.identifiers import instance_id
from visa.processes import Process, arguments

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


def start(hub: RunningHub, token: str, name: str) -> None:
    with hub.api(token) as api:
        answer = api.post(f"/users/marie/servers/{name}", json=GOOD)
        assert answer.status_code in (201, 202), answer.text


def portal_of(hub: RunningHub) -> Process:
    """The portal that this hub runs."""
    assert hub.process is not None
    children = Path(f"/proc/{hub.process.pid}/task/{hub.process.pid}/children").read_text().split()
    (found,) = [pid for pid in map(int, children) if "visa.portal" in arguments(pid)]
    process = Process.of(found)
    assert process is not None
    return process


@pytest.mark.backend
def test_killed_during_starts_nothing_is_lost_or_left(own_hub: RunningHub) -> None:
    token = own_hub.token("marie")
    start(own_hub, token, "steady")
    assert "42" in run_in(own_hub, token, "marie/steady", "print(6 * 7)")

    def begin(name: str) -> None:
        try:
            start(own_hub, token, name)
        except (httpx.HTTPError, AssertionError):
            return  # the hub is killed meanwhile; that is the test

    threads = [threading.Thread(target=begin, args=(f"n{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    until(lambda: len(own_hub.store.holding()) >= 3, 60, "starts under way")
    portal = portal_of(own_hub)
    own_hub.kill()
    for thread in threads:
        thread.join()

    with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60) as client:
        alive = client.get(f"{own_hub.url}/user/marie/steady/_visa/health")
        assert alive.status_code == 200, "proxy and instance go on without the hub"
    until(lambda: not portal.is_alive(), 60, "the portal's end: no process is left that nobody needs")

    own_hub.start()
    with own_hub.api(token) as api:
        ready = {n for n, s in api.get("/users/marie").json()["servers"].items() if s["ready"]}
        assert "steady" in ready
        until(lambda: {i.name for i in own_hub.store.holding()} == ready, 60, "reservations as servers are")
        assert all(i.state == "running" for i in own_hub.store.holding())
        broken = [i for i in own_hub.store.instances_of("marie") if i.name not in ready]
        assert broken, "some were starting"
        assert {(i.state, i.reason) for i in broken} == {("failed", RESTARTED)}
        known = {i.id for i in own_hub.store.holding()}
        until(lambda: own_hub.alive() == known, 60, "unknown processes' end")
        assert "42" in run_in(own_hub, token, "marie/steady", "print(6 * 7)")
        free = 5 - len(ready)
        for number in range(free):
            start(own_hub, token, f"again{number}")
        assert api.post("/users/marie/servers/onemore", json=GOOD).status_code == 409


@pytest.mark.backend
def test_a_clean_stop_and_start_keeps_running_work(own_hub: RunningHub) -> None:
    token = own_hub.token("marie")
    start(own_hub, token, "kept")
    own_hub.stop()
    assert own_hub.alive(), "instances go on"
    own_hub.start()
    with own_hub.api(token) as api:
        assert api.get("/users/marie").json()["servers"]["kept"]["ready"]
        assert "1" in run_in(own_hub, token, "marie/kept", "print(1)")
        assert api.delete("/users/marie/servers/kept").status_code in (202, 204)
        until(lambda: not own_hub.alive(), 60, "its end")
    assert own_hub.store.holding() == ()


@pytest.mark.backend
def test_an_instance_that_ends_by_itself_gives_its_quota_back_and_says_why(shared_hub: RunningHub) -> None:
    token = shared_hub.token("marie")
    start(shared_hub, token, "dies")
    identifier = instance_id("marie", "dies")
    jupyter = [
        pid
        for pid in (int(entry) for entry in os.listdir("/proc") if entry.isdigit())
        if any("jupyter-lab" in a for a in arguments(pid)) and "/user/marie/dies/" in _variables(pid)
    ]
    assert jupyter
    Process.of(jupyter[0]).signal(signal.SIGKILL)  # type: ignore[union-attr]
    until(lambda: identifier not in {i.id for i in shared_hub.store.holding()}, 60, "the quota's return")
    instance = shared_hub.store.instance(identifier)
    assert instance is not None
    assert instance.state == "failed"
    assert instance.reason
    assert "SIGKILL" in instance.reason
    with shared_hub.api(token) as api:
        api.request("DELETE", "/users/marie/servers/dies", json={"remove": True})


def _variables(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return ""


def test_facility_is_reloaded_and_a_broken_edit_keeps_the_last_good_one(own_hub: RunningHub) -> None:
    token = own_hub.token("marie")
    with own_hub.rest(token) as rest:
        good = own_hub.facility.read_text()
        own_hub.facility.write_text(good.replace("name: Test Facility", "name: Another Name"))
        until(lambda: rest.get("me").json()["facility"] == "Another Name", 60, "the reload")
        own_hub.facility.write_text("facility: {nam: x}")
        with own_hub.login("grace") as grace:
            until(lambda: "did you mean" in grace.get("/services/visa/").text, 60, "the word to operators")
        assert rest.get("me").json()["facility"] == "Another Name"
        with own_hub.login("marie") as marie:
            assert "did you mean" not in marie.get("/services/visa/").text


def test_the_hub_refuses_a_broken_facility_with_the_words_of_visa_check(tmp_path: Path) -> None:
    path = tmp_path / "facility.yaml"
    path.write_text("facility: {nam: x}\n")
    hub = RunningHub(tmp_path / "hub", path)
    hub.start(wait=False)
    assert hub.process is not None
    assert hub.process.wait(60) != 0
    assert f"{path}:1: facility.nam" in hub.tail()
    assert "did you mean 'name'?" in hub.tail()
