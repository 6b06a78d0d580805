"""A network between programs and PostgreSQL that is slow, silent or gone."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path


class Weather(StrEnum):
    """What the network does with what comes."""

    CLEAR = "clear"
    SILENT = "silent"
    """Connections are taken and stay open, and nothing passes."""
    SLOW = "slow"
    """Each answer takes a second."""
    GONE = "gone"
    """All connections end, and none is taken."""


class Network:
    """Passes TCP connections at ``port`` on to a unix socket, in a thread of its own."""

    def __init__(self, socket: Path) -> None:
        self._to, self.port = socket, 0
        self._weather = Weather.CLEAR
        self._loop = asyncio.new_event_loop()
        self._changed = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()

    def becomes(self, weather: Weather) -> None:
        """From now on, for all connections."""

        async def change() -> None:
            self._weather = weather
            self._changed.set()
            self._changed = asyncio.Event()
            for end in list(self._ends) if weather is Weather.GONE else ():
                end.transport.abort()

        asyncio.run_coroutine_threadsafe(change(), self._loop).result(60)

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, answers: bool) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                while self._weather is Weather.SILENT:
                    await self._changed.wait()
                if answers and self._weather is Weather.SLOW:
                    await asyncio.sleep(1)
                writer.write(part)
                await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ends = {writer}
        self._ends |= ends
        try:
            if self._weather is Weather.GONE:
                writer.transport.abort()
                return
            there, back = await asyncio.open_unix_connection(str(self._to))
            ends.add(back)
            self._ends |= ends
            await asyncio.gather(self._pass(reader, back, answers=False), self._pass(there, writer, answers=True))
        except OSError:
            writer.transport.abort()
        finally:
            self._ends -= ends

    @contextlib.contextmanager
    def running(self) -> Iterator[Network]:
        """For the length of the block."""
        thread = threading.Thread(target=self._loop.run_forever, name="network", daemon=True)
        thread.start()
        server = asyncio.run_coroutine_threadsafe(asyncio.start_server(self._take, "127.0.0.1", 0), self._loop).result(
            60
        )
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.becomes(Weather.GONE)
            self._loop.call_soon_threadsafe(server.close)
            self._loop.call_soon_threadsafe(self._loop.stop)
            thread.join(60)
