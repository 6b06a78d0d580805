"""Request to first picture of a desktop in a pod against request to usable notebook in one of the same image.

``python -m benchmarks.kubernetes.desktop [ROUNDS]`` with KUBECONFIG, and the images gateway and desktop loaded.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from benchmarks import figures
from benchmarks.desktop.start import OPTIONS, on
from benchmarks.kubernetes.hubs import Ours, install_proxy
from tests.services import cluster, facility


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Measure in pods."""
    install_proxy()
    parts = cluster.parts()
    image = {"image": cluster.image("desktop")}
    parts["environments"]["seen"] = {"title": "Seen", "sessions": ["desktop", "notebook"], "kubernetes": image}
    with tempfile.TemporaryDirectory() as name, cluster.namespace("visa-benchmark") as namespace:
        folder = Path(name)
        kind = type("OursHere", (Ours,), {"namespace": namespace})
        hub = kind(folder / "visa", facility.write(folder / "facility", **parts))
        yield from on(hub, rounds, {**OPTIONS, "environment": "seen"})


BENCHMARK = figures.Benchmark("benchmarks.kubernetes.desktop", __doc__, measure, rounds=10)

if __name__ == "__main__":
    BENCHMARK.main()
