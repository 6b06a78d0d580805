"""A thousand instances held by one hub, on hollow nodes: what pages and API cost then.

``python -m benchmarks.kubernetes.thousand [INSTANCES]`` with KUBECONFIG, after ``cluster hollow 4``: pods on those
nodes become Running without any process, so a stand-in on this machine answers for their gateways.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import psutil
import yaml

from benchmarks.kubernetes.hubs import cpu_seconds
from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterHub
from tests.services.hub import until

PEOPLE, LOOKS, REST = 100, 200, 30.0
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


def p95(values: list[float]) -> float:
    """In milliseconds."""
    return 1000 * statistics.quantiles(values, n=20)[18]


def looked(client: httpx.Client, path: str) -> list[float]:
    """Seconds of ``LOOKS`` requests."""
    taken = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        answer = client.get(path)
        taken.append(time.perf_counter() - began)
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


def main() -> None:
    """Fill, measure and print."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
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
            seconds = fill(hub, count)
            until(lambda: len(hub.store.holding()) == count, 60, "all instances")
            report(hub, count, seconds, empty)
        finally:
            hub.end()


def report(hub: ClusterHub, count: int, seconds: float, empty: int) -> None:
    """What is wanted, and what it costs to hold them."""
    before = cpu_seconds(hub)
    asyncio.run(asyncio.sleep(REST))
    resting = (cpu_seconds(hub) - before) / REST
    token = hub.token("p0")
    with hub.login("p0") as browser, hub.api(token) as api, hub.rest(token) as rest:
        pages, hubs, rests = (
            looked(browser, "/services/visa/"),
            looked(api, "/users/p0"),
            looked(rest, "instances"),
        )
    memory = psutil.Process(hub.process.pid).memory_info().rss
    print(f"{count} instances started in {seconds:.0f} s ({1000 * seconds / count:.0f} ms each, eight at a time)")
    print(f"portal's home page p95 {p95(pages):.0f} ms, its API {p95(rests):.0f} ms (wanted: under 100 ms)")
    print(f"the hub's API p95 {p95(hubs):.0f} ms (wanted: under 100 ms)")
    print(f"hub: {memory / 2**20:.0f} MB ({empty / 2**20:.0f} MB empty), {100 * resting:.1f} % of a core at rest")


if __name__ == "__main__":
    main()
