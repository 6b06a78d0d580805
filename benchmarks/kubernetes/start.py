"""Request to usable notebook in a pod: VISA against stock KubeSpawner, interleaved in one run.

``python -m benchmarks.kubernetes.start [ROUNDS]`` with KUBECONFIG, and the images gateway, scattering and stock
loaded. Usable: the kernel list of the started server answers through the proxy.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.kubernetes.hubs import Ours, Stock, cpu_seconds, install_proxy
from benchmarks.start import once
from tests.services import cluster, facility
from tests.services.hub import RunningHub

OPTIONS = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "large"}


@contextmanager
def hubs(folder: Path) -> Iterator[tuple[RunningHub, RunningHub]]:
    """Ours and the stock one, in one namespace."""
    with cluster.namespace("visa-benchmark") as namespace:
        kind = type("OursHere", (Ours,), {"namespace": namespace})
        parts = cluster.parts()
        del parts["data"]["shared"]  # the stock server has none
        ours = kind(folder / "visa", facility.write(folder / "facility", **parts))
        stock = Stock(folder / "stock", namespace, cpu=4)
        try:
            ours.start()
            stock.start()
            yield ours, stock
        except BaseException:
            print(ours.tail(), stock.tail(), sep="\n")
            raise
        finally:
            ours.end()
            stock.end()


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20
    install_proxy()
    taken: dict[str, list[float]] = {"VISA": [], "stock": []}
    busy: dict[str, list[float]] = {"VISA": [], "stock": []}
    with tempfile.TemporaryDirectory() as name, hubs(Path(name)) as (ours, stock):
        sides = (("VISA", ours, ours.token("marie"), OPTIONS), ("stock", stock, stock.token("marie"), {}))
        for number in range(rounds + 1):
            for what, hub, token, options in sides:
                before = cpu_seconds(hub)
                seconds = once(hub, token, f"n{number}", options)
                if number:  # the first of each warms the page cache
                    taken[what].append(seconds)
                    busy[what].append(cpu_seconds(hub) - before)
    for what, values in taken.items():
        low, middle, high = min(values), statistics.median(values), max(values)
        print(
            f"{what:<6} median {middle:.2f} s, from {low:.2f} to {high:.2f} s ({len(values)} starts); "
            f"hub's CPU per start and stop {statistics.fmean(busy[what]):.3f} s"
        )
    ratio = statistics.median(taken["VISA"]) / statistics.median(taken["stock"])
    print(f"ratio of medians {ratio:.2f} (wanted: at most 0.6)")
    ratio = sum(busy["VISA"]) / sum(busy["stock"])
    print(f"ratio of the hubs' CPU {ratio:.2f} (wanted: at most 1)")


if __name__ == "__main__":
    main()
