"""Request to first picture of a desktop in a pod against request to usable notebook in one of the same image.

``python -m benchmarks.kubernetes.desktop [ROUNDS]`` with KUBECONFIG, and the images gateway and desktop loaded.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from benchmarks.desktop.start import OPTIONS, measure
from benchmarks.kubernetes.hubs import Ours, install_proxy
from tests.services import cluster, facility


def main() -> None:
    """Measure and print."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    install_proxy()
    parts = cluster.parts()
    image = {"image": cluster.image("desktop")}
    parts["environments"]["seen"] = {"title": "Seen", "sessions": ["desktop", "notebook"], "kubernetes": image}
    with tempfile.TemporaryDirectory() as name, cluster.namespace("visa-benchmark") as namespace:
        folder = Path(name)
        kind = type("OursHere", (Ours,), {"namespace": namespace})
        hub = kind(folder / "visa", facility.write(folder / "facility", **parts))
        try:
            hub.start()
            measure(hub, rounds, {**OPTIONS, "environment": "seen"})
        except BaseException:
            print(hub.tail())
            raise
        finally:
            hub.end()


if __name__ == "__main__":
    main()
