"""Connections that bring nothing, at a real server of tornado's."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.websocket import WebSocketHandler, websocket_connect

from tests.services.waiting import eventually
from visa import connections
from visa.connections import TAKES, WAITS, Connections

MOST = 10
GET = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"


@dataclass
class Connection:
    """A plain one, from an address of this machine's."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str = "") -> bytes:
        """The first line of an answer, all of which is read; empty when the connection is closed."""
        with contextlib.suppress(ConnectionError):
            self.writer.write(GET.replace(b"/ ", f"/{path} ".encode()))
            head = await self.reader.read(2**16)
            return head.partition(b"\r\n")[0]
        return b""

    async def closed(self) -> bool:
        """Whether the server closes it, without a word."""
        with contextlib.suppress(ConnectionError):
            return await self.reader.read() == b""
        return True


@dataclass
class Here:
    """A server behind which nothing much is."""

    port: int
    connections: Connections
    open: list[Connection] = field(default_factory=list)

    async def connect(self, sent: bytes = b"", address: str = "127.0.0.1") -> Connection:
        """One more, when the server has seen it."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, local_addr=(address, 0))
        self.open.append(Connection(reader, writer))
        writer.write(sent)
        return self.open[-1]

    async def waiting(self, count: int) -> None:
        """Until so many wait."""
        await eventually(lambda: self.connections.waiting == count, lambda: f"{count}, not {self.connections.waiting}")


class _Answers(web.RequestHandler):
    async def get(self, path: str) -> None:
        self.finish(bytes(2**26) if path == "long" else b"yes")


class _Echoes(WebSocketHandler):
    def on_message(self, message: str | bytes) -> None:
        self.write_message(message)


@contextlib.asynccontextmanager
async def serving(takers: bool = True) -> AsyncIterator[Here]:
    app = web.Application([("/socket", _Echoes), ("/(.*)", _Answers)])
    guarded = Connections(app.start_request, MOST, takers=takers)
    server = HTTPServer(guarded)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    here = Here(sockets[0].getsockname()[1], guarded)
    try:
        yield here
    finally:
        for one in here.open:
            one.writer.close()
        server.stop()
        await server.close_all_connections()


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET[:-2] + b"X: " + b"x" * 30_000], ids=["nothing", "line", "head"])
async def test_of_too_many_that_bring_nothing_the_oldest_are_closed_and_one_that_asks_gets_through(sent: bytes) -> None:
    async with serving() as here:
        silent = [await here.connect(sent) for _ in range(3 * MOST)]
        await here.waiting(MOST)
        assert all(await asyncio.gather(*(one.closed() for one in silent[: 2 * MOST])))
        assert await (await here.connect()).ask() == b"HTTP/1.1 200 OK"
        assert here.connections.waiting <= MOST


async def test_whoever_opens_many_closes_nobody_else_s() -> None:
    async with serving() as here:
        hers = [await here.connect(address="127.0.0.2") for _ in range(3)]
        await here.waiting(3)
        for _ in range(4 * MOST):
            await here.connect()
        await here.waiting(MOST)
        assert [await one.ask() for one in hers] == [b"HTTP/1.1 200 OK"] * 3


async def test_who_is_answered_or_has_a_websocket_is_not_closed_for_others() -> None:
    async with serving() as here:
        socket = await websocket_connect(f"ws://127.0.0.1:{here.port}/socket")
        slow = await here.connect(GET.replace(b"/ ", b"/long ", 1))
        await slow.reader.readexactly(2**16)
        for _ in range(4 * MOST):
            await here.connect()
        await here.waiting(MOST)
        await socket.write_message("still here")
        assert await socket.read_message() == "still here"
        await slow.reader.readexactly(2**26 - 2**16)
        socket.close()


async def test_a_connection_that_is_used_again_waits_anew() -> None:
    async with serving() as here:
        used = await here.connect()
        await here.waiting(1)
        for _ in range(MOST - 1):
            await here.connect()
        await here.waiting(MOST)
        assert await used.ask() == b"HTTP/1.1 200 OK"
        await here.waiting(MOST)
        for _ in range(MOST - 1):
            await here.connect()
            await here.waiting(MOST)
        assert await used.ask() == b"HTTP/1.1 200 OK"


async def test_who_goes_away_is_not_counted() -> None:
    async with serving() as here:
        first = await here.connect()
        await here.waiting(1)
        for _ in range(4 * MOST):
            (await here.connect()).writer.close()
            await here.waiting(1)
        assert await first.ask() == b"HTTP/1.1 200 OK"


@pytest.mark.parametrize("takers", [True, False])
async def test_waiting_and_answers_that_nobody_takes_have_an_end(monkeypatch: pytest.MonkeyPatch, takers: bool) -> None:
    now = 0.0
    monkeypatch.setattr(connections.clock, "elapsed", lambda: now)
    async with serving(takers) as here:
        silent, slow = await here.connect(), await here.connect(GET.replace(b"/ ", b"/long ", 1))
        await slow.reader.readexactly(2**16)
        await here.waiting(1)
        now = 2.0
        await here.connect()  # its coming is when the server looks
        await here.waiting(2)
        now = 2.0 + TAKES + 1
        new = await here.connect()
        await here.waiting(3)
        with contextlib.suppress(asyncio.IncompleteReadError):
            await slow.reader.readexactly(2**26 - 2**16)
        assert slow.reader.at_eof() == takers
        now = WAITS + 1
        assert await (await here.connect()).ask() == b"HTTP/1.1 200 OK"
        assert await silent.closed()
        assert await new.ask() == b"HTTP/1.1 200 OK"
