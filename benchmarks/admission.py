"""Admission with 1,000 experiments of one person and 10,000 instances in the store: p50 and p95 of a reservation.

``python -m benchmarks.admission [ROUNDS] [--url SQLALCHEMY_URL]``; without a URL on SQLite in a temporary folder.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from benchmarks import figures
from benchmarks.filling import fill, settings_in
from visa.identifiers import instance_id
from visa.instances.model import InstanceSpec
from visa.store.admissions import Admissions


async def reservations(admissions: Admissions, rounds: int) -> list[float]:
    """Milliseconds of each reservation; every one is given back before the next."""
    taken = []
    for number in range(rounds):
        options = {"experiments": [f"m-{number:04d}"], "environment": "scattering", "flavour": "small"}
        began = time.perf_counter()
        outcome = await admissions.reserve("marie", options, "bench", actor="marie", holder="bench")
        taken.append(1000 * (time.perf_counter() - began))
        if not isinstance(outcome, InstanceSpec):
            raise SystemExit(f"not admitted: {outcome}")
        admissions.store.release(instance_id("marie", "bench"))
    return taken


def measure(rounds: int, url: str) -> Iterator[figures.Figure]:
    """Fill a store and reserve in it."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        url = url or f"sqlite:///{folder / 'visa.sqlite'}"
        source, store, catalogue = settings_in(folder, url)
        fill(store, 10_000)
        admissions = Admissions(source, lambda: catalogue, store, lambda: date(2026, 1, 1))
        taken = asyncio.run(reservations(admissions, rounds))
        store.close()
    kind = url.partition(":")[0]
    yield figures.median(f"a reservation, {kind}, median", "ms", taken)
    yield figures.p95(f"a reservation, {kind}, p95", "ms", taken, most=5)


BENCHMARK = figures.Benchmark("benchmarks.admission", __doc__, measure, rounds=300, url="")

if __name__ == "__main__":
    BENCHMARK.main()
