"""The demo's login: its people, from loopback only."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from tests.services import facility
from tests.services.hub import Browser, RunningHub, started, until
from visa.hub.demo import DemoAuthenticator

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@pytest.mark.parametrize("address", ["http://0.0.0.0:8000", "http://:8000", "http://192.0.2.7:8000", "http://[::]:80"])
def test_it_refuses_to_serve_anything_but_this_machine(address: str) -> None:
    with pytest.raises(RuntimeError, match="serves loopback only"):
        DemoAuthenticator().get_handlers(SimpleNamespace(bind_url=address))


PERSON = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def test_the_hub_refuses_to_start_on_another_address(tmp_path: Path) -> None:
    made = RunningHub(tmp_path, facility.write(tmp_path / "facility"), extra='c.JupyterHub.bind_url = "http://:0"')
    try:
        made.start(wait=False)
        assert made.process is not None
        assert made.process.wait(60) != 0
        assert "serves loopback only" in made.tail(20_000)
    finally:
        made.end()


def test_the_page_lists_the_people_and_the_password(shared_hub: RunningHub) -> None:
    page = Browser(base_url=shared_hub.url).get("/hub/login")
    for person in facility.PEOPLE:
        assert f"<code>{person['username']}</code>" in page.text
    assert "<code>visa</code>" in page.text
    assert "<td>instrument scientist</td>" in page.text, "dorothy is one by the catalogue's instruments"


def test_pages_of_the_hub_bear_the_facilitys_name(shared_hub: RunningHub) -> None:
    for path, status in (("/hub/login", 200), ("/hub/nothing", 404)):
        page = Browser(base_url=shared_hub.url).get(path)
        assert page.status_code == status
        assert re.findall(r"<title>\s*(.*?)\s*</title>", page.text, re.S) == ["Test Facility"]
        assert re.search(r'<a class="navbar-brand" href="/hub/">Test Facility</a>', page.text)


def test_a_page_elsewhere_that_was_pointed_here_is_not_served(shared_hub: RunningHub) -> None:
    browser = Browser(base_url=shared_hub.url)
    elsewhere = browser.get("/hub/login", headers={"Host": "evil.example.org", **PERSON})
    assert elsewhere.status_code == 403
    assert "The demo is reached as 127.0.0.1 or localhost" in elsewhere.text
    assert browser.get("/hub/login", headers={"Host": "localhost:1"}).status_code == 200


@pytest.mark.parametrize(
    ("username", "password"), [("marie", "wrong"), ("nobody", "visa"), ("../x", "visa"), ("", "visa"), ("marie", "")]
)
def test_others_are_not_let_in(shared_hub: RunningHub, username: str, password: str) -> None:
    browser = Browser(base_url=shared_hub.url, follow_redirects=True)
    browser.get("/hub/login")
    xsrf = next(c.value for c in browser.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
    data = {"username": username, "password": password, "_xsrf": xsrf or ""}
    assert browser.post("/hub/login", data=data).status_code in (400, 403)
    assert browser.get("/hub/api/user").status_code == 403
    newest = shared_hub.store.audit(limit=1)[0].decision
    assert (newest.action, newest.allowed) == ("login", False)


@pytest.fixture(scope="module")
def asking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    """A hub that asks about people again after a second."""
    folder = tmp_path_factory.mktemp("asking")
    path = facility.write(folder / "facility")
    with started(RunningHub(folder, path, extra="c.Authenticator.auth_refresh_age = 1")) as made:
        yield made


@pytest.fixture
def catalogue(asking: RunningHub) -> Iterator[Path]:
    """Its catalogue, which is as it was afterwards, and everybody in it again."""
    path = asking.facility.with_name("catalogue.yaml")
    before = path.read_text()
    yield path
    path.write_text(before)
    with asking.login("rosalind") as rosalind:
        known = rosalind.get("/hub/api/user").json()
    assert (known["admin"], known["groups"]) == (False, []), "a login asks at once"


def test_who_is_removed_from_the_catalogue_starts_nothing(asking: RunningHub, catalogue: Path) -> None:
    token = asking.token("rosalind")
    before = catalogue.read_text()
    without = yaml.safe_load(before)
    without["people"] = [p for p in without["people"] if p["username"] != "rosalind"]
    without["experiments"][0]["team"] = ["marie"]
    with asking.api(token) as api:
        catalogue.write_text("people: [")
        assert api.get("/user").status_code == 200, "a broken catalogue says nothing about anybody"
        catalogue.write_text(yaml.safe_dump(without))
        until(lambda: api.get("/user").status_code == 403, 60, "the refusal")
        assert api.post("/users/rosalind/servers/x", json=GOOD).status_code == 403
        person = asking.store.person("rosalind")
        assert person is not None
        assert not person.active
        catalogue.write_text(before)
        asking.login("rosalind").close()
        until(lambda: api.get("/user").status_code == 200, 60, "her return")


@pytest.mark.parametrize(
    ("change", "seen"),
    [
        ({"roles": ["administrator"]}, lambda user: user["admin"]),
        ({"groups": ["physics"]}, lambda user: "physics" in user["groups"]),
        ({"name": "Rosalind Elsie"}, lambda user: user.get("user_info", {}).get("name") == "Rosalind Elsie"),
    ],
)
def test_what_changes_in_the_catalogue_changes_in_the_hub(
    asking: RunningHub, catalogue: Path, change: dict[str, Any], seen: Callable[[dict[str, Any]], bool]
) -> None:
    token = asking.token("rosalind")
    changed = yaml.safe_load(catalogue.read_text())
    next(p for p in changed["people"] if p["username"] == "rosalind").update(change)
    with asking.api(token) as api:
        assert not seen(api.get("/user").json())
        catalogue.write_text(yaml.safe_dump(changed))
        until(lambda: seen(api.get("/user").json()), 60, lambda: str(api.get("/user").json()))
