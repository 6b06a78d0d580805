"""The gateway's own connection to Selkies, one for all viewers: what they do goes through it, and nothing else does.

Selkies knows the viewers' connections as ones that only look. This one owns the display: it says the size, takes
every picture at once, so that Selkies takes nobody's slowness for the desktop's, and hears of the desktop's clipboard.
It is there for as long as anybody looks; without it Selkies encodes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
from collections.abc import Iterable
from typing import Protocol

from tornado.httpclient import HTTPClientError
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError

from visa import clock
from visa.session import run, upstream
from visa.session.desktop.greeting import shake_hands
from visa.session.rfb.names import Violation
from visa.session.selkies.server import LARGEST_PICTURE, Clipboards, picture

log = logging.getLogger(__name__)

ADDRESS = "/api/websockets"
GAP = 0.55
"""Seconds between two connections: Selkies refuses a sooner one from the same address, and has one address for all."""
_SOON = 4029
"""Selkies' word for that: another gateway was there a moment ago."""
_PATIENCE = 15.0
_LOOKS = "?role=viewer"
FAILURES = (
    *(upstream.NotListening, HTTPClientError, StreamClosedError, WebSocketClosedError),
    *(Violation, TimeoutError, OSError),
)


class Looker(Protocol):
    """Who looks at the desktop."""

    def copied(self, plain: bytes) -> None: ...

    def lost(self) -> None: ...


class Hand:
    """What acts on one desktop. ``limit``: the largest clipboard."""

    def __init__(self, folder: str, limit: int) -> None:
        self._folder, self._limit = folder, limit
        self._lookers: dict[Looker, None] = {}
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._end: WebSocketClientConnection | None = None
        self._ready = asyncio.Event()
        self._whole = asyncio.Lock()
        self._door = asyncio.Lock()
        self._next = 0.0

    async def look(self) -> WebSocketClientConnection:
        """A connection that only looks; raise one of `FAILURES`."""
        end = await self._open(_LOOKS)
        await end.write_message("SETTINGS,{}")
        return end

    def join(self, looker: Looker) -> None:
        """Somebody looks."""
        self._lookers[looker] = None
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def leave(self, looker: Looker, last: tuple[str, ...]) -> None:
        """She looks no more; ``last`` are her last messages."""
        if looker in self._lookers:
            del self._lookers[looker]
            task = asyncio.create_task(self._farewell(last))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    async def _farewell(self, last: tuple[str, ...]) -> None:
        if self._ready.is_set():
            await self.do(last)
        if not self._lookers and self._task is not None:
            self._task.cancel()
            self._task = None

    async def do(self, messages: Iterable[str]) -> None:
        """In this order, with nobody's between; dropped when there is no connection."""
        async with self._whole:
            with contextlib.suppress(*FAILURES):
                async with asyncio.timeout(_PATIENCE):
                    await self._ready.wait()
                    for message in messages:
                        if self._end is not None:
                            await self._end.write_message(message)

    async def _open(self, query: str) -> WebSocketClientConnection:
        """Once Selkies has greeted it; one at a time."""
        async with self._door:
            while True:
                await asyncio.sleep(max(0.0, self._next - clock.elapsed()))
                self._next = clock.elapsed() + GAP
                end = await run.websocket(f"{self._folder}/{run.SELKIES}", ADDRESS + query, LARGEST_PICTURE)
                if await end.read_message() is not None:
                    return end
                if end.close_code != _SOON:
                    raise upstream.NotListening("Selkies closed the connection")

    async def _run(self) -> None:
        try:
            async with asyncio.timeout(_PATIENCE):
                width, height = await self._size()
                self._end = end = await self._open("")
                size = {"initialClientWidth": width, "initialClientHeight": height}
                await end.write_message("SETTINGS," + json.dumps({"displayId": "primary", "tabId": "visa", **size}))
            self._ready.set()
            await self._listen(end)
        except FAILURES as error:
            log.warning("The connection that acts on the desktop failed: %r", error)
        finally:
            self._ready.clear()
            if self._end is not None:
                self._end.close(1001)
            self._end = None
        self._task = None
        for looker in list(self._lookers):
            looker.lost()

    async def _size(self) -> tuple[int, int]:
        """Of the screen as it is: Selkies would set one of its own."""
        stream = await run.connect(f"{self._folder}/{run.DESKTOP}")
        with contextlib.closing(stream):
            start = await shake_hands(stream)
        return start.width, start.height

    async def _listen(self, end: WebSocketClientConnection) -> None:
        clipboards = Clipboards(self._limit)
        while (message := await end.read_message()) is not None:
            if isinstance(message, str):
                plain = clipboards.feed(message)
                for looker in list(self._lookers) if plain else ():
                    looker.copied(plain or b"")
            elif (number := picture(message)) is not None:
                await end.write_message(f"CLIENT_FRAME_ACK {number} 0")
