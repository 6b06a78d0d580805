"""Messages in parts, between real ends of websockets: the browser's is aiohttp's, Jupyter's is tornado's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.websocket import WebSocketHandler

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.site import Site, closed, running
from visa.session.budget import Budget
from visa.session.frames import BINARY, PART, TEXT, InParts, NoRoom, Part, Whole

SIZES = [0, 1, 125, 126, 2**16 - 1, 2**16, 2**16 + 1, 3 * 2**16, 200_001]


@contextlib.asynccontextmanager
async def echoing(run: Path) -> AsyncIterator[Site]:
    """A gateway in front of a Jupyter that says back whatever it hears."""

    class Echo(WebSocketHandler):
        async def get(self, *args: str, **kwargs: str) -> None:
            if self.request.headers.get("Upgrade"):
                await super().get(*args, **kwargs)
            else:
                self.finish({})

        async def on_message(self, message: str | bytes) -> None:
            await self.write_message(message, binary=isinstance(message, bytes))

    server = HTTPServer(web.Application([(r".*", Echo)]))
    server.add_socket(bind_unix_socket(str(run / "jupyter.sock")))
    async with running(run) as site:
        yield site
    server.stop()
    await server.close_all_connections()


@contextlib.asynccontextmanager
async def bare(site: Site) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A websocket of marie's whose frames the test writes itself."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    head = f"GET {rig.SERVER}api/events/subscribe HTTP/1.1\r\nHost: x\r\nAuthorization: token marie's\r\n"
    upgrade = (
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n\r\n"
    )
    writer.write((head + upgrade).encode())
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
    try:
        yield reader, writer
    finally:
        writer.close()


def masked(first: int, data: bytes, mask: bytes = b"abcd") -> bytes:
    """A short frame as a browser sends it."""
    return bytes((first, 0x80 | len(data))) + mask + bytes(one ^ mask[at % 4] for at, one in enumerate(data))


async def heard(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """The next frame: its first byte and its data."""
    async with asyncio.timeout(30):
        first, size = await reader.readexactly(2)
        return first, await reader.readexactly(size)


async def test_messages_of_every_size_come_through_as_they_were(tmp_path: Path) -> None:
    async with echoing(tmp_path) as site, site.open("marie", "api/events/subscribe") as socket:
        for size in SIZES:
            data = os.urandom(size)
            await socket.send_bytes(data)
            assert await socket.receive_bytes() == data
            text = ("ä€😀x" * size)[:size]  # no part ends where a letter does
            await socket.send_str(text)
            assert await socket.receive_str() == text


async def test_pings_come_between_the_parts_of_a_message(tmp_path: Path) -> None:
    async with echoing(tmp_path) as site, bare(site) as (reader, writer):
        writer.write(masked(0x02, b"one ") + masked(0x89, b"ping") + masked(0x00, b"") + masked(0x80, b"two"))
        assert await heard(reader) == (0x8A, b"ping")
        assert await heard(reader) == (0x82, b"one two")
        writer.write(masked(0x88, b"\x03\xe8"))
        assert await heard(reader) == (0x88, b"\x03\xe8")


@pytest.mark.parametrize(
    "frames",
    [
        masked(0xC1, b"x"),  # a reserved bit
        masked(0x83, b"x"),  # an unknown kind
        masked(0x80, b"x"),  # the rest of nothing
        masked(0x01, b"x") + masked(0x81, b"y"),  # a message in another
        masked(0x09, b"x"),  # a ping in parts
        bytes((0x89, 0xFE, 0, 126)) + bytes(130),  # a long ping
    ],
)
async def test_frames_out_of_order_close(tmp_path: Path, frames: bytes) -> None:
    async with echoing(tmp_path) as site, bare(site) as (reader, writer):
        writer.write(frames)
        async with asyncio.timeout(30):
            await reader.read()
        await eventually(lambda: not site.gateway.sockets)


async def test_a_watcher_s_message_that_does_not_fit_the_budget_is_refused_in_words(tmp_path: Path) -> None:
    async with echoing(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        assert site.gateway.budget.hold("else", "lise", site.gateway.budget.total // 4)
        async with site.open("lise", "api/collaboration/room/JupyterLab:globalAwareness") as socket:
            transport = socket._writer.transport
            transport.write(masked(0x02, b"\x01rest"))
            message = await socket.receive()
            assert message.type is aiohttp.WSMsgType.CLOSE
            assert message.data == 1013
            assert message.extra.startswith("This instance's gateway has no room")
        assert (await site.ask("marie", "api/status"))[0] != 503


async def test_a_message_that_is_no_text_closes(tmp_path: Path) -> None:
    async with echoing(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        async with site.open("lise", "api/collaboration/room/JupyterLab:globalAwareness") as socket:
            socket._writer.transport.write(masked(0x81, b"\xff"))
            assert await closed(socket) == 1007


def test_a_whole_message_gives_back_what_it_held() -> None:
    budget = Budget(100, "marie")
    whole = Whole(budget, "marie", 50)
    assert whole.add(Part(BINARY, b"x" * 30, last=False)) is None
    assert budget.held == 30
    assert whole.add(Part(BINARY, b"y", first=False)) == b"x" * 30 + b"y"
    assert budget.held == 0
    assert whole.add(Part(TEXT, "ä".encode())) == "ä"
    assert whole.add(Part(BINARY, b"x" * 30, last=False)) is None
    assert whole.add(Part(BINARY, b"x" * 30, first=False, last=False)) is None
    assert whole.too_long
    assert budget.held == 0
    assert whole.add(Part(BINARY, b"x", first=False)) is None
    assert whole.add(Part(BINARY, b"next")) == b"next"
    budget.hold("else", "marie", 100)
    with pytest.raises(NoRoom):
        whole.add(Part(BINARY, b"x", last=False))


def test_parts_keep_to_the_mask() -> None:
    assert PART % 4 == 0


@pytest.mark.parametrize("first", [0x89, 0x8A, 0x82], ids=["pings", "pongs", "messages"])
async def test_others_have_their_turn_after_each_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    """Who floods forty websockets would else keep everybody else waiting for seconds."""
    turns, after = 0, list[int]()
    receive = InParts._receive_frame

    async def noted(self: InParts) -> None:
        await receive(self)
        if not self.mask_outgoing:
            after.append(turns)

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    monkeypatch.setattr(InParts, "_receive_frame", noted)
    async with echoing(tmp_path) as site, bare(site) as (_, writer):
        beside = asyncio.create_task(others())
        writer.write(masked(first, b"x") * 100)
        await eventually(lambda: len(after) == 100)
        beside.cancel()
    assert len(set(after)) == 100
