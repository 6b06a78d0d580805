"""What a script with the hub's origin, in the browser of an administrator who is logged in, is told by the hub."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.services.hub import Browser, RunningHub

SCRIPT = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "empty"}


@pytest.fixture(scope="module")
def grace(shared_hub: RunningHub) -> Iterator[Browser]:
    with shared_hub.login("grace") as browser:
        yield browser


@pytest.mark.parametrize("mode", ["no-cors", "cors", "same-origin"])
@pytest.mark.parametrize("path", ["api/user", "api/users", "api/users/grace/tokens", "api/shares/grace", "metrics"])
def test_a_script_gets_no_answer_by_the_cookie(grace: Browser, path: str, mode: str) -> None:
    assert grace.get(f"/hub/{path}", headers={**SCRIPT, "Sec-Fetch-Mode": mode}).status_code in (403, 404)


def test_the_hubs_own_pages_bring_their_token(grace: Browser) -> None:
    token = next(c.value for c in grace.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
    headers = {**SCRIPT, "Sec-Fetch-Mode": "cors", "X-XSRFToken": token or ""}
    assert grace.get("/hub/api/user", headers=headers).json()["name"] == "grace"


def test_a_program_reads_the_metrics(shared_hub: RunningHub) -> None:
    headers = {"Authorization": f"token {shared_hub.token('grace')}"}
    assert "jupyterhub_total_users" in httpx.get(f"{shared_hub.url}/hub/metrics", headers=headers, timeout=60).text


@pytest.mark.parametrize("path", ["nowhere", "token", "error/404"])
def test_an_error_names_nobody(grace: Browser, path: str) -> None:
    told = grace.get(f"/hub/{path}", headers={**SCRIPT, "Sec-Fetch-Mode": "cors"}).text
    assert "grace" not in told
    assert "admin_access: true" not in told
