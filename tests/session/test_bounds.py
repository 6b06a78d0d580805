"""What a gateway keeps of what is sent to it, measured in a process of its own. Jupyter is whatever a test needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import ClassVar

import aiohttp
import psutil
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.websocket import WebSocketClosedError, WebSocketHandler

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.site import Site, still
from tests.soak.attacks import odd
from visa.session.app import WAITING, make_app
from visa.session.gateway import Gateway
from visa.session.notebook import session
from visa.session.settings import GatewaySettings

LIGHT = 60.0
"""Megabytes that a gateway may have."""
MEGABYTE = 2**20
WEBSOCKET = b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"


@contextlib.asynccontextmanager
async def alone(run: Path) -> AsyncIterator[rig.Gateway]:
    """A gateway with a hub and without a Jupyter."""
    async with rig.FakeHub().served() as api:
        with rig.gateway(run, api) as gateway:
            yield gateway


async def unfinished(port: int, head: bytes, size: int) -> asyncio.StreamWriter:
    """As much of a body as is taken."""
    _, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    with contextlib.suppress(ConnectionError, TimeoutError):
        for _ in range(size // 2**20):
            writer.write(bytes(2**20))
            await asyncio.wait_for(writer.drain(), 2)
    return writer


@pytest.mark.parametrize("more", [WEBSOCKET, b""], ids=["websocket", "plain"])
@pytest.mark.parametrize("path", ["lab", "api/kernels/x/channels", "desktop/websocket", "desktop/selkies", "_visa/x"])
async def test_a_stranger_s_body_is_not_kept(tmp_path: Path, path: str, more: bytes) -> None:
    async with alone(tmp_path) as gateway:
        head = f"GET {rig.SERVER}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {2**30}\r\n".encode() + more + b"\r\n"
        sent = await asyncio.gather(*(unfinished(gateway.port, head, 48 * 2**20) for _ in range(4)))
        assert gateway.memory() < LIGHT
        for writer in sent:
            writer.close()
        assert (await rig.answered(gateway.port, head)).startswith((b"HTTP/1.1 401", b"HTTP/1.1 413"))


def test_no_handler_waits_for_a_body_before_it_knows_who_asks(tmp_path: Path) -> None:
    settings = GatewaySettings.read(rig.variables(tmp_path, "http://127.0.0.1:1/hub/api"))

    async def handlers() -> list[type]:
        app = make_app(Gateway(settings))
        rules = [rule for rule in app.wildcard_router.rules if isinstance(rule.target, type)]
        return [*(rule.target for rule in rules), app.settings["default_handler_class"]]

    for handler in asyncio.run(handlers()):
        assert getattr(handler, "_stream_request_body", False), handler


class Jupyter(WebSocketHandler):
    """A room that tells as much as its address says, and counts what it hears. Nothing else is asked of it."""

    heard: ClassVar[list[int]] = []
    max_message_size = 2**30

    async def get(self, *args: str, **kwargs: str) -> None:
        if self.request.headers.get("Upgrade"):
            await super().get(*args, **kwargs)
        else:
            self.finish("[]")

    async def open(self, *args: str, **kwargs: str) -> None:
        megabytes = int(self.get_query_argument("tell", "0"))
        if megabytes:
            with contextlib.suppress(WebSocketClosedError):
                await self.write_message(bytes(megabytes * MEGABYTE), binary=True)
                await self.write_message("the end")

    def on_message(self, message: str | bytes) -> None:
        self.heard.append(len(message))


@contextlib.asynccontextmanager
async def beside(run: Path, hub: rig.FakeHub | None = None, **more: str) -> AsyncIterator[rig.Gateway]:
    """A gateway of its own in front of `Jupyter`."""
    Jupyter.heard.clear()
    server = HTTPServer(web.Application([(r".*", Jupyter)]))
    server.add_socket(bind_unix_socket(str(run / "jupyter.sock")))
    async with (hub or rig.FakeHub()).served() as api:
        with rig.gateway(run, api, **more) as gateway:
            yield gateway
    server.stop()
    await server.close_all_connections()


async def taken(client: aiohttp.ClientSession, url: str) -> int:
    """The size of the one long message that comes, after which the end has to come."""
    async with client.ws_connect(url, max_msg_size=0) as socket:
        size = len(await socket.receive_bytes())
        assert await socket.receive_str() == "the end"
        return size


async def test_one_output_of_50_mb_in_three_pages_arrives_and_costs_next_to_nothing(tmp_path: Path) -> None:
    async with beside(tmp_path) as gateway, aiohttp.ClientSession(headers=rig.MARIE) as client:
        url = f"{gateway.url}api/kernels/k/channels?tell=50"
        assert await asyncio.gather(*(taken(client, url) for _ in range(3))) == [50 * MEGABYTE] * 3
        assert gateway.most_memory() < LIGHT


async def test_pages_that_do_not_read_make_jupyter_wait(tmp_path: Path) -> None:
    async with beside(tmp_path) as gateway, rig.narrow() as client:
        url = f"{gateway.url}api/kernels/k/channels?tell=50"
        async with contextlib.AsyncExitStack() as stack:
            opened = [client.ws_connect(url, max_msg_size=0, headers=rig.MARIE) for _ in range(10)]
            slow = [await stack.enter_async_context(one) for one in opened]
            async with aiohttp.ClientSession(headers=rig.MARIE) as quick:
                assert await taken(quick, url) == 50 * MEGABYTE
            assert gateway.most_memory() < LIGHT
            assert not any(one.closed for one in slow)


async def test_what_the_owner_sends_may_be_long(tmp_path: Path) -> None:
    async with beside(tmp_path) as gateway, aiohttp.ClientSession(headers=rig.MARIE) as client:
        async with client.ws_connect(f"{gateway.url}api/kernels/k/channels") as socket:
            await socket.send_bytes(bytes(50 * MEGABYTE))
            await socket.send_str("x" * 70_000)
            await eventually(lambda: len(Jupyter.heard) == 2, "Jupyter's hearing all of it")
        assert Jupyter.heard == [50 * MEGABYTE, 70_000]
        assert gateway.most_memory() < LIGHT


@pytest.mark.parametrize("path", ["api/collaboration/room/JupyterLab:globalAwareness", "api/events/subscribe"])
@pytest.mark.parametrize("opcode", [0x01, 0x02])
async def test_an_observer_s_unfinished_messages_are_not_kept(tmp_path: Path, path: str, opcode: int) -> None:
    hub = rig.FakeHub()
    hub.let_in("lise's", "lise")
    hub.share("lise", "observer")
    async with beside(tmp_path, hub) as gateway, aiohttp.ClientSession() as client:
        await until_let_in(client, gateway.url, "lise's")
        sent = [await unended(client, gateway, path, opcode) for _ in range(6)]
        assert gateway.most_memory() < LIGHT
        async with client.get(gateway.url + "api/status", headers=rig.MARIE) as answer:
            assert answer.status == 200
        for socket in sent:
            await socket.close()


async def until_let_in(client: aiohttp.ClientSession, url: str, token: str) -> None:
    """Until the gateway has heard of a member."""

    async def let_in() -> bool:
        async with client.get(url + "api/me", headers={"Authorization": f"token {token}"}) as answer:
            return answer.status == 200

    await eventually(let_in, "a member's being let in")


async def unended(
    client: aiohttp.ClientSession, gateway: rig.Gateway, path: str, opcode: int
) -> aiohttp.ClientWebSocketResponse:
    """48 MB of a message in many frames, none of them the last."""
    socket = await client.ws_connect(gateway.url + path, headers={"Authorization": "token lise's"}, autoclose=False)
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):
        for number in range(48):
            head = bytes((0 if number else opcode, 0xFF)) + MEGABYTE.to_bytes(8, "big") + bytes(4)
            transport = socket._writer.transport
            transport.write(head + bytes(MEGABYTE))
            await socket._writer.protocol._drain_helper()
    return socket


HALF = b"GET /user/marie/work/lab HTTP/1.1\r\nHost: x\r\nX: " + b"x" * 30_000


@pytest.mark.parametrize("sent", [b"", HALF], ids=["nothing", "half a head"])
async def test_connections_that_ask_nothing_are_few_and_others_are_answered(tmp_path: Path, sent: bytes) -> None:
    async with (
        beside(tmp_path) as gateway,
        aiohttp.ClientSession(headers=rig.MARIE) as client,
        client.ws_connect(gateway.url + "api/events/subscribe") as socket,
    ):
        writers = []
        for _ in range(3 * WAITING):
            _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
            writer.write(sent)
            with contextlib.suppress(ConnectionError):
                await writer.drain()
            writers.append(writer)
        async with client.get(gateway.url + "api/status") as answer:
            assert answer.status == 200
        process = psutil.Process(gateway.process.pid)
        open_ = lambda: len(process.net_connections("tcp"))  # noqa: E731
        await eventually(lambda: open_() <= WAITING + 10, lambda: f"the end of some of {open_()}")
        assert gateway.most_memory() < LIGHT
        await socket.send_str("{}")
        assert not socket.closed
        for writer in writers:
            writer.close()


@pytest.mark.parametrize("what", odd("/"))
async def test_what_few_programs_ask_costs_little_and_others_are_answered(tmp_path: Path, what: str) -> None:
    async with beside(tmp_path) as gateway, aiohttp.ClientSession(headers=rig.MARIE) as client:
        streams = []
        for token in (b"", b"Authorization: token marie's\r\n"):
            request = odd(rig.SERVER + "lab")[what].replace(b"Host: 127.0.0.1\r\n", b"Host: 127.0.0.1\r\n" + token)
            for _ in range(20):
                streams.append(await asyncio.open_connection("127.0.0.1", gateway.port))
                streams[-1][1].write(request)
        async with client.get(gateway.url + "api/status") as answer:
            assert answer.status == 200
        assert gateway.most_memory() < LIGHT
        for _, writer in streams:
            writer.close()


async def test_a_stranger_s_slow_body_ends_the_connection(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        for path in ("lab", "api/kernels", "_visa/health"):
            reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
            writer.write(f"POST {rig.SERVER}{path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nx".encode())
            assert b"Connection: close" in await reader.read()
            writer.close()


async def test_a_body_that_is_read_first_has_to_come_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "_BODY", 0.05)
    site.hub.share("lise", "collaborator")
    site.hub.share_as(folders=["home"])
    await site.until("lise", 200)
    head = f"POST {rig.SERVER}api/contents HTTP/1.1\r\nHost: x\r\nAuthorization: token lise's\r\nContent-Length: 99"
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"{head}\r\n\r\n{{".encode())
    assert await reader.read() == b""
    writer.close()


async def test_many_websockets_of_one_observer_leave_the_owner_s_requests_what_they_cost(tmp_path: Path) -> None:
    hub = rig.FakeHub()
    hub.let_in("lise's", "lise")
    hub.share("lise", "observer")
    many = {"VISA_SOCKETS_EACH": "1000", "VISA_SOCKETS_OTHERS": "1000"}
    connector = aiohttp.TCPConnector(limit=0)
    async with beside(tmp_path, hub, **many) as gateway, aiohttp.ClientSession(connector=connector) as client:
        process = psutil.Process(gateway.process.pid)

        def work() -> float:
            """Seconds in which the gateway worked."""
            return float(sum(process.cpu_times()[:2]))

        async def asked() -> float:
            before = work()
            for _ in range(200):
                async with client.get(gateway.url + "api/status", headers=rig.MARIE) as answer:
                    assert answer.status == 200
            return work() - before

        async def opened() -> float:
            before, headers = work(), {"Authorization": "token lise's"}
            for _ in range(213):
                sockets.append(await client.ws_connect(gateway.url + "api/events/subscribe", headers=headers))
            return work() - before

        await until_let_in(client, gateway.url, "lise's")
        sockets: list[aiohttp.ClientWebSocketResponse] = []
        alone, first, second, crowded = await asked(), await opened(), await opened(), await asked()
        assert not any(one.closed for one in sockets)
        assert second < 2 * first + 0.2
        assert crowded < 2 * alone + 0.2
        await asyncio.gather(*(one.close() for one in sockets))
