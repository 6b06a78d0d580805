"""VISA's desktop against the stock proxy's, everything of the two sides in turn, in each round.

``python -m benchmarks.desktop [ROUNDS]``.

A click's time is from the browser's event to the end of noVNC's drawing; frames are those of the screen in which it
drew; CPU and memory are of all processes but the browser and the program that is shown; bandwidth is what the
websockets carry. The other viewers are scripted ones in one process, the owner is Chromium.
"""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import async_playwright

from benchmarks import figures
from benchmarks.desktop import viewers
from benchmarks.desktop.seen import Seen
from benchmarks.desktop.sides import SIDES, Side
from tests.services.browser import ARGUMENTS
from tests.services.waiting import until

SIZES = ((1280, 720), (1920, 1080))
CLICKS, SECONDS, STUCK = 40, 4.0, 15.0
VIEWERS = (1, 4, 16)
PROGRAM = Path(__file__).with_name("program.py")
Found = dict[str, dict[str, list[float]]]


async def _said(command: list[str], environ: dict[str, str] | None) -> asyncio.subprocess.Process:
    """A program that said its first line."""
    process = await asyncio.create_subprocess_exec(*command, env=environ, stdout=subprocess.PIPE)
    assert process.stdout is not None
    if not await asyncio.wait_for(process.stdout.readline(), 90):
        raise SystemExit(f"{command} ended")
    return process


@asynccontextmanager
async def shown(side: Side, kind: str, size: tuple[int, int]) -> AsyncIterator[None]:
    """A program over the whole desktop."""
    environ = await asyncio.to_thread(_variables, side)
    process = await _said([sys.executable, str(PROGRAM), kind, *map(str, size)], environ)
    await asyncio.sleep(0.7)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


def _variables(side: Side) -> dict[str, str]:
    until(side.variables, 20, f"the X session of {side.name}")
    found = side.variables()
    assert found is not None
    return found


@asynccontextmanager
async def watched_by(side: Side, others: int) -> AsyncIterator[None]:
    """So many more viewers."""
    if not others:
        yield
        return
    module = [sys.executable, "-m", "benchmarks.desktop.viewers"]
    process = await _said([*module, side.websocket, side.headers["Authorization"], str(others)], None)
    await asyncio.sleep(0.5)
    try:
        yield
    finally:
        process.kill()
        await process.wait()


async def of_size(seen: list[Seen], size: tuple[int, int], rounds: int, found: Found) -> None:
    """Clicks and moving pictures."""
    name = f"{size[1]}p"
    for one in seen:
        await one.resize(*size)
    for _ in range(rounds):
        for one in seen:
            put = found[one.side.name]
            async with shown(one.side, "click", size):
                put[f"click {name}, ms"] += await one.clicks(CLICKS)
            for kind in ("animate", "scroll"):
                async with shown(one.side, kind, size):
                    moving = await one.moving(SECONDS)
                put[f"{kind} {name}, frames/s"].append(moving.frames)
                put[f"{kind} {name}, Mbit/s"].append(moving.megabits)
                put[f"{kind} {name}, CPU %"].append(moving.cpu)
            put[f"memory {name}, MB"].append(one.side.memory())


async def of_viewers(seen: list[Seen], rounds: int, found: Found) -> None:
    """The owner's clicks while others look."""
    size = SIZES[0]
    for one in seen:
        await one.resize(*size)
    for _ in range(rounds):
        for one in seen:
            for count in VIEWERS:
                async with shown(one.side, "click", size), watched_by(one.side, count - 1):
                    found[one.side.name][f"click, {count} viewers, ms"] += await one.clicks(CLICKS // 2)


async def of_stuck(seen: list[Seen], found: Found) -> None:
    """MB that a viewer who does not read costs."""
    for one in seen:
        side = one.side
        async with shown(side, "noise", SIZES[0]):
            before = most = side.between.memory_info().rss
            stuck = asyncio.create_task(viewers.stuck(side.websocket, side.headers, STUCK))
            while not stuck.done():
                most = max(most, side.between.memory_info().rss)
                await asyncio.sleep(0.1)
            await stuck
            found[side.name][f"a viewer that does not read for {STUCK:.0f} s, MB"] = [(most - before) / 1e6]


def told(found: Found) -> Iterator[figures.Figure]:
    """Give each figure of both sides, and what is wanted of ours."""
    ours, stock = found["VISA"], found["stock"]
    for name, values in ours.items():
        what, _, unit = name.rpartition(", ")
        for side, side_values in (("VISA", values), ("stock", stock[name])):
            yield figures.median(f"{what}, {side}, median", unit, side_values)
            if name.startswith("click"):
                yield figures.p95(f"{what}, {side}, p95", unit, side_values)
        if name.startswith("click") and "viewers" not in name:
            yield figures.ratio(f"{what}, VISA over stock", values, stock[name], most=1)
    alone, all_ = (ours[f"click, {count} viewers, ms"] for count in (VIEWERS[0], VIEWERS[-1]))
    yield figures.ratio(f"an owner's click with {VIEWERS[-1]} viewers over alone", all_, alone, most=1.5)


async def _in_turn(rounds: int) -> Found:
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    found: Found = {"VISA": defaultdict(list), "stock": defaultdict(list)}
    async with AsyncExitStack() as stack:
        sides = [await stack.enter_async_context(side()) for side in SIDES]
        playwright = await stack.enter_async_context(async_playwright())
        browser: Any = await playwright.chromium.launch(args=ARGUMENTS, executable_path=program)
        stack.push_async_callback(browser.close)
        seen = [await Seen.opened(browser, side) for side in sides]
        for one in seen:  # the first of each warms
            async with shown(one.side, "click", SIZES[0]):
                await one.clicks(10)
        for size in SIZES:
            await of_size(seen, size, rounds, found)
        await of_viewers(seen, rounds, found)
        await of_stuck(seen, found)
    return found


def measure(rounds: int) -> Iterator[figures.Figure]:
    """Measure both sides in turn."""
    yield from told(asyncio.run(_in_turn(rounds)))


BENCHMARK = figures.Benchmark("benchmarks.desktop", __doc__, measure, rounds=5)

if __name__ == "__main__":
    BENCHMARK.main()
