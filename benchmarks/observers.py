"""Sixty who only watch one instance, notebook and desktop: what the owner feels of it, and hub, portal and gateway.

``python -m benchmarks.observers [ROUNDS] [--observers N]``. A real hub, portal, gateway, Jupyter and Xvnc. The
observers are raw websockets in a process of their own: each has the kernel's outputs and the desktop's picture, which
moves, and reads all of it. Rounds without them and with them in turn: the owner's raw websockets,
and her page in Chromium.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import struct
import sys
import tempfile
import time
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import psutil
from playwright.async_api import Browser, async_playwright

from benchmarks import figures
from benchmarks.desktop.seen import Seen
from benchmarks.desktop.sides import Side
from benchmarks.desktop.viewers import ENCODINGS, encodings, request, shake_hands
from tests.services import facility
from tests.services.browser import ARGUMENTS
from tests.services.hub import RunningHub, started, until
from tests.session import rig
from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.server import FromServer

TRIPS = 40
KINDS = os.environ.get("KINDS", "notebook desktop").split()
"""Which sessions the observers open."""
PROGRAM = Path(__file__).with_name("desktop") / "program.py"
LARGEST = 2**26


def _message(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    header = {"msg_id": uuid.uuid4().hex, "msg_type": kind, "username": "", "session": "b", "version": "5.3"}
    parts = {"header": {**header, "date": ""}, "parent_header": {}, "metadata": {}, "content": content}
    return {**parts, "channel": "shell", "buffers": []}


async def _desktop(client: aiohttp.ClientSession, base: str) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect(f"{base}desktop/websocket", max_msg_size=LARGEST)


async def _notebook(client: aiohttp.ClientSession, base: str, kernel: str) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect(f"{base}api/kernels/{kernel}/channels", max_msg_size=LARGEST)


class Observer:
    """Both sessions open, everything read, and the next picture asked for with each that came, as noVNC does."""

    def __init__(self, client: aiohttp.ClientSession, base: str, kernel: str) -> None:
        self._client, self._base, self._kernel = client, base, kernel
        self.taken, self._open = 0, False

    @property
    def looks(self) -> bool:
        """Whether all is open and a picture came; a kernel tells nothing as long as nobody uses it."""
        return self._open and (self.taken > 0 or "desktop" not in KINDS)

    async def look(self) -> None:
        """Until cancelled."""
        reading = []
        if "notebook" in KINDS:
            reading.append(self._read(await _notebook(self._client, self._base, self._kernel)))
        if "desktop" in KINDS:
            reading.append(self._see(await _desktop(self._client, self._base)))
        self._open = True
        await asyncio.gather(*reading)

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            self.taken += len(message.data)
        raise ConnectionError(f"an observer was sent away: {socket.close_code}")

    async def _see(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        await shake_hands(socket)
        await socket.send_bytes(encodings(*ENCODINGS) + request(False))
        server, updates = FromServer(Allowed(), Agreed()), 0
        async for message in socket:
            self.taken += len(message.data)
            server.feed(message.data)
            if server.seen.updates != updates:
                updates = server.seen.updates
                await socket.send_bytes(request())
        raise ConnectionError(f"an observer was sent away: {socket.close_code}")


async def observe(count: int, base: str, kernel: str, token: str) -> None:
    """The process of the observers: says when all look; ends with its input."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"token {token}"}) as client:
        looking = [Observer(client, base, kernel) for _ in range(count)]
        tasks = [asyncio.create_task(one.look()) for one in looking]
        while not all(one.looks for one in looking):
            await asyncio.sleep(0.1)
            for task in tasks:
                if task.done():
                    task.result()
        print("all look", flush=True)
        end = asyncio.create_task(asyncio.to_thread(sys.stdin.readline))
        done, _ = await asyncio.wait([*tasks, end], return_when=asyncio.FIRST_COMPLETED)
        print(json.dumps({"taken": sum(one.taken for one in looking), "lost": len(done & set(tasks))}), flush=True)
        for task in tasks:
            task.cancel()


PIECE = (118, 118, 64, 64)
"""Of the screen, in the patch that changes its colour with each click (`benchmarks.desktop.program`)."""


class Desk:
    """The owner's desktop, raw pictures of one piece."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._got, self._seen = socket, bytearray(), b""

    async def _read(self, count: int) -> bytes:
        while len(self._got) < count:
            self._got += await self._socket.receive_bytes(timeout=60)
        part = bytes(self._got[:count])
        del self._got[:count]
        return part

    async def _picture(self, incremental: bool, more: bytes = b"") -> bytes:
        """The last pixel of what comes."""
        await self._socket.send_bytes(struct.pack(">BBHHHH", 3, incremental, *PIECE) + more)
        pixels = b""
        (count,) = struct.unpack(">xxH", await self._read(4))
        for _ in range(count):
            _, _, width, height, _ = struct.unpack(">HHHHi", await self._read(12))
            pixels = await self._read(4 * width * height)
        return pixels[-4:]

    async def piece(self) -> float:
        """Until one that is there already came."""
        begun = time.perf_counter()
        self._seen = await self._picture(False)
        return 1000 * (time.perf_counter() - begun)

    async def click(self) -> float:
        """Until there is another colour, which a program draws; pressed where the pointer does not show."""
        begun = time.perf_counter()
        seen = await self._picture(True, struct.pack(">BBHHBBHH", 5, 1, 20, 20, 5, 0, 20, 20))
        while seen == self._seen:
            seen = await self._picture(True)
        self._seen = seen
        return 1000 * (time.perf_counter() - begun)


class Owner:
    """What she feels: ms from running a line to its output, from a click to its picture, and of a piece asked for."""

    def __init__(self, client: aiohttp.ClientSession, base: str, kernel: str) -> None:
        self._client, self._base, self._kernel = client, base, kernel

    async def line(self, socket: aiohttp.ClientWebSocketResponse) -> float:
        """One execution."""
        content = {"code": "print('x' * 200)", "silent": False, "store_history": False, "allow_stdin": False}
        message = _message("execute_request", content)
        begun, printed, idle = time.perf_counter(), 0.0, False
        await socket.send_json(message)
        while not (printed and idle):
            got = json.loads(await socket.receive_str(timeout=60))
            if got["parent_header"].get("msg_id") != message["header"]["msg_id"]:
                continue
            if got["msg_type"] == "stream":
                printed = time.perf_counter() - begun
            idle = idle or (got["msg_type"] == "status" and got["content"]["execution_state"] == "idle")
        return 1000 * printed

    async def measure(self) -> dict[str, list[float]]:
        """Each of them, many times."""
        took: dict[str, list[float]] = {"line": [], "click": [], "piece": []}
        async with (
            _closing(await _notebook(self._client, self._base, self._kernel)) as notebook,
            _closing(await _desktop(self._client, self._base)) as socket,
        ):
            await shake_hands(socket)
            await socket.send_bytes(encodings(0))
            desk = Desk(socket)
            for turn in range(TRIPS + 1):
                values = (await self.line(notebook), await desk.piece(), await desk.click())
                for name, value in zip(took, values, strict=True):
                    took[name] += [value] if turn else []
        return took


CENTRE = (150 / 1280, 150 / 800)
"""Of the patch, as parts of the desktop; the page's bar has 44 pixels more."""


@contextlib.asynccontextmanager
async def browsing(base: str) -> AsyncIterator[tuple[Browser, Side]]:
    """Chromium, and marie's desktop as she gets it after her login."""
    async with async_playwright() as playwright:
        program = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = await playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        page = await (await browser.new_context()).new_page()
        await page.goto(f"{base}desktop/")
        await page.fill("#username_input", "marie")
        await page.fill("#password_input", "visa")
        await page.click("#login_submit")
        await page.wait_for_selector("#screen canvas", timeout=30_000)
        cookies = await page.context.cookies()
        await page.context.close()
        yield browser, Side("visa", f"{base}desktop/", "", {}, psutil.Process(), [], list(cookies))
        await browser.close()


async def felt(browser: Browser, side: Side) -> list[float]:
    """Milliseconds from her click to noVNC's drawing of what it changed."""
    seen = await Seen.opened(browser, side)
    await seen.resize(1280, 800)
    took = await seen.clicks(TRIPS, CENTRE)
    await seen.page.context.close()
    return took


async def _kernel(client: aiohttp.ClientSession, base: str) -> str:
    """Of a notebook in the home folder: members see kernels of files that they may see."""
    book = {"type": "notebook", "content": {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}}
    async with client.put(f"{base}api/contents/watched.ipynb", json=book) as answer:
        assert answer.status in (200, 201), await answer.text()
    session = {"path": "watched.ipynb", "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    async with client.post(f"{base}api/sessions", json=session) as answer:
        return str((await answer.json())["kernel"]["id"])


async def _asked(address: str, token: str, count: int = 20) -> list[float]:
    took = []
    async with httpx.AsyncClient(headers={"Authorization": f"token {token}"}, timeout=30) as client:
        for _ in range(count):
            begun = time.perf_counter()
            answer = await client.get(address)
            assert answer.status_code == 200, answer.text[:300]
            took.append(1000 * (time.perf_counter() - begun))
    return took


@contextlib.asynccontextmanager
async def watching(count: int, base: str, kernel: str, token: str) -> Any:
    """In a process of their own, for the length of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "benchmarks.observers", "--observe", str(count), base, kernel, token),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 120) == b"all look\n"
    said: dict[str, int] = {}
    yield said
    process.stdin.write(b"\n")
    said |= json.loads(await asyncio.wait_for(process.stdout.readline(), 60))
    process.kill()
    await process.wait()


def gateway_memory(hub: RunningHub) -> float:
    """Resident MB of the gateway, which is the one that asks this hub."""
    found = []
    for process in psutil.process_iter(["cmdline", "environ"]):
        asks = (process.info["environ"] or {}).get("JUPYTERHUB_API_URL", "")
        if "visa.session" in (process.info["cmdline"] or []) and f":{hub.hub_port}/" in asks:
            found.append(process.memory_info().rss / 1e6)
    return max(found)


FELT = {
    "line": "a line to its output",
    "click": "a click",
    "piece": "a piece of the picture",
    "felt": "a click in Chromium",
}
NAMES = {
    f"{name}_{when}": f"{what}, {when}"
    for name, what in {**FELT, "portal": "the portal's home", "hub": "the hub's API"}.items()
    for when in ("alone", "watched")
}


async def _in_turn(hub: RunningHub, base: str, rounds: int, count: int, tokens: dict[str, str]) -> list[figures.Figure]:
    """All rounds."""
    found: dict[str, list[float]] = {}
    memory, taken, lost = [], 0, 0
    async with contextlib.AsyncExitStack() as stack:
        session = aiohttp.ClientSession(headers={"Authorization": f"token {tokens['marie']}"})
        client = await stack.enter_async_context(session)
        await _move(client, base)
        kernel = await _kernel(client, base)
        owner = Owner(client, base, kernel)

        async def round_(name: str) -> None:
            for what, values in (await owner.measure()).items():
                found.setdefault(f"{what}_{name}", []).extend(values)
            found.setdefault(f"felt_{name}", []).extend(await felt(browser, side))
            for what, address in (("portal", hub.portal), ("hub", f"{hub.url}/hub/api/users/marie")):
                found.setdefault(f"{what}_{name}", []).extend(await _asked(address, tokens["marie"]))

        browser, side = await stack.enter_async_context(browsing(base))
        await owner.measure()
        await felt(browser, side)
        for _ in range(rounds):
            await round_("alone")
            memory.append(gateway_memory(hub))
            async with watching(count, base, kernel, tokens["rosalind"]) as said:
                await round_("watched")
                memory.append(gateway_memory(hub))
            taken, lost = taken + said["taken"], lost + said["lost"]
    if lost or not taken:
        raise SystemExit(f"{lost} observers were sent away, all together took {taken} bytes")
    return [
        *(figures.median(f"{NAMES[name]}, median", "ms", values) for name, values in found.items()),
        *(figures.p95(f"{NAMES[name]}, p95", "ms", values) for name, values in found.items()),
        *(
            figures.ratio(
                f"{what}, with {count} who watch over none", found[f"{name}_watched"], found[f"{name}_alone"], most=2
            )
            for name, what in FELT.items()
        ),
        figures.Figure("memory of the gateway, at first", memory[0], "MB", 1),
        figures.Figure("memory of the gateway, most", max(memory), "MB", len(memory)),
        figures.Figure("taken by those who watch", taken / 1e6, "MB", count),
    ]


MOVING = """
import os, subprocess, sys
socket = next(name for name in os.listdir("/tmp/.X11-unix"))
show = "while sleep 0.2; do date; ls -l /usr/bin | head -n 20; done"
display = {**os.environ, "DISPLAY": ":" + socket[1:]}
subprocess.Popen(["xterm", "-geometry", "90x30", "-e", "sh", "-c", show], env=display)
program = subprocess.Popen([sys.executable, "-c", PROGRAM, "click", "300", "300"], env=display, stdout=subprocess.PIPE)
assert program.stdout.readline() == b"shown\\n"
"""


async def _move(client: aiohttp.ClientSession, base: str) -> None:
    """A terminal on the desktop that prints five times a second, and above it what the owner clicks on."""
    async with client.get(f"{base}_visa/ready") as answer:
        assert (await answer.json())["ready"]
    async with client.post(f"{base}desktop/start") as answer:
        assert answer.status == 202, await answer.text()
    async with client.get(f"{base}desktop/state?wait=1") as answer:
        assert (await answer.json())["ready"]
    kernel = await _kernel(client, base)
    code = f"PROGRAM = {PROGRAM.read_text()!r}\n{MOVING}"
    message = _message("execute_request", {"code": code, "silent": False, "store_history": False})
    async with _closing(await _notebook(client, base, kernel)) as socket:
        await socket.send_json(message)
        while True:
            got = json.loads(await socket.receive_str(timeout=60))
            assert got["msg_type"] != "error", got["content"]["traceback"]
            if got["msg_type"] == "execute_reply":
                return


@contextlib.asynccontextmanager
async def _closing(socket: aiohttp.ClientWebSocketResponse) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    yield socket
    await socket.close()


def _shared(hub: RunningHub, tokens: dict[str, str]) -> str:
    """Marie's instance, which rosalind watches: its address."""
    with hub.rest(tokens["marie"]) as api:
        options = {"experiments": ["exp-1"], "environment": "seen", "flavour": "large", "session": "notebook"}
        made = api.post("instances", json=options).json()
        one = f"instances/{made['id']}"
        until(lambda: api.get(one).json()["state"] == "running", 60, "the start")
        known = api.get(one).json()
        for method, path, body in (
            ("PATCH", "sharing", {"presence": "any", "folders": ["shared", "home"]}),
            ("POST", "members", {"username": "rosalind", "role": "observer"}),
        ):
            answer = api.request(method, f"{one}/{path}", json=body)
            assert answer.is_success, answer.text
    with hub.api(tokens["rosalind"]) as api:
        assert api.post(f"/visa/instances/{made['id']}/enter").is_success
    return f"{hub.url}{known['url']}" if known["url"].startswith("/") else str(known["url"])


def measure(rounds: int, observers: int) -> list[figures.Figure]:
    """Start everything, measure, end everything."""
    with tempfile.TemporaryDirectory(prefix="visa-b-") as name:
        folder = Path(name)
        local = {"prefix": str(rig.ENVIRONMENT)}
        seen = {"title": "Seen", "sessions": ["notebook", "desktop"], "local": local}
        with started(RunningHub(folder, facility.write(folder / "facility", environments={"seen": seen}))) as hub:
            tokens = {who: hub.token(who) for who in ("marie", "rosalind")}
            return asyncio.run(_in_turn(hub, _shared(hub, tokens), rounds, observers, tokens))


BENCHMARK = figures.Benchmark("benchmarks.observers", __doc__, measure, rounds=4, observers=60)

if __name__ == "__main__":
    if sys.argv[1:2] == ["--observe"]:
        asyncio.run(observe(int(sys.argv[2]), *sys.argv[3:6]))
    else:
        BENCHMARK.main()
