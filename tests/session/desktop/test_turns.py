"""Who only looks has her pictures in turn: few at once, each in the end, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import random
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import aiohttp
import pytest

from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.rfb import messages as m
from tests.session.test_viewer import WHOLE, Desk, Viewer, viewing
from visa.session.desktop.turns import AT_MOST, BETWEEN, LOOKOUT, Look, Turns
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.viewer import FromViewer

MORE = struct.pack(">BBHHHH", 3, 1, 0, 0, 64, 64)


class Screen:
    """Draws as Xvnc does: at once for who is behind, else when something changes."""

    def __init__(self) -> None:
        self.state, self.drawn = 0, 0
        self.waiting: dict[Looker, None] = {}

    def ask(self, one: Looker, whole: bool) -> None:
        self.waiting[one] = None
        if whole or one.sees < self.state:
            asyncio.get_running_loop().call_later(one.hasty.uniform(0, 0.004), self.draw, one)

    def draw(self, one: Looker) -> None:
        if one in self.waiting:
            del self.waiting[one]
            self.drawn += 1
            one.take(self.state)

    def change(self) -> None:
        self.state += 1
        for one in list(self.waiting):
            self.draw(one)


class Looker:
    """Takes turns as a viewer does; her browser takes up to ``slow`` seconds until it asks again."""

    def __init__(self, screen: Screen, turns: Turns, slow: float, seed: int) -> None:
        self.screen, self.turns, self.slow, self.hasty = screen, turns, slow, random.Random(seed)
        self.look, self.sees, self.came = Look(whole=True), -1, asyncio.Event()

    def take(self, state: int) -> None:
        self.sees = state
        self.came.set()
        self.turns.pictured(self.look)

    async def run(self) -> None:
        while True:
            async with self.turns.turn(self.look) as seconds:
                self.came.clear()
                whole, self.look.whole, self.look.asked = self.look.whole, False, time.monotonic()
                self.screen.ask(self, whole)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.came.wait(), seconds)
                if not self.came.is_set():
                    self.screen.ask(self, True)
                    await self.came.wait()
            await asyncio.sleep(self.hasty.uniform(0, self.slow))


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("slow", [0, 0.02, 0.3])
async def test_all_see_the_last_change_and_one_waits_for_the_next(slow: float, seed: int) -> None:
    screen, turns, chance = Screen(), Turns(), random.Random(seed)
    looking = [Looker(screen, turns, slow if number % 2 else 0, seed + number) for number in range(8)]
    tasks = [asyncio.create_task(one.run()) for one in looking]
    for _ in range(30):
        await asyncio.sleep(chance.choice([0, 0.001, 0.02, 0.1]))
        screen.change()
    await asyncio.sleep(2 * slow + 8 * (AT_MOST + BETWEEN) + 0.3)
    assert {one.sees for one in looking} == {30}
    assert len(screen.waiting) == 1, "the next change is drawn for one at once"
    drawn = screen.drawn
    await asyncio.sleep(0.3)
    assert screen.drawn == drawn, "nothing moves, so nobody asks"
    for task in tasks:
        task.cancel()


async def test_a_change_is_drawn_once_for_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visa.session.desktop.turns.AT_MOST", 5)  # a machine that pauses is no fault of theirs
    screen, turns = Screen(), Turns()
    tasks = [asyncio.create_task(Looker(screen, turns, 0, number).run()) for number in range(8)]
    await asyncio.sleep(0.5)
    for _ in range(3):
        drawn = screen.drawn
        screen.change()
        await asyncio.sleep(0.5)
        assert screen.drawn == drawn + 8
    for task in tasks:
        task.cancel()


async def seconds_of(turns: Turns, look: Look) -> float | None:
    """Of a turn that is there within a moment; raise `TimeoutError`."""
    async with asyncio.timeout(0.3), turns.turn(look) as seconds:
        return seconds


async def test_who_may_have_missed_something_has_a_short_turn_while_another_is_on_the_lookout() -> None:
    turns, now = Turns(), time.monotonic()
    early, late = Look(now - 3, now - 2.9), Look(now - 1, now - 0.9)
    async with turns.turn(Look(now - 2.1, now - 2)) as seconds:
        assert seconds is None, "nothing is known to have changed"
        assert await seconds_of(turns, early) == AT_MOST, "the other's picture is a later one"
        with pytest.raises(TimeoutError):
            await seconds_of(turns, late)
    lookout = Look(now - 0.8, now - 0.7)
    async with turns.turn(lookout):
        turns.pictured(lookout)
        assert await seconds_of(turns, late) == AT_MOST, "something changed"
    assert await seconds_of(turns, lookout) is None, "she saw it"


async def test_a_lookout_who_leaves_is_followed_by_another() -> None:
    screen, turns = Screen(), Turns()
    looking = [Looker(screen, turns, 0, number) for number in range(4)]
    tasks = {one: asyncio.create_task(one.run()) for one in looking}
    for left in range(4, 1, -1):
        await asyncio.sleep(0.4)
        (lookout,) = screen.waiting
        tasks.pop(lookout).cancel()
        del screen.waiting[lookout]
        await asyncio.sleep(0.2)
        screen.change()
        await asyncio.sleep(0.2)
        assert [one.sees for one in tasks] == [screen.state] * (left - 1)
    for task in tasks.values():
        task.cancel()


async def test_who_looks_alone_has_more_pictures_than_all_others_together() -> None:
    screen, turns = Screen(), Turns()
    task = asyncio.create_task(Looker(screen, turns, 0, 1).run())
    began = time.monotonic()
    while screen.drawn < 30:
        await asyncio.sleep(0.001)
        screen.change()
    assert 29 * LOOKOUT < time.monotonic() - began < 29 * BETWEEN
    task.cancel()


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
    assert viewer.feed(m.encodings(names.RAW, names.CONTINUOUS_UPDATES)) == m.encodings(names.RAW)
    assert not viewer.wants()
    assert viewer.feed(MORE + MORE) == b""
    assert viewer.wants()
    assert not viewer.wants_whole()
    assert viewer.asked() == struct.pack(">BBHHHH", 3, 1, 0, 0, 1280, 800)
    assert not viewer.wants()
    viewer.feed(struct.pack(">BBHHHH", 3, 0, 5, 5, 1, 1) + MORE)
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


async def picture(viewer: Viewer, message: bytes) -> None:
    """Ask as noVNC does: again after each update. To who follows its size Xvnc first says that alone."""
    await viewer.send(message)
    while not any(header[4] == names.RAW for header, _ in await asyncio.wait_for(viewer.update(), 10)):
        await viewer.send(MORE)


@contextlib.asynccontextmanager
async def watching(desk: Desk, count: int) -> AsyncIterator[list[Viewer]]:
    """Observers who have their first picture."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            viewer = await stack.enter_async_context(viewing(desk, "oscar"))
            await viewer.send(m.encodings(names.RAW, names.EXTENDED_DESKTOP_SIZE))
            await picture(viewer, WHOLE)
            found.append(viewer)
        yield found


async def test_a_change_comes_to_all_who_look_and_nobody_keeps_the_others_waiting(
    seen: tuple[Desk, xvnc.Desktop],
) -> None:
    desk, desktop = seen
    async with watching(desk, 5) as looking, watching(desk, 2) as deaf, watching(desk, 2) as odd:
        for viewer in deaf:
            viewer.socket._conn.protocol.transport.pause_reading()  # type: ignore[union-attr]
            await viewer.send(WHOLE)
        for viewer in odd:  # a corner that never changes
            await viewer.send(struct.pack(">BBHHHH", 3, 1, 1279, 799, 1, 1))
        for viewer in looking:
            await viewer.send(MORE)
        for colour in ("red", "green", "blue", "black") * 3:
            for viewer in deaf:
                await viewer.send(WHOLE)
            await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", colour)
            for viewer in looking:
                assert await asyncio.wait_for(viewer.update(), 10)
                await viewer.send(MORE)
        for viewer in deaf:
            viewer.socket._conn.protocol.transport.abort()  # type: ignore[union-attr]


async def test_on_a_still_desktop_who_comes_sees_it_and_so_does_who_asks_for_all_again(
    seen: tuple[Desk, xvnc.Desktop],
) -> None:
    desk, _ = seen
    async with watching(desk, 4) as looking:
        for viewer in looking:
            await viewer.send(MORE)  # nothing moves: one is on the lookout, the others have no turn
        async with asyncio.timeout(10), watching(desk, 1):
            pass
        for viewer in looking:
            await picture(viewer, WHOLE)


async def test_who_was_slow_sees_what_changed_though_nothing_moves_any_more(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3) as looking, watching(desk, 1) as slow:
        for viewer in looking:
            await viewer.send(MORE)
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        for viewer in looking:
            assert await asyncio.wait_for(viewer.update(), 10)
            await viewer.send(MORE)
        await asyncio.sleep(0.5)
        await picture(slow[0], MORE)


async def test_who_may_act_does_not_wait_for_who_looks(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3) as looking, viewing(desk) as marie:
        for viewer in looking:
            await viewer.send(MORE)  # nothing moves
        await marie.send(m.encodings(names.RAW), WHOLE)
        assert await asyncio.wait_for(marie.update(), 10)
        await marie.send(MORE)
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        assert await asyncio.wait_for(marie.update(), 10)
