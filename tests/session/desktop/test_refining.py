"""An X server that has pictures and does not send them: it does so only now and then, so it is played here."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import struct
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.waiting import eventually
from tests.session.rfb import messages as m
from tests.session.test_viewer import Desk, Viewer, running, viewing
from visa import clock
from visa.session.desktop.turns import AT_LAST, REFINED
from visa.session.rfb import names

pytestmark = pytest.mark.looptime

SIZE = 640, 480
ALL, MORE = struct.pack(">BBHHHH", 3, 0, 0, 0, *SIZE), m.REQUEST
A_WHILE = 20.0
"""Seconds after which nobody is asked for anything any more."""
PICTURE = m.update(m.rectangle(names.RAW, 2, 2, bytes(16)))
PAUSES = [REFINED, *(REFINED * 2**doubled for doubled in range(5))]
LENGTHS = {0: 20, 3: 10, 150: 10}


class Forgetful:
    """Sends each one picture when she first asks, and nothing more but what is given to `send`."""

    def __init__(self) -> None:
        self.first = PICTURE
        self.requests: list[tuple[float, bytes]] = []
        self.sent = 0.0
        self._writer: asyncio.StreamWriter | None = None
        self._begun = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionResetError):
            for sent, count in ((names.VERSION, 12), (b"\1\1", 1), (bytes(4), 1)):
                writer.write(sent)
                await reader.readexactly(count)
            writer.write(struct.pack(">HH16sI", *SIZE, names.PIXELS, 0))
            self._writer, self._begun = writer, False
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
            self.requests.append((clock.elapsed(), bytes([kind]) + body))
            if not self._begun:
                self._begun = True
                self.send(self.first)

    def send(self, message: bytes) -> None:
        assert self._writer is not None
        self.sent = clock.elapsed()
        self._writer.write(message)

    async def asked(self, count: int) -> None:
        """Until there were so many requests."""
        await eventually(lambda: len(self.requests) >= count, "the requests")


@contextlib.asynccontextmanager
async def forgetful(tmp_path: Path) -> AsyncIterator[tuple[Forgetful, Desk]]:
    """Behind a gateway."""
    x = Forgetful()
    server = await asyncio.start_unix_server(x, str(tmp_path / "desktop.sock"))
    try:
        async with running(tmp_path) as desk:
            yield x, desk
    finally:
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
    await asyncio.sleep(A_WHILE)
    times, messages = zip(*x.requests[own:], strict=True)
    assert messages == (MORE,) * len(PAUSES), "in the end there is nothing better"
    assert PAUSES[-1] == AT_LAST
    assert [at - x.sent for at in times] == pytest.approx([*itertools.accumulate(PAUSES)], abs=0.01)


async def test_it_is_reminded_of_an_observer_who_waits_less_and_less_often(tmp_path: Path) -> None:
    async with forgetful(tmp_path) as (x, desk), viewing(desk, "oscar") as viewer:
        await watches(viewer)
        await x.asked(2)
        await reminders(x, 2)
        x.send(PICTURE)
        await viewer.update()
        await viewer.send(MORE)
        await x.asked(3 + len(PAUSES))
        await reminders(x, 3 + len(PAUSES))


async def test_it_is_reminded_of_an_owner_who_is_pushed(tmp_path: Path) -> None:
    async with forgetful(tmp_path) as (x, desk), viewing(desk) as viewer:
        await is_pushed(viewer)
        await reminders(x, 1)
        x.send(PICTURE)
        await reminders(x, 1 + len(PAUSES))


async def test_nothing_is_asked_for_in_the_name_of_who_asks_herself(tmp_path: Path) -> None:
    """A client that may act and is not pushed: it may not be ready for more."""
    async with forgetful(tmp_path) as (x, desk), viewing(desk) as viewer:
        await watches(viewer)
        await x.asked(2)
        await asyncio.sleep(A_WHILE)
        x.send(PICTURE)
        await viewer.update()
        assert len(x.requests) == 2


async def test_who_does_not_take_her_picture_is_not_on_the_lookout_for_the_others(tmp_path: Path) -> None:
    async with forgetful(tmp_path) as (x, desk):
        side = 4096
        x.first = m.update(m.rectangle(names.RAW, side, side, b""))
        turns = desk.gateway.turns
        async with viewing(desk, "oscar") as deaf:
            deaf.socket._conn.protocol.transport.pause_reading()  # type: ignore[union-attr]
            await deaf.send(m.encodings(names.RAW), ALL, MORE)  # more before she has the first
            await x.asked(2)
            await eventually(lambda: turns._lookout is not None, "she is on the lookout")
            hers = turns._lookout
            x.send(bytes(4 * side * side))
            x.first = PICTURE
            async with viewing(desk, "oscar") as other:
                await watches(other)
                await eventually(lambda: turns._lookout not in (None, hers), "another is")
            deaf.socket._conn.protocol.transport.abort()  # type: ignore[union-attr]
