"""A network between browser and gateway that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Relay:
    """Passes connections on to ``port`` while it is ``up``."""

    def __init__(self, port: int) -> None:
        self._to, self.port, self.up = port, 0, True
        self._open: set[asyncio.StreamWriter] = set()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await reader.read(65536):
                writer.write(part)
                await writer.drain()
        writer.close()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self.up:
            writer.close()
            return
        ends = {writer}
        self._open |= ends  # before there is a way on: a cut that comes meanwhile is a cut of this one too
        try:
            to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self._to)
            if writer.transport.is_closing():
                to_writer.close()
                return
            ends.add(to_writer)
            self._open |= ends
            await asyncio.gather(self._pass(reader, to_writer), self._pass(to_reader, writer))
        finally:
            self._open -= ends

    def cut(self, *, up: bool) -> None:
        """End all that is open; ``up``: whether new ones may come."""
        self.up = up
        for one in self._open:
            one.transport.abort()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Relay]:
        """Until the end of the block."""
        server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            self.cut(up=False)
            server.close()
