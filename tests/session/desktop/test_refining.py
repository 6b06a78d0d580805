"""An X server that has better pictures and does not send them: it does so only now and then, so it is played here."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.session.rfb import messages as m
from tests.session.test_viewer import Desk, Viewer, running, viewing
from visa.session.desktop.turns import REFINED
from visa.session.rfb import names

SIZE = WIDTH, HEIGHT = 640, 480
ALL, MORE = (struct.pack(">BBHHHH", 3, incremental, 0, 0, *SIZE) for incremental in (0, 1))
PICTURE = m.update(m.rectangle(names.RAW, 2, 2, bytes(16)))
PAUSES = REFINED, REFINED, 2 * REFINED
LENGTHS = {0: 20, 3: 10, 150: 10}


class Forgetful:
    """Sends one picture when it is first asked, and nothing more but what is given to `send`."""

    def __init__(self) -> None:
        self.requests: list[tuple[float, bytes]] = []
        self.sent = 0.0
        self._writer: asyncio.StreamWriter | None = None

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            for sent, count in ((names.VERSION, 12), (b"\1\1", 1), (bytes(4), 1)):
                writer.write(sent)
                await reader.readexactly(count)
            writer.write(struct.pack(">HH16sI", *SIZE, names.PIXELS, 0))
            self._writer = writer
            while True:
                await self._message(reader)
        writer.close()

    async def _message(self, reader: asyncio.StreamReader) -> None:
        kind = (await reader.readexactly(1))[0]
        if kind == 2:
            (count,) = struct.unpack(">xH", await reader.readexactly(3))
            if names.CONTINUOUS_UPDATES in struct.unpack(f">{count}i", await reader.readexactly(4 * count)):
                self.send(m.fence() + b"\x96")
            return
        body = await reader.readexactly(LENGTHS[kind] - 1)
        if kind == 3:
            self.requests.append((time.monotonic(), bytes([kind]) + body))
            if len(self.requests) == 1:
                self.send(PICTURE)

    def send(self, message: bytes) -> None:
        assert self._writer is not None
        self.sent = time.monotonic()
        self._writer.write(message)

    async def asked(self, count: int) -> None:
        """Until there were so many requests."""
        async with asyncio.timeout(20):
            while len(self.requests) < count:
                await asyncio.sleep(0.005)


@pytest.fixture
async def forgetful(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Forgetful, Desk]]:
    monkeypatch.setattr("visa.session.desktop.turns.AT_LAST", PAUSES[-1])
    x = Forgetful()
    server = await asyncio.start_unix_server(x, str(tmp_path / "desktop.sock"))
    async with running(tmp_path) as desk:
        yield x, desk
    server.close()


async def watches(viewer: Viewer) -> None:
    """She asks for all, and once more when she has a picture."""
    await viewer.send(m.encodings(names.RAW), ALL)
    await viewer.update()
    await viewer.send(MORE)


async def is_pushed(viewer: Viewer) -> None:
    """As an owner's noVNC: pictures come without being asked for."""
    await viewer.send(m.encodings(names.RAW, names.FENCE, names.CONTINUOUS_UPDATES))
    await viewer.read(len(m.fence()) + 1)
    await viewer.send(m.CONTINUOUS, ALL)
    await viewer.update()


async def reminders(x: Forgetful, own: int) -> None:
    """After a picture, and ``own`` requests until now."""
    await x.asked(own + len(PAUSES))
    await asyncio.sleep(2 * PAUSES[-1] + 0.3)
    times, messages = zip(*x.requests[own:], strict=True)
    assert messages == (MORE,) * len(PAUSES), "in the end there is nothing better"
    for at, after in zip(times, itertools.accumulate(PAUSES), strict=True):
        assert at - x.sent >= after


async def test_it_is_reminded_of_an_observer_who_waits_less_and_less_often(forgetful: tuple[Forgetful, Desk]) -> None:
    x, desk = forgetful
    async with viewing(desk, "oscar") as viewer:
        await watches(viewer)
        await x.asked(2)
        await reminders(x, 2)
        x.send(PICTURE)
        await viewer.update()
        await viewer.send(MORE)
        await x.asked(6)
        await reminders(x, 6)


async def test_it_is_reminded_of_an_owner_who_is_pushed(forgetful: tuple[Forgetful, Desk]) -> None:
    x, desk = forgetful
    async with viewing(desk) as viewer:
        await is_pushed(viewer)
        await reminders(x, 1)
        x.send(PICTURE)
        await reminders(x, 4)


async def test_nothing_is_asked_for_in_the_name_of_who_asks_herself(forgetful: tuple[Forgetful, Desk]) -> None:
    """A client that may act and is not pushed: it may not be ready for more."""
    x, desk = forgetful
    async with viewing(desk) as viewer:
        await watches(viewer)
        await x.asked(2)
        await asyncio.sleep(sum(PAUSES))
        assert len(x.requests) == 2
