"""Routes and server of the gateway."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import re
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager

from tornado import web
from tornado.httpserver import HTTPServer
from tornado.httputil import HTTPServerRequest
from tornado.netutil import bind_sockets
from tornado.routing import Matcher, PathMatches, Rule

from visa.addresses import host_of
from visa.connections import WAITS, Connections
from visa.session import report, startup, upstream
from visa.session.desktop.assets import Static
from visa.session.desktop.files import Files
from visa.session.desktop.page import Page
from visa.session.desktop.preview import Kept, Preview
from visa.session.desktop.state import Start, State
from visa.session.desktop.stream import Stream
from visa.session.desktop.viewer import Viewer
from visa.session.gateway import Gateway
from visa.session.handlers import Callback, Elsewhere, Health, Logout, OtherHost, People, Ready, Root
from visa.session.notebook.session import Notebook
from visa.session.settings import BadSettings, GatewaySettings
from visa.session.sockets import Socket

_FINISHING = 4.0
"""Seconds that requests under way get to finish when the gateway is told to end."""

WAITING = 256
"""Connections that wait for a request: traefik keeps 200 for the next ones."""
HEAD = 2**15
"""Bytes of a request's head, each of which every waiting connection may hold."""

log = logging.getLogger(__name__)


class PortTaken(Exception):
    """A program in the pod took the gateway's port while it was away. The message says which."""


class _Websocket(Matcher):
    """Requests below the prefix that ask for a websocket."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Empty when it is one."""
        asks = request.headers.get("Upgrade", "").lower() == "websocket"
        return {} if asks and request.path.startswith(self._prefix) else None


class _OtherHost(Matcher):
    """Requests for a name that is not the instance's own; whether it is well is asked at the pod's address too."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._own, self._health = host_of(settings.origin.partition("://")[2]), f"{settings.prefix}_visa/health"

    def match(self, request: HTTPServerRequest) -> dict[str, object] | None:
        """Empty when it is one."""
        here = not self._own or host_of(request.host) == self._own or request.path == self._health
        return None if here else {}


def make_app(gateway: Gateway) -> web.Application:
    """The application; every path but login, logout and health asks who is there."""
    prefix = gateway.settings.prefix
    own = re.escape(prefix)
    routes: list[Rule] = [
        Rule(_OtherHost(gateway.settings), OtherHost),
        Rule(PathMatches(f"{own}desktop/websocket$"), Viewer),
        Rule(PathMatches(f"{own}desktop/selkies$"), Stream),
        Rule(_Websocket(prefix), Socket),
        Rule(PathMatches(f"{own}?$"), Root),
        Rule(PathMatches(f"{own}oauth_callback$"), Callback),
        Rule(PathMatches(f"{own}(?:_visa/)?logout$"), Logout),
        Rule(PathMatches(f"{own}_visa/health$"), Health),
        Rule(PathMatches(f"{own}_visa/ready$"), Ready),
        Rule(PathMatches(f"{own}_visa/people$"), People),
        Rule(PathMatches(f"{own}_visa/.*$"), Elsewhere),
        Rule(PathMatches(f"{own}desktop/?$"), Page),
        Rule(PathMatches(f"{own}desktop/static/([0-9a-f]{{12}})/(.+)$"), Static),
        Rule(PathMatches(f"{own}desktop/state$"), State),
        Rule(PathMatches(f"{own}desktop/start$"), Start),
        Rule(PathMatches(f"{own}desktop/preview\\.png$"), Preview, {"kept": Kept()}),
        Rule(PathMatches(f"{own}desktop/files/.+$"), Files),
        Rule(PathMatches(f"{own}.*"), Notebook),
    ]
    return web.Application(
        routes,
        gateway=gateway,
        default_handler_class=Elsewhere,
        websocket_ping_interval=30,
        websocket_ping_timeout=20,
        log_function=_log,
    )


def _log(handler: web.RequestHandler) -> None:
    """Paths without their queries: those may hold tokens."""
    request = handler.request
    level = logging.INFO if handler.get_status() < 500 else logging.WARNING
    log.log(level, "%d %s %s", handler.get_status(), request.method, request.path[:300])


def tell(descriptor: int, port: int) -> None:
    """Say that the gateway listens, once."""
    with os.fdopen(descriptor, "w") as ready:
        ready.write(json.dumps({"port": port}) + "\n")


async def serve(settings: GatewaySettings) -> None:
    """Until SIGTERM or SIGINT."""
    gateway = Gateway(settings)
    sockets = _listening(settings)
    port = sockets[0].getsockname()[1]
    tls = await report.announce(gateway.hub, settings, port, gateway.kept) if settings.address else None
    end = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end.set)
    async with served(gateway, sockets, tls):
        if settings.ready is not None:
            tell(settings.ready, port)
        await end.wait()


def _listening(settings: GatewaySettings) -> list[socket.socket]:
    """Where people come in; raise `BadSettings` or `PortTaken`."""
    try:
        if settings.listening is not None:
            given = socket.socket(fileno=settings.listening)
            given.setblocking(False)
            return [given]
        return bind_sockets(settings.port, settings.host)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortTaken(f"another program listens at {settings.host}:{settings.port}") from error
        where = f"VISA_LISTEN {settings.host}:{settings.port}"
        if settings.listening is not None:
            where = f"VISA_LISTEN_FD {settings.listening}"
        raise BadSettings(f"{where} cannot be listened on: {error}") from error


@asynccontextmanager
async def served(
    gateway: Gateway, sockets: Sequence[socket.socket], tls: ssl.SSLContext | None = None
) -> AsyncIterator[None]:
    """Answer at ``sockets`` for the length of the block; what is under way at its end gets a few seconds."""
    server = HTTPServer(
        Connections(make_app(gateway).start_request, WAITING, takers=False),
        ssl_options=tls,
        chunk_size=upstream.CHUNK,
        max_body_size=upstream.LARGEST_BODY,
        # Bodies and websocket messages are taken by the part.
        max_buffer_size=4 * upstream.CHUNK,
        max_header_size=HEAD,
        idle_connection_timeout=WAITS,
        xheaders=False,
    )
    server.add_sockets(sockets)
    people = gateway.people
    works = (gateway.activity.run(), people.follow(), people.tell(), startup.answer_looks(gateway))
    tasks = [asyncio.create_task(work) for work in works]
    if gateway.settings.address:
        told = report.memory_told(gateway.settings) if gateway.kept.lines else 0
        tasks.append(asyncio.create_task(report.tell_of_memory(gateway.hub, gateway.settings, told)))
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        server.stop()
        gateway.close_sockets()
        gateway.again.stop()
        await _within(_FINISHING, gateway.idle.wait(), "some requests were still under way at the end")
        await _within(2, people.tell_the_end(), "the hub was not told that nobody is here any more")
        await _within(2, server.close_all_connections(), "some connections were still busy at the end")


async def _within(seconds: float, ending: Awaitable[object], otherwise: str) -> None:
    try:
        await asyncio.wait_for(ending, seconds)
    except TimeoutError:
        log.info("%s", otherwise)
