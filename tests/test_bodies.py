"""Bodies that do not end, too long ones and too many at once, at a real server of tornado's."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from tests.services.waiting import eventually
from visa.bodies import Bodies, Bounds

BOUNDS = Bounds(each=2**16, together=2**18, seconds=3600)
HEAD = b"POST / HTTP/1.1\r\nHost: here\r\n"


@dataclass
class Here:
    """A server that answers with the length of what it got."""

    port: int
    bodies: Bodies
    open: list[asyncio.StreamWriter] = field(default_factory=list)

    async def send(self, request: bytes) -> asyncio.StreamReader:
        """These very bytes; the connection stays open."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        self.open.append(writer)
        writer.write(request)
        await writer.drain()
        return reader

    async def post(self, body: bytes) -> bytes:
        """A whole request: the answer's first line."""
        reader = await self.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        async with asyncio.timeout(30):
            return await reader.readline()


class _Length(web.RequestHandler):
    def post(self) -> None:
        self.finish(str(len(self.request.body)))


@contextlib.asynccontextmanager
async def serving(bounds: Bounds = BOUNDS) -> AsyncIterator[Here]:
    bodies = Bodies(web.Application([("/", _Length)]).start_request, bounds)
    server = HTTPServer(bodies)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    one = Here(sockets[0].getsockname()[1], bodies)
    try:
        yield one
    finally:
        for writer in one.open:
            writer.close()
        server.stop()
        await server.close_all_connections()


async def answer(reader: asyncio.StreamReader) -> bytes:
    """All that comes until the server closes."""
    async with asyncio.timeout(30):
        return await reader.read()


async def test_what_is_short_enough_is_answered() -> None:
    async with serving() as here:
        assert b" 200 " in await here.post(bytes(2**16))
        assert here.bodies.held == 0


@pytest.mark.parametrize("length", [b"65537", b"99999999999", b"9" * 40])
async def test_what_says_that_it_is_too_long_is_refused_before_a_byte_of_it(length: bytes) -> None:
    async with serving() as here:
        told = await answer(await here.send(HEAD + b"Content-Length: " + length + b"\r\n\r\n"))
    head, _, content = told.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 413 ")
    assert json.loads(content)["detail"] == "The body is larger than 64 KiB. Send less."


async def test_a_body_of_unknown_length_is_cut_off_where_it_becomes_too_long() -> None:
    chunk = b"10000\r\n" + bytes(2**16) + b"\r\n"
    async with serving() as here:
        reader = await here.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + chunk + b"1\r\nx\r\n")
        assert (await answer(reader)).startswith(b"HTTP/1.1 413 ")
        assert here.bodies.held == 0


async def test_of_too_many_unfinished_bodies_the_oldest_are_given_up_and_a_whole_one_gets_through() -> None:
    unfinished = HEAD + b"Content-Length: 65536\r\n\r\n" + bytes(2**16 - 1)
    async with serving() as here:
        readers = [await here.send(unfinished) for _ in range(12)]
        told = await asyncio.gather(*(answer(one) for one in readers[:6]))
        assert all(one.startswith(b"HTTP/1.1 503 ") for one in told)
        assert b" 200 " in await here.post(bytes(2**15))
        assert here.bodies.held <= BOUNDS.together


async def test_who_goes_away_with_her_body_gives_back_what_it_held() -> None:
    async with serving() as here:
        await here.send(HEAD + b"Content-Length: 1000\r\n\r\n" + bytes(999))
        await eventually(lambda: here.bodies.held == 999, "the body's coming")
        here.open.pop().close()
        await eventually(lambda: not here.bodies.held, "its being given up")


async def test_a_body_has_to_come_in_time() -> None:
    async with serving(Bounds(each=2**16, together=2**18, seconds=0.05)) as here:
        reader = await here.send(HEAD + b"Content-Length: 1000\r\n\r\nx")
        assert await answer(reader) == b""
        assert here.bodies.held == 0
