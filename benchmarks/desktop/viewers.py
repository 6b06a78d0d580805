"""Scripted viewers: ``python -m benchmarks.desktop.viewers WEBSOCKET AUTHORIZATION COUNT``, each reads all pictures.

Says ``ready`` when each has its first picture. `stuck` is one that asks and never reads.
"""

from __future__ import annotations

import asyncio
import struct
import sys

import aiohttp

from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.server import FromServer

ENCODINGS = [7, 1, 5, 0, -26, -254, -224, -308, -223]
"""Those of noVNC that matter: Tight first, quality 6, compression 2."""


def encodings(*numbers: int) -> bytes:
    """SetEncodings."""
    return struct.pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers)


def request(incremental: bool = True) -> bytes:
    """The whole screen, whatever its size."""
    return struct.pack(">BBHHHH", 3, incremental, 0, 0, 16384, 16384)


async def shake_hands(socket: aiohttp.ClientWebSocketResponse) -> None:
    """As a viewer of RFB 3.8 without a password; what is asked for next comes as a stream of its own."""
    got = bytearray()
    for sent, count in ((b"RFB 003.008\n", 12), (b"\1", 2), (b"\1", 4), (b"", 24)):
        while len(got) < count:
            got += await socket.receive_bytes(timeout=30)
        (length,) = struct.unpack_from(">I", got, 20) if count == 24 else (0,)
        while len(got) < count + length:
            got += await socket.receive_bytes(timeout=30)
        del got[: count + length]
        if sent:
            await socket.send_bytes(sent)
    assert not got
    pixels = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
    await socket.send_bytes(b"\0\0\0\0" + pixels)


async def look(client: aiohttp.ClientSession, websocket: str, first: asyncio.Event) -> None:
    """Read for ever, and ask again after each picture."""
    async with client.ws_connect(websocket, protocols=["binary"], max_msg_size=0, autoping=True) as socket:
        await shake_hands(socket)
        await socket.send_bytes(encodings(*ENCODINGS) + request(False))
        server, frames = FromServer(Allowed(copy=True, limit=2**20), Agreed()), 0
        while True:
            try:
                server.feed(await socket.receive_bytes(timeout=0.5))
            except TimeoutError:
                await socket.send_bytes(request())
                continue
            if server.frames != frames:
                frames = server.frames
                first.set()
                await socket.send_bytes(request())


async def stuck(websocket: str, headers: dict[str, str], seconds: float) -> None:
    """Ask for pictures as they are, and read nothing."""
    async with (
        aiohttp.ClientSession(headers=headers) as client,
        client.ws_connect(websocket, protocols=["binary"], max_msg_size=0, autoping=False) as socket,
    ):
        await shake_hands(socket)
        transport = socket._conn.protocol.transport  # type: ignore[union-attr]
        transport.pause_reading()
        await socket.send_bytes(encodings(0))
        for _ in range(int(seconds / 0.02)):
            await socket.send_bytes(request(False))
            await asyncio.sleep(0.02)
        transport.abort()


async def main() -> None:
    """Until it is killed."""
    websocket, authorization, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    connector = aiohttp.TCPConnector(limit=0)
    async with (
        aiohttp.ClientSession(headers={"Authorization": authorization}, connector=connector) as client,
        asyncio.TaskGroup() as group,
    ):
        for _ in range(count):
            # One after the other: the stock X server locks everybody out when a few are in the handshake at once.
            first = asyncio.Event()
            group.create_task(look(client, websocket, first))
            await asyncio.wait_for(first.wait(), 60)
        print("ready", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
