"""Connections that bring no request, at a server of Node's as the chart's proxy is one."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.waiting import eventually

SCRIPT = Path(__file__).parents[2] / "helm/visa/files/few-waiting.cjs"
SERVER = """
const server = require('node:http').createServer((request, response) => {
  if (request.url === '/count') server.getConnections((_, count) => response.end(String(count)));
  else if (request.url !== '/held') response.end('yes');
});
server.on('upgrade', (request, socket) => { socket.write('HTTP/1.1 101 S\\r\\n\\r\\n'); socket.pipe(socket); });
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""
MOST = 20
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


PLAIN = """
const server = require('node:http').createServer((_, response) => response.end('yes'));
server.listen(0, '127.0.0.1', () => console.log(server.address().port));
"""
"""As the proxy's own API and its redirects to https are."""


@pytest.fixture
def port(request: pytest.FixtureRequest) -> Iterator[int]:
    variables = {**os.environ, "NODE_OPTIONS": f"--require={SCRIPT}", "VISA_MOST_WAITING": str(MOST)}
    process = subprocess.Popen(
        ["node", "-e", getattr(request, "param", SERVER)], env=variables, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    yield int(process.stdout.readline())
    process.terminate()
    process.wait(60)


async def connected(port: int, sent: bytes = b"", address: str = "127.0.0.1") -> Streams:
    reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(address, 0))
    writer.write(sent)
    return reader, writer


def request(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode()


async def asked(streams: Streams, path: str = "/") -> bytes:
    """The body of an answer; the connection may be used again."""
    reader, writer = streams
    writer.write(request(path))
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
    return await reader.readexactly(length)


async def test_many_that_wait_are_few_and_close_nobody_who_is_answered_or_comes_from_elsewhere(port: int) -> None:
    held, socket = await connected(port), await connected(port)
    held[1].write(request("/held"))
    socket[1].write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
    await socket[0].readuntil(b"\r\n\r\n")
    hers = await connected(port, address="127.0.0.2")
    assert await asked(hers) == b"yes"
    crowd = [await connected(port, (b"", b"GET / HTTP/1.1\r\nX: ")[number % 2]) for number in range(5 * MOST)]
    assert await asyncio.gather(*(reader.read() for reader, _ in crowd[: 3 * MOST])) == [b""] * (3 * MOST)

    async def few() -> bool:
        return int(await asked(hers, "/count")) <= MOST + 4

    await eventually(few, "the others' end")
    assert await asked(hers) == b"yes"
    socket[1].write(b"still here")
    assert await socket[0].readexactly(10) == b"still here"
    assert not held[0].at_eof()
    assert await asked(await connected(port)) == b"yes"
    for _, writer in (held, socket, hers, *crowd):
        writer.close()


@pytest.mark.parametrize("port", [PLAIN], indirect=True)
async def test_an_upgrade_where_nobody_takes_it_is_answered_like_any_request(port: int) -> None:
    reader, writer = await connected(port)
    writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n")
    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
