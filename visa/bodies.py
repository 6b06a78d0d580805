"""Bodies of requests, bounded before it is known who asks: each one, the unfinished ones together, and in time.

tornado keeps the body of a request until it is whole, and only then asks the handler. So whoever can reach a server
could fill its memory with bodies that never end. A proxy in front does not help: configurable-http-proxy and traefik
pass on what comes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bytes of one body and of all unfinished bodies together, and seconds in which a body has to be here."""

    each: int
    together: int
    seconds: float


class Bodies(HTTPServerConnectionDelegate):
    """Stands before an application; ``start`` is that one's ``start_request``.

    Of too many unfinished bodies the oldest is given up, never the newest. So who sends a form in one piece gets
    through, however many others do not finish theirs.
    """

    def __init__(self, start: Callable[[object, HTTPConnection], HTTPMessageDelegate], bounds: Bounds) -> None:
        self._start, self.bounds = start, bounds
        self._unfinished: dict[_Body, None] = {}
        self.held = 0

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Of one request."""
        return _Body(self, self._start(server_conn, request_conn), request_conn)

    def keep(self, body: _Body, size: int) -> None:
        """``size`` more bytes of it are here."""
        self._unfinished[body] = None
        self.held += size
        while self.held > self.bounds.together:
            oldest = next(iter(self._unfinished))
            oldest.refuse(503, "Service Unavailable", "Too much is on its way at once. Send it again, in one piece.")

    def release(self, body: _Body, size: int) -> None:
        """It is whole, or given up."""
        self.held -= size
        self._unfinished.pop(body, None)


class _Body(HTTPMessageDelegate):
    """One request's: passed to its handler for as long as it keeps to the bounds."""

    def __init__(self, bodies: Bodies, handler: HTTPMessageDelegate, connection: HTTPConnection) -> None:
        self._bodies, self._handler, self._connection = bodies, handler, connection
        self._size = 0
        self._asked = self._refused = False

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse what says itself that it is too long."""
        length = headers.get("Content-Length", "")
        if length.isascii() and length.isdigit() and int(length[:20]) > self._bodies.bounds.each:
            self._too_long()
            return None
        if isinstance(self._connection, HTTP1Connection):
            self._connection.set_body_timeout(self._bodies.bounds.seconds)
        self._asked = True
        return self._handler.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Count it."""
        if self._refused:
            return None
        if self._size + len(chunk) > self._bodies.bounds.each:
            self._too_long()
            return None
        self._size += len(chunk)
        self._bodies.keep(self, len(chunk))
        return None if self._refused else self._handler.data_received(chunk)

    def finish(self) -> None:
        """It is whole: the handler is asked."""
        self._release()
        if not self._refused:
            self._handler.finish()

    def on_connection_close(self) -> None:
        """Nobody waits for an answer any more."""
        self._release()
        if self._asked and not self._refused:
            self._handler.on_connection_close()

    def _release(self) -> None:
        self._bodies.release(self, self._size)
        self._size = 0

    def _too_long(self) -> None:
        most = self._bodies.bounds.each // 1024
        self.refuse(413, "Content Too Large", f"The body is larger than {most} KiB. Send less.")

    def refuse(self, status: int, reason: str, sentence: str) -> None:
        """Answer now, and close: the rest is not read."""
        self._release()
        self._refused = True
        if self._asked:
            self._handler.on_connection_close()
        told = {"status": status, "title": reason, "message": sentence, "detail": sentence}
        content = json.dumps(told).encode()
        headers = HTTPHeaders({"Content-Type": "application/problem+json", "Connection": "close"})
        headers["Content-Length"] = str(len(content))
        log.info("A request's body was not taken: %s", sentence)
        self._connection.write_headers(ResponseStartLine("HTTP/1.1", status, reason), headers, content)
        self._connection.finish()
