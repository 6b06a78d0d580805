"""Websocket messages in parts: passed on as they come, and held as a whole only where somebody has to read them.

tornado holds a message until it is whole, several times over while it passes. Here a part is 64 KiB, and the next is
read when the other side took it, so a message of any length costs the gateway next to nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import NamedTuple, Protocol

from tornado.util import _websocket_mask
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketProtocol13

from visa.session.budget import Budget

PART = 2**16
TEXT, BINARY = 1, 2
_FIN, _RESERVED, _OPCODE, _MASKED, _CONTROL = 0x80, 0x70, 0x0F, 0x80, 0x08


class Part(NamedTuple):
    """Of a message; ``opcode`` is the message's. The data are not masked."""

    opcode: int
    data: bytes
    first: bool = True
    last: bool = True


class Taker(Protocol):
    """Takes parts; the next is read when this one is taken."""

    def on_part(self, part: Part) -> Awaitable[None]: ...


class InParts(WebSocketProtocol13):
    """tornado's protocol, for a `Taker`. Control frames are tornado's own matter."""

    _opcode = 0
    _begun = False

    async def _receive_frame(self) -> None:
        head, size = await self._read_bytes(2)
        opcode, final = head & _OPCODE, bool(head & _FIN)
        masked, size = size & _MASKED, size & ~_MASKED
        expected = (0,) if self._opcode else (TEXT, BINARY)
        if head & _RESERVED or not ((size < 126 and final) if opcode & _CONTROL else opcode in expected):
            self._abort()
            return
        if size > 125:
            size = int.from_bytes(await self._read_bytes(2 if size == 126 else 8))
        mask = await self._read_bytes(4) if masked else None
        if opcode & _CONTROL:
            handled = self._handle_message(opcode, await self._piece(size, mask))
            if handled is not None:
                await handled
            await asyncio.sleep(0)
            return
        self._opcode = self._opcode or opcode
        await self._receive_data(size, mask, final)

    async def _receive_data(self, size: int, mask: bytes | None, final: bool) -> None:
        while not self.client_terminated:
            data = await self._piece(min(size, PART), mask)  # a whole number of masks, unless it is the last
            size -= len(data)
            last = final and not size
            if data or last:
                part = Part(self._opcode, data, not self._begun, last)
                self._begun = not last
                if last:
                    self._opcode = 0
                taken = self._run_callback(self.handler.on_part, part)  # type: ignore[attr-defined]
                if taken is not None:
                    await taken
            # The above waits for nothing while both ends are quick. tornado lets others have a turn after 256 frames,
            # which for many websockets of somebody who floods them are seconds.
            await asyncio.sleep(0)
            if not size:
                return

    async def _piece(self, size: int, mask: bytes | None) -> bytes:
        data = await self._read_bytes(size) if size else b""
        return data if mask is None else _websocket_mask(mask, data)

    def write_part(self, part: Part) -> asyncio.Future[None]:
        """A frame of its own, so that control frames may come between; done when the other side took it."""
        return self._write_frame(part.last, part.opcode if part.first else 0, part.data)


class Jupyters(WebSocketClientConnection):
    """Jupyter's end of a websocket, read and written in parts."""

    protocol: InParts | None
    _between = True

    def get_websocket_protocol(self) -> InParts:
        """In parts."""
        return InParts(self, mask_outgoing=True, params=self.params)

    async def on_part(self, part: Part) -> None:
        """Wait until it is read."""
        await self.read_queue.put(part)  # type: ignore[arg-type]

    async def read_part(self) -> Part | None:
        """The next; None at the end."""
        return await self.read_queue.get()  # type: ignore[return-value]

    async def write_part(self, part: Part) -> None:
        """Returns when Jupyter took it; raise ``WebSocketClosedError``."""
        if self.protocol is None:
            raise WebSocketClosedError
        self._between = part.last
        await self.protocol.write_part(part)

    def say(self, message: bytes) -> None:
        """A last word, unless it would be in the middle of another; raise ``WebSocketClosedError``."""
        if self._between:
            self.write_message(message, binary=True)


class NoRoom(Exception):
    """The gateway's budget does not hold the message."""


class Whole:
    """Puts one message after the other together, for who has to read them. ``most``: bytes of one."""

    def __init__(self, budget: Budget, who: str, most: int) -> None:
        self._budget, self._who, self._most = budget, who, most
        self._data = bytearray()
        self._size = 0

    @property
    def too_long(self) -> bool:
        """Whether the message is: what comes of it is not kept."""
        return self._size > self._most

    def add(self, part: Part) -> str | bytes | None:
        """The message when it is whole and not too long; raise `NoRoom`, or ``UnicodeDecodeError``."""
        if part.first:
            self.drop()
        self._size += len(part.data)
        if self.too_long:
            self._forget()
            return None
        if not part.last and not self._budget.hold(self, self._who, self._size):
            raise NoRoom
        self._data += part.data
        if not part.last:
            return None
        data = bytes(self._data)
        self.drop()
        return data.decode() if part.opcode == TEXT else data

    def drop(self) -> None:
        """Forget what is here of a message."""
        self._size = 0
        self._forget()

    def _forget(self) -> None:
        self._data = bytearray()
        self._budget.release(self)


def frame(part: Part) -> bytes:
    """As a server sends it."""
    first, size = (_FIN if part.last else 0) | (part.opcode if part.first else 0), len(part.data)
    if size < 126:
        return bytes((first, size)) + part.data
    kind, count = (126, 2) if size < 2**16 else (127, 8)
    return bytes((first, kind)) + size.to_bytes(count, "big") + part.data
