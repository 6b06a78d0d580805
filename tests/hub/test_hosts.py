"""A hub that is given hosts for its instances while some run, and is told to leave them again."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest

from tests.services.hub import Backend, started, until
from visa.hub import entrances

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.timeout(300)
def test_what_runs_stays_where_it_is_until_its_next_start(tmp_path: Path, backend: Backend) -> None:
    with started(backend.hub(tmp_path, backend.facility(tmp_path))) as hub:
        token = hub.token("marie")
        shared = f"{hub.url}/user/marie/steady/"

        def address() -> str:
            """As JupyterHub's API says it, joined to the hub's."""
            with hub.api(token) as api:
                server = api.get("users/marie/servers/steady").json()
            return str(httpx.URL(hub.url).join(server["url"])) if server["ready"] else ""

        def start() -> None:
            with hub.api(token) as api:
                assert api.post("users/marie/servers/steady", json=GOOD).status_code in (201, 202)
            until(address, 60, "the start")

        def stop() -> None:
            with hub.api(token) as api:
                assert api.delete("users/marie/servers/steady").status_code in (202, 204)
                until(lambda: api.get("users/marie/servers/steady").json()["stopped"], 60, "the end")

        def well(url: str) -> bool:
            headers = {"Authorization": f"token {token}"}
            return httpx.get(f"{url}_visa/people", headers=headers, timeout=60).status_code == 200

        start()
        assert address() == shared
        hub.stop()
        hub.see_instances_at(hub.url, f"http://*.localhost:{hub.url.rpartition(':')[2]}")
        hub.start()
        own = hub.origins.url("/", "marie", "steady")
        assert address() == shared
        assert well(shared)
        with hub.login("marie") as browser:
            led = browser.get(f"{own}lab", headers=PAGE, follow_redirects=True)
        assert str(led.url).startswith(shared), "a link to the new place leads to where it is"
        for path in ("/services/visa/accent.css", "/hub/health"):
            told = httpx.get(
                hub.origins.origin("marie", "steady") + path, headers={"Sec-Fetch-Mode": "cors"}, timeout=60
            )
            assert told.status_code == 421, "the proxy of the former hub goes on, its routes do not"
        stop()
        start()
        assert address() == own
        assert well(own)
        assert not well(shared)
        hub.stop()
        hub.see_instances_at("", "")
        hub.start()
        assert address() == own
        assert well(own)
        stop()
        start()
        assert address() == shared
        assert well(shared)


def test_hosts_for_people_are_refused_in_words() -> None:
    with pytest.raises(SystemExit, match=r"JupyterHub.subdomain_host gives hosts to people"):
        entrances.handlers(SimpleNamespace(subdomain_host="https://visa.example.org"))
