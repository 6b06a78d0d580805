"""The portal with 1,000 experiments of one person and 10,000 instances in the store: p50 and p95 of its pages.

``python -m benchmarks.portal``. A real hub and portal, SQLite, over HTTP through the proxy.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import httpx

from benchmarks.filling import fill, write
from tests.services.hub import RunningHub
from visa.store.store import Store

ROUNDS = 100
PATHS = ("", "new", "experiments?text=number", "api/v1/instances", "api/v1/experiments?text=many")


def measure(client: httpx.Client, address: str) -> list[float]:
    """Milliseconds of each request, sorted."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        answer = client.get(address)
        taken.append(1000 * (time.perf_counter() - began))
        if answer.status_code != 200:
            raise SystemExit(f"{address}: {answer.status_code}")
    return sorted(taken)


def main() -> None:
    """Fill, measure, print."""
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
                for path in PATHS:
                    taken = measure(client, f"/services/visa/{path}")
                    p50, p95 = taken[len(taken) // 2], taken[int(0.95 * len(taken))]
                    print(f"{path or 'home':<30} p50 {p50:5.1f} ms, p95 {p95:5.1f} ms (wanted: p95 under 100 ms)")
        finally:
            hub.end()


if __name__ == "__main__":
    main()
