"""People of all names log in, start and open, behind each of the proxies, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, expect

from tests.services import chp, facility
from tests.services.browser import log_in, start_new
from tests.services.hub import RunningHub, run_in, started
from tests.services.waiting import until
from visa.addresses import instance_path, part

pytestmark = pytest.mark.timeout(300)

NAMES = ["cy+x", "a.b-c_D@mail.example", "x+y+z@0.example"]


def write(folder: Path, prefix: Path) -> Path:
    """The test facility, with people of these names in the team of all experiments."""
    path = facility.write(folder, prefix)
    content = yaml.safe_load((folder / "catalogue.yaml").read_text())
    content["people"] += [
        {"username": name, "name": f"Cy {n}", "uid": 20105 + n, "gid": 20105 + n, "roles": ["scientist"]}
        for n, name in enumerate(NAMES)
    ]
    for experiment in content["experiments"]:
        experiment["team"] += NAMES
    (folder / "catalogue.yaml").write_text(yaml.safe_dump(content))
    return path


@pytest.fixture(scope="module", params=["traefik", "configurable-http-proxy"])
def hub(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path
) -> Iterator[RunningHub]:
    """One behind each proxy."""
    folder = tmp_path_factory.mktemp("names")
    made = RunningHub(folder, write(folder / "facility", environment_prefix))
    with ExitStack() as stack:
        if request.param != "traefik":
            proxy = stack.enter_context(chp.running(folder, int(made.url.rpartition(":")[2])))
            made.config.write_text(made.config.read_text() + proxy.extra())
        yield stack.enter_context(started(made))


@pytest.mark.parametrize("name", NAMES)
def test_a_person_of_that_name_starts_an_instance_and_opens_it(hub: RunningHub, browser: Browser, name: str) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(context, hub.url, name)
    start_new(page)
    page.wait_for_url(f"**/user/{part(name)}/**/lab/**", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    server = page.url.partition("/user/")[2].split("/")[1]
    home = context.new_page()
    home.goto(f"{hub.url}/services/visa/")
    link = home.locator(".card a[href*='/user/']").first
    assert link.get_attribute("href") == instance_path("/", name, server)
    for typed in (f"/user/{name}/{server}/lab", f"/user/{part(name).replace('@', '%40')}/{server}/lab?reset"):
        home.goto(hub.url + typed)
        home.wait_for_url(f"{hub.url}{instance_path('/', name, server)}lab**", timeout=30_000)
    context.close()


@pytest.mark.parametrize("name", NAMES)
def test_their_token_starts_shares_runs_and_ends_one(hub: RunningHub, name: str) -> None:
    token = hub.token(name)
    with hub.rest(token) as api:
        wanted = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
        made = api.post("instances", json=wanted)
        assert made.status_code in (200, 201, 202), made.text
        one = f"instances/{made.json()['id']}"

        def running() -> dict[str, Any] | None:
            now: dict[str, Any] = api.get(one).json()
            assert now["state"] in ("starting", "running"), now
            return now if now["state"] == "running" else None

        url = until(running, 120, "the start")["url"]
        assert url == instance_path("/", name, made.json()["name"])
        said = run_in(hub, token, url.removeprefix("/user/").strip("/"), "import os; print(os.environ['HOME'])")
        assert said == f"/home/{name}\n"
        other = NAMES[NAMES.index(name) - 1]
        member = api.post(f"{one}/members", json={"username": other, "role": "observer"})
        assert member.status_code == 201, member.text
        assert api.patch(f"{one}/members/{part(other)}", json={"role": "collaborator"}).status_code == 200
        with hub.api(hub.token(other)) as guest:
            assert guest.post(f"/visa/instances/{made.json()['id']}/enter").status_code == 204
            status = f"{hub.url}{url}api/status"
            until(lambda: guest.get(status).status_code == 200, 60, "a member of another such name is in")
        assert api.delete(f"{one}/members/{part(other)}").status_code == 204
        assert api.delete(one).status_code in (200, 202, 204)
        until(lambda: api.get(one).status_code == 404, 60, "the end")
