"""Gateway against Jupyter without it, in one run, interleaved.

``python -m benchmarks.gateway [ROUNDS] [--megabytes MB]``.

Downloads and uploads of one file, round trips of a kernel message (each pair in turn, so that whatever
else the machine does hits both), memory, and time from exec to the first answer.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import os
import socket
import statistics
import subprocess
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import figures
from tests.services.waiting import until
from tests.session import rig

MESSAGES = 200
PIECE = 2**20


class Way:
    """A client that reaches Jupyter by one way. ``base`` ends with the instance's path."""

    def __init__(self, name: str, client: aiohttp.ClientSession, base: str) -> None:
        self.name, self.client, self.base = name, client, base
        self.down: list[float] = []
        self.up: list[float] = []
        self.trips: list[float] = []

    async def download(self, size: int) -> None:
        """MB/s of one file, checked for its length."""
        begun, got = time.perf_counter(), 0
        async with self.client.get(self.base + "files/big.bin") as answer:
            assert answer.status == 200, await answer.text()
            async for chunk in answer.content.iter_any():
                got += len(chunk)
        assert got == size, (got, size)
        self.down.append(size / 1e6 / (time.perf_counter() - begun))

    async def upload(self, size: int) -> None:
        """MB/s of one file, sent as JupyterLab sends it: a megabyte a request, base64 in JSON."""
        piece = base64.b64encode(bytes(PIECE)).decode()
        model = {"type": "file", "format": "base64", "content": piece}
        pieces = size // PIECE
        bodies = {n: json.dumps({**model, "chunk": n}).encode() for n in (1, 2, -1)}
        begun = time.perf_counter()
        for number in range(1, pieces + 1):
            body = bodies[-1 if number == pieces else min(number, 2)]
            async with self.client.put(self.base + "api/contents/up.bin", data=body) as answer:
                assert answer.status in (200, 201), await answer.text()
        self.up.append(size / 1e6 / (time.perf_counter() - begun))

    async def round_trips(self, kernel: str, count: int) -> None:
        """Milliseconds from a kernel_info request to its reply."""
        async with self.client.ws_connect(self.base + f"api/kernels/{kernel}/channels") as socket:
            for _ in range(count):
                message = _request()
                begun = time.perf_counter()
                await socket.send_json(message)
                while True:
                    answer = json.loads(await socket.receive_str())
                    if (
                        answer["parent_header"].get("msg_id") == message["header"]["msg_id"]
                        and answer["channel"] == "shell"
                    ):
                        break
                self.trips.append(1000 * (time.perf_counter() - begun))


def _request() -> dict[str, Any]:
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": "kernel_info_request",
        "username": "",
        "session": "benchmark",
        "version": "5.3",
        "date": "2026-01-01T00:00:00Z",
    }
    return {"header": header, "parent_header": {}, "metadata": {}, "content": {}, "channel": "shell", "buffers": []}


async def first_answer(run: Path, api: str) -> float:
    """Seconds from exec to the first answer, the Python start included."""
    begun = time.perf_counter()
    with rig.gateway(run, api) as one:
        async with (
            aiohttp.ClientSession() as client,
            client.get(one.url + "_visa/health") as answer,
        ):
            assert answer.status == 200
        return time.perf_counter() - begun


@contextlib.contextmanager
def _stock(jupyter: rig.Jupyter) -> Iterator[str]:
    """JupyterLab as people run it without a gateway: on a TCP port, with a token; the same files."""
    port = rig.free_port()
    options = [f"--port={port}", "--no-browser", "--allow-root", "--IdentityProvider.token=stock"]
    environ = {**rig.environ(jupyter.run, jupyter.home), "JUPYTER_RUNTIME_DIR": str(jupyter.run / "stock")}
    with open(jupyter.run / "stock.log", "wb") as log:
        process = subprocess.Popen(
            [str(rig.ENVIRONMENT / "bin/jupyter"), "lab", *options, f"--ServerApp.root_dir={jupyter.home}"],
            env=environ,
            cwd=jupyter.home,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    try:
        until(lambda: _listens(port), 60, "the stock Jupyter listens", process)
        yield f"http://127.0.0.1:{port}/"
    finally:
        rig.end(process)


def _listens(port: int) -> bool:
    with socket.socket() as one:
        return one.connect_ex(("127.0.0.1", port)) == 0


async def _measure(rounds: int, megabytes: int) -> list[figures.Figure]:
    """All measurements."""
    size = megabytes * PIECE
    fake = rig.FakeHub()
    async with contextlib.AsyncExitStack() as stack:
        jupyter = stack.enter_context(rig.jupyter())
        stock = stack.enter_context(_stock(jupyter))
        os.close(os.open(jupyter.home / "big.bin", os.O_CREAT | os.O_WRONLY))
        os.truncate(jupyter.home / "big.bin", size)
        api = await stack.enter_async_context(fake.served())
        starts = [await first_answer(jupyter.run, api) for _ in range(5)]
        gateway = stack.enter_context(rig.gateway(jupyter.run, api))
        timeout = aiohttp.ClientTimeout(total=600)
        plain = await stack.enter_async_context(
            aiohttp.ClientSession(headers={"Authorization": "token stock"}, timeout=timeout)
        )
        through = await stack.enter_async_context(aiohttp.ClientSession(headers=rig.MARIE, timeout=timeout))
        ways = [Way("direct", plain, stock), Way("gateway", through, gateway.url)]
        kernels = []
        for way in ways:
            async with way.client.post(way.base + "api/kernels", json={}) as answer:
                kernels.append((await answer.json())["id"])
        before = gateway.memory()
        for way, kernel in zip(ways, kernels, strict=True):
            await way.round_trips(kernel, 20)
            way.trips.clear()
        for _ in range(MESSAGES // 20):
            for way, kernel in zip(ways, kernels, strict=True):
                await way.round_trips(kernel, 20)
        most = gateway.memory()
        for _ in range(rounds):
            for way in ways:
                await way.download(size)
                most = max(most, gateway.memory())
                await way.upload(size)
                assert (jupyter.home / "up.bin").stat().st_size == size
                most = max(most, gateway.memory())
        for way, kernel in zip(ways, kernels, strict=True):
            async with way.client.delete(way.base + f"api/kernels/{kernel}") as answer:
                assert answer.status == 204, answer.status
    direct, other = ways
    added = statistics.median(other.trips) - statistics.median(direct.trips)
    return [
        *(figures.median(f"download, {way.name}, median", "MB/s", way.down) for way in ways),
        figures.ratio("download, gateway over Jupyter alone", other.down, direct.down, least=0.7),
        *(figures.median(f"upload, {way.name}, median", "MB/s", way.up) for way in ways),
        figures.ratio("upload, gateway over Jupyter alone", other.up, direct.up, least=0.7),
        *(figures.median(f"kernel round trip, {way.name}, median", "ms", way.trips) for way in ways),
        figures.Figure("kernel round trip, added by the gateway", added, "ms", len(other.trips), most=3),
        figures.Figure("memory of a gateway before", before, "MB", 1, most=60),
        figures.Figure("memory of a gateway, most", most, "MB", 1, most=60),
        figures.median("first answer of a gateway, median", "s", starts, most=0.5),
    ]


def measure(rounds: int, megabytes: int) -> list[figures.Figure]:
    """Measure both ways in turn."""
    return asyncio.run(_measure(rounds, megabytes))


BENCHMARK = figures.Benchmark("benchmarks.gateway", __doc__, measure, rounds=3, megabytes=1024)

if __name__ == "__main__":
    BENCHMARK.main()
