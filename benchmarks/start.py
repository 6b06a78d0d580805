"""Request to usable notebook: VISA's sandbox against stock JupyterHub, interleaved in one run.

``python -m benchmarks.start [ROUNDS]``. Usable: the kernel list of the started server answers through the proxy.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from benchmarks import figures
from benchmarks.stock import StockHub, install
from tests.services import facility
from tests.services.hub import RunningHub
from tests.session import rig

WAIT = 60.0


def once(hub: RunningHub, token: str, name: str, options: dict[str, Any]) -> float:
    """Seconds from the request to the first good answer; the server is removed afterwards."""
    headers = {"Authorization": f"token {token}"}
    with httpx.Client(headers=headers, timeout=WAIT) as client, hub.api(token) as api:
        began = time.perf_counter()
        answer = api.post(f"/users/marie/servers/{name}", json=options)
        if answer.status_code not in (201, 202):
            raise SystemExit(f"the start failed: {answer.status_code} {answer.text}")
        while client.get(f"{hub.url}/user/marie/{name}/api/kernels").status_code != 200:
            if time.perf_counter() - began > WAIT:
                raise SystemExit(f"{name} was not usable within {WAIT} s")
            time.sleep(0.02)
        taken = time.perf_counter() - began
        api.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
        while name in api.get("/users/marie?include_stopped_servers=1").json()["servers"]:
            time.sleep(0.1)
    return taken


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Start on both in turn."""
    install()
    options = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "large"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = RunningHub(folder / "visa", facility.write(folder / "facility", rig.ENVIRONMENT))
        stock = StockHub(folder / "stock")
        taken: dict[str, list[float]] = {"VISA": [], "stock": []}
        try:
            ours.start()
            stock.start()
            tokens = ours.token("marie"), stock.token("marie")
            for number in range(rounds + 1):
                mine, theirs = once(ours, tokens[0], f"n{number}", options), once(stock, tokens[1], f"n{number}", {})
                if number:  # the first of each warms the page cache
                    taken["VISA"].append(mine)
                    taken["stock"].append(theirs)
        finally:
            ours.end()
            stock.end()
    for what, values in taken.items():
        yield figures.median(f"request to usable notebook, {what}, median", "s", values)
    yield figures.ratio("request to usable notebook, VISA over stock", taken["VISA"], taken["stock"], most=0.6)


BENCHMARK = figures.Benchmark("benchmarks.start", __doc__, measure, rounds=10)

if __name__ == "__main__":
    BENCHMARK.main()
