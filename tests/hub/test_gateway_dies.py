"""A gateway dies: kernels, browsers' logins and the hub's books are as they were."""

from __future__ import annotations

import httpx
import pytest

from tests.hub.test_restart import start
from tests.services.hub import RunningHub, until
from tests.services.kernel import Kernel
from visa.identifiers import instance_id

pytestmark = [pytest.mark.backend, pytest.mark.timeout(300)]


def answered(browser: httpx.Client, path: str) -> bool:
    try:
        return browser.get(path).status_code == 200
    except httpx.HTTPError:
        return False


def test_a_session_goes_on_at_the_next_gateway(own_hub: RunningHub) -> None:
    token, base = own_hub.token("marie"), "/user/marie/steady/"
    start(own_hub, token, "steady")
    kernel = Kernel.begin(own_hub.url + base, {"Authorization": f"token {token}"})
    kernel.run("kept = 6 * 7")
    with own_hub.login("marie") as browser, own_hub.api(token) as api:
        navigates = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        assert browser.get(base + "lab", headers=navigates).status_code == 200
        session = browser.cookies.get("visa-session", path=base)
        assert session
        begun = api.get("/users/marie").json()["servers"]["steady"]["started"]
        for _ in range(3):
            own_hub.end_gateway("marie", "steady")
            assert kernel.run_once_back("print(kept)") == "42\n"
            until(lambda: answered(browser, base + "api/me"), 60, "the browser without another login")
        assert browser.cookies.get("visa-session", path=base) == session
        server = api.get("/users/marie").json()["servers"]["steady"]
        assert server["ready"]
        assert server["started"] == begun
    (instance,) = own_hub.store.holding()
    assert (instance.id, instance.state) == (instance_id("marie", "steady"), "running")


def test_a_hub_that_was_restarted_takes_the_next_gateway_too(own_hub: RunningHub) -> None:
    token = own_hub.token("marie")
    start(own_hub, token, "steady")
    kernel = Kernel.begin(f"{own_hub.url}/user/marie/steady/", {"Authorization": f"token {token}"})
    kernel.run("kept = 6 * 7")
    own_hub.kill()
    own_hub.end_gateway("marie", "steady")
    own_hub.start()
    assert kernel.run_once_back("print(kept)") == "42\n"
    own_hub.end_gateway("marie", "steady")
    assert kernel.run_once_back("print(kept)") == "42\n"
    assert {instance.state for instance in own_hub.store.holding()} == {"running"}
