"""A scripted viewer of a desktop, through the hub's proxy."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager

import websockets.sync.client as websockets

_RAW_ONLY = struct.pack(">BxHi", 2, 1, 0)
SHIFT = 0xFFE1


class Looker:
    """Reads raw pictures; a person at her keyboard when told to be."""

    def __init__(self, socket: websockets.ClientConnection) -> None:
        self._socket, self._got = socket, bytearray()
        for sent, count in ((b"RFB 003.008\n", 12), (b"\1", 2), (b"\1", 4)):
            self._read(count)
            socket.send(sent)
        width, height, length = struct.unpack(">HH16xI", self._read(24))
        self._read(length)
        self.size = width, height
        socket.send(_RAW_ONLY + self._request(0))

    def _request(self, incremental: int) -> bytes:
        return struct.pack(">BBHHHH", 3, incremental, 0, 0, *self.size)

    def _read(self, count: int, seconds: float = 60.0) -> bytes:
        while len(self._got) < count:
            self._got += self._socket.recv(timeout=seconds)
        part = bytes(self._got[:count])
        del self._got[:count]
        return part

    def update(self, seconds: float = 60.0) -> None:
        """Read the next picture and ask for what changes after it."""
        while (kind := self._read(1, seconds)[0]) != 0:
            if kind == 3:
                self._read(*struct.unpack(">3xI", self._read(7)))
        for _ in range(struct.unpack(">xH", self._read(3))[0]):
            _, _, width, height, encoding = struct.unpack(">HHHHi", self._read(12))
            assert encoding == 0
            self._read(4 * width * height)
        self._socket.send(self._request(1))

    def pictures(self, count: int) -> None:
        """Read so many."""
        for _ in range(count):
            self.update()

    def press(self, keysym: int = SHIFT) -> None:
        """And release."""
        self._socket.send(b"".join(struct.pack(">BB2xI", 4, down, keysym) for down in (1, 0)))


@contextmanager
def looking(url: str, token: str) -> Iterator[Looker]:
    """At the desktop of the instance at ``url``, which ends with a slash."""
    address = f"{url}desktop/websocket".replace("http", "ws", 1)
    headers = {"Authorization": f"token {token}"}
    with websockets.connect(address, additional_headers=headers, max_size=None, compression=None) as socket:
        viewer = Looker(socket)
        viewer.update()
        yield viewer
