"""Several who look in turn at one real X server: each sees every change, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import struct
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.services.waiting import ENOUGH, eventually
from tests.session.desktop import xvnc
from tests.session.rfb import messages as m
from tests.session.test_viewer import WHOLE, Desk, Viewer, running, viewing
from visa.session.desktop.turns import AT_MOST
from visa.session.rfb import names

WIDTH, HEIGHT = 1280, 800
MORE = struct.pack(">BBHHHH", 3, 1, 0, 0, WIDTH, HEIGHT)
CORNER = 4 * (780 * WIDTH + 20)
COLOURS = {"red": b"\0\0\xff", "green": b"\0\xff\0", "blue": b"\xff\0\0", "black": b"\0\0\0"}
"""Of X11, as little-endian pixels."""
"""Seconds after which what is waited for is taken never to come."""


@pytest.fixture(scope="module")
def desktop() -> Iterator[xvnc.Desktop]:
    """An X server for all tests here."""
    with tempfile.TemporaryDirectory(prefix="visa-x-") as folder, xvnc.running(Path(folder)) as one:
        yield one


@pytest.fixture
async def seen(desktop: xvnc.Desktop) -> AsyncIterator[tuple[Desk, xvnc.Desktop]]:
    """A gateway before a black ``desktop``; ``oscar`` is an observer."""
    await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "black")
    async with running(desktop.run) as desk:
        yield desk, desktop


class Picture:
    """An observer's client that draws what comes and asks as noVNC does: again after each update."""

    def __init__(self, viewer: Viewer) -> None:
        self.viewer, self.pixels, self.drawn = viewer, bytearray(4 * WIDTH * HEIGHT), 0

    async def take(self) -> None:
        """One update, and the next is asked for."""
        for (x, y, width, height, encoding), body in await self.viewer.update():
            if encoding != names.RAW:
                continue
            self.drawn += width * height
            for row in range(height):
                at = 4 * ((y + row) * WIDTH + x)
                self.pixels[at : at + 4 * width] = body[4 * row * width : 4 * (row + 1) * width]
        await self.viewer.send(MORE)

    async def whole(self) -> None:
        """All of it, which was asked for just now."""
        self.drawn = 0
        async with asyncio.timeout(ENOUGH):
            while self.drawn < WIDTH * HEIGHT:
                await self.take()

    def shows(self, colour: str) -> bool:
        """Where no window is."""
        return self.pixels[CORNER : CORNER + 3] == COLOURS[colour]

    async def until(self, colour: str) -> None:
        """It does."""
        async with asyncio.timeout(ENOUGH):
            while not self.shows(colour):
                await self.take()


@contextlib.asynccontextmanager
async def watching(desk: Desk, count: int, *encodings: int) -> AsyncIterator[list[Picture]]:
    """Observers who have their first picture, which the gateway has to get for them whatever else is going on."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            viewer = await stack.enter_async_context(viewing(desk, "oscar"))
            await viewer.send(m.encodings(names.RAW, names.EXTENDED_DESKTOP_SIZE, *encodings), WHOLE)
            found.append(Picture(viewer))
            await found[-1].whole()
        yield found


async def test_a_change_comes_to_all_who_look_and_nobody_keeps_the_others_waiting(
    seen: tuple[Desk, xvnc.Desktop],
) -> None:
    desk, desktop = seen
    async with watching(desk, 5) as looking, watching(desk, 2) as deaf, watching(desk, 2) as odd:
        for one in deaf:
            one.viewer.socket._conn.protocol.transport.pause_reading()  # type: ignore[union-attr]
            await one.viewer.send(WHOLE)
        for one in odd:  # a corner that never changes
            await one.viewer.send(struct.pack(">BBHHHH", 3, 1, 1279, 799, 1, 1))
        for colour in (*COLOURS, *COLOURS, *COLOURS):
            for one in deaf:
                await one.viewer.send(WHOLE)
            await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", colour)
            for one in looking:
                await one.until(colour)
        for one in deaf:
            one.viewer.socket._conn.protocol.transport.abort()  # type: ignore[union-attr]


async def test_who_answers_no_fence_keeps_nobody_waiting(seen: tuple[Desk, xvnc.Desktop]) -> None:
    """Nor is she sent one: the gateway answers, or Xvnc would hold her pictures back."""
    desk, desktop = seen
    async with watching(desk, 1, names.FENCE, names.CONTINUOUS_UPDATES) as silent, watching(desk, 2) as looking:
        for colour in (*COLOURS, *COLOURS):
            await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", colour)
            for one in (*looking, *silent):
                await one.until(colour)


async def test_on_a_still_desktop_who_comes_sees_it_and_so_does_who_asks_for_all_again(
    seen: tuple[Desk, xvnc.Desktop],
) -> None:
    desk, _ = seen
    async with watching(desk, 4) as looking:  # nothing moves: one is on the lookout, the others have no turn
        async with watching(desk, 1):
            pass
        for one in looking:
            await one.viewer.send(WHOLE)
            await one.whole()


async def test_who_asks_for_all_again_and_again_keeps_nobody_from_a_change(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 2) as looking, watching(desk, 2) as greedy:

        async def devour(one: Picture) -> None:
            await one.viewer.send(m.encodings(names.RAW))  # else Xvnc answers with the size alone, each time
            while True:
                await one.viewer.send(WHOLE)
                await one.take()

        tasks = [asyncio.create_task(devour(one)) for one in greedy]
        for colour in COLOURS:
            await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", colour)
            for one in looking:
                await one.until(colour)
            await eventually(lambda colour=colour: all(one.shows(colour) for one in greedy), colour)
        for task in tasks:
            task.cancel()


async def test_who_was_slow_sees_what_changed_though_nothing_moves_any_more(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3) as looking, watching(desk, 1) as slow:
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        for one in looking:
            await one.until("red")
        async with watching(desk, 1) as later:  # who had a turn since
            assert later[0].shows("red")
        await slow[0].until("red")


async def test_who_may_act_does_not_wait_for_who_looks(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3), viewing(desk) as viewer:
        await viewer.send(m.encodings(names.RAW), WHOLE)
        marie = Picture(viewer)
        await marie.whole()
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        await marie.until("red")


async def test_a_slow_x_server_loses_nobodys_picture(seen: tuple[Desk, xvnc.Desktop]) -> None:
    """It is stopped for longer than a turn lasts, again and again, while all wait for what it has already."""
    desk, desktop = seen
    async with watching(desk, 4) as looking:
        for colour in COLOURS:
            await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", colour)
            slow = asyncio.create_task(_halting(desktop.server))
            await asyncio.gather(*(one.until(colour) for one in looking))
            slow.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await slow


async def _halting(server: subprocess.Popen[bytes]) -> None:
    try:
        while True:
            server.send_signal(signal.SIGSTOP)
            await asyncio.sleep(3 * AT_MOST)
            server.send_signal(signal.SIGCONT)
            await asyncio.sleep(0.002)
    finally:
        server.send_signal(signal.SIGCONT)
