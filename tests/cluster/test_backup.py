"""Backup and restore as docs/operators/upgrade.md says: its own commands, with a hub whose instances are pods."""

from __future__ import annotations

import base64
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.conftest import REPOSITORY
from tests.docs.test_names import PAGES, blocks
from tests.services import cluster, postgresql
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub, run_in, until
from tests.services.postgresql import PostgreSQL
from visa.store.store import Store

GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
T = TypeVar("T")
PAGE = (REPOSITORY / "docs" / "operators" / "upgrade.md").read_text()


def commands(start: str) -> list[str]:
    """Commands of the page that begin with ``start``."""
    found = re.findall(rf"^ *({re.escape(start)} .+)$", PAGE, re.M)
    assert found, f"the page has no command {start}"
    return found


def run(command: str, folder: Path) -> None:
    done = subprocess.run(["sh", "-ec", command], cwd=folder, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{command}: {done.stderr}"


class Sqlite:
    """Both databases in the hub's state folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "backup"
        self.settings: dict[str, Any] = {}

    def backup(self, hub: RunningHub) -> None:
        """As in the hub's pod, while the hub runs."""
        self.folder.mkdir()
        (code,) = re.findall(r"-- python -c '\n(.+?)'\n", PAGE, re.S)
        code = code.replace("/tmp", str(self.folder)).replace("/var/lib/visa", str(hub.state))
        subprocess.run([sys.executable, "-c", code], check=True, timeout=60)

    def lose(self, hub: RunningHub) -> None:
        """The disk is gone."""
        for file in hub.state.glob("*.sqlite*"):
            file.unlink()

    def restore(self, hub: RunningHub) -> None:
        """As in the pod that has the claim."""
        (command,) = re.findall(r'-- sh -ec "(umask .+?)"', PAGE)
        for name in ("hub", "visa"):
            here = command.replace("/var/lib/visa", str(hub.state))
            data = (self.folder / f"{name}.sqlite").read_bytes()
            subprocess.run(["sh", "-ec", here], env={**os.environ, "name": name}, input=data, check=True, timeout=60)


class Postgres:
    """Both databases on a server."""

    def __init__(self, folder: Path, server: PostgreSQL) -> None:
        self.folder, self.server = folder / "backup", server
        self.urls = {"hub": server.database(), "visa": server.database()}
        extra = f"c.JupyterHub.db_url = {self.urls['hub']!r}\n"
        self.settings: dict[str, Any] = {"store_url": self.urls["visa"], "extra": extra}

    def _here(self, command: str) -> str:
        """With this server's addresses."""
        for name, url in self.urls.items():
            place = f"'{url.replace('+psycopg', '')}'"
            command = command.replace(f"postgresql://{name}@db.example.org/{name}", place)
        return command

    def backup(self, hub: RunningHub) -> None:
        """While the hub runs."""
        self.folder.mkdir()
        for command in commands("pg_dump"):
            run(self._here(command), self.folder)

    def lose(self, hub: RunningHub) -> None:
        """The databases are empty."""
        import psycopg

        for url in self.urls.values():
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("DROP SCHEMA public CASCADE")
                connection.execute("CREATE SCHEMA public")

    def restore(self, hub: RunningHub) -> None:
        """Into the empty databases."""
        for command in commands("pg_restore"):
            run(self._here(command), self.folder)


@pytest.fixture(params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Sqlite | Postgres]:
    """Where the hub keeps its state."""
    if request.param == "sqlite":
        yield Sqlite(tmp_path)
        return
    with postgresql.running() as server:
        yield Postgres(tmp_path, server)


def start(hub: RunningHub, token: str, name: str) -> None:
    with hub.api(token) as api:
        answer = api.post(f"/users/marie/servers/{name}", json=GOOD)
        assert answer.status_code in (201, 202), answer.text
        until(lambda: api.get("/users/marie").json()["servers"].get(name, {}).get("ready"), 90, f"the start of {name}")


def look(hub: RunningHub, question: Callable[[Store], T]) -> T:
    """An answer of the store, without a connection that stays open."""
    store = hub.store
    try:
        return question(store)
    finally:
        store.close()


def holding(hub: RunningHub) -> set[str]:
    return look(hub, lambda store: {instance.id for instance in store.holding()})


def test_a_restored_hub_finds_its_instances_and_the_whole_audit_trail(
    databases: Sqlite | Postgres, tmp_path: Path, backend: ClusterBackend
) -> None:
    with backend.running(tmp_path, **databases.settings) as hub:
        token = hub.token("marie")
        start(hub, token, "steady")
        assert "41" in run_in(hub, token, "marie/steady", "open('/tmp/kept', 'w').write('41'); print(41)")
        start(hub, token, "done")
        with hub.api(token) as api:
            assert api.delete("/users/marie/servers/done").status_code in (202, 204)
        until(lambda: len(holding(hub)) == 1, 60, "the end of the second")
        browser = hub.login("marie")

        databases.backup(hub)
        kept = look(hub, lambda store: store.audit(limit=1000))
        secrets = {file.name: file.read_bytes() for file in (hub.state / "secrets").iterdir()}
        (steady,) = holding(hub)
        assert len(kept) >= 2

        start(hub, token, "later")
        hub.stop()
        assert len(hub.alive()) == 2, "instances go on without the hub"
        databases.lose(hub)
        databases.restore(hub)
        hub.start()

        with hub.api(token) as api:
            servers = api.get("/users/marie?include_stopped_servers").json()["servers"]
            assert servers["steady"]["ready"], "the token of before is good, and the instance is found again"
            assert not servers["done"]["ready"]
            assert "later" not in servers
        assert "41" in run_in(hub, token, "marie/steady", "print(open('/tmp/kept').read())"), "the same pod"
        until(lambda: hub.alive() == {steady}, 60, "the end of the pod that nobody knows")
        assert holding(hub) == {steady}
        after = {entry.id: entry for entry in look(hub, lambda store: store.audit(limit=1000))}
        assert [after.get(entry.id) for entry in kept] == list(kept), "every decision is still there, as it was"
        assert secrets == {file.name: file.read_bytes() for file in (hub.state / "secrets").iterdir()}
        with browser:
            page = browser.get("/services/visa/")
            assert "/hub/login" not in str(page.url), "a login of before is good"
            assert "steady" in page.text

        with hub.api(token) as api:
            start(hub, token, "again")
            for name in ("again", "steady"):
                assert api.delete(f"/users/marie/servers/{name}").status_code in (202, 204)
        until(lambda: not holding(hub), 60, "the quota's return")


def test_the_secret_comes_back_as_it_was(namespace: cluster.Namespace, tmp_path: Path) -> None:
    labels = {"app.kubernetes.io/managed-by": "Helm"}
    annotations = {"meta.helm.sh/release-name": "visa", "helm.sh/resource-policy": "keep"}
    data = {"crypt": base64.b64encode(b"secret").decode(), "ca.key": base64.b64encode(b"----\n").decode()}
    meta = {"name": "visa-secrets", "labels": labels, "annotations": annotations}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": "Opaque", "data": data}
    namespace.run("create", "-f", "-", text=json.dumps(secret))
    (save,) = commands("kubectl -n visa get secret visa-secrets")
    (apply,) = re.findall(r"`(kubectl -n visa apply -f visa-secrets.yaml)`", PAGE)
    run(save.replace("-n visa", f"-n {namespace.name}"), tmp_path)
    namespace.run("delete", "secret", "visa-secrets")
    run(apply.replace("-n visa", f"-n {namespace.name}"), tmp_path)
    back = json.loads(namespace.run("get", "secret", "visa-secrets", "-o", "json"))
    assert back["data"] == data
    assert back["metadata"]["labels"] == labels
    assert annotations.items() <= back["metadata"]["annotations"].items()
    namespace.run("delete", "secret", "visa-secrets")


def test_the_pages_objects_are_taken(namespace: cluster.Namespace) -> None:
    """Claims, volumes, policies and the pod of a restore, under pod security `restricted`."""
    objects = [block for page in PAGES for block in blocks(page) if "apiVersion" in block]
    assert {"PersistentVolume", "PersistentVolumeClaim", "Pod", "NetworkPolicy"} <= {found["kind"] for found in objects}
    for found in objects:
        if "namespace" in found["metadata"]:
            found["metadata"]["namespace"] = namespace.name
        said = namespace.run("create", "--dry-run=server", "-f", "-", text=json.dumps(found))
        assert "created (server dry run)" in said
