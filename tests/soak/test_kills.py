"""A hub that is killed again and again, at any moment, and a gateway with it.

Nothing is lost, nothing is left, running work is reachable.
"""

from __future__ import annotations

import random
import threading
import time

import httpx

from tests.hub.test_restart import start
from tests.services.hub import RunningHub, run_in
from tests.services.waiting import until
from tests.soak.conftest import Soak

STARTS = 3
"""Under way at a kill."""
LONGEST = 4.0
"""Seconds after which it comes at the latest."""


def test_killed_again_and_again(own_hub: RunningHub, soak: Soak) -> None:
    token = own_hub.token("marie")
    start(own_hub, token, "steady")
    chance = random.SystemRandom()
    for turn in soak.turns():
        names = [f"n{turn}-{number}" for number in range(STARTS)]
        threads = [threading.Thread(target=_begin, args=(own_hub, token, name)) for name in names]
        for thread in threads:
            thread.start()
        time.sleep(chance.uniform(0, LONGEST))
        own_hub.kill()
        for thread in threads:
            thread.join()
        with httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60) as client:
            assert client.get(f"{own_hub.url}/user/marie/steady/_visa/health").status_code == 200
        own_hub.end_gateway("marie", "steady")
        own_hub.start()
        _is_whole(own_hub, token)
        soak.did("kills of the hub")
        soak.did("kills of a gateway")


def _begin(hub: RunningHub, token: str, name: str) -> None:
    try:
        start(hub, token, name)
    except (httpx.HTTPError, AssertionError):
        return  # the hub is killed meanwhile; that is the test


def _is_whole(hub: RunningHub, token: str) -> None:
    """Servers, reservations and processes agree; the steady one works; then all but it are removed."""

    def agree() -> bool:
        with hub.api(token) as api:
            servers = api.get("/users/marie").json()["servers"]
        holding = hub.store.holding()
        ready = {name for name, server in servers.items() if server["ready"]}
        states = {instance.state for instance in holding}
        return (
            ready == {one.name for one in holding} and states == {"running"} and hub.alive() == {i.id for i in holding}
        )

    until(agree, 120, lambda: f"servers, reservations and processes agree: {hub.tail()}")
    assert "42" in run_in(hub, token, "marie/steady", "print(6 * 7)", 60)
    with hub.api(token) as api:
        for name in api.get("/users/marie?include_stopped_servers=1").json()["servers"]:
            if name not in ("", "steady"):
                api.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
    until(lambda: {one.name for one in hub.store.holding()} == {"steady"}, 60, "the quota's return")
