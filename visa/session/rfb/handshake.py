"""Both beginnings: with a viewer as if the gateway were the server, with the server as its only viewer.

The gateway speaks RFB 3.8 with security None to the server whatever the viewer speaks, so that no message of one
version is read as another's; and it ends its handshake with the server at once, so that no viewer can leave the
server in the middle of one (Xvnc locks everybody out after a few of these).
"""

from __future__ import annotations

import struct
from collections.abc import Generator
from dataclasses import dataclass

from visa.session.rfb.names import PIXELS, VERSION, Violation

_NONE = 1
_LONGEST_NAME = 4096
_LONGEST_REASON = 100


@dataclass(frozen=True, slots=True)
class Start:
    """What the server begins with. Its pixel format is not kept: `PIXELS` is asked for."""

    width: int
    height: int
    name: bytes

    @property
    def message(self) -> bytes:
        """ServerInit for the viewer."""
        return struct.pack(">HH16sI", self.width, self.height, PIXELS, len(self.name)) + self.name


Step = Generator[tuple[bytes, int], bytes, "Start"]
"""Yields what to send and how many bytes to read then; returns at the end."""


def with_server() -> Step:
    """The gateway's part as a viewer; ends with what the server tells. Raise `Violation`."""
    greeting = yield b"", len(VERSION)
    if greeting != VERSION:
        raise Violation("The desktop does not speak RFB 3.8.")
    (count,) = yield VERSION, 1
    if not count:
        raise Violation(f"The desktop refuses: {yield from _reason()}")
    kinds = yield b"", count
    if _NONE not in kinds:
        raise Violation("The desktop asks for a password.")
    result = yield bytes([_NONE]), 4
    if any(result):
        raise Violation(f"The desktop refuses: {yield from _reason()}")
    # ClientInit: shared. Without it every new viewer throws the others out.
    init = yield b"\x01", 24
    width, height, length = struct.unpack(">HH16xI", init)
    if length > _LONGEST_NAME:
        raise Violation("The desktop's name is too long.")
    name = (yield b"", length) if length else b""
    return Start(width, height, name)


def _reason() -> Generator[tuple[bytes, int], bytes, str]:
    (length,) = struct.unpack(">I", (yield b"", 4))
    text = yield b"", min(length, _LONGEST_REASON)
    return text.decode("utf-8", "replace")


def set_pixels() -> bytes:
    """SetPixelFormat with `PIXELS`, for the server."""
    return b"\0\0\0\0" + PIXELS


class WithViewer:
    """The gateway's part as a server. `hello` first; then `feed` until `done`."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._buffer = bytearray()
        self._steps = self._run()
        self.hello, self._need = next(self._steps)
        self.done = False

    def feed(self, data: bytes) -> bytes:
        """The answer; bytes after the end of the handshake stay for `rest`. Raise `Violation`."""
        self._buffer += data
        answer = b""
        while not self.done and len(self._buffer) >= self._need:
            taken = bytes(self._buffer[: self._need])
            del self._buffer[: self._need]
            try:
                sent, self._need = self._steps.send(taken)
            except StopIteration:
                self.done = True
                sent = self._start.message
            answer += sent
        return answer

    @property
    def rest(self) -> bytes:
        """What came after the handshake's end."""
        return bytes(self._buffer)

    def _run(self) -> Generator[tuple[bytes, int], bytes, None]:
        """RFC 6143, 7.1 and 7.3; versions 3.3 and 3.7 differ in who chooses the security type and its result."""
        version = yield VERSION, len(VERSION)
        if version == b"RFB 003.003\n":
            yield struct.pack(">I", _NONE), 1
            return
        if version not in (VERSION, b"RFB 003.007\n"):
            raise Violation("The viewer's version of RFB is not known.")
        chosen = yield bytes([1, _NONE]), 1
        if chosen[0] != _NONE:
            raise Violation("The viewer chose a security type that was not offered.")
        # ClientInit's one byte may be anything: whether the desktop is shared is not the viewer's to say.
        yield (b"\0\0\0\0" if version == VERSION else b""), 1
