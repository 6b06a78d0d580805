"""Connections that bring nothing, and answers that nobody takes: bounded by number, and in time.

tornado bounds neither: whoever can reach a server may open connections, send half of a request's head, or none of it,
until memory or file descriptors end. Who is being answered, or has a websocket, is never closed for somebody else.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from tornado.http1connection import HTTP1Connection
from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
)
from tornado.iostream import BaseIOStream

from visa import clock
from visa.heads import Head

log = logging.getLogger(__name__)

WAITS = 120.0
"""Seconds that a connection may wait for a whole head, and as many for the next one."""
TAKES = 60.0
"""Seconds in which something of an answer has to be taken, where that is bounded."""
_LOOKS = 1.0


@dataclass(slots=True)
class _Open:
    stream: BaseIOStream
    address: str
    since: float
    written: int = -1


class Connections(HTTPServerConnectionDelegate):
    """Stands before an application; ``start`` is that one's ``start_request``.

    ``most`` connections wait for a head. Of too many, the address that has most of them loses its oldest: so nobody
    loses theirs to many from elsewhere, and behind a proxy the newest, which is about to be used, gets through.
    ``takers``: whether an answer has to be taken in `TAKES`.
    """

    def __init__(
        self, start: Callable[[object, HTTPConnection], HTTPMessageDelegate], most: int, *, takers: bool = True
    ) -> None:
        self._start, self.most, self._takers = start, most, takers
        self._waiting: WeakKeyDictionary[object, _Open] = WeakKeyDictionary()
        self._answered: WeakKeyDictionary[object, _Open] = WeakKeyDictionary()
        self._looked = clock.elapsed()

    @property
    def waiting(self) -> int:
        """Connections that wait for a head."""
        return sum(not one.stream.closed() for one in self._waiting.values())

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """A connection is new, or its last request is answered."""
        handler = self._start(server_conn, request_conn)
        stream = request_conn.stream if isinstance(request_conn, HTTP1Connection) else None
        if stream is None:
            return handler
        address = str(getattr(getattr(request_conn, "context", None), "remote_ip", ""))
        self._answered.pop(server_conn, None)
        self._waiting.pop(server_conn, None)
        self._waiting[server_conn] = _Open(stream, address, clock.elapsed())
        self._look()
        return _Head(handler, lambda: self._came(server_conn))

    def _came(self, server_conn: object) -> None:
        """Its head is whole."""
        one = self._waiting.pop(server_conn, None)
        if one is not None and self._takers:
            self._answered[server_conn] = one

    def _look(self) -> None:
        """Close what is too much, and now and then what takes too long."""
        if len(self._waiting) > self.most:
            self._make_room()
        now = clock.elapsed()
        if now - self._looked < _LOOKS:
            return
        self._looked = now
        for one in [one for one in self._waiting.values() if now - one.since > WAITS]:
            one.stream.close()
        for one in list(self._answered.values()):
            written = getattr(one.stream, "_total_write_done_index", 0)
            if not one.stream.writing() or written != one.written:
                one.written, one.since = written, now
            elif now - one.since > TAKES:
                log.info("A connection from %s was closed: it did not take its answer", one.address)
                one.stream.close()

    def _make_room(self) -> None:
        there = [one for one in self._waiting.values() if not one.stream.closed()]
        if len(there) <= self.most:
            return
        crowd = Counter(one.address for one in there).most_common(1)[0][0]
        oldest = next(one for one in there if one.address == crowd)
        oldest.stream.close()


class _Head(Head):
    """Says when the head of a request is whole."""

    def __init__(self, handler: HTTPMessageDelegate, whole: Callable[[], None]) -> None:
        super().__init__(handler)
        self._whole = whole

    def came(self, headers: HTTPHeaders) -> None:
        """It is."""
        self._whole()
