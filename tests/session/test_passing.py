"""Requests passed on to a real Jupyter, and to a socket that misbehaves as Jupyter cannot be made to."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import re
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest

from tests.services.waiting import at_rest
from tests.session import rig
from tests.session.site import Site, running

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@contextlib.asynccontextmanager
async def listening(behaviour: Behaviour) -> AsyncIterator[Path]:
    """A run folder whose Jupyter is ``behaviour``, run for each connection."""
    with tempfile.TemporaryDirectory(prefix="visa-s-") as run:
        tasks: set[asyncio.Task[None]] = set()

        async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            tasks.add(task)
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await behaviour(reader, writer)
            writer.close()

        server = await asyncio.start_unix_server(connected, os.path.join(run, "jupyter.sock"), limit=2**20)
        yield Path(run)
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def behind(behaviour: Behaviour) -> AsyncIterator[Site]:
    """A gateway in front of it."""
    async with listening(behaviour) as run, running(run) as site:
        yield site


@contextlib.asynccontextmanager
async def behind_process(behaviour: Behaviour) -> AsyncIterator[tuple[rig.Gateway, rig.FakeHub]]:
    """A gateway process in front of it."""
    fake = rig.FakeHub()
    async with listening(behaviour) as run, fake.served() as api:
        with rig.gateway(run, api) as gateway:
            yield gateway, fake


async def head(reader: asyncio.StreamReader) -> str:
    """A request's head, as it came to Jupyter."""
    return (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")


class Notes:
    """Answers ok to all and keeps the heads."""

    def __init__(self, answer: bytes = OK) -> None:
        self.heads: list[str] = []
        self.rest = b""
        self.answer = answer

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        if "/api/kernels HTTP" in text and "Host: visa\r\n" in text:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]")  # the gateway's own question
            return
        self.heads.append(text)
        writer.write(self.answer)
        await writer.drain()
        self.rest += await reader.read()


async def test_ranges_head_and_not_modified(site: Site, jupyter: rig.Jupyter) -> None:
    content = os.urandom(300_000)
    (jupyter.home / "some.bin").write_bytes(content)
    url = site.url + "files/some.bin"
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.get(url) as answer:
            assert await answer.read() == content
        async with client.get(site.url + "static/favicon.ico") as answer:
            icon, modified = await answer.read(), answer.headers["Last-Modified"]
        async with client.head(url) as answer:
            assert answer.status == 200
            assert await answer.read() == b""
        url = site.url + "static/favicon.ico"
        async with client.get(url, headers={"If-Modified-Since": modified}) as answer:
            assert answer.status == 304
            assert await answer.read() == b""
        async with client.get(url, headers={"Range": "bytes=100-199"}) as answer:
            assert answer.status == 206
            assert answer.headers["Content-Range"] == f"bytes 100-199/{len(icon)}"
            assert await answer.read() == icon[100:200]
        async with client.get(site.url + "files/no.bin") as answer:
            assert answer.status == 404


def _make(path: Path, size: int) -> bytes:
    """A sparse file with a few bytes that must come at the right place; its digest."""
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(size // 2)
        file.write(b"in the middle")
        file.seek(size - 8)
        file.write(b"the end.")
    with open(path, "rb") as file:
        return hashlib.file_digest(file, hashlib.blake2b).digest()


async def test_a_gigabyte_down_costs_no_memory_and_is_whole(jupyter: rig.Jupyter) -> None:
    big, fake = jupyter.home / "big.bin", rig.FakeHub()
    size = 2**30
    expected = await asyncio.to_thread(_make, big, size)
    got, taken, most = hashlib.blake2b(), 0, 0.0
    try:
        async with fake.served() as api, aiohttp.ClientSession(headers=rig.MARIE) as client:
            with rig.gateway(jupyter.run, api) as gateway:
                async with client.get(gateway.url + "files/big.bin") as answer:
                    assert answer.headers["Content-Length"] == str(size)
                    async for chunk in answer.content.iter_any():
                        got.update(chunk)
                        if taken // 2**26 != (taken := taken + len(chunk)) // 2**26:
                            most = max(most, gateway.memory())
    finally:
        big.unlink()
    assert got.digest() == expected
    assert 0 < most < 60


async def test_a_gigabyte_up_costs_no_memory_and_is_whole() -> None:
    size, piece = 2**30, os.urandom(2**20)
    seen = {"bytes": 0, "head": ""}

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        if text.startswith("GET"):
            return
        seen["head"] = text
        while seen["bytes"] < size:
            part = await reader.read(2**20)
            if not part:
                return
            seen["bytes"] += len(part)
        writer.write(OK)
        await writer.drain()

    async def body() -> AsyncIterator[bytes]:
        nonlocal most
        for number in range(size // 2**20):
            if number % 16 == 15:
                most = max(most, gateway.memory())
            yield piece

    most = 0.0
    async with behind_process(take) as (gateway, _):
        headers = {**rig.MARIE, "Content-Length": str(size)}
        async with (
            aiohttp.ClientSession(headers=headers) as client,
            client.put(gateway.url + "api/contents/x", data=body()) as answer,
        ):
            assert await answer.text() == "ok"
    assert seen["bytes"] == size
    assert 0 < most < 60


async def test_an_upload_waits_for_a_jupyter_that_does_not_read() -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with behind_process(deaf) as (gateway, _):
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        lines = f"PUT {rig.SERVER}api/contents/x HTTP/1.1\r\nHost: x\r\nAuthorization: token marie's\r\n"
        writer.write(f"{lines}Content-Length: {2**30}\r\n\r\n".encode())
        sent = 0

        async def pour() -> None:
            nonlocal sent
            while sent < 2**28:
                writer.write(bytes(2**20))
                await writer.drain()
                sent += 2**20

        pouring = asyncio.create_task(pour())
        assert await at_rest(lambda: sent) < 2**26
        assert gateway.memory() < 60
        pouring.cancel()
        gateway.process.kill()  # it would give the request under way its time
        writer.transport.abort()


async def test_a_chunked_upload_is_passed_on_whole() -> None:
    got = bytearray()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        if text.startswith("GET"):
            return
        assert "Transfer-Encoding: chunked" in text
        while size := int((await reader.readline()).strip(), 16):
            got.extend(await reader.readexactly(size))
            await reader.readline()
        writer.write(OK)
        await writer.drain()

    async def body() -> AsyncIterator[bytes]:
        for number in range(50):
            yield bytes([number]) * 7000

    async with (
        behind(take) as site,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.post(site.url + "an/extension", data=body()) as answer,
    ):
        assert await answer.text() == "ok"
    assert bytes(got) == b"".join(bytes([number]) * 7000 for number in range(50))


async def test_a_browser_that_goes_away_ends_the_work_in_jupyter() -> None:
    gone = asyncio.Event()

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await writer.drain()
        await reader.read()  # the gateway closes
        gone.set()

    async with behind(endless) as site:
        async with (
            aiohttp.ClientSession(headers=rig.MARIE) as client,
            client.get(site.url + "an/extension") as answer,
        ):
            assert answer.status == 200
        await asyncio.wait_for(gone.wait(), 30)


@pytest.mark.parametrize("large", [False, True])
async def test_an_answer_that_breaks_off_is_not_taken_for_a_whole_one(large: bool) -> None:
    size = 10**7 if large else 10**5

    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(f"HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n".encode() + bytes(500))
        await writer.drain()

    async with behind(broken) as site, aiohttp.ClientSession(headers=rig.MARIE) as client:
        with pytest.raises(aiohttp.ClientPayloadError):
            async with client.get(site.url + "files/x") as answer:
                await answer.read()
        async with client.get(site.url + "_visa/health") as answer:
            assert answer.status == 200


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 200", b"nonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nBad header\r\n\r\n"]
)
async def test_no_proper_answer_is_a_502_in_words(answer: bytes) -> None:
    async def broken(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await head(reader)
        writer.write(answer)
        await writer.drain()

    async with (
        behind(broken) as site,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.get(site.url + "api/status") as got,
    ):
        assert got.status == 502
        assert got.content_type == "application/problem+json"
        assert "Jupyter closed" in (await got.json(content_type=None))["title"]


@pytest.mark.looptime
async def test_jupyter_s_refusal_in_the_middle_of_an_upload_reaches_the_browser() -> None:
    async def refuses(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        if text.startswith("GET"):
            return
        await reader.read(1000)
        writer.write(b"HTTP/1.1 413 Too much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch")
        await writer.drain()

    async with behind(refuses) as site:
        request = f"PUT {rig.SERVER}api/contents/x HTTP/1.1\r\nHost: x\r\nAuthorization: token marie's\r\n"
        answer = await rig.answered(site.port, f"{request}Content-Length: {2**24}\r\n\r\n".encode() + bytes(2**22))
    assert re.match(rb"HTTP/1.1 (413|502) ", answer), answer[:200]


HOST = b"Host: x\r\nAuthorization: token marie's\r\n"
EVIL = [
    b"POST %s HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /evil",
    b"POST %s HTTP/1.1\r\n" + HOST + b"Content-Length: 4\r\nContent-Length: 30\r\n\r\nabcdGET /evil HTTP/1.1\r\n\r\n",
    b"POST %s HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    b"POST %s HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nGET /evil HTTP/1.1\r\n\r\n",
    b"POST %s HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n4\r\nabcdGET /evil HTTP/1.1\r\n\r\n",
    b"DELETE %s HTTP/1.1\r\n"
    + HOST
    + b"Transfer-Encoding: chunked\r\n\r\n16\r\nGET /evil HTTP/1.1\r\n\r\n\r\n0\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n16\r\nGET /evil HTTP/1.1\r\n\r\n\r\n0\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"Content-Length: -1\r\n\r\nGET /evil HTTP/1.1\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"X-A: b\r\n X-Visa-Identity: evil\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"X-A: b\rX-Visa-Identity: evil\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"X-Visa-Identity : evil\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"X-Visa-Identity: evil\r\nx_visa_identity: evil\r\n\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"Connection: close, X-Visa-Identity\r\nX-Visa-Identity: evil\r\n\r\n",
    b"GET http://evil/%s HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s/../../../evil HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s/%%2e%%2e/evil HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s//evil HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s?x\tGET /evil HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"X-Long: " + b"a" * 200_000 + b"\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"CONNECT evil:443 HTTP/1.1\r\n" + HOST + b"\r\n",
    b"TRACE %s HTTP/1.1\r\n" + HOST + b"\r\n",
    b"GET %s HTTP/1.1\r\n" + HOST + b"Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: x\r\n\r\n",
]


async def until_silent(port: int, request: bytes) -> None:
    """Send these very bytes, and wait until the gateway closes or nothing more can come: time is the loop's own."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    with contextlib.suppress(TimeoutError, ConnectionResetError):
        while await asyncio.wait_for(reader.read(65536), 2):
            pass
    writer.close()


@pytest.mark.looptime
async def test_nothing_is_smuggled_past_the_gateway() -> None:
    notes = Notes()
    async with behind(notes) as site:
        for request in EVIL:
            notes.heads.clear()
            notes.rest = b""
            path = (rig.SERVER + "api/contents").encode()
            await until_silent(site.port, request.replace(b"%s", path).replace(b"%%", b"%"))
            assert len(notes.heads) <= 1, request
            for text in notes.heads:
                line, *rest = text.split("\r\n")
                assert re.fullmatch(r"(GET|POST|DELETE) " + rig.SERVER + r"api/contents(\?\S*)? HTTP/1.1", line), text
                lower = [one.lower() for one in rest]
                assert sum(one.startswith("x-visa-identity:") for one in lower) == 1, text
                assert "evil" not in text, text
                assert not any(one.startswith(("authorization", "upgrade", "http2-settings")) for one in lower)
                assert not (any(o.startswith("content-length") for o in lower) and "transfer-encoding" in text.lower())
            assert b"evil" not in notes.rest, (request, notes.rest)
        async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.get(site.url + "api/x") as answer:
            assert answer.status == 200


async def test_jupyter_sees_no_secret_and_knows_who_is_there() -> None:
    notes = Notes()
    async with behind_process(notes) as (gateway, fake):
        fake.let_in("secret-token", "marie", display_name="Marie Curie", initials="MC", color="#c00")
        headers = {
            "Authorization": "Bearer secret-token",
            "Cookie": "jupyterhub-session-id=secret-a; visa-session=secret-b; _xsrf=2|x; __Host-x=secret-c; a=b",
            "X-Visa-Identity": "secret-d",
            "Proxy-Authorization": "secret-e",
            "X-XSRFToken": "2|x",
        }
        async with aiohttp.ClientSession(headers=headers) as client:
            url = gateway.url + "api/contents/%C3%A9%20x%23?token=secret-f&content=1&to%6ben=secret-g"
            async with client.get(aiohttp.client.URL(url, encoded=True)) as answer:
                assert answer.status == 200
        assert "secret" not in gateway.log.read_text()
    (text,) = notes.heads
    assert "secret" not in text
    assert text.startswith(f"GET {rig.SERVER}api/contents/%C3%A9%20x%23?content=1 HTTP/1.1")
    assert "Cookie: _xsrf=2|x; a=b\r\n" in text
    assert "X-Xsrftoken: 2|x" in text
    found = re.search(r"X-Visa-Identity: (\S+)", text)
    assert found is not None
    identity = json.loads(base64.b64decode(found[1]))
    assert identity == {
        "username": "marie",
        "name": "Marie Curie",
        "display_name": "Marie Curie",
        "initials": "MC",
        "color": "#c00",
        "avatar_url": "",
        "by": "token",
        "role": "owner",
    }


async def test_the_environment_has_no_power_over_the_hub_s_host() -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nStrict-Transport-Security: max-age=1\r\nClear-Site-Data: *\r\n"
        b"Service-Worker-Allowed: /\r\nAccess-Control-Allow-Origin: *\r\nAlt-Svc: h2=evil\r\nServer: evil\r\n"
        b"WWW-Authenticate: Basic realm=evil\r\nSet-Login: logged-out\r\nOrigin-Agent-Cluster: ?1\r\n"
        b'Speculation-Rules: "/evil"\r\nUse-As-Dictionary: match="/evil"\r\n'
        b"Set-Cookie: jupyterhub-session-id=evil; Path=/\r\nSet-Cookie: visa-session=evil\r\n"
        b"Set-Cookie: =jupyterhub-hub-login=evil; Path=/hub/\r\n"
        b"Set-Cookie: good=1; Path=/; Domain=example.org; HttpOnly\r\nX-Kept: yes\r\n\r\nok"
    )
    async with (
        behind(Notes(answer)) as site,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.get(site.url + "x") as got,
    ):
        assert got.headers["X-Kept"] == "yes"
        assert got.headers.getall("Set-Cookie") == [f"good=1; HttpOnly; Path={rig.SERVER}"]
        assert "evil" not in str(got.headers)
        for name in ("Strict-Transport-Security", "Clear-Site-Data", "Service-Worker-Allowed", "Set-Login"):
            assert name not in got.headers
        for name in ("Access-Control-Allow-Origin", "Origin-Agent-Cluster", "WWW-Authenticate"):
            assert name not in got.headers


async def test_a_refused_upload_is_not_read_to_its_end() -> None:
    notes = Notes()
    async with behind(notes) as site:
        _, writer = await asyncio.open_connection("127.0.0.1", site.port)
        writer.write(f"PUT {rig.SERVER}x HTTP/1.1\r\nHost: x\r\nContent-Length: {2**32}\r\n\r\n".encode())
        sent = 0
        with contextlib.suppress(ConnectionError):
            while sent < 2**28:
                writer.write(bytes(2**20))
                await writer.drain()
                sent += 2**20
        assert sent < 2**26
        writer.transport.abort()
    assert notes.heads == []


async def test_a_busy_hub_is_asked_once_and_not_for_every_request() -> None:
    async with behind(Notes()) as site, aiohttp.ClientSession(headers=rig.MARIE) as client:

        async def one() -> int:
            async with client.get(site.url + "x") as answer:
                return answer.status

        assert set(await asyncio.gather(*(one() for _ in range(50)))) == {200}
        assert site.hub.asked == 1


async def test_a_hub_that_is_down_neither_locks_out_nor_lets_in() -> None:
    async with behind(Notes()) as site, aiohttp.ClientSession() as client:
        async with client.get(site.url + "x", headers=rig.MARIE) as answer:
            assert answer.status == 200
        site.hub.down = True
        async with client.get(site.url + "x", headers=rig.MARIE) as answer:
            assert answer.status == 200
        async with client.get(site.url + "x", headers={"Authorization": "token unknown"}) as answer:
            assert answer.status == 503
            assert "The hub does not answer" in await answer.text()


@pytest.mark.looptime
@pytest.mark.parametrize(("seconds", "answered"), [(3.9, True), (4.1, False)])
async def test_a_request_under_way_has_four_seconds_when_the_gateway_ends(seconds: float, answered: bool) -> None:
    asked = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = await head(reader)
        if "/slow" not in text:
            return
        asked.set()
        await asyncio.sleep(seconds)
        writer.write(OK)
        await writer.drain()

    async def one(url: str) -> str:
        async with client.get(url) as answer:
            return await answer.text()

    async with listening(slow) as run, aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with running(run) as site:
            under_way = asyncio.create_task(one(site.url + "slow"))
            await asked.wait()
        if answered:
            assert await under_way == "ok"
        else:
            with pytest.raises(aiohttp.ClientConnectionError):
                await under_way
