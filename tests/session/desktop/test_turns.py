"""Who only looks has her pictures in turn: few at once, each in the end, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import struct
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
from visa.session.desktop.turns import AT_ONCE, BETWEEN, Turns
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.viewer import FromViewer

MORE = struct.pack(">BBHHHH", 3, 1, 0, 0, 64, 64)


async def test_few_at_once_and_in_the_order_in_which_they_asked() -> None:
    turns, begun = Turns(), list[int]()

    async def take(number: int, seconds: float) -> None:
        async with turns.turn(False):
            begun.append(number)
            await asyncio.sleep(seconds)

    tasks = [asyncio.create_task(take(number, 60 if number < AT_ONCE else 0)) for number in range(10)]
    await asyncio.sleep(0.2)
    assert begun == list(range(AT_ONCE))
    tasks[0].cancel()
    await asyncio.wait(tasks[AT_ONCE:], timeout=10)
    assert begun == list(range(10))
    tasks[1].cancel()


async def test_a_whole_picture_does_not_wait_for_those_who_wait_for_a_change() -> None:
    turns = Turns()
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(AT_ONCE):
            await stack.enter_async_context(turns.turn(False))
        async with asyncio.timeout(5), turns.turn(True):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.2), turns.turn(True):
                    pass


async def test_turns_are_not_closer_than_pictures() -> None:
    turns, loop = Turns(), asyncio.get_running_loop()
    begin = loop.time()
    for number in range(21):
        async with turns.turn(number % 2 == 0):
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


@contextlib.asynccontextmanager
async def watching(desk: Desk, count: int) -> AsyncIterator[list[Viewer]]:
    """Observers who have their first picture."""
    async with contextlib.AsyncExitStack() as stack:
        found = []
        for _ in range(count):
            viewer = await stack.enter_async_context(viewing(desk, "oscar"))
            await viewer.send(m.encodings(names.RAW), WHOLE)
            await viewer.update()
            found.append(viewer)
        yield found


async def test_a_change_comes_to_all_who_look_and_nobody_keeps_the_others_waiting(
    seen: tuple[Desk, xvnc.Desktop],
) -> None:
    desk, desktop = seen
    async with watching(desk, 5) as looking, watching(desk, AT_ONCE) as deaf, watching(desk, AT_ONCE) as odd:
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
    async with watching(desk, AT_ONCE + 2) as looking:
        for viewer in looking:
            await viewer.send(MORE)  # nothing moves: the first two have a turn that does not end, the others none
        async with asyncio.timeout(10), watching(desk, 1):
            pass
        for viewer in looking:
            await viewer.send(WHOLE)
            assert await asyncio.wait_for(viewer.update(), 10)


async def test_who_may_act_does_not_wait_for_who_looks(seen: tuple[Desk, xvnc.Desktop]) -> None:
    desk, desktop = seen
    async with watching(desk, 3) as looking, viewing(desk) as marie:
        for viewer in looking:
            await viewer.send(MORE)  # nothing moves: their turns do not end
        await marie.send(m.encodings(names.RAW), WHOLE)
        assert await asyncio.wait_for(marie.update(), 10)
        await marie.send(MORE)
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "red")
        assert await asyncio.wait_for(marie.update(), 10)
