"""Admission with 1,000 experiments of one person and 10,000 instances in the store: p50 and p95 of a reservation.

``python -m benchmarks.admission [SQLALCHEMY_URL]``; without a URL on SQLite in a temporary folder.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from datetime import date
from pathlib import Path

from benchmarks.filling import fill, settings_in
from visa.identifiers import instance_id
from visa.instances.model import InstanceSpec
from visa.store.admissions import Admissions

ROUNDS = 300


async def measure(admissions: Admissions) -> list[float]:
    """Milliseconds of each reservation; every one is given back before the next."""
    taken = []
    for number in range(ROUNDS):
        options = {"experiments": [f"m-{number:04d}"], "environment": "scattering", "flavour": "small"}
        began = time.perf_counter()
        outcome = await admissions.reserve("marie", options, "bench", actor="marie", holder="bench")
        taken.append(1000 * (time.perf_counter() - began))
        if not isinstance(outcome, InstanceSpec):
            raise SystemExit(f"not admitted: {outcome}")
        admissions.store.release(instance_id("marie", "bench"))
    return sorted(taken)


def main() -> None:
    """Fill, measure, print."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite:///{folder / 'visa.sqlite'}"
        source, store, catalogue = settings_in(folder, url)
        fill(store, 10_000)
        admissions = Admissions(source, lambda: catalogue, store, lambda: date(2026, 1, 1))
        taken = asyncio.run(measure(admissions))
        store.close()
    print(f"admission, {url.partition(':')[0]}, 1,000 experiments, 10,000 running instances, {ROUNDS} reservations:")
    print(f"  p50 {taken[len(taken) // 2]:.2f} ms, p95 {taken[int(0.95 * len(taken))]:.2f} ms (wanted: under 5 ms)")


if __name__ == "__main__":
    main()
