"""A thousand instances held by one hub, on hollow nodes: what pages and API cost then.

``python -m benchmarks.kubernetes.thousand [ROUNDS] [--instances N]`` with KUBECONFIG, after ``cluster hollow 4``: pods
on those nodes become Running without any process, so a stand-in on this machine answers for their gateways.
"""

from __future__ import annotations

import asyncio
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from benchmarks import figures
from benchmarks.kubernetes.hubs import cpu_seconds
from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterHub
from tests.services.hub import until

PEOPLE, REST = 100, 30.0
_CONFIG = """
from visa.hub.kubernetes import VisaKubeSpawner

class Hollow(VisaKubeSpawner):
    async def _wait(self, address, watch, spec):
        while (watch.pods.get(self.pod_name) or {{"status": {{}}}})["status"].get("phase") != "Running":
            await watch.changed(self.pod_name, 5)
        return "http://127.0.0.1:{port}"

def weightless(spawner, pod):
    for container in pod.spec.containers:
        container.resources = None  # a hollow node has one core for 500 pods
        container.volume_mounts = None  # and no storage
    return pod

c.KubeSpawner.modify_pod_hook = weightless
c.JupyterHub.spawner_class = Hollow
c.JupyterHub.load_roles.append({{"name": "bench", "scopes": ["admin:users", "admin:servers", "tokens"],
                                "services": ["bench"]}})
c.JupyterHub.services.append({{"name": "bench", "api_token": "only-for-this-benchmark"}})
"""


class StandIn(BaseHTTPRequestHandler):
    """Answers as a gateway does when it is asked whether it is up."""

    def do_GET(self) -> None:
        """Anything."""
        self.send_response(200)
        self.send_header("X-JupyterHub-Version", "6.1.1")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def hollow_facility(folder: Path) -> Path:
    """Many people, no quota, and a flavour for hollow nodes."""
    parts = cluster.parts()
    place = {
        "node_selector": {"visa.cluster/hollow": "true"},
        "tolerations": [{"key": "visa.cluster/hollow"}],
    }
    parts["flavours"] = {"small": {"cpu": 1, "memory": "1Gi", "scratch": "1Mi", "kubernetes": place}}
    parts["quotas"] = [{"who": "everyone", "instances": 1000}]
    parts["homes"] = {}
    # Claims of the cluster's own class lie on a real node.
    storage = {"nfs": {"server": "storage.example.org", "path": "/raw"}}
    parts["data"] = {"raw": {"path": parts["data"]["raw"]["path"], "kubernetes": storage}}
    path = facility.write(folder / "facility", **parts)
    names = [f"p{number}" for number in range(PEOPLE)]
    known = dict(facility.CATALOGUE)
    people = [
        {"username": name, "name": name, "uid": 30000 + number, "gid": 30000 + number, "roles": ["scientist"]}
        for number, name in enumerate(names)
    ]
    known["people"] = [*known["people"], *people]
    known["experiments"] = [{**entry, "team": [*entry["team"], *names]} for entry in known["experiments"]]
    (path.parent / "catalogue.yaml").write_text(yaml.safe_dump(known))
    return path


def looked(client: httpx.Client, path: str, looks: int) -> list[float]:
    """Milliseconds of ``looks`` requests."""
    taken = []
    for _ in range(looks):
        began = time.perf_counter()
        answer = client.get(path)
        taken.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            raise SystemExit(f"{path}: {answer.status_code} {answer.text[:300]}")
    return taken


def fill(hub: ClusterHub, count: int) -> float:
    """Start ``count`` instances, eight at a time; seconds for all."""
    tokens = {name: hub.token(name) for name in [f"p{number}" for number in range(PEOPLE)]}

    def start(number: int) -> None:
        name = f"p{number % PEOPLE}"
        options = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
        with hub.api(tokens[name]) as api:
            answer = api.post(f"/users/{name}/servers/n{number // PEOPLE}", json=options)
        if answer.status_code not in (201, 202):
            raise SystemExit(f"start {number}: {answer.status_code} {answer.text} {hub.tail()}")

    began = time.perf_counter()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(start, range(count)))
    return time.perf_counter() - began


def measure(rounds: int, instances: int) -> Iterator[figures.Figure]:
    """Fill a hub and look at it."""
    stand_in = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=stand_in.serve_forever, daemon=True).start()
    with tempfile.TemporaryDirectory() as name, cluster.namespace("visa-thousand") as namespace:
        folder = Path(name)
        # Pod security `restricted` knows no NFS.
        cluster.kubectl("label", "--overwrite", "ns", namespace.name, "pod-security.kubernetes.io/enforce=privileged")
        kind = type("HollowHub", (ClusterHub,), {"namespace": namespace})
        hub = kind(folder / "hub", hollow_facility(folder), extra=_CONFIG.format(port=stand_in.server_address[1]))
        try:
            hub.start()
            empty = psutil.Process(hub.process.pid).memory_info().rss
            yield figures.Figure("hub without instances, memory", empty / 2**20, "MB", 1)
            yield figures.Figure(f"start of {instances}, eight at a time", fill(hub, instances), "s", instances)
            until(lambda: len(hub.store.holding()) == instances, 60, "all instances")
            yield from held(hub, rounds, instances)
        finally:
            hub.end()


def held(hub: ClusterHub, rounds: int, instances: int) -> Iterator[figures.Figure]:
    """Say what it costs to hold them, and what is wanted."""
    before = cpu_seconds(hub)
    asyncio.run(asyncio.sleep(REST))
    resting = (cpu_seconds(hub) - before) / REST
    token = hub.token("p0")
    with hub.login("p0") as browser, hub.api(token) as api, hub.rest(token) as rest:
        for what, client, path in (
            ("portal's home page", browser, "/services/visa/"),
            ("the hub's API", api, "/users/p0"),
            ("portal's API", rest, "instances"),
        ):
            yield figures.p95(f"{what} with {instances} instances, p95", "ms", looked(client, path, rounds), most=100)
    memory = psutil.Process(hub.process.pid).memory_info().rss
    yield figures.Figure(f"hub with {instances} instances, memory", memory / 2**20, "MB", 1)
    yield figures.Figure(f"hub with {instances} instances, at rest", 100 * resting, "% of a core", 1)


BENCHMARK = figures.Benchmark("benchmarks.kubernetes.thousand", __doc__, measure, rounds=200, instances=1000)

if __name__ == "__main__":
    BENCHMARK.main()
