"""What the server sends, read as far as needed to know where messages end, and passed on untouched.

Pixels are not looked at: of each rectangle the length is worked out from its first bytes and the rest is counted.
Only clipboard messages are held back until it is clear whether they may pass, and fences that the gateway answers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from visa.session.rfb import clipboard, tight
from visa.session.rfb.names import (
    BELL,
    COLOURS,
    CONTINUOUS_UPDATES,
    COPY_RECT,
    CURSOR,
    CURSOR_WITH_ALPHA,
    CUT_TEXT,
    DESKTOP_NAME,
    DESKTOP_SIZE,
    EXTENDED_DESKTOP_SIZE,
    FENCE,
    HEXTILE,
    LAST_RECT,
    MOUSE_BUTTONS,
    PICTURES,
    QEMU_KEY,
    QEMU_LED,
    RAW,
    RRE,
    TIGHT,
    TIGHT_PNG,
    UPDATE,
    VMWARE_CURSOR,
    VMWARE_CURSOR_POSITION,
    VMWARE_LED,
    X_CURSOR,
    ZLIB,
    ZRLE,
    Agreed,
    Allowed,
    Violation,
)

HEAD = 1024
"""More than the first bytes of any message or rectangle that its length is worked out from (a Tight palette)."""
LONGEST = 2**28
"""Bytes of one rectangle or message; beyond it the count must be wrong."""
LARGEST_PICTURE = 2**26
"""Pixels of one rectangle."""
_UNTIL_LAST = 0xFFFF
_END_OF_CONTINUOUS, _FENCE = 150, 248
_FENCE_HEAD, _ASKS = 9, 0x80
"""Bytes before a fence's payload, and the bit of its flags' first byte in one that wants an answer."""
_CONFIRM = frozenset({EXTENDED_DESKTOP_SIZE, QEMU_KEY, MOUSE_BUTTONS})
_LENGTH = struct.Struct(">I").unpack_from
_RECTANGLE = struct.Struct(">HHHHi").unpack_from


@dataclass(frozen=True, slots=True)
class Seen:
    """What came until now: updates that began, pixels in them, and how often the desktop's size."""

    updates: int = 0
    pixels: int = 0
    sizes: int = 0


class Short(Exception):
    """The first bytes are not all here yet."""


class FromServer:
    """The messages of a server to one viewer, from the end of the handshake on.

    ``frames``: updates with pictures that came to their end.
    """

    def __init__(self, allowed: Allowed, agreed: Agreed) -> None:
        self._allowed, self._agreed = allowed, agreed
        self._head = b""  # first bytes of something, passed on already, whose length is not clear yet
        self._skip = 0
        self._hidden = False  # whether what is skipped is taken out as well
        self._held: bytearray | None = None  # a message that is taken whole
        self._answers = b""
        self._rectangles = 0
        self._tiles: list[int] = []  # pixels of the hextiles to come, last first
        self._picture = False
        self.frames = 0
        self._updates = self._pixels = self._sizes = 0

    @property
    def seen(self) -> Seen:
        """Until now."""
        return Seen(self._updates, self._pixels, self._sizes)

    def fences(self) -> bytes:
        """What the server is to get for those that came since this was last asked, from who is asked in turn.

        It measures by them how quickly what it sends is taken, and makes the pieces of better pictures that large.
        """
        answers, self._answers = self._answers, b""
        return answers

    def feed(self, data: bytes) -> bytes:
        """What of it may reach the viewer: ``data`` itself, mostly. Raise `Violation`."""
        out: list[bytes | memoryview] = []
        view, at, begin = memoryview(data), 0, 0
        while at < len(data):
            if self._skip:
                step = min(self._skip, len(data) - at)
                self._skip -= step
                at += step
                if self._hidden:
                    begin = at
                    self._hidden = self._skip > 0
            elif self._held is not None or self._at_held(data, at):
                out.append(view[begin:at])
                at = begin = at + self._hold(view[at:], out)
            else:
                at += self._next(data, at)
        if begin == 0 and not out:
            return data
        return b"".join([*out, view[begin:]])

    def _at_held(self, data: bytes, at: int) -> bool:
        held = data[at] == CUT_TEXT or (data[at] == _FENCE and self._allowed.in_turn)
        return held and not self._head and not self._rectangles and not self._tiles

    def _hold(self, view: memoryview, out: list[bytes | memoryview]) -> int:
        """Take bytes of a message; once it is whole, let it pass or not. How many were taken."""
        held = self._held = bytearray() if self._held is None else self._held
        if (held or view)[0] == _FENCE:
            return self._hold_fence(held, view)
        return self._hold_cut_text(held, view, out)

    def _hold_fence(self, held: bytearray, view: memoryview) -> int:
        taken = _take(held, view, _FENCE_HEAD)
        if len(held) < _FENCE_HEAD:
            return taken
        size = _FENCE_HEAD + held[_FENCE_HEAD - 1]
        taken += _take(held, view[taken:], size)
        if len(held) == size:
            self._held = None
            if held[4] & _ASKS:
                held[4] &= ~_ASKS
                self._answers += held
        return taken

    def _hold_cut_text(self, held: bytearray, view: memoryview, out: list[bytes | memoryview]) -> int:
        taken = _take(held, view, 8)
        if len(held) < 8:
            return taken
        (announced,) = struct.unpack_from(">i", held, 4)
        length = clipboard.length_of(announced)
        if length > clipboard.LONGEST:
            raise Violation("The desktop announces a clipboard of an absurd length.")
        if clipboard.too_long(announced, self._allowed):
            self._held, self._skip, self._hidden = None, length, True
            self._agreed.too_long_out += self._allowed.copy
            self._agreed.text_awaited = False
            return taken
        taken += _take(held, view[taken:], 8 + length)
        if len(held) == 8 + length:
            self._held = None
            self._judge(announced, bytes(held), out)
        return taken

    def _judge(self, announced: int, message: bytes, out: list[bytes | memoryview]) -> None:
        verdict = clipboard.judge(announced, message[8:], self._allowed, by_viewer=False)
        if verdict is clipboard.Verdict.PASS:
            out.append(message)
        self._agreed.too_long_out += verdict is clipboard.Verdict.TOO_LONG
        if clipboard.action(announced, message[8:]) == clipboard.PROVIDE:
            self._agreed.text_awaited = False

    def _next(self, data: bytes, at: int) -> int:
        """Work out one length; how many bytes of ``data`` are done with. The rest of it is in `_skip`."""
        head, start = (self._head + data[at : at + HEAD], 0) if self._head else (data, at)
        try:
            length = self._length(head, start)
        except (Short, IndexError, struct.error):
            if len(head) - start >= HEAD:
                raise Violation("The desktop's message is not understood.") from None
            self._head = head[start:]
            return len(data) - at
        if length > LONGEST:
            raise Violation("The desktop's message is absurdly long.")
        self._skip = length - len(self._head)
        self._head = b""
        return 0

    def _length(self, data: bytes, at: int) -> int:
        if self._tiles:
            return self._tile(data, at)
        if self._rectangles:
            return self._rectangle(data, at)
        return self._message(data, at)

    def _message(self, data: bytes, at: int) -> int:
        """RFC 6143 7.6, and fences and continuous updates of rfbproto."""
        kind = data[at]
        if kind == UPDATE:
            self._rectangles = data[at + 2] << 8 | data[at + 3]
            self._picture = False
            self._updates += 1
            return 4
        if kind == COLOURS:
            return 6 + 6 * int.from_bytes(_exactly(data, at + 4, 2), "big")
        if kind == _FENCE:
            size = 9 + data[at + 8]
            self._agreed.confirmed.add(FENCE)
            return size
        if kind == _END_OF_CONTINUOUS:
            self._agreed.confirmed.add(CONTINUOUS_UPDATES)
        elif kind != BELL:
            raise Violation(f"The desktop sent a message of type {kind}, which is not known here.")
        return 1

    def _rectangle(self, data: bytes, at: int) -> int:
        _, status, width, height, encoding = _RECTANGLE(data, at)
        if encoding in PICTURES and width * height > LARGEST_PICTURE:
            raise Violation("The desktop's rectangle is absurdly large.")
        if encoding == DESKTOP_SIZE or (encoding == EXTENDED_DESKTOP_SIZE and not status):
            self._agreed.size = width, height
        measure = _LENGTHS.get(encoding)
        if encoding in (TIGHT, TIGHT_PNG):
            size = tight.length(data, at + 12, width, height, png=encoding == TIGHT_PNG)
        elif encoding == HEXTILE:
            self._tiles = _hextiles(width, height)
            size = 0
        elif measure is not None:
            size = measure(data, at + 12, width, height)
        else:
            raise Violation(f"The desktop uses the encoding {encoding}, which it was not asked for.")
        self._counted(encoding, width * height)
        return 12 + size

    def _counted(self, encoding: int, pixels: int) -> None:
        if encoding in PICTURES:
            self._picture = True
            self._pixels += pixels
        elif encoding in (DESKTOP_SIZE, EXTENDED_DESKTOP_SIZE):
            self._sizes += 1
        if encoding in _CONFIRM:
            self._agreed.confirmed.add(encoding)
        if encoding == LAST_RECT:
            self._rectangles = 0
        elif self._rectangles != _UNTIL_LAST:
            self._rectangles -= 1
        if not self._rectangles and self._picture:
            self.frames += 1

    def _tile(self, data: bytes, at: int) -> int:
        """RFC 6143 7.7.4: one tile of a hextile rectangle."""
        kind, pixels = data[at], self._tiles[-1]
        size = 1
        if kind & 1:
            size += 4 * pixels
        else:
            size += 4 * bool(kind & 2) + 4 * bool(kind & 4)
            if kind & 8:
                size += 1 + data[at + size] * (6 if kind & 16 else 2)
        self._tiles.pop()
        return size


def _take(held: bytearray, view: memoryview, size: int) -> int:
    """How many bytes it took of what is missing to ``size``."""
    taken = max(0, min(size - len(held), len(view)))
    held += view[:taken]
    return taken


def _exactly(data: bytes, at: int, count: int) -> bytes:
    part = data[at : at + count]
    if len(part) < count:
        raise Short
    return part


def _hextiles(width: int, height: int) -> list[int]:
    sizes = [min(16, width - x) * min(16, height - y) for y in range(0, height, 16) for x in range(0, width, 16)]
    sizes.reverse()
    return sizes


def _counted_bytes(data: bytes, at: int, width: int, height: int) -> int:
    """A length and as many bytes: ZRLE, Zlib, the name."""
    return 4 + int(_LENGTH(data, at)[0])


def _rre(data: bytes, at: int, width: int, height: int) -> int:
    """RFC 6143 7.7.3: a count, a background, and a pixel and a place for each."""
    return 8 + 12 * int(_LENGTH(data, at)[0])


def _screens(data: bytes, at: int, width: int, height: int) -> int:
    """ExtendedDesktopSize: a count, and 16 bytes for each screen."""
    return 4 + 16 * data[at]


def _mask(width: int, height: int) -> int:
    return (width + 7) // 8 * height


def _vmware_cursor(data: bytes, at: int, width: int, height: int) -> int:
    """A classic cursor has two masks of pixels, one with alpha has one."""
    return 2 + width * height * (8 if data[at] == 0 else 4)


def _alpha_cursor(data: bytes, at: int, width: int, height: int) -> int:
    """Its pixels come in an encoding of their own; TigerVNC's are raw."""
    (encoding,) = struct.unpack_from(">i", data, at)
    if encoding != RAW:
        raise Violation(f"The desktop's cursor uses the encoding {encoding}, which is not known here.")
    return 4 + 4 * width * height


_LENGTHS: Mapping[int, Callable[[bytes, int, int, int], int]] = {
    RAW: lambda data, at, width, height: 4 * width * height,
    COPY_RECT: lambda data, at, width, height: 4,
    RRE: _rre,
    ZLIB: _counted_bytes,
    ZRLE: _counted_bytes,
    CURSOR: lambda data, at, width, height: 4 * width * height + _mask(width, height),
    X_CURSOR: lambda data, at, width, height: 6 + 2 * _mask(width, height) if width * height else 0,
    CURSOR_WITH_ALPHA: _alpha_cursor,
    VMWARE_CURSOR: _vmware_cursor,
    VMWARE_CURSOR_POSITION: lambda data, at, width, height: 0,
    DESKTOP_SIZE: lambda data, at, width, height: 0,
    LAST_RECT: lambda data, at, width, height: 0,
    DESKTOP_NAME: _counted_bytes,
    EXTENDED_DESKTOP_SIZE: _screens,
    QEMU_KEY: lambda data, at, width, height: 0,
    QEMU_LED: lambda data, at, width, height: 1,
    VMWARE_LED: lambda data, at, width, height: 4,
    MOUSE_BUTTONS: lambda data, at, width, height: 0,
}
"""Bytes after a rectangle's header, from its first ones."""
