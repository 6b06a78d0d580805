"""PostgreSQL away, slow, refusing, read-only or full, under a hub with running work: who notices, and what comes back.

JupyterHub's database and the store are on a server of this file's own, behind a network of its own. What was let in
stays in, nobody is told that they may not, and nothing ends because the database could not be asked.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.services import disk, kernel
from tests.services.hub import Backend, Browser, RunningHub
from tests.services.network import Network, Weather
from tests.services.postgresql import OwnServer
from tests.services.waiting import until
from visa.identifiers import instance_id
from visa.store.faults import REASON

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
ROLE = "visa"
SIZE = "48m"
EXTRA = """
from visa.hub.sandbox import VisaSandboxSpawner
_own = VisaSandboxSpawner.get_env
VisaSandboxSpawner.get_env = lambda self: {**_own(self), "VISA_FRESH": "1"}  # gateways ask all the time
"""


@dataclass
class Site:
    """A hub whose databases are behind ``network``, and Marie's work: an instance with an open kernel."""

    hub: RunningHub
    server: OwnServer
    network: Network
    tables: Path | None
    token: str
    browser: Browser
    work: Any

    def api(self, path: str = "/user") -> httpx.Response:
        """The hub's."""
        with self.hub.api(self.token) as api:
            return api.get(path)

    def make_token(self) -> httpx.Response:
        """Something that has to be written."""
        with self.hub.api(self.token) as api:
            return api.post("/users/marie/tokens", json={"note": "n" * 200})

    def rest(self) -> httpx.Response:
        """The portal's API."""
        with self.hub.rest(self.token) as rest:
            return rest.get("me")

    def page(self) -> httpx.Response:
        """The portal's page, where she is logged in."""
        return self.browser.get("/services/visa/")

    def lab(self) -> httpx.Response:
        """Her work, through the gateway."""
        with httpx.Client(headers={"Authorization": f"token {self.token}"}, timeout=60) as client:
            return client.get(f"{self.hub.url}/user/marie/db/api/kernels")

    def works(self) -> None:
        """Her work goes on: in the websocket that was open before, and with new requests."""
        assert "42" in kernel.run(self.work, "print(6 * 7)")
        assert self.lab().status_code == 200


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[Site]:
    """One for all kinds of faults."""
    with ExitStack() as stack:
        server = OwnServer()
        stack.callback(server.end)
        server.start()
        tables = _small_disk(server, stack)
        tablespace = "" if tables is None else "TABLESPACE small"
        server.ask(f"CREATE ROLE {ROLE} LOGIN")
        if tables is not None:
            server.ask(f"CREATE TABLESPACE small OWNER {ROLE} LOCATION '{tables}'")
        server.ask(*(f"CREATE DATABASE {name} OWNER {ROLE} {tablespace}" for name in ("hub", "store")))
        network = stack.enter_context(Network(server.socket).running())
        url = f"postgresql://{ROLE}@127.0.0.1:{network.port}/"
        folder = tmp_path_factory.mktemp("hub")
        extra = f"from visa.hub.defaults import hub_database\nhub_database(c, {url + 'hub'!r})\n{EXTRA}"
        hub = stack.enter_context(backend.running(folder, store_url=f"{url}store", extra=extra))
        token = hub.token("marie")
        with hub.api(token) as api:
            assert api.post("/users/marie/servers/db", json=GOOD).status_code in (201, 202)
        headers = {"Authorization": f"token {token}"}
        until(lambda: _ready(hub, token), what="the instance")
        begun = kernel.Kernel.begin(f"{hub.url}/user/marie/db/", headers)
        work = stack.enter_context(begun.connect())
        browser = stack.enter_context(hub.login("marie"))
        made = Site(hub, server, network, tables, token, browser, work)
        made.works()
        assert made.page().status_code == 200, "she is logged in at the portal"
        yield made


def _ready(hub: RunningHub, token: str) -> bool:
    with hub.api(token) as api:
        return bool(api.get("/users/marie").json()["servers"]["db"]["ready"])


def _small_disk(server: OwnServer, stack: ExitStack) -> Path | None:
    """For PostgreSQL's tables; None where this account may not mount one."""
    folder = server.folder / "disk"
    if not disk.small(folder, SIZE):
        return None
    stack.callback(disk.gone, folder)
    (folder / "data").mkdir()
    subprocess.run(["chown", server.user, folder / "data"], check=True)
    return folder / "data"


def _stop(site: Site) -> Callable[[], None]:
    site.server.stop()
    return site.server.start


def _silent(site: Site) -> Callable[[], None]:
    site.network.becomes(Weather.SILENT)
    return lambda: site.network.becomes(Weather.CLEAR)


def _refuse(site: Site) -> Callable[[], None]:
    site.server.ask(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", *_ended())
    return lambda: site.server.ask(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1")


def _ended() -> list[str]:
    return [f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"]


AWAY = {"stopped": _stop, "silent": _silent, "refusing": _refuse}


@pytest.mark.parametrize("kind", AWAY)
def test_while_postgresql_is_away_all_say_so_and_work_goes_on(site: Site, kind: str) -> None:
    site.works()
    mark = len(site.hub.log.read_bytes())
    mend = AWAY[kind](site)
    try:
        until(lambda: _said_503(site.api()), what="the hub's 503")
        until(lambda: _said_503(site.rest()), what="the portal's 503")
        page = until(lambda: _at(site.page(), 503), what="the portal's page")
        assert page.headers["Refresh"] == "3"
        assert "comes back by itself" in page.text
        for _ in range(3):  # each time, gateway and portal have asked again
            asked = _questions(site, mark)
            until(partial(_asked_since, site, mark, asked), what="a gateway's question")
            site.works()
        assert httpx.get(f"{site.hub.url}/hub/health", timeout=60).status_code == 200
        hubs = httpx.get(f"{site.hub.url}/hub/token", cookies=dict(_hub_cookies(site)), timeout=60)
        assert hubs.status_code == 503
        assert "comes back by itself" in hubs.text, "the hub's page for a person"
    finally:
        mend()
    _all_is_well(site)


def _asked_since(site: Site, mark: int, before: int) -> bool:
    return _questions(site, mark) > before


def _questions(site: Site, mark: int) -> int:
    """How often the hub said 503 to the question who holds a token."""
    return site.hub.log.read_bytes()[mark:].count(b"503 GET /hub/api/user:")


def _hub_cookies(site: Site) -> list[tuple[str, str]]:
    return [(c.name, c.value or "") for c in site.browser.cookies.jar if c.path == "/hub/"]


def _at(answer: httpx.Response, status: int) -> httpx.Response | None:
    assert answer.status_code in (200, status), (answer.status_code, answer.text[:300])
    return answer if answer.status_code == status else None


def _said_503(answer: httpx.Response) -> bool:
    """Whether it is the problem, in full; nobody is ever told anything else but what is well."""
    if (found := _at(answer, 503)) is None:
        return False
    assert found.headers["Content-Type"] == "application/problem+json"
    assert found.json()["reason"] in (REASON, "hub-unavailable")
    assert found.json()["remedy"]
    assert found.headers["Retry-After"]
    return True


def _all_is_well(site: Site) -> None:
    """Soon, and then from the first answer on; nothing ended and nothing is forgotten."""
    until(lambda: _at(site.api(), 503) is None, what="the hub's return")
    until(lambda: _at(site.rest(), 503) is None, what="the portal's return")
    for _ in range(5):
        assert site.api().status_code == 200
        assert site.rest().status_code == 200
        assert site.page().status_code == 200
        site.works()
    assert {i.name: i.state for i in site.hub.store.holding()} == {"db": "running"}
    assert site.hub.alive() == {instance_id("marie", "db")}
    with site.hub.api(site.token) as api:
        assert api.get("/users/marie").json()["servers"]["db"]["ready"]


def test_after_a_restart_that_nobody_noticed_the_first_request_is_answered(site: Site) -> None:
    site.works()
    site.server.stop()
    site.server.start()
    assert site.api().status_code == 200
    assert site.rest().status_code == 200
    assert site.make_token().status_code == 201
    _all_is_well(site)


def test_a_slow_one_is_waited_for(site: Site) -> None:
    site.network.becomes(Weather.SLOW)
    try:
        assert site.api().status_code in (200, 503)
        assert site.rest().status_code in (200, 503)
        site.works()
    finally:
        site.network.becomes(Weather.CLEAR)
    _all_is_well(site)


def test_one_that_only_reads_still_tells_who_asks_and_refuses_what_is_to_be_written(site: Site) -> None:
    site.server.ask("ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
    try:
        refused = until(lambda: _at_write(site.make_token()), what="the refusal to write")
        assert _said_503(refused)
        assert site.api().status_code == 200
        assert site.rest().status_code == 200
        assert site.page().status_code == 200
        with site.hub.rest(site.token) as rest:
            assert _said_503(rest.patch(f"instances/{instance_id('marie', 'db')}", json={"title": "Other"}))
            assert _said_503(rest.post("instances", json=GOOD))
        site.works()
    finally:
        site.server.ask("ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()")
    until(lambda: site.make_token().status_code == 201, what="a token")
    _all_is_well(site)


def _at_write(answer: httpx.Response) -> httpx.Response | None:
    assert answer.status_code in (201, 503), answer.text[:300]
    return answer if answer.status_code == 503 else None


def test_a_full_one_says_503_and_serves_again_when_there_is_room(site: Site) -> None:
    if site.tables is None:
        pytest.skip("this account may not mount a small disk")
    with disk.full(site.tables):
        refused = until(lambda: _at_write(site.make_token()), what="a full database")
        assert refused.json()["reason"] == REASON
        assert _at(site.api(), 503) is None, "who asks is read, not written"
        site.works()
    until(lambda: site.make_token().status_code == 201, what="a token")
    _all_is_well(site)


def test_a_start_that_was_under_way_ends_well_or_says_what_was(site: Site) -> None:
    with site.hub.api(site.token) as api, httpx.Client(timeout=120) as client:
        headers = {"Authorization": f"token {site.token}"}
        began = client.stream("POST", f"{site.hub.url}/hub/api/users/marie/servers/late", json=GOOD, headers=headers)
        with began as answer:
            site.server.stop()
            assert answer.status_code in (201, 202, 503), answer.read()
            site.server.start()
        until(lambda: _at(site.api(), 503) is None, what="the hub's return")
        until(lambda: _settled(site), what="the end of the start")
        instance = site.hub.store.instance(instance_id("marie", "late"))
        if instance is not None and instance.state == "failed":
            assert "database" in (instance.reason or "")
        until(lambda: api.delete("/users/marie/servers/late").status_code in (204, 404), what="its end")
    until(lambda: len(site.hub.store.holding()) == 1, what="the quota")
    _all_is_well(site)


def _settled(site: Site) -> bool:
    with site.hub.api(site.token) as api:
        server = api.get("/users/marie").json()["servers"].get("late")
    return server is None or not server["pending"]


def test_a_hub_that_is_told_to_end_meanwhile_ends_and_the_next_one_finds_all(site: Site) -> None:
    process = site.hub.process
    assert process is not None
    site.server.stop()
    until(lambda: _said_503(site.api()), what="the hub's 503")
    process.terminate()
    until(lambda: process.poll() is not None, what="the hub's end")
    site.server.start()
    site.hub.start()
    _all_is_well(site)


def test_problem_documents_read_alike_everywhere() -> None:
    from visa.hub.away import document
    from visa.portal.problems import database_unavailable

    known = json.loads(json.dumps(document()))
    known.pop("message")
    assert known == database_unavailable().document()
