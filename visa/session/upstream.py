"""Jupyter behind its unix socket: one connection per request, streamed both ways with backpressure."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httpclient import HTTPRequest, _RequestProxy
from tornado.httputil import HTTPHeaders, HTTPMessageDelegate, RequestStartLine, ResponseStartLine
from tornado.iostream import IOStream, StreamClosedError
from tornado.netutil import Resolver
from tornado.websocket import WebSocketClientConnection, websocket_connect

from visa import clock
from visa.session.frames import PART, Jupyters

CHUNK = 2**18
"""Bytes moved at a time of a large answer and of a body; two of these per direction is all that a transfer holds."""
BULK = 2**22
"""Bytes from which an answer is moved without the HTTP parser between: 1.6 times as fast (measured)."""
LARGEST_BODY = 2**50


_PATIENCE = 5.0


class NotListening(Exception):
    """Jupyter does not accept connections: it is starting, or it ended."""


class Broken(Exception):
    """Jupyter closed the connection in the middle."""


Headers = Callable[[ResponseStartLine, HTTPHeaders, bool], Awaitable[None]]
Data = Callable[[bytes], Awaitable[None]]
Bulk = Callable[[IOStream, int], Awaitable[None]]


async def connect(path: str) -> IOStream:
    """A stream to the socket; raise `NotListening`."""
    end = clock.elapsed() + _PATIENCE
    while True:
        one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            one.connect(path)
        except BlockingIOError as error:
            # Its queue is full; unlike TCP, a unix socket does not go on with the connection by itself.
            one.close()
            if clock.elapsed() > end:
                raise NotListening("Jupyter takes no more connections") from error
            await asyncio.sleep(0.01)
        except OSError as error:
            one.close()
            raise NotListening(str(error)) from error
        else:
            return IOStream(one, max_buffer_size=4 * CHUNK, read_chunk_size=PART)


class Exchange(HTTPMessageDelegate):
    """One request and its answer. ``on_headers`` and ``on_data`` are awaited: they set the pace.

    With ``on_bulk``, an answer of a known and large size is not handed to ``on_data``: ``on_headers`` is told
    so by its last argument, and ``on_bulk`` gets the stream and the number of bytes that come.
    """

    def __init__(
        self, stream: IOStream, on_headers: Headers, on_data: Data, on_bulk: Bulk | None = None, part: int = PART
    ) -> None:
        self._stream = stream
        parameters = HTTP1ConnectionParameters(
            no_keep_alive=True, chunk_size=part, max_body_size=LARGEST_BODY, decompress=False, max_header_size=2**17
        )
        self._connection = HTTP1Connection(stream, True, parameters)
        self._on_headers, self._on_data, self._on_bulk = on_headers, on_data, on_bulk
        self._method = ""
        self._bulk = 0
        self._complete = False

    async def send_head(self, method: str, uri: str, headers: HTTPHeaders) -> None:
        """Begin; raise `Broken`."""
        self._method = method
        await self._guard(self._connection.write_headers(RequestStartLine(method, uri, "HTTP/1.1"), headers))

    async def send(self, chunk: bytes) -> None:
        """A part of the body; returns when Jupyter took it; raise `Broken`."""
        await self._guard(self._connection.write(chunk))

    async def answer(self) -> None:
        """End the request and pass the answer on; raise `Broken` when it stops in the middle."""
        self._connection.finish()
        try:
            await self._connection.read_response(self)
            if self._bulk and self._on_bulk is not None:
                await self._on_bulk(self._stream, self._bulk)
                self._complete = True
        finally:
            self.close()
        if not self._complete:
            raise Broken("Jupyter closed the connection before its answer was complete")

    @staticmethod
    async def _guard(writing: Awaitable[None]) -> None:
        try:
            await writing
        except StreamClosedError as error:
            raise Broken("Jupyter closed the connection while it was sent a request") from error

    def close(self) -> None:
        """Whatever is still under way is dropped."""
        self._stream.close()

    # what tornado calls

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Status and headers of the answer."""
        if isinstance(start_line, ResponseStartLine) and start_line.code >= 200:
            return self._begin(start_line, headers)
        return None

    async def _begin(self, line: ResponseStartLine, headers: HTTPHeaders) -> None:
        length = headers.get("Content-Length", "")
        large = length.isascii() and length.isdigit() and int(length) >= BULK
        if large and self._on_bulk is not None and self._method == "GET" and line.code in (200, 206):
            self._bulk = int(length)
        await self._on_headers(line, headers, self._bulk > 0)
        if self._bulk:
            self._connection.detach()

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """A part of the answer's body."""
        return self._on_data(chunk)

    def finish(self) -> None:
        """The answer is complete."""
        self._complete = True

    def on_connection_close(self) -> None:
        """Jupyter closed; `answer` sees whether too early."""


async def pump(
    source: IOStream, target: IOStream, count: int, part: Callable[[], int], moved: Callable[[], None]
) -> None:
    """Move ``count`` bytes, at most ``part()`` at a time, and tell of each; raise ``StreamClosedError`` at an end."""
    buffer = bytearray()
    while count:
        if (most := min(count, part())) != len(buffer):  # not a byte more is read
            buffer = bytearray(most)
        size = await source.read_into(buffer, partial=True)
        await target.write(memoryview(buffer)[:size])
        moved()
        count -= size


class _SocketResolver(Resolver):
    """Leads every name to one unix socket, so that tornado's websocket client can use it."""

    def initialize(self, path: str) -> None:
        self.path = path

    async def resolve(
        self, host: str, port: int, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[tuple[int, str]]:
        """The socket."""
        return [(socket.AF_UNIX, self.path)]


async def open_websocket(path: str, uri: str, headers: HTTPHeaders, largest: int) -> WebSocketClientConnection:
    """A websocket of messages of at most ``largest`` bytes, each held as a whole; raise as `open_in_parts`."""
    request = HTTPRequest(f"ws://visa{uri}", headers=headers, connect_timeout=10)
    try:
        return await websocket_connect(request, max_message_size=largest, resolver=_SocketResolver(path=path))
    except (TimeoutError, OSError, StreamClosedError) as error:
        raise NotListening(str(error)) from error


async def open_in_parts(path: str, uri: str, headers: HTTPHeaders, subprotocols: list[str] | None) -> Jupyters:
    """Jupyter's end of a websocket; raise `NotListening`, or tornado's ``HTTPClientError`` when it refuses."""
    request = HTTPRequest(f"ws://visa{uri}", headers=headers, connect_timeout=10)
    # As websocket_connect does, for a class of our own.
    asked = cast("HTTPRequest", _RequestProxy(request, HTTPRequest._DEFAULTS))
    end = Jupyters(asked, subprotocols=subprotocols, resolver=_SocketResolver(path=path))
    try:
        await end.connect_future
    except (TimeoutError, OSError, StreamClosedError) as error:
        raise NotListening(str(error)) from error
    return end


async def ask(stream: IOStream, uri: str, headers: HTTPHeaders, largest: int = 2**20) -> tuple[int, bytes]:
    """``(status, body)`` of a small answer to a GET; raise `Broken` when there is none, or it is too large."""
    status, parts = 0, [b""]

    async def on_headers(line: ResponseStartLine, headers: HTTPHeaders, bulk: bool) -> None:
        nonlocal status
        status = line.code

    async def on_data(chunk: bytes) -> None:
        if sum(map(len, parts)) + len(chunk) > largest:
            raise Broken("the answer is too large")
        parts.append(chunk)

    exchange = Exchange(stream, on_headers, on_data)
    await exchange.send_head("GET", uri, headers)
    await exchange.answer()
    return status, b"".join(parts)


async def fetch(path: str, uri: str, headers: HTTPHeaders) -> bytes:
    """A small answer as a whole; empty when Jupyter does not answer or answers too much."""
    try:
        return (await ask(await connect(path), uri, headers))[1]
    except (NotListening, Broken):
        return b""
