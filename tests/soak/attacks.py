"""What outsiders, observers and owners send to take a session away: ``python -m tests.soak.attacks`` runs one of them.

A process of its own, so that its work is not taken for slowness of what it attacks. Reads a `Target` as JSON from its
input; goes on round after round until the time is over; says at the end what it did, as JSON. All of it goes to this
machine.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import aiohttp

from tests.session.rig import narrow

MEGABYTE = 2**20
LONGEST = 60.0
"""Seconds that a round may take; what it opened is closed then."""
WEBSOCKETS, IDLE, SLOW, PIPELINED = 426, 1000, 40, 200
UPGRADE = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
Counts = Counter[str]


@dataclass(frozen=True)
class Target:
    """One instance behind the demo at ``url``: ``base`` is its address there, ``port`` its gateway's own."""

    url: str
    base: str
    port: int
    kernel: str
    owner: str
    observer: str
    seconds: float

    @property
    def proxy(self) -> int:
        """The port of the proxy."""
        return urlsplit(self.url).port or 80

    @property
    def path(self) -> str:
        """Of the instance."""
        return urlsplit(self.base).path

    def client(self, token: str) -> aiohttp.ClientSession:
        """Somebody with as many connections as they like."""
        return aiohttp.ClientSession(
            headers={"Authorization": f"token {token}"}, connector=aiohttp.TCPConnector(limit=0)
        )


async def connected(port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A plain connection to this machine."""
    return await asyncio.open_connection("127.0.0.1", port)


async def poured(port: int, head: str, megabytes: int) -> tuple[int, asyncio.StreamWriter | None]:
    """Send the head and as much after it as is taken: megabytes, and the connection, which stays open."""
    taken = 0
    try:
        _, writer = await connected(port)
    except OSError:
        return 0, None
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(head.encode())
        for _ in range(megabytes):
            writer.write(bytes(MEGABYTE))
            await asyncio.wait_for(writer.drain(), 2)
            taken += 1
    return taken, writer


async def pour(heads: list[tuple[int, str]], megabytes: int, what: str) -> Counts:
    """All of them at once, then close."""
    sent = await asyncio.gather(*(poured(port, head, megabytes) for port, head in heads))
    for _, writer in sent:
        if writer is not None:
            writer.close()
    return Counts({what: len(sent), "MB taken": sum(taken for taken, _ in sent)})


async def upgrades(at: Target) -> Counts:
    """Strangers' websockets with bodies of a gigabyte."""
    paths = ("lab", "api/kernels/x/channels", "desktop/websocket", "_visa/x")
    head = f"Host: 127.0.0.1\r\nContent-Length: {2**30}\r\n{UPGRADE}\r\n"
    heads = [(port, f"GET {at.path}{path} HTTP/1.1\r\n{head}") for path in paths for port in (at.proxy, at.port)]
    return await pour(heads, 48, "upgrades with bodies")


async def bodies(at: Target) -> Counts:
    """Strangers' forms of 90 MB that lack their last byte."""
    head = f"HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: {90 * MEGABYTE + 1}\r\n\r\n"
    paths = ("/hub/login", "/services/visa/api/v1/instances") * 4
    return await pour([(at.proxy, f"POST {path} {head}") for path in paths], 90, "unfinished bodies")


async def messages(at: Target) -> Counts:
    """An observer's unfinished messages of 48 MB on six websockets."""
    paths = ("api/events/subscribe", "api/collaboration/room/JupyterLab:globalAwareness")
    heads = [
        (
            at.port,
            f"GET {at.path}{paths[number % 2]} HTTP/1.1\r\nHost: 127.0.0.1\r\n"
            f"Authorization: token {at.observer}\r\n{UPGRADE}\r\n",
        )
        for number in range(6)
    ]
    return sum(await asyncio.gather(*(_unended(port, head) for port, head in heads)), Counts())


async def _unended(port: int, head: str) -> Counts:
    reader, writer = await connected(port)
    counts = Counts({"unfinished messages": 1})
    try:
        writer.write(head.encode())
        if not (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101"):
            return Counts({"refused websockets": 1})
        for number in range(48):
            first = 0 if number else 0x01
            writer.write(bytes((first, 0xFF)) + MEGABYTE.to_bytes(8, "big") + bytes(4) + bytes(MEGABYTE))
            await asyncio.wait_for(writer.drain(), 2)
            counts["MB taken"] += 1
    except (ConnectionError, TimeoutError, asyncio.IncompleteReadError):
        counts["cut off"] += 1
    finally:
        writer.close()
    return counts


async def _asked(client: aiohttp.ClientSession, url: str) -> Counts:
    """Take all of an answer."""
    counts = Counts()
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with client.get(url, timeout=aiohttp.ClientTimeout(total=LONGEST)) as answer:
            counts[f"status {answer.status}"] += 1
            async for chunk in answer.content.iter_chunked(MEGABYTE):
                counts["bytes"] += len(chunk)
    counts["questions"] += 1
    return counts


async def _all_asked(at: Target, paths: list[str], times: int) -> Counts:
    async with at.client(at.observer) as observer, at.client(at.owner) as owner:
        asking = [_asked(who, at.base + path) for who in (observer, owner) for path in paths for _ in range(times)]
        return sum(await asyncio.gather(*asking), Counts())


async def pieces(at: Target) -> Counts:
    """HDF5 data of 12 GB in a file of some kilobytes, whole and in parts."""
    whole = ["h5web/data?file=visa-soak/large.h5&path=/large", "h5web/attr?file=visa-soak/large.h5&path=/large"]
    part = "h5web/data?file=visa-soak/large.h5&path=/large&format=bin&selection=0:200,:"
    return await _all_asked(at, [*whole, part], 8)


async def contents(at: Target) -> Counts:
    """Files and notebooks near what an editor is given, and above, by the dozen."""
    names = ("near.txt", "near.ipynb", "above.txt", "above.ipynb")
    return await _all_asked(at, [f"api/contents/visa-soak/{name}?content=1" for name in names], 2)


@contextlib.asynccontextmanager
async def _opened(at: Target, count: int) -> AsyncIterator[Counts]:
    """As many websockets of the observer as are let in."""
    counts = Counts()
    async with at.client(at.observer) as client, contextlib.AsyncExitStack() as stack:

        async def one() -> None:
            try:
                await stack.enter_async_context(client.ws_connect(at.base + "api/events/subscribe"))
                counts["websockets"] += 1
            except (aiohttp.ClientError, TimeoutError):
                counts["refused websockets"] += 1

        await asyncio.gather(*(one() for _ in range(count)))
        yield counts


async def websockets(at: Target) -> Counts:
    """426 websockets of one observer, closed again."""
    async with _opened(at, WEBSOCKETS) as counts:
        await asyncio.sleep(2)
    return counts


async def idle(at: Target) -> Counts:
    """Connections that send nothing, or half of a head, at the proxy and at the gateway itself."""
    counts, writers = Counts(), []
    for number in range(IDLE):
        with contextlib.suppress(OSError):
            _, writer = await connected(at.proxy if number % 4 else at.port)
            if number % 2:
                writer.write(f"GET {at.path}lab HTTP/1.1\r\nHost: 127.0.0.1\r\nX: {'x' * 30_000}".encode())
            writers.append(writer)
            counts["idle connections"] += 1
    await asyncio.sleep(5)
    for writer in writers:
        writer.close()
    return counts


async def outputs(at: Target) -> Counts:
    """A kernel's output of 50 MB in three pages of its owner's, two of which do not read."""
    address = f"{at.base}api/kernels/{at.kernel}/channels"
    counts = Counts()
    async with at.client(at.owner) as quick, narrow() as client, contextlib.AsyncExitStack() as stack:
        for _ in range(2):
            headers = {"Authorization": f"token {at.owner}"}
            await stack.enter_async_context(client.ws_connect(address, headers=headers, max_msg_size=0))
        header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "username": "", "session": "s"}
        content = {"code": "print('x' * 50_000_000)", "silent": False, "store_history": False}
        told = {"header": {**header, "version": "5.3"}, "parent_header": {}, "metadata": {}, "content": content}
        async with quick.ws_connect(address, max_msg_size=0) as socket:
            await socket.send_json({**told, "channel": "shell"})
            while True:
                message = await socket.receive(timeout=LONGEST)
                if message.type is not aiohttp.WSMsgType.TEXT:
                    counts["pages sent away"] += 1
                    break
                counts["bytes"] += len(message.data)
                if "execute_reply" in message.data[:2000]:
                    break
        counts["outputs"] += 1
    return counts


async def endless(at: Target) -> Counts:
    """Downloads that an observer and the owner begin and do not read; meanwhile the owner asks small things."""
    counts = Counts()
    async with narrow() as client, at.client(at.owner) as owner:
        begun = [
            asyncio.create_task(
                client.get(f"{at.base}files/visa-soak/above.txt", headers={"Authorization": f"token {token}"})
            )
            for token in (at.observer, at.owner)
            for _ in range(SLOW)
        ]
        await asyncio.wait(begun, timeout=5)
        counts["downloads begun"] += sum(one.done() for one in begun)
        counts += sum(await asyncio.gather(*(_asked(owner, f"{at.base}api/status") for _ in range(5))), Counts())
        for one in begun:
            one.cancel()
        await asyncio.gather(*begun, return_exceptions=True)
    return counts


def odd(path: str) -> dict[str, bytes]:
    """Requests that few programs make."""
    host = "Host: 127.0.0.1\r\n"
    many = "".join(f"X-{number}: {number}\r\n" for number in range(5000))
    chunked = f"POST {path} HTTP/1.1\r\n{host}Transfer-Encoding: chunked\r\n\r\n"
    return {
        "pipelined": f"GET {path} HTTP/1.1\r\n{host}\r\n".encode() * PIPELINED,
        "heads of many lines": f"GET {path} HTTP/1.1\r\n{host}{many}\r\n".encode(),
        "long lines": f"GET {path} HTTP/1.1\r\n{host}X: {'x' * 2**20}\r\n\r\n".encode(),
        "many ranges": f"GET {path} HTTP/1.1\r\n{host}Range: bytes={'0-,' * 2000}0-\r\n\r\n".encode(),
        "chunk extensions": f"{chunked}1;{'x' * 2**16}\r\n".encode() * 8,
        "small chunks": chunked.encode() + b"1\r\nx\r\n" * 100_000,
        "compressed bodies": f"POST {path} HTTP/1.1\r\n{host}Content-Encoding: gzip\r\nContent-Length: {2**20}\r\n\r\n"
        "".encode()
        + bytes(2**19),
        "HTTP/1.0": f"GET {path} HTTP/1.0\r\n\r\n".encode(),
        "Expect": f"POST {path} HTTP/1.1\r\n{host}Expect: 100-continue\r\nContent-Length: {2**19}\r\n\r\n".encode(),
    }


async def oddities(at: Target) -> Counts:
    """Requests that few programs make, whose answers nobody reads, at gateway, hub and portal."""
    paths = (f"{at.path}lab", "/hub/login", "/services/visa/")
    sent = [
        (port, what, data)
        for path in paths
        for what, data in odd(path).items()
        for port in ((at.proxy, at.port) if path.startswith(at.path) else (at.proxy,))
        for _ in range(3)
    ]
    writers = await asyncio.gather(*(_sent(port, data) for port, _, data in sent))
    await asyncio.sleep(3)
    for writer in writers:
        if writer is not None:
            writer.close()
    return Counts(what for _, what, _ in sent)


async def _sent(port: int, data: bytes) -> asyncio.StreamWriter | None:
    with contextlib.suppress(OSError, TimeoutError):
        _, writer = await connected(port)
        writer.write(data)
        await asyncio.wait_for(writer.drain(), 3)
        return writer
    return None


Attack = Callable[[Target], Awaitable[Counts]]
ATTACKS: dict[str, Attack] = {
    one.__name__: one
    for one in (upgrades, bodies, messages, pieces, contents, websockets, idle, outputs, endless, oddities)
}


async def main(name: str, at: Target) -> Counts:
    """Round after round; there is one at least. What a round could not do is counted."""
    end, counts = time.monotonic() + at.seconds, Counts()
    while not counts["rounds"] or time.monotonic() < end:
        try:
            async with asyncio.timeout(LONGEST):
                counts += await ATTACKS[name](at)
        except (OSError, TimeoutError, aiohttp.ClientError) as error:
            counts[f"rounds given up ({type(error).__name__})"] += 1
        counts["rounds"] += 1
        await asyncio.sleep(0.5)
    return counts


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], Target(**json.load(sys.stdin))))))
