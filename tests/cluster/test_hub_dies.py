"""The hub's pod killed in the middle of many starts."""

from __future__ import annotations

import threading
from typing import Any

import httpx
import websockets.sync.client as websockets

from tests.services.hub import until
from tests.services.kernel import run
from tests.services.release import Release

PEOPLE = {"marie": 5, "lise": 4, "rosalind": 1, "dorothy": 10}
"""How many starts each makes: 20 in all, some beyond the quota."""


def options(release: Release, username: str) -> dict[str, Any]:
    return {"experiments": release.experiments(username)[:1], "environment": "scattering", "flavour": "small"}


def test_every_start_ends_ready_or_refused_and_sessions_go_on(release: Release) -> None:
    wanted = {username: options(release, username) for username in PEOPLE}
    starts = [(username, number) for username, count in PEOPLE.items() for number in range(count)]
    assert len(starts) == 20
    for username in PEOPLE:
        release.remove(username)
    release.start("marie", "steady")
    token = release.token("marie")
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(base_url=f"{release.url}/user/marie/steady/", headers=headers, timeout=30) as client:
        until(lambda: client.get("api/status").status_code == 200, 30, "Jupyter")
        kernel = client.post("api/kernels", json={"name": "python3"}).json()["id"]
    address = f"{release.url}/user/marie/steady/api/kernels/{kernel}/channels".replace("http", "ws", 1)
    (hub,) = release.pods("hub")
    outcomes: dict[tuple[str, int], int] = {}

    def begin(username: str, number: int) -> None:
        try:
            with release.api(release.token(username)) as api:
                answer = api.post(f"/users/{username}/servers/n{number}", json=wanted[username])
                outcomes[username, number] = answer.status_code
        except httpx.HTTPError:
            outcomes[username, number] = 0  # the hub went away meanwhile: that is the test

    with websockets.connect(address, additional_headers=headers, max_size=None) as socket:
        threads = [threading.Thread(target=begin, args=start) for start in starts]
        for thread in threads:
            thread.start()
        until(lambda: len(_pods(release)) > 3, 60, "starts under way")
        release.namespace.run("delete", "pod", hub["metadata"]["name"], "--grace-period=0", "--force")
        for thread in threads:
            thread.join(120)
        assert "42" in run(socket, "print(6 * 7)"), "the websocket of before the kill still works"
        until(lambda: _healthy(release, hub["metadata"]["uid"]), 90, "the next hub")
        assert "43" in run(socket, "print(43)")
    until(lambda: _settled(release), 120, lambda: f"agreement: {_books(release)} {_pods(release)}")
    books = _books(release)
    assert "steady" in {name for _, name, state in books if state == "running"}
    assert {state for _, _, state in books} <= {"running", "stopped", "failed"}
    # What was given back can be used again.
    for username in PEOPLE:
        release.remove(username)
    until(lambda: not _pods(release), 60, "the end of all pods")
    release.start("marie", "again")
    release.remove("marie")


def _healthy(release: Release, former: str) -> bool:
    hubs = [pod for pod in release.pods("hub") if pod["metadata"]["uid"] != former]
    if not hubs:
        return False
    try:
        return httpx.get(f"{release.url}/hub/health", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def _books(release: Release) -> list[tuple[str, str, str]]:
    """``(owner, name, state)`` of everything that the portal knows of these people."""
    found = []
    for username in PEOPLE:
        with release.rest(release.token(username)) as rest:
            found += [(username, one["name"], one["state"]) for one in rest.get("instances").json()]
    return found


def _pods(release: Release) -> set[str]:
    return {pod["metadata"]["name"] for pod in release.namespace.instances()}


def _settled(release: Release) -> bool:
    """Pods are those that the books call running, and nothing is under way."""
    books = _books(release)
    if any(state not in ("running", "stopped", "failed") for _, _, state in books):
        return False
    return _pods(release) == {release.pod(owner, name) for owner, name, state in books if state == "running"}
