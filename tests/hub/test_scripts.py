"""What a page of an instance on the hub's host gets of the hub, and what it can set for it."""

from __future__ import annotations

import httpx
import pytest

from tests.services.hub import Browser, RunningHub
from visa.doubled import SENTENCE, STAYS

LOGIN = "jupyterhub-hub-login"
SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"}
PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.fixture(scope="module")
def logins(shared_hub: RunningHub) -> dict[str, str]:
    """What the hub's cookie is, for each."""
    found = {}
    for name in ("marie", "lise"):
        with shared_hub.login(name) as browser:
            found[name] = next(one.value or "" for one in browser.cookies.jar if one.name == LOGIN)
    return found


@pytest.fixture
def asking(shared_hub: RunningHub) -> httpx.Client:
    return Browser(base_url=shared_hub.url)


@pytest.mark.parametrize("order", [("lise", "marie"), ("marie", "lise")])
def test_two_logins_are_nobodys_and_the_other_is_taken_away(
    asking: httpx.Client, logins: dict[str, str], order: tuple[str, str]
) -> None:
    both = {"Cookie": "; ".join(f"{LOGIN}={logins[name]}" for name in order)}
    answer = asking.get("/hub/token", headers={**both, **PERSON})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/hub/token")
    removed = [
        one.split("; Expires")[0]
        for one in answer.headers.get_list("set-cookie")
        if one.startswith(LOGIN) and "Partitioned" not in one
    ]
    assert removed == [f"{LOGIN}=; Path={path}" for path in ("/", "/hub", "/hub/token", "/hub/token/")]
    again = asking.get("/hub/token", headers={"Cookie": f"{both['Cookie']}; visa-doubled=1", **PERSON})
    assert (again.status_code, again.text) == (403, STAYS), "no loop"
    refused = asking.get("/hub/api/user", headers={**both, **SCRIPT})
    assert (refused.status_code, refused.text) == (403, SENTENCE)


def test_one_login_gets_its_pages_and_a_script_none(asking: httpx.Client, logins: dict[str, str]) -> None:
    one = {"Cookie": f"{LOGIN}={logins['marie']}"}
    page = asking.get("/hub/token", headers={**one, **PERSON})
    assert page.is_success
    assert "marie" in page.text
    refused = asking.get("/hub/token", headers={**one, **SCRIPT})
    assert refused.status_code == 403
    assert 'xsrf_token: ""' in refused.text
