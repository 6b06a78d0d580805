"""All benchmarks that need no cluster, one after another, and one table at the end.

``python -m benchmarks [--few] [NAME]...``. ``--few``: each for a few rounds, to see that it still measures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.figures import kept, table

FEW = {
    "benchmarks.admission": ("20",),
    "benchmarks.portal": ("5",),
    "benchmarks.gateway": ("1", "--megabytes=16"),
    "benchmarks.people": ("1", "--gateways=50", "--seconds=5"),
    "benchmarks.start": ("1",),
    "benchmarks.observers": ("1",),
    "benchmarks.desktop": ("1",),
    "benchmarks.desktop.start": ("1",),
}
"""All, each with the arguments that let it measure as little as it can."""
LONGEST = 3600
"""Seconds that a benchmark may take."""


def main() -> int:
    """Run those that are named, else all; 1 when one of them failed or measured nothing."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--few", action="store_true")
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[*FEW, []])
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        keep = Path(folder) / "figures.jsonl"
        failed = [name for name in given.names or FEW if not measured(name, FEW[name] if given.few else (), keep)]
        print(f"\n{table(kept(keep))}")
    for name in failed:
        print(f"{name} failed", file=sys.stderr)
    return bool(failed)


def measured(name: str, arguments: tuple[str, ...], keep: Path) -> bool:
    """Run one in a process of its own; whether it ended well and has figures in ``keep``."""
    print(f"\n{name}", flush=True)
    before = len(kept(keep))
    try:
        code = subprocess.run([sys.executable, "-m", name, *arguments, f"--keep={keep}"], timeout=LONGEST).returncode
    except subprocess.TimeoutExpired:
        return False
    return code == 0 and len(kept(keep)) > before


if __name__ == "__main__":
    sys.exit(main())
