"""Request to usable notebook: VISA's sandbox against stock JupyterHub, interleaved in one run.

``python -m benchmarks.start [ROUNDS]``. Usable: the kernel list of the started server answers through the proxy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx

from benchmarks.stock import StockHub, install
from tests.conftest import REPOSITORY
from tests.services import facility
from tests.services.hub import RunningHub

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


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    install()
    prefix = REPOSITORY / ".cache" / "environments" / "scattering"
    options = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "large"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ours = RunningHub(folder / "visa", facility.write(folder / "facility", prefix))
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
        low, middle, high = min(values), statistics.median(values), max(values)
        print(f"{what:<6} median {middle:.2f} s, from {low:.2f} to {high:.2f} s ({len(values)} starts)")
    ratio = statistics.median(taken["VISA"]) / statistics.median(taken["stock"])
    print(f"ratio of medians {ratio:.2f} (wanted: at most 0.6)")


if __name__ == "__main__":
    main()
