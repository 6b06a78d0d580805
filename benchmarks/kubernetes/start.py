"""Request to usable notebook in a pod: VISA against stock KubeSpawner, interleaved in one run.

``python -m benchmarks.kubernetes.start [ROUNDS]`` with KUBECONFIG, and the images gateway, scattering and stock
loaded. Usable: the kernel list of the started server answers through the proxy.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks import figures
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


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Start on both in turn."""
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
        yield figures.median(f"request to usable notebook in a pod, {what}, median", "s", values)
        yield figures.mean(f"CPU of the hub per start and stop, {what}, mean", "s", busy[what])
    yield figures.ratio("request to usable notebook in a pod, VISA over stock", taken["VISA"], taken["stock"], most=0.6)
    cpu = sum(busy["VISA"]) / sum(busy["stock"])
    yield figures.Figure("CPU of the hubs, VISA over stock", cpu, "", len(busy["VISA"]), most=1)


BENCHMARK = figures.Benchmark("benchmarks.kubernetes.start", __doc__, measure, rounds=20)

if __name__ == "__main__":
    BENCHMARK.main()
