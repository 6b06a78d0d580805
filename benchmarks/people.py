"""What the questions of many gateways cost the hub: ``python benchmarks/people.py [gateways] [seconds]``.

A real hub with one real instance; its gateway's token is used by as many questions as there would be gateways, and
the store holds as many running instances as that. Then one change, which all of them are told.
"""

from __future__ import annotations

import asyncio
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import psutil
from sqlalchemy.orm import Session

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.hub.sharing.members import Instance  # noqa: E402
from tests.services.hub import Backend, RunningHub  # noqa: E402
from visa.store.tables import ChangeRow, InstanceRow  # noqa: E402


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
    times = process.cpu_times()
    return float(times.user + times.system)


async def measure(hub: RunningHub, instance: Instance, count: int, seconds: float) -> None:
    assert hub.process is not None
    process = psutil.Process(hub.process.pid)

    async def over(seconds: float) -> float:
        before = used(process)
        await asyncio.sleep(seconds)
        return 100 * (used(process) - before) / seconds

    print(f"hub without questions: {await over(20):.1f} % of a core, {process.memory_info().rss / 1e6:.0f} MB")
    url = f"http://127.0.0.1:{hub.hub_port}/hub/api/visa/gateways/marie/{instance.name}/people"
    gateways = Gateways(url, token_of(instance))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0, force_close=True)) as client:
        tasks: list[asyncio.Task[Any]] = []
        for _ in range(count):  # spread, as gateways are
            tasks.append(asyncio.create_task(gateways.one(client)))
            await asyncio.sleep(20 / count)
        gateways.answers = 0
        share = await over(seconds)
        print(
            f"{count} questions held, {gateways.answers / seconds:.1f} answers/s: {share:.1f} % of a core, "
            f"{process.memory_info().rss / 1e6:.0f} MB"
        )
        gateways.told.clear()
        before, began = used(process), time.monotonic()
        instance.share()
        while len(gateways.told) < count and time.monotonic() - began < 60:
            await asyncio.sleep(0.1)
        told = sorted(gateways.told)
        cpu, last = used(process) - before, told[-1] - began
        print(f"one change for all: {len(told)} told, the last after {last:.1f} s, {cpu:.1f} s of CPU")
        for task in tasks:
            task.cancel()


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1000
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else 60
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65536), hard))
    backend = Backend(ROOT / ".cache/environments/scattering")
    with tempfile.TemporaryDirectory() as folder, backend.running(Path(folder), look_every=3600) as hub:
        instance = Instance(hub, "bench")
        instance.start()
        fill(hub, instance, count)
        asyncio.run(measure(hub, instance, count, seconds))


if __name__ == "__main__":
    main()
