"""A gateway in the tests' own process, served as in its own, with a hub that says what they want."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets, bind_unix_socket
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from tests.services.waiting import ENOUGH, eventually
from tests.session import rig
from visa import clock
from visa.session.app import served
from visa.session.gateway import Gateway
from visa.session.settings import GatewaySettings


@dataclass(frozen=True)
class Closed:
    """The code with which a websocket was closed, and when, on the loop's clock."""

    code: int | None
    at: float


@dataclass
class Site:
    """``url`` ends with the instance's own path. Tokens are ``marie's``, ``lise's`` and so on."""

    url: str
    port: int
    gateway: Gateway
    hub: rig.FakeHub
    client: aiohttp.ClientSession

    async def ask(self, who: str, path: str = "api/status", **more: Any) -> tuple[int, Any]:
        """With ``who``'s token: status, and JSON where there is some."""
        headers = {"Authorization": f"token {who}'s"}
        async with self.client.request(more.pop("method", "GET"), self.url + path, headers=headers, **more) as answer:
            return answer.status, await answer.json(content_type=None) if "json" in answer.content_type else None

    def open(self, who: str, path: str = "desktop/websocket") -> Any:
        """A websocket; a desktop's waits for 20 s for the viewer to begin."""
        return self.client.ws_connect(self.url + path, headers={"Authorization": f"token {who}'s"})

    @contextlib.asynccontextmanager
    async def present(self, who: str, path: str = "api/events/subscribe") -> AsyncIterator[asyncio.Task[Closed]]:
        """A websocket whose end is awaited all the time, as a browser does: done when it is closed."""
        async with self.open(who, path) as socket:
            reading = asyncio.create_task(_end(socket))
            yield reading
        await reading

    async def until(self, who: str, status: int) -> None:
        """Until ``who`` is answered so."""
        last: list[Any] = []

        async def answered() -> bool:
            last[:] = await self.ask(who)
            return bool(last[0] == status)

        await eventually(answered, lambda: f"the answer {status} to {who}, who gets {last}")

    async def until_told(self, *here: tuple[str, str]) -> None:
        """Until the hub was told that exactly these are here, in these roles."""
        there = lambda: bool(self.hub.told) and self.told() == sorted(here)  # noqa: E731
        await eventually(there, lambda: f"the hub's being told {here}, not {self.hub.told[-1:]}")

    def told(self) -> list[tuple[str, str]]:
        """Who is here, in which role, as the hub was told last."""
        return sorted((one["username"], one["role"]) for one in self.hub.told[-1]["here"])


@contextlib.asynccontextmanager
async def running(run: Path, hub: rig.FakeHub | None = None, **more: str) -> AsyncIterator[Site]:
    """A gateway in front of ``run``, as soon as it has the hub's word.

    Lise, Pierre and Grace hold tokens with the right to open the server, as an administrator or a share's holder does.
    """
    fake = hub or rig.FakeHub()
    for name in ("lise", "pierre", "grace"):
        fake.let_in(f"{name}'s", name, display_name=name.title())
    async with fake.served() as api:
        gateway = Gateway(GatewaySettings.read({**rig.variables(run, api), **more}))
        sockets = bind_sockets(0, "127.0.0.1")
        port = sockets[0].getsockname()[1]
        async with served(gateway, sockets), aiohttp.ClientSession() as client:
            await gateway.people.wait(0, ENOUGH)
            yield Site(f"http://127.0.0.1:{port}{rig.SERVER}", port, gateway, fake, client)


class _Answer(WebSocketHandler):
    async def get(self, *args: str, **kwargs: str) -> None:
        if self.request.headers.get("Upgrade"):
            await super().get(*args, **kwargs)
        else:
            self.finish({})

    def post(self, *args: str, **kwargs: str) -> None:
        self.finish({})

    put = delete = patch = post

    def on_message(self, message: str | bytes) -> None:
        """Nothing comes back."""


@contextlib.asynccontextmanager
async def still(run: Path, hub: rig.FakeHub | None = None, **more: str) -> AsyncIterator[Site]:
    """A gateway in front of a Jupyter in this process: it has an empty answer to everything, and websockets wait.

    With nothing outside of the loop, the loop's time may be the tests' own.
    """
    server = HTTPServer(Application([(r".*", _Answer)]))
    server.add_socket(bind_unix_socket(str(run / "jupyter.sock")))
    async with running(run, hub, **more) as site:
        yield site
    server.stop()
    await server.close_all_connections()


async def _end(socket: aiohttp.ClientWebSocketResponse) -> Closed:
    while not (await socket.receive()).type.value & 0x100 and not socket.closed:
        pass
    return Closed(socket.close_code, clock.elapsed())


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    """The code with which it is closed."""
    async with asyncio.timeout(ENOUGH):
        return (await _end(socket)).code
