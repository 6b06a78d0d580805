"""The portal with 1,000 experiments of one person and 10,000 instances in the store: p50 and p95 of its pages.

``python -m benchmarks.portal [ROUNDS]``. A real hub and portal, SQLite, over HTTP through the proxy.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from benchmarks import figures
from benchmarks.filling import fill, write
from tests.services.hub import RunningHub, page_headers
from visa.store.store import Store

PAGES = ("", "new")
SCRIPTS = ("experiments?text=number", "api/v1/instances", "api/v1/experiments?text=many")
"""What the scripts of pages ask for, which pages alone may."""


def requests(client: httpx.Client, address: str, headers: dict[str, str], rounds: int) -> list[float]:
    """Milliseconds of each request."""
    taken = []
    for _ in range(rounds):
        began = time.perf_counter()
        answer = client.get(address, headers=headers)
        taken.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            raise SystemExit(f"{address}: {answer.status_code} {answer.text[:300]}")
    return taken


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Fill a hub's store and ask its portal."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        hub = RunningHub(folder / "hub", write(folder / "facility"))
        try:
            hub.start()
            token = hub.token("marie")
            with hub.api(token) as api:
                for number in range(10):
                    options = {"experiments": [f"m-{number:04d}"], "environment": "scattering", "flavour": "small"}
                    api.put(f"/users/marie/servers/n{number}", json={"user_options": options})
            store = Store(hub.store_url)
            fill(store, 10_000)
            store.close()
            with hub.login("marie") as client:
                client.get("/services/visa/")
                script = page_headers(client)
                for path, headers in [*((path, {}) for path in PAGES), *((path, script) for path in SCRIPTS)]:
                    taken = requests(client, f"/services/visa/{path}", headers, rounds)
                    yield figures.median(f"portal, {path or 'home'}, median", "ms", taken)
                    yield figures.p95(f"portal, {path or 'home'}, p95", "ms", taken, most=100)
        finally:
            hub.end()


BENCHMARK = figures.Benchmark("benchmarks.portal", __doc__, measure, rounds=100)

if __name__ == "__main__":
    BENCHMARK.main()
