"""What the questions of many gateways cost the hub.

``python -m benchmarks.people [ROUNDS] [--gateways N] [--seconds S]``.

A real hub with one real instance; its gateway's token is used by as many questions as there would be gateways, and
the store holds as many running instances as that. Then a change a round, which all of them are told.
"""

from __future__ import annotations

import asyncio
import resource
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from sqlalchemy.orm import Session

from benchmarks import figures
from tests.hub.sharing.members import Instance
from tests.services.hub import Backend, RunningHub
from tests.session import rig
from visa.store.tables import ChangeRow, InstanceRow


def token_of(instance: Instance) -> str:
    """The gateway's own, from its environment."""
    for process in psutil.process_iter():
        try:
            variables = process.environ() if "visa.session" in process.cmdline() else {}
        except psutil.Error:
            continue
        if variables.get("JUPYTERHUB_API_URL", "").startswith(f"http://127.0.0.1:{instance.hub.hub_port}/"):
            return variables["JUPYTERHUB_API_TOKEN"]
    raise LookupError("no gateway runs")


def fill(hub: RunningHub, instance: Instance, count: int) -> None:
    """So many more running instances, each with a number."""
    with Session(hub.store.engine) as session:
        real = session.get(InstanceRow, instance.id)
        columns = {c.name: getattr(real, c.name) for c in InstanceRow.__table__.columns}
        for i in range(count):
            more = {"id": f"{i:016x}", "name": f"n{i}", "holder": "benchmark"}
            session.add(InstanceRow(**{**columns, **more}))
            session.flush()
            session.add(ChangeRow(instance_id=f"{i:016x}", number=1))
        session.commit()


class Gateways:
    """Ask, and ask again."""

    def __init__(self, url: str, token: str) -> None:
        self.url, self.headers = url, {"Authorization": f"token {token}"}
        self.number = 0
        self.answers = self.news = 0
        self.told: list[float] = []

    async def one(self, client: aiohttp.ClientSession) -> None:
        number: int | None = None
        while True:
            query = {} if number is None else {"after": str(number)}
            async with client.get(self.url, params=query, headers=self.headers) as answer:
                self.answers += 1
                if answer.status == 200:
                    number = (await answer.json())["number"]
                    self.told.append(time.monotonic())


def used(process: psutil.Process) -> float:
    """Seconds of CPU until now."""
    times = process.cpu_times()
    return float(times.user + times.system)


async def _share(process: psutil.Process, seconds: float) -> float:
    """Percent of a core that it takes for so long."""
    before = used(process)
    await asyncio.sleep(seconds)
    return 100 * (used(process) - before) / seconds


async def _figures(
    hub: RunningHub, instance: Instance, rounds: int, count: int, seconds: float
) -> AsyncIterator[figures.Figure]:
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)
    yield figures.Figure("hub without questions", await _share(process, seconds / 3), "% of a core", 1)
    yield figures.Figure("its memory", process.memory_info().rss / 1e6, "MB", 1)
    url = f"http://127.0.0.1:{hub.hub_port}/hub/api/visa/gateways/marie/{instance.name}/people"
    gateways = Gateways(url, token_of(instance))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as client:
        tasks: list[asyncio.Task[Any]] = []
        for _ in range(count):  # spread, as gateways are
            tasks.append(asyncio.create_task(gateways.one(client)))
            await asyncio.sleep(20 / count)
        gateways.answers = 0
        yield figures.Figure(f"hub with {count} questions held", await _share(process, seconds), "% of a core", count)
        yield figures.Figure("its memory then", process.memory_info().rss / 1e6, "MB", 1)
        last, cpu = [], []
        for _ in range(rounds):
            taken = await _told(gateways, instance, count, process)
            last.append(taken[0])
            cpu.append(taken[1])
        for task in tasks:
            task.cancel()
    yield figures.median(f"one change until the last of {count} is told, median", "s", last)
    yield figures.median("the hub's CPU for it, median", "s", cpu)


async def _told(gateways: Gateways, instance: Instance, count: int, process: psutil.Process) -> tuple[float, float]:
    """Make a change, and wait until all are told: seconds, and those of the hub's CPU."""
    gateways.told.clear()
    before, began = used(process), time.monotonic()
    instance.share()
    while len(gateways.told) < count:
        if time.monotonic() - began > 60:
            raise SystemExit(f"only {len(gateways.told)} of {count} were told within a minute")
        await asyncio.sleep(0.1)
    return max(gateways.told) - began, used(process) - before


def measure(rounds: int, gateways: int, seconds: float) -> list[figures.Figure]:
    """Start a hub and ask it."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    backend = Backend(rig.ENVIRONMENT)

    async def all_of(hub: RunningHub, instance: Instance) -> list[figures.Figure]:
        return [one async for one in _figures(hub, instance, rounds, gateways, seconds)]

    with tempfile.TemporaryDirectory() as folder, backend.running(Path(folder), look_every=3600) as hub:
        instance = Instance(hub, "bench")
        instance.start()
        fill(hub, instance, gateways)
        return asyncio.run(all_of(hub, instance))


BENCHMARK = figures.Benchmark("benchmarks.people", __doc__, measure, rounds=1, gateways=1000, seconds=60.0)

if __name__ == "__main__":
    BENCHMARK.main()
