"""Websockets through the gateway: a real kernel and terminal, and ends that do not keep to the rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.websocket import WebSocketHandler

from tests.services.waiting import at_rest
from tests.session import rig
from tests.session.site import Site, running
from visa import clock

approx = partial(pytest.approx, abs=0.1)
OUTAGE = 900
V1 = "v1.kernel.websocket.jupyter.org"


def request(kind: str, **content: Any) -> dict[str, Any]:
    """A kernel message as a browser sends it."""
    header = {
        "msg_id": uuid.uuid4().hex,
        "msg_type": kind,
        "username": "",
        "session": "s",
        "version": "5.3",
        "date": "",
    }
    return {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": content,
        "channel": "shell",
        "buffers": [],
    }


@contextlib.asynccontextmanager
async def kernel(site: Site, client: aiohttp.ClientSession) -> AsyncIterator[str]:
    """The address of a fresh kernel's channels."""
    async with client.post(site.url + "api/kernels", json={}) as answer:
        identifier = (await answer.json())["id"]
    try:
        yield f"{site.url}api/kernels/{identifier}/channels"
    finally:
        await client.delete(site.url + f"api/kernels/{identifier}")


async def test_a_cell_runs_and_its_output_comes_back(site: Site) -> None:
    async with (
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        kernel(site, client) as url,
        client.ws_connect(url) as socket,
    ):
        assert socket.protocol is None
        sent = request("execute_request", code="print(6 * 7)", silent=False, store_history=False)
        await socket.send_json(sent)
        text = ""
        while "42" not in text:
            message = json.loads((await asyncio.wait_for(socket.receive(), 30)).data)
            if message["msg_type"] == "stream":
                text += message["content"]["text"]


async def test_jupyter_s_binary_protocol_is_agreed_end_to_end(site: Site) -> None:
    async with (
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        kernel(site, client) as url,
        client.ws_connect(url, protocols=["nonsense", V1]) as socket,
    ):
        assert socket.protocol == V1
        message = await asyncio.wait_for(socket.receive(), 30)
        assert message.type is aiohttp.WSMsgType.BINARY


async def test_a_terminal_answers(site: Site) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.post(site.url + "api/terminals") as answer:
            name = (await answer.json())["name"]
        async with client.ws_connect(f"{site.url}terminals/websocket/{name}") as socket:
            await socket.send_json(["stdin", "echo $((40 + 2))$VISA_SESSION; env\r"])
            text = ""
            while "42notebook" not in text:
                text += (await asyncio.wait_for(socket.receive(), 30)).data
        await client.delete(f"{site.url}api/terminals/{name}")
    assert "JUPYTERHUB" not in text


class Upstream(WebSocketHandler):
    """Does what the path asks for."""

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        return "second" if "second" in subprotocols else None

    async def open(self, *args: str, **kwargs: str) -> None:
        self.set_nodelay(True)
        if self.request.path.endswith("bye"):
            self.close(4321, "enough")
        elif self.request.path.endswith("abrupt"):
            assert self.ws_connection is not None
            self.ws_connection.stream.close()
        elif self.request.path.endswith("flood"):
            with contextlib.suppress(Exception):
                while True:
                    await self.write_message(bytes(2**18), binary=True)
                    self.settings["flooded"][0] += 1

    async def on_message(self, message: str | bytes) -> None:
        if self.request.path.endswith("stuck"):
            await asyncio.Event().wait()
        await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        if not self.settings["closed"].done():
            self.settings["closed"].set_result((self.close_code, self.close_reason))


Closed = asyncio.Future[tuple[int | None, str | None]]


@contextlib.asynccontextmanager
async def listening(run: Path, flooded: list[int] | None = None) -> AsyncIterator[Closed]:
    """`Upstream` in ``run``; done when one of its websockets is closed, with code and reason.

    The first of ``flooded`` counts what a flood could send.
    """
    closed: Closed = asyncio.get_running_loop().create_future()
    settings = {"closed": closed, "flooded": flooded or [0]}
    app = web.Application([(r".*", Upstream)], websocket_max_message_size=2**27, **settings)
    server = HTTPServer(app, max_buffer_size=2**27)
    server.add_socket(bind_unix_socket(str(run / "jupyter.sock")))
    yield closed
    server.stop()
    await server.close_all_connections()


@dataclass
class Fake:
    """A gateway in front of `Upstream`."""

    site: Site
    closed: Closed

    @property
    def url(self) -> str:
        """Of the instance."""
        return self.site.url


@contextlib.asynccontextmanager
async def faked(run: Path, **more: str) -> AsyncIterator[Fake]:
    """The gateway is in this process."""
    async with listening(run) as closed, running(run, **more) as site:
        yield Fake(site, closed)


@pytest.fixture
async def fake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fake]:
    """As most tests need it."""
    async with faked(tmp_path_factory.mktemp("r")) as one:
        yield one


@dataclass
class Apart:
    """A gateway process in front of `Upstream`."""

    gateway: rig.Gateway
    closed: Closed
    flooded: list[int]

    @property
    def url(self) -> str:
        """Of the instance."""
        return self.gateway.url


@pytest.fixture
async def apart(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Apart]:
    """For tests of what a process is and costs."""
    run, hub, flooded = tmp_path_factory.mktemp("r"), rig.FakeHub(), [0]
    async with listening(run, flooded) as closed, hub.served() as api:
        with rig.gateway(run, api) as gateway:
            yield Apart(gateway, closed, flooded)


async def test_text_and_bytes_small_and_large_come_back_as_they_went(fake: Fake) -> None:
    async with (
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.ws_connect(fake.url + "echo", max_msg_size=0, protocols=["first", "second"]) as socket,
    ):
        assert socket.protocol == "second"
        for payload in ("", "é\u2603", "x" * 300_000, b"", b"\0\xff", bytes(5_000_000)):
            if isinstance(payload, str):
                await socket.send_str(payload)
            else:
                await socket.send_bytes(payload)
            message = await asyncio.wait_for(socket.receive(), 30)
            assert message.data == payload


async def test_close_codes_pass_both_ways(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(fake.url + "bye") as socket:
            message = await asyncio.wait_for(socket.receive(), 30)
            assert (message.data, message.extra) == (4321, "enough")
        async with client.ws_connect(fake.url + "abrupt") as socket:
            await asyncio.wait_for(socket.receive(), 30)
            assert socket.close_code == 1011


async def test_the_browser_s_close_reaches_jupyter(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        socket = await client.ws_connect(fake.url + "echo")
        await socket.close(code=4000, message=b"bye")
        assert await asyncio.wait_for(fake.closed, 30) == (4000, "bye")


async def test_a_browser_that_does_not_read_costs_no_memory(apart: Apart) -> None:
    """Jupyter sends without end; nobody reads; the gateway stops reading too."""
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(apart.url + "echo") as socket:
            await socket.send_str("warm")
            await socket.receive()
        before = apart.gateway.memory()
        reader, writer = await asyncio.open_connection("127.0.0.1", apart.gateway.port, limit=2**16)
        writer.write(_handshake("flood"))
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        most = 0.0

        def sent() -> int:
            nonlocal most
            most = max(most, apart.gateway.memory())
            return apart.flooded[0]

        assert 0 < await at_rest(sent) < 2**26 / 2**18
        assert most < before + 8
        assert most < 60
        writer.transport.abort()
        await asyncio.wait_for(apart.closed, 30)


async def test_a_jupyter_that_does_not_read_costs_no_memory(apart: Apart) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(apart.url + "stuck") as socket:
        before, sent = apart.gateway.memory(), 0

        async def pour() -> None:
            nonlocal sent
            while sent < 2**28:
                await socket.send_bytes(bytes(2**18))
                sent += 2**18

        pouring = asyncio.create_task(pour())
        assert await at_rest(lambda: sent) < 2**26
        assert apart.gateway.memory() < before + 8
        pouring.cancel()
        apart.gateway.process.kill()  # neither end would say goodbye


def _handshake(path: str, version: str = "13") -> bytes:
    return (
        f"GET {rig.SERVER}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: token marie's\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: {version}\r\n\r\n"
    ).encode()


async def test_a_bad_handshake_leaves_nothing_open_in_jupyter(fake: Fake) -> None:
    answer = await rig.answered(fake.site.port, _handshake("echo", "7"))
    assert answer.startswith(b"HTTP/1.1 426")
    await asyncio.wait_for(fake.closed, 30)


async def test_a_message_beyond_the_bound_closes_and_the_gateway_lives(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(fake.url + "echo") as socket:
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(bytes(65 * 2**20))
            message = await asyncio.wait_for(socket.receive(), 30)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        async with client.get(fake.url + "_visa/health") as answer:
            assert answer.status == 200


async def test_sockets_are_told_when_the_gateway_ends(apart: Apart) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(apart.url + "echo") as socket:
        apart.gateway.process.terminate()
        message = await asyncio.wait_for(socket.receive(), 30)
        assert message.data == 1001
    assert await asyncio.to_thread(apart.gateway.process.wait, 30) == 0


@pytest.mark.looptime
async def test_a_role_that_ends_closes_the_socket_when_the_hub_is_asked_again(tmp_path: Path) -> None:
    async with (
        faked(tmp_path, VISA_FRESH="30") as fake,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.ws_connect(fake.url + "echo") as socket,
    ):
        opened = clock.elapsed()
        fake.site.hub.let_in("marie's", "somebody else")
        await socket.receive()
        assert socket.close_code == 4403
        assert clock.elapsed() - opened == approx(40), "the second look; at the first, the hub's word still counted"
        assert (await fake.closed)[0] == 1001


@pytest.mark.looptime
async def test_an_open_socket_outlives_an_outage_of_a_quarter_of_an_hour(tmp_path: Path) -> None:
    async with (
        faked(tmp_path, VISA_FRESH="30") as fake,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.ws_connect(fake.url + "echo") as socket,
    ):
        opened, asked = clock.elapsed(), fake.site.hub.asked
        fake.site.hub.down = True
        message = asyncio.create_task(socket.receive())
        await asyncio.sleep(OUTAGE + 10)
        assert not message.done()
        assert fake.site.hub.asked >= asked + 44, "every 20 s"
        await socket.send_str("still here")
        assert (await message).data == "still here"
        await socket.receive()
        assert socket.close_code == 1013
        assert clock.elapsed() - opened == approx(OUTAGE + 20), "the first look after it"
