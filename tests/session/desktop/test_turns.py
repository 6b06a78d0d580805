"""Who only looks has her pictures in turn: few at once, each in the end, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import random
import signal
import struct
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest

from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.rfb import messages as m
from tests.session.test_viewer import WHOLE, Desk, Viewer, viewing
from visa.session.desktop.turns import AT_MOST, BETWEEN, LOOKOUT, REFINED, Look, Turns
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.viewer import FromViewer

WIDTH, HEIGHT = 1280, 800
MORE, PIECE = (struct.pack(">BBHHHH", 3, 1, 0, 0, *size) for size in ((WIDTH, HEIGHT), (64, 64)))
CORNER = 4 * (780 * WIDTH + 20)
COLOURS = {"red": b"\0\0\xff", "green": b"\0\xff\0", "blue": b"\xff\0\0", "black": b"\0\0\0"}
"""Of X11, as little-endian pixels."""
AT_LAST = 2 * REFINED


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who look give up soon."""
    monkeypatch.setattr("visa.session.desktop.turns.AT_LAST", AT_LAST)


class Screen:
    """Draws as Xvnc does: at once for who is behind, else when something changes. What is drawn is rough at first, and
    who asks for better while another is on the lookout gets it with every second request."""

    def __init__(self) -> None:
        self.state, self.asked = 0, 0
        self.waiting: dict[Looker, None] = {}

    def ask(self, one: Looker, whole: bool) -> None:
        self.asked += 1
        self.waiting[one] = None
        loop = asyncio.get_running_loop()
        if whole or one.sees < self.state:
            loop.call_later(one.hasty.uniform(0, 0.004), self.draw, one)
        elif one.rough and one.luck():
            loop.call_at(max(loop.time(), one.drawn + REFINED / 2), self.draw, one)

    def draw(self, one: Looker) -> None:
        if self.waiting.pop(one, one) is None:
            one.take(self.state)

    def end(self, one: Looker) -> None:
        """By one pixel."""
        if one.sees < self.state:
            self.draw(one)
        elif one in self.waiting:
            del self.waiting[one]
            one.came.set()

    def change(self) -> None:
        self.state += 1
        for one in list(self.waiting):
            self.draw(one)


class Looker:
    """Takes turns as a viewer does; her browser takes up to ``slow`` seconds until it asks again."""

    def __init__(self, screen: Screen, turns: Turns, slow: float, seed: int) -> None:
        self.screen, self.turns, self.slow, self.hasty = screen, turns, slow, random.Random(seed)
        self.look, self.came = Look(whole=True), asyncio.Event()
        self.seen: list[int] = [-1]
        self.rough, self.drawn, self.lucky = False, 0.0, True

    @property
    def sees(self) -> int:
        return self.seen[-1]

    def luck(self) -> bool:
        self.lucky = not self.lucky
        return self.lucky or self.turns.on_the_lookout(self.look)

    def take(self, state: int) -> None:
        self.rough = state != self.sees
        self.seen.append(state)
        self.drawn = asyncio.get_running_loop().time()
        self.look.drawn()
        self.came.set()
        self.turns.pictured(self.look)

    async def run(self) -> None:
        while True:
            async with self.turns.turn(self.look) as seconds:
                self.came.clear()
                whole = self.look.whole
                self.look.asks()
                self.screen.ask(self, whole)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.came.wait(), seconds)
                if not self.came.is_set():
                    self.screen.end(self)
            await asyncio.sleep(self.hasty.uniform(0, self.slow))


async def until(there: Callable[[], bool], what: str) -> None:
    """However slow this machine is."""
    end = time.monotonic() + 20
    while not there():
        assert time.monotonic() < end, what
        await asyncio.sleep(0.005)


async def still(screen: Screen) -> None:
    """Nobody asks any more."""
    asked = -1
    while asked != screen.asked:
        asked = screen.asked
        for _ in range(10):  # a machine that pauses skips one of them
            await asyncio.sleep((2 * AT_LAST + AT_MOST) / 10)


@contextlib.asynccontextmanager
async def running(looking: list[Looker]) -> AsyncIterator[dict[Looker, asyncio.Task[None]]]:
    tasks = {one: asyncio.create_task(one.run()) for one in looking}
    yield tasks
    for task in tasks.values():
        task.cancel()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("slow", [0, 0.02, 0.3])
async def test_all_see_the_last_change_as_it_is_and_one_waits_for_the_next(slow: float, seed: int) -> None:
    screen, turns, chance = Screen(), Turns(), random.Random(seed)
    looking = [Looker(screen, turns, slow if number % 2 else 0, seed + number) for number in range(8)]
    async with running(looking), asyncio.timeout(60):
        for _ in range(30):
            await asyncio.sleep(chance.choice([0, 0.001, 0.02, 0.1]))
            screen.change()
        await until(lambda: {(one.sees, one.rough) for one in looking} == {(30, False)}, "all see it, none a rough one")
        await still(screen)
        assert len(screen.waiting) == 1, "the next change is drawn for one at once"


async def test_a_change_is_drawn_once_for_each_and_once_more_to_be_better() -> None:
    screen, turns = Screen(), Turns()
    looking = [Looker(screen, turns, 0, number) for number in range(8)]
    async with running(looking), asyncio.timeout(60):
        for _ in range(3):
            await still(screen)
            screen.change()
        await still(screen)
    assert [one.seen[1:] for one in looking] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 8


async def seconds_of(turns: Turns, look: Look, wait: float = 20) -> float | None:
    """Of a turn that is there within ``wait``; raise `TimeoutError`."""
    async with asyncio.timeout(wait), turns.turn(look) as seconds:
        return seconds


async def test_who_may_have_missed_something_has_a_short_turn_while_another_is_on_the_lookout() -> None:
    turns, now = Turns(), time.monotonic()
    early, late = Look(now - 3, now - 2.9), Look(now - 1, now - 0.9)
    async with turns.turn(Look(now - 2.1, now - 2)) as seconds:
        assert seconds is None, "nothing is known to have changed"
        assert await seconds_of(turns, early) == AT_MOST, "the other's picture is a later one"
        with pytest.raises(TimeoutError):
            await seconds_of(turns, late, 0.3)
        late.drawn()
        assert await seconds_of(turns, late) == AT_MOST, "there may be a better one by now"
        for pause in (REFINED, AT_LAST):
            asked = time.monotonic()
            assert asked > late.better
            late.asks()
            assert await seconds_of(turns, late) == AT_MOST, "Xvnc may have been late"
            assert time.monotonic() >= asked + pause
        late.asks()
        with pytest.raises(TimeoutError):
            await seconds_of(turns, late, 2 * AT_LAST + 0.3)
    lookout = Look(now - 0.8, now - 0.7)
    async with turns.turn(lookout):
        turns.pictured(lookout)
        assert await seconds_of(turns, late) == AT_MOST, "something changed"
    assert await seconds_of(turns, lookout) is None, "she saw it"


async def test_a_lookout_who_leaves_is_followed_by_another() -> None:
    screen, turns = Screen(), Turns()
    async with running([Looker(screen, turns, 0, number) for number in range(4)]) as tasks:
        for _ in range(3):
            await still(screen)
            (lookout,) = screen.waiting
            tasks.pop(lookout).cancel()
            del screen.waiting[lookout]
            await until(lambda: len(screen.waiting) == 1, "another is on the lookout")
            screen.change()
            await until(lambda: {one.sees for one in tasks} == {screen.state}, "all who are left see it")


async def test_who_looks_alone_does_not_wait_as_those_in_the_queue_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visa.session.desktop.turns.BETWEEN", 60)
    screen, turns = Screen(), Turns()
    looker = Looker(screen, turns, 0, 1)
    async with running([looker]):
        began = time.monotonic()
        while len(looker.seen) < 31:
            await asyncio.sleep(0.001)
            screen.change()
        assert 29 * LOOKOUT < time.monotonic() - began < 60


async def test_turns_are_not_closer_than_pictures() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()
    begin = loop.time()
    for number in range(21):
        async with turns.turn(Look(whole=number % 2 == 0)):
            pass
    assert loop.time() - begin >= 20 * BETWEEN


def test_her_requests_become_one_of_the_whole_desktop_and_none_is_pushed() -> None:
    agreed = Agreed(size=(1280, 800))
    viewer = FromViewer(Allowed(in_turn=True), agreed)
    assert viewer.feed(m.encodings(names.RAW, names.CONTINUOUS_UPDATES)) == m.encodings(names.RAW, names.FENCE)
    assert viewer.feed(m.fence()) == b"", "it is between the gateway and the server"
    assert not viewer.wants()
    assert viewer.feed(PIECE + PIECE) == b""
    assert viewer.wants()
    assert not viewer.wants_whole()
    assert viewer.asked() == struct.pack(">BBHHHH", 3, 1, 0, 0, 1280, 800)
    assert not viewer.wants()
    viewer.feed(struct.pack(">BBHHHH", 3, 0, 5, 5, 1, 1) + PIECE)
    assert viewer.wants_whole()
    assert viewer.asked() == struct.pack(">BBHHHH", 3, 0, 0, 0, 1280, 800), "who asked for all gets all"


@pytest.fixture
async def seen(tmp_path: Path) -> AsyncIterator[tuple[Desk, xvnc.Desktop]]:
    """A gateway in a process of its own before an X server; ``oscar`` is an observer."""
    fake = rig.FakeHub()
    fake.share("oscar", "observer")
    fake.let_in("oscar's", "oscar")
    with xvnc.running(tmp_path) as desktop:
        async with fake.served() as api, aiohttp.ClientSession() as client:
            with rig.gateway(desktop.run, api) as gateway:
                await _let_in(client, gateway.url)
                place = {"url": gateway.url, "socket": f"{gateway.url}desktop/websocket"}
                yield cast("Desk", SimpleNamespace(hub=fake, client=client, **place)), desktop


async def _let_in(client: aiohttp.ClientSession, url: str) -> None:
    """The gateway has heard of her."""
    headers = {"Authorization": "token oscar's"}
    for _ in range(300):
        async with client.get(f"{url}desktop/state", headers=headers) as answer:
            if answer.status == 200:
                return
        await asyncio.sleep(0.1)
    raise TimeoutError("oscar is not let in")


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
        async with asyncio.timeout(20):
            while self.drawn < WIDTH * HEIGHT:
                await self.take()

    def shows(self, colour: str) -> bool:
        """Where no window is."""
        return self.pixels[CORNER : CORNER + 3] == COLOURS[colour]

    async def until(self, colour: str) -> None:
        """It does."""
        async with asyncio.timeout(20):
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
            for one in greedy:
                await until(partial(one.shows, colour), colour)
        for task in tasks:
            task.cancel()


async def test_who_was_slow_sees_what_changed_though_nothing_moves_any_more(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3) as looking, watching(desk, 1) as slow:
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        for one in looking:
            await one.until("red")
        await asyncio.sleep(1)
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
