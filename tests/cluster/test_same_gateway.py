"""Who gets in at a gateway in a pod, through the proxy: the tests of `tests/session`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub, until
from tests.services.same import repeated
from tests.session import rig
from tests.session import test_entrance as on_one_machine

globals().update(repeated(on_one_machine))

CONFIG = """
c.JupyterHub.services.append({{"name": "tests", "api_token": {token!r}}})
scopes = ["admin:users", "admin:servers", "tokens", "access:servers"]
c.JupyterHub.load_roles.append({{"name": "tests", "scopes": scopes, "services": ["tests"]}})
c.JupyterHub.load_roles.append({{"name": "grace-enters", "scopes": ["access:servers"], "users": ["grace"]}})
"""


class WithPierre(ClusterBackend):
    """One more person, who has nothing to do with Marie's experiments."""

    def facility(self, folder: Path) -> Path:
        """facility.yaml and a catalogue with Pierre."""
        path = facility.write(folder / "facility", **cluster.parts())
        pierre = {"username": "pierre", "name": "Pierre", "uid": 20009, "gid": 20009, "roles": ["scientist"]}
        known = {**facility.CATALOGUE, "people": [*facility.PEOPLE, pierre]}
        path.with_name("catalogue.yaml").write_text(yaml.safe_dump(known))
        return path


@pytest.fixture(scope="module")
def running(namespace: cluster.Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RunningHub, str]]:
    """A hub with a service that may do everything, and Marie's server ``work`` in a pod."""
    token = secrets.token_hex(16)
    backend = WithPierre(namespace)
    with backend.running(tmp_path_factory.mktemp("gateway"), extra=CONFIG.format(token=token)) as made:
        for username in ("pierre", "grace"):
            made.token(username)  # they logged in once
        with made.api(made.token("marie")) as api:
            options = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
            assert api.post("/users/marie/servers/work", json=options).status_code in (201, 202)
            until(lambda: api.get("/users/marie").json()["servers"].get("work", {}).get("ready"), 60, "the start")
            until(lambda: api.get(f"{made.url}{rig.SERVER}api/status").status_code == 200, 60, "Jupyter")
        yield made, token


@pytest.fixture(scope="module")
def hub(running: tuple[RunningHub, str]) -> rig.Hub:
    """As the tests know it."""
    made, token = running
    assert made.process is not None
    return rig.Hub(made.url, token, made.folder, made.process)


async def test_the_owner_lands_in_her_session(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser, browser.get(hub.url + rig.SERVER) as answer:
        assert answer.status == 200
        assert answer.url.path.endswith("/lab/tree/notebooks/exp-1.ipynb")
        assert "JupyterLab" in await asyncio.wait_for(answer.text(), 30)
