"""Load and memory attacks on the demo with many instances.

No session is lost, no gateway has more than `LIGHT` MB at any moment, hub and portal answer 95 of 100 questions within
`QUICK` seconds. The table of what was measured stands in the file SOAK_TABLE.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

import httpx
import psutil

from tests.session.test_bounds import LIGHT
from tests.soak.attacks import ATTACKS, LONGEST, Target
from tests.soak.conftest import SECONDS, Soak
from tests.soak.demo import Demo, Running, running

INSTANCES = int(os.environ.get("SOAK_INSTANCES", "20"))
QUICK = 0.3
EVERY = 0.25
"""Seconds between two questions to each program."""
ASKED = ("hub", "portal", "gateway")


@dataclass
class Seen:
    """What was measured while one attack went on: seconds of answers, and the most MB of each program."""

    attack: str
    answers: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in ASKED})
    failed: Counter[str] = field(default_factory=Counter)
    most: dict[str, float] = field(default_factory=dict)
    did: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)

    def heavy(self, name: str, process: psutil.Process) -> None:
        """Look at what a program has."""
        with suppress(psutil.NoSuchProcess):
            self.most[name] = max(self.most.get(name, 0.0), process.memory_info().rss / 1e6)

    def slowest(self, name: str) -> float:
        """Of 95 of 100 answers, in seconds; infinite when there are too few to say."""
        answers = self.answers[name]
        return statistics.quantiles(answers, n=20)[-1] if len(answers) >= 20 else float("inf")

    def row(self) -> str:
        """Of the table."""
        times = "".join(f"{1000 * self.slowest(name):9.0f}" for name in ASKED)
        heavy = "".join(f"{self.most.get(name, 0):9.0f}" for name in ("gateways", "hub", "portal", "proxy"))
        did = ", ".join(f"{count:,} {what}" for what, count in self.did.items())
        return f"{self.attack:<11}{times}{heavy}{sum(self.failed.values()):8}{len(self.lost):6}  {did}"


HEAD = (
    f"{'attack':<11}"
    + "".join(f"{what:>9}" for what in ("hub p95", "portal", "gateway", "gate MB", "hub MB", "portal", "proxy"))
    + f"{'failed':>8}{'lost':>6}  what was done"
)


@dataclass
class Watch:
    """Measures the demo while it is attacked."""

    demo: Demo
    instances: list[Running]
    gateways: dict[str, psutil.Process]
    programs: dict[str, psutil.Process]

    @asynccontextmanager
    async def watching(self, attack: str, instance: Running) -> AsyncIterator[Seen]:
        """Ask hub, portal and the gateway of ``instance`` all the time, and look at all programs."""
        seen = Seen(attack)
        questions = {
            "hub": f"{self.demo.url}/hub/api/users/marie",
            "portal": f"{self.demo.portal}api/v1/instances",
            "gateway": f"{instance.base}api/status",
        }
        headers = {"Authorization": f"token {self.demo.owner}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as client:
            work = [asyncio.create_task(self._ask(client, seen, name, url)) for name, url in questions.items()]
            work.append(asyncio.create_task(self._look(seen)))
            try:
                yield seen
            finally:
                for one in work:
                    one.cancel()
                await asyncio.gather(*work, return_exceptions=True)

    async def _ask(self, client: httpx.AsyncClient, seen: Seen, name: str, url: str) -> None:
        while True:
            began = time.monotonic()
            try:
                good = (await client.get(url)).status_code == 200
            except httpx.HTTPError:
                good = False
            if good:
                seen.answers[name].append(time.monotonic() - began)
            else:
                seen.failed[name] += 1
            await asyncio.sleep(EVERY)

    async def _look(self, seen: Seen) -> None:
        while True:
            for name, process in self.programs.items():
                seen.heavy(name, process)
            for process in self.gateways.values():
                seen.heavy("gateways", process)
            await asyncio.sleep(EVERY)

    def lost(self) -> list[str]:
        """Instances whose kernel does not live with its state, or whose gateway is another one."""
        with ThreadPoolExecutor(4) as pool:
            remembers = list(pool.map(_remembers, self.instances))
        gone = [name for name, process in self.gateways.items() if not process.is_running()]
        return [one.mind for one, does in zip(self.instances, remembers, strict=True) if not does] + gone

    def heaviest(self) -> float:
        """The most MB that any gateway ever had."""
        status = [Path(f"/proc/{process.pid}/status") for process in self.gateways.values() if process.is_running()]
        return max(int(one.read_text().split("VmHWM:")[1].split()[0]) / 1e3 for one in status)


def _remembers(instance: Running) -> bool:
    try:
        return instance.remembers()
    except Exception:
        return False


async def attacked(watch: Watch, attack: str, instance: Running, seconds: float) -> Seen:
    """One attack on one instance, watched; then a look at all sessions."""
    (port,) = {
        one.laddr.port
        for one in watch.gateways[instance.mind].net_connections("tcp")
        if one.status == psutil.CONN_LISTEN
    }
    demo = watch.demo
    at = Target(demo.url, instance.base, port, instance.kernel.id, demo.owner, demo.observer, seconds)
    async with watch.watching(attack, instance) as seen:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.soak.attacks", attack, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        try:
            said, _ = await asyncio.wait_for(
                process.communicate(json.dumps(asdict(at)).encode()), seconds + 2 * LONGEST
            )
        finally:
            with suppress(ProcessLookupError):
                process.kill()
        seen.did = Counter(json.loads(said))
    seen.lost = await asyncio.to_thread(watch.lost)
    return seen


def together(rows: list[Seen]) -> list[Seen]:
    """A row for each attack, and one for all."""
    names = list(dict.fromkeys(one.attack for one in rows))
    return [_sum(name, [one for one in rows if one.attack == name]) for name in names] + [_sum("all", rows)]


def _sum(name: str, rows: list[Seen]) -> Seen:
    total = Seen(name)
    for one in rows:
        for asked in ASKED:
            total.answers[asked] += one.answers[asked]
        total.failed += one.failed
        total.did += one.did if name != "all" else Counter(rounds=one.did["rounds"])
        total.lost += one.lost
        for program, megabytes in one.most.items():
            total.most[program] = max(megabytes, total.most.get(program, 0.0))
    return total


def test_no_session_is_lost_and_all_answer(tmp_path: Path, environment_prefix: Path, soak: Soak) -> None:
    with running(tmp_path / "demo", environment_prefix, INSTANCES + 1) as demo:
        instances = demo.start(INSTANCES)
        gateways = {one.mind: demo.gateway(one) for one in instances}
        watch = Watch(demo, instances, gateways, demo.programs())
        each = max(2.0, SECONDS / len(ATTACKS) / max(1, round(SECONDS / 300)))
        rows: list[Seen] = []
        end = time.monotonic() + SECONDS
        for attack, instance in zip(itertools.cycle(ATTACKS), itertools.cycle(instances), strict=False):
            if len(rows) >= len(ATTACKS) and time.monotonic() > end:
                break
            rows.append(asyncio.run(attacked(watch, attack, instance, each)))
            soak.did("rounds", rows[-1].did["rounds"])
            _keep(rows, watch)
        faults = [fault for row in together(rows) for fault in faults_of(row)]
        if watch.heaviest() >= LIGHT:
            faults.append(f"a gateway had {watch.heaviest():.0f} MB")
        assert not faults, "\n".join(faults)


def _keep(rows: list[Seen], watch: Watch) -> None:
    table = "\n".join([HEAD, *(row.row() for row in together(rows))])
    heaviest = f"{len(watch.instances)} instances; the most that any gateway ever had: {watch.heaviest():.0f} MB"
    Path(os.environ.get("SOAK_TABLE", os.devnull)).write_text(f"{table}\n{heaviest}\n")


def faults_of(row: Seen) -> list[str]:
    """What is not as it has to be in a row of the table."""
    faults = [f"{row.attack}: lost {', '.join(row.lost)}"] if row.lost else []
    if row.attack != "all" and (not set(row.did) - {"rounds"} or row.did["status 401"] or row.did["status 403"]):
        faults.append(f"{row.attack}: nothing was done, or not by who was meant: {dict(row.did)}")
    if not {"gateways", "hub", "portal", "proxy"} <= row.most.keys():
        faults.append(f"{row.attack}: not all programs were measured")
    if row.attack == "all":
        faults += [
            f"{name}: p95 of {row.slowest(name):.2f} s" for name in ("hub", "portal") if row.slowest(name) > QUICK
        ]
        faults += [f"{name}: {count} questions failed" for name, count in row.failed.items() if name != "gateway"]
    return faults
