"""A hub that is given hosts for its instances while some run, and is told to leave them again."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest

from tests.services.hub import Backend, RunningHub, started, until
from visa.addresses import label

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
PAGE = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


def configure(hub: RunningHub, *, own_origins: bool) -> None:
    """As jupyterhub_config.py says it from the next start on."""
    before, port = hub.config.read_text(), hub.url.rpartition(":")[2]
    public, instances = (hub.url, f"http://*.localhost:{port}") if own_origins else ("", "")
    kept, _, _ = before.partition("public_url=")
    _, _, rest = before.partition("instances=")
    hub.config.write_text(f"{kept}public_url={public!r}, instances={instances!r}){rest.partition(')')[2]}")


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
        configure(hub, own_origins=True)
        hub.start()
        own = f"http://{_host(hub)}/user/marie/steady/"
        assert address() == shared
        assert well(shared)
        with hub.login("marie") as browser:
            led = browser.get(f"{own}lab", headers=PAGE, follow_redirects=True)
        assert str(led.url).startswith(shared), "a link to the new place leads to where it is"
        for path in ("services/visa/accent.css", "hub/health"):
            told = httpx.get(f"http://{_host(hub)}/{path}", headers={"Sec-Fetch-Mode": "cors"}, timeout=60)
            assert told.status_code == 421, "the proxy of the former hub goes on, its routes do not"
        stop()
        start()
        assert address() == own
        assert well(own)
        assert not well(shared)
        hub.stop()
        configure(hub, own_origins=False)
        hub.start()
        assert address() == own
        assert well(own)
        stop()
        start()
        assert address() == shared
        assert well(shared)


def _host(hub: RunningHub) -> str:
    return f"{label('marie', 'steady')}.localhost:{hub.url.rpartition(':')[2]}"
