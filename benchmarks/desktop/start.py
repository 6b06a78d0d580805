"""Request to first picture of a desktop against request to usable notebook, interleaved, in VISA's sandbox.

``python -m benchmarks.desktop.start [ROUNDS]``. First picture: updates with more than one colour have come
through the proxy. Windows: with more than 20 colours, so panels and windows are drawn. Notebook: its kernel
list answers through the proxy.
"""

from __future__ import annotations

import asyncio
import struct
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks import figures
from benchmarks.desktop.viewers import encodings, request, shake_hands
from benchmarks.start import once
from tests.services import facility
from tests.services.hub import RunningHub
from tests.session import rig

WAIT = 60.0
WINDOWS = 20
OPTIONS = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "large"}


async def _update(socket: aiohttp.ClientWebSocketResponse, got: bytearray) -> set[int]:
    """The colours of the next update's rectangles; ``got`` keeps what came too early."""

    async def read(count: int) -> bytes:
        while len(got) < count:
            got.extend(await socket.receive_bytes(timeout=10))
        part = bytes(got[:count])
        del got[:count]
        return part

    colours: set[int] = set()
    (count,) = struct.unpack(">xxH", await read(4))
    for _ in range(count):
        _, _, width, height, _ = struct.unpack(">HHHHi", await read(12))
        colours |= set(memoryview(await read(4 * width * height)).cast("I"))
    return colours


async def pictures(url: str, token: str, began: float) -> tuple[float, float]:
    """Seconds since ``began`` until the first picture, and until there are windows."""
    first = 0.0
    async with aiohttp.ClientSession(headers={"Authorization": f"token {token}"}) as client:
        while time.perf_counter() - began < WAIT:
            try:
                async with client.ws_connect(f"{url}desktop/websocket", max_msg_size=0) as socket:
                    await shake_hands(socket)
                    await socket.send_bytes(encodings(0) + request(False))
                    got, colours = bytearray(), set[int]()
                    while time.perf_counter() - began < WAIT:
                        colours |= await _update(socket, got)
                        first = first or (time.perf_counter() - began if len(colours) > 1 else 0.0)
                        if len(colours) > WINDOWS:
                            return first, time.perf_counter() - began
                        # As a browser: what changed, and not the whole picture again and again.
                        await socket.send_bytes(request(True))
            except (aiohttp.ClientError, aiohttp.WSMessageTypeError):
                await asyncio.sleep(0.02)
    raise SystemExit(f"no picture came within {WAIT} s")


def once_desktop(hub: RunningHub, token: str, name: str, options: dict[str, Any]) -> tuple[float, float]:
    """As `once` does with a notebook."""
    with hub.api(token) as api:
        began = time.perf_counter()
        answer = api.post(f"/users/marie/servers/{name}", json={**options, "session": "desktop"})
        if answer.status_code not in (201, 202):
            raise SystemExit(f"the start failed: {answer.status_code} {answer.text}")
        taken = asyncio.run(pictures(f"{hub.url}/user/marie/{name}/", token, began))
        api.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
        while name in api.get("/users/marie?include_stopped_servers=1").json()["servers"]:
            time.sleep(0.1)
    return taken


def in_turn(hub: RunningHub, rounds: int, options: dict[str, Any]) -> Iterator[figures.Figure]:
    """Start both kinds in turn on one hub."""
    token = hub.token("marie")
    taken: dict[str, list[float]] = {"first picture": [], "windows": [], "notebook": []}
    for number in range(rounds + 1):
        first, windows = once_desktop(hub, token, f"d{number}", options)
        notebook = once(hub, token, f"n{number}", options)
        if number:  # the first of each warms the page cache
            for name, value in zip(taken, (first, windows, notebook), strict=True):
                taken[name].append(value)
    for name, values in taken.items():
        yield figures.median(f"request to {name}, median", "s", values)
    yield figures.ratio("request to first picture over notebook", taken["first picture"], taken["notebook"], most=1)
    yield figures.ratio("request to windows over notebook", taken["windows"], taken["notebook"])


def on(hub: RunningHub, rounds: int, options: dict[str, Any]) -> Iterator[figures.Figure]:
    """Start the hub, measure, end it; its log is shown where that fails."""
    try:
        hub.start()
        yield from in_turn(hub, rounds, options)
    except BaseException:
        print(hub.tail())
        raise
    finally:
        hub.end()


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Measure on this machine."""
    environments = facility.document(rig.ENVIRONMENT)["environments"]
    environments["scattering"]["sessions"] = ["notebook", "desktop"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = facility.write(folder / "facility", rig.ENVIRONMENT, environments=environments)
        yield from on(RunningHub(folder / "visa", path), rounds, OPTIONS)


BENCHMARK = figures.Benchmark("benchmarks.desktop.start", __doc__, measure, rounds=10)

if __name__ == "__main__":
    BENCHMARK.main()
