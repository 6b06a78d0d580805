"""Websockets through the gateway: a real kernel and terminal, and ends that do not keep to the rules."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.websocket import WebSocketHandler

from tests.session import rig
from tests.session.conftest import Alone

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
async def kernel(alone: Alone, client: aiohttp.ClientSession) -> AsyncIterator[str]:
    """The address of a fresh kernel's channels."""
    async with client.post(alone.gateway.url + "api/kernels", json={}) as answer:
        identifier = (await answer.json())["id"]
    try:
        yield f"{alone.gateway.url}api/kernels/{identifier}/channels"
    finally:
        await client.delete(alone.gateway.url + f"api/kernels/{identifier}")


async def test_a_cell_runs_and_its_output_comes_back(alone: Alone) -> None:
    async with (
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        kernel(alone, client) as url,
        client.ws_connect(url) as socket,
    ):
        assert socket.protocol is None
        sent = request("execute_request", code="print(6 * 7)", silent=False, store_history=False)
        await socket.send_json(sent)
        text = ""
        while "42" not in text:
            message = json.loads((await asyncio.wait_for(socket.receive(), 20)).data)
            if message["msg_type"] == "stream":
                text += message["content"]["text"]


async def test_jupyter_s_binary_protocol_is_agreed_end_to_end(alone: Alone) -> None:
    async with (
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        kernel(alone, client) as url,
        client.ws_connect(url, protocols=["nonsense", V1]) as socket,
    ):
        assert socket.protocol == V1
        message = await asyncio.wait_for(socket.receive(), 20)
        assert message.type is aiohttp.WSMsgType.BINARY


async def test_a_terminal_answers(alone: Alone) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.post(alone.gateway.url + "api/terminals") as answer:
            name = (await answer.json())["name"]
        async with client.ws_connect(f"{alone.gateway.url}terminals/websocket/{name}") as socket:
            await socket.send_json(["stdin", "echo $((40 + 2))$VISA_SESSION; env\r"])
            text = ""
            while "42notebook" not in text:
                text += (await asyncio.wait_for(socket.receive(), 20)).data
        await client.delete(f"{alone.gateway.url}api/terminals/{name}")
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

    async def on_message(self, message: str | bytes) -> None:
        if self.request.path.endswith("stuck"):
            await asyncio.sleep(60)
        await self.write_message(message, binary=isinstance(message, bytes))

    def on_close(self) -> None:
        if not self.settings["closed"].done():
            self.settings["closed"].set_result((self.close_code, self.close_reason))


class Fake:
    """A gateway in front of `Upstream`."""

    def __init__(self, gateway: rig.Gateway, hub: rig.FakeHub, closed: asyncio.Future[tuple[int | None, str | None]]):
        self.gateway, self.hub, self.closed = gateway, hub, closed

    @property
    def url(self) -> str:
        return self.gateway.url


@pytest.fixture
async def fake(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Fake]:
    """A gateway whose Jupyter is `Upstream`."""
    run = tmp_path_factory.mktemp("r")
    closed: asyncio.Future[tuple[int | None, str | None]] = asyncio.get_running_loop().create_future()
    app = web.Application([(r".*", Upstream)], closed=closed, websocket_max_message_size=2**27)
    server = HTTPServer(app, max_buffer_size=2**27)
    server.add_socket(bind_unix_socket(str(run / "jupyter.sock")))
    hub = rig.FakeHub()
    async with hub.served() as api:
        with rig.gateway(run, api, VISA_FRESH="1") as gateway:
            yield Fake(gateway, hub, closed)
    server.stop()
    await server.close_all_connections()


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
            message = await asyncio.wait_for(socket.receive(), 20)
            assert message.data == payload


async def test_close_codes_pass_both_ways(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(fake.url + "bye") as socket:
            message = await asyncio.wait_for(socket.receive(), 5)
            assert (message.data, message.extra) == (4321, "enough")
        async with client.ws_connect(fake.url + "abrupt") as socket:
            await asyncio.wait_for(socket.receive(), 5)
            assert socket.close_code == 1011


async def test_the_browser_s_close_reaches_jupyter(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        socket = await client.ws_connect(fake.url + "echo")
        await socket.close(code=4000, message=b"bye")
        assert await asyncio.wait_for(fake.closed, 5) == (4000, "bye")


async def test_a_browser_that_does_not_read_costs_no_memory(fake: Fake) -> None:
    """Jupyter sends without end; nobody reads; the gateway stops reading too."""
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(fake.url + "echo") as socket:
            await socket.send_str("warm")
            await socket.receive()
        before = fake.gateway.memory()
        reader, writer = await asyncio.open_connection("127.0.0.1", fake.gateway.port, limit=2**16)
        writer.write(_handshake("flood"))
        assert b"101 Switching" in await reader.readuntil(b"\r\n\r\n")
        most = 0.0
        for _ in range(20):
            await asyncio.sleep(0.1)
            most = max(most, fake.gateway.memory())
        assert most < before + 8
        assert most < 60
        writer.transport.abort()
        await asyncio.wait_for(fake.closed, 5)


async def test_a_jupyter_that_does_not_read_costs_no_memory(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(fake.url + "stuck") as socket:
        before, sent = fake.gateway.memory(), 0
        with contextlib.suppress(TimeoutError):
            while sent < 2**28:
                await asyncio.wait_for(socket.send_bytes(bytes(2**18)), 1)
                sent += 2**18
        assert sent < 2**26
        assert fake.gateway.memory() < before + 8
        fake.gateway.process.kill()  # neither end would say goodbye


def _handshake(path: str, version: str = "13") -> bytes:
    return (
        f"GET {rig.SERVER}{path} HTTP/1.1\r\nHost: x\r\nAuthorization: token marie's\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        f"Sec-WebSocket-Version: {version}\r\n\r\n"
    ).encode()


async def test_a_bad_handshake_leaves_nothing_open_in_jupyter(fake: Fake) -> None:
    answer = await rig.raw(fake.gateway.port, _handshake("echo", "7"), 2)
    assert answer.startswith(b"HTTP/1.1 426")
    await asyncio.wait_for(fake.closed, 5)


async def test_a_message_beyond_the_bound_closes_and_the_gateway_lives(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(fake.url + "echo") as socket:
            with contextlib.suppress(ConnectionError):
                await socket.send_bytes(bytes(65 * 2**20))
            message = await asyncio.wait_for(socket.receive(), 10)
            assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.ERROR)
        async with client.get(fake.url + "_visa/health") as answer:
            assert answer.status == 200


async def test_sockets_are_told_when_the_gateway_ends(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(fake.url + "echo") as socket:
        fake.gateway.process.terminate()
        message = await asyncio.wait_for(socket.receive(), 5)
        assert message.data == 1001


async def test_a_role_that_ends_closes_the_socket(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(fake.url + "echo") as socket:
        fake.hub.let_in("marie's", "somebody else")
        await asyncio.wait_for(socket.receive(), 5)
        assert socket.close_code == 4403
        assert (await asyncio.wait_for(fake.closed, 5))[0] == 1001


async def test_an_open_socket_outlives_a_short_outage_of_the_hub(fake: Fake) -> None:
    async with aiohttp.ClientSession(headers=rig.MARIE) as client, client.ws_connect(fake.url + "echo") as socket:
        fake.hub.down = True
        asked = fake.hub.asked
        while fake.hub.asked == asked:
            await asyncio.sleep(0.2)
        await socket.send_str("still here")
        assert (await asyncio.wait_for(socket.receive(), 5)).data == "still here"
