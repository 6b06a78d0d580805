"""What the filters should let through, worked out anew: whole streams, no buffers, message by message.

Slow and simple on purpose. Only numbers and bounds come from the code that it judges.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field

from visa.session.rfb import clipboard, names, viewer
from visa.session.rfb import server as from_server
from visa.session.rfb.names import Allowed


class Ends(Exception):
    """The stream ends in the middle of a message."""


class Forbidden(Exception):
    """The connection has to end here."""


@dataclass
class Stream:
    """Bytes, and how far they are read."""

    data: bytes
    at: int = 0

    def take(self, count: int) -> bytes:
        """The next ``count``."""
        if self.at + count > len(self.data):
            raise Ends
        self.at += count
        return self.data[self.at - count : self.at]

    def number(self, size: int, signed: bool = False) -> int:
        """Big-endian."""
        return int.from_bytes(self.take(size), "big", signed=signed)


@dataclass
class Told:
    """What passes, and whether the connection ends: ``forbidden``. ``answers`` go back to where it came from."""

    passes: bytes
    forbidden: bool
    answers: bytes = b""
    kinds: list[int] = field(default_factory=list)


# From the viewer.


def from_viewer(data: bytes, allowed: Allowed, confirmed: frozenset[int]) -> Told:
    """What of a viewer's whole stream may reach the server."""
    stream, told, announced = Stream(data), Told(b"", False), frozenset[int]()
    try:
        while stream.at < len(data):
            start = stream.at
            kind = stream.number(1)
            known = announced & confirmed
            if kind == 2:
                message = _encodings(stream, allowed)
                announced = frozenset(struct.unpack_from(f">{(len(message) - 4) // 4}i", message, 4))
                if allowed.in_turn:
                    announced -= {names.FENCE}  # between gateway and server alone
            else:
                message = _one(stream, kind, start, allowed, known)
            if message:
                told.passes += message
                told.kinds.append(kind)
    except Ends:
        pass
    except Forbidden:
        told.forbidden = True
    return told


def _encodings(stream: Stream, allowed: Allowed) -> bytes:
    stream.take(1)
    count = stream.number(2)
    if count > viewer.MOST_ENCODINGS:
        raise Forbidden
    asked: list[int] = []
    for number in struct.unpack(f">{count}i", stream.take(4 * count)):
        shared = number != names.EXTENDED_CLIPBOARD or allowed.paste or allowed.copy
        pushed = number in (names.FENCE, names.CONTINUOUS_UPDATES) and allowed.in_turn
        if number in names.UNDERSTOOD and shared and not pushed and number not in asked:
            asked.append(number)
    if allowed.in_turn:
        asked.append(names.FENCE)
    return struct.pack(f">BBH{len(asked)}i", 2, 0, len(asked), *asked)


def _one(stream: Stream, kind: int, start: int, allowed: Allowed, known: frozenset[int]) -> bytes:
    """A message of any other kind: itself, changed, or nothing."""
    passes = True
    if kind == 0:
        _pixels(stream.take(19))
    elif kind == 3:
        stream.take(9)
        passes = not allowed.in_turn
    elif kind == 4:
        stream.take(7)
        passes = allowed.act
    elif kind == 5:
        return _pointer(stream, allowed, names.MOUSE_BUTTONS in known)
    elif kind == 6:
        passes = _cut_text(stream, allowed)
    elif kind == 150:
        stream.take(9)
        passes = {names.FENCE, names.CONTINUOUS_UPDATES} <= known
    elif kind == 248:
        stream.take(7)
        _skip(stream, stream.number(1), 64, 1)
        passes = names.FENCE in known
    elif kind == 251:
        passes = _size(stream) and allowed.resize and names.EXTENDED_DESKTOP_SIZE in known
    elif kind == 255:
        if stream.number(1):
            raise Forbidden
        stream.take(10)
        passes = allowed.act and names.QEMU_KEY in known
    else:
        raise Forbidden
    return stream.data[start : stream.at] if passes else b""


def _skip(stream: Stream, count: int, most: int, each: int) -> None:
    if count > most:
        raise Forbidden
    stream.take(count * each)


def _pixels(body: bytes) -> None:
    bits, depth, big, true = body[3:7]
    most = struct.unpack(">3H", body[7:13])
    if (bits, depth, big) != (32, 24, 0) or not true or most != (255,) * 3 or set(body[13:16]) != {0, 8, 16}:
        raise Forbidden


def _pointer(stream: Stream, allowed: Allowed, more_buttons: bool) -> bytes:
    """As the server reads it: the marker bit means a seventh byte to one that knows of it, else it must be gone."""
    mask = stream.number(1)
    longer = bool(mask & 0x80 and more_buttons)
    body = bytes([mask if longer else mask & 0x7F]) + stream.take(5 if longer else 4)
    return b"\x05" + body if allowed.act else b""


def _size(stream: Stream) -> bool:
    stream.take(1)
    width, height, screens = stream.number(2), stream.number(2), stream.number(1)
    stream.take(1)
    _skip(stream, screens, viewer.MOST_SCREENS, 16)
    sides = range(1, viewer.LARGEST_SIDE + 1)
    return width in sides and height in sides and width * height <= viewer.LARGEST_AREA and screens > 0


def _cut_text(stream: Stream, allowed: Allowed) -> bool:
    """Of either direction; ``allowed`` is turned round for a server's."""
    stream.take(3)
    announced = stream.number(4, signed=True)
    length = abs(announced)
    if length > clipboard.LONGEST:
        raise Forbidden
    body = stream.take(length)
    if announced >= 0:
        return allowed.paste and length <= allowed.limit
    return length <= allowed.limit + clipboard.OVERHEAD and _extended(body, allowed)


def _extended(body: bytes, allowed: Allowed) -> bool:
    if len(body) < 4:
        return False
    flags, more = int.from_bytes(body[:4], "big"), body[4:]
    if flags >> 24 & 1:
        return (allowed.paste or allowed.copy) and len(more) == 4 * f"{flags & 0xFFFF:b}".count("1")
    action = flags >> 24 & 0x1E
    if action in (0x2, 0x4):
        return allowed.copy and not more
    if action == 0x8:
        return allowed.paste and not more
    return action == 0x10 and allowed.paste and flags & 0xFFFF == 1 and _holds_a_text(more, allowed.limit)


def _holds_a_text(packed: bytes, limit: int) -> bool:
    """Inputs of a fuzzer are small: what they unpack to fits into memory."""
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(packed)
    except zlib.error:
        return False
    size = int.from_bytes(plain[:4], "big")
    return len(plain) >= 4 and not unpack.unused_data and size <= limit and len(plain) - 4 == size


# From the server.


def to_viewer(data: bytes, allowed: Allowed) -> Told:
    """What of a server's whole stream may reach the viewer: all but some clipboards and one that is not whole, and
    but fences for who is asked in turn.
    """
    turned = Allowed(paste=allowed.copy, copy=allowed.paste, limit=allowed.limit)
    stream, told, kept = Stream(data), Told(b"", False), 0
    try:
        while stream.at < len(data):
            start = stream.at
            kind = stream.number(1)
            if kind == 248 and allowed.in_turn:
                told.passes, kept = told.passes + data[kept:start], len(data)
                _from_server(stream, kind)
                kept = stream.at
                told.answers += _answer(data[start:kept])
                continue
            if kind != names.CUT_TEXT:
                told.kinds.append(kind)
                _from_server(stream, kind)
                continue
            told.passes, kept = told.passes + data[kept:start], len(data)
            passes = _cut_text(stream, turned)
            kept = start if passes else stream.at
            told.kinds += [kind] * passes
    except Ends:
        pass
    except Forbidden:
        told.forbidden = True
    told.passes += data[kept:]
    return told


def _answer(fence: bytes) -> bytes:
    flags = int.from_bytes(fence[4:8], "big")
    return fence[:4] + (flags - 2**31).to_bytes(4, "big") + fence[8:] if flags >= 2**31 else b""


def _bounded(stream: Stream, count: int, before: int) -> None:
    """``count`` bytes of a part that began ``before`` bytes ago."""
    if count + before > from_server.LONGEST:
        raise Forbidden
    stream.take(count)


def _from_server(stream: Stream, kind: int) -> None:
    if kind == names.UPDATE:
        stream.take(1)
        count = stream.number(2)
        while count and _rectangle(stream) != names.LAST_RECT:
            count -= count != 0xFFFF
    elif kind == names.COLOURS:
        stream.take(3)
        stream.take(6 * stream.number(2))
    elif kind == 248:
        stream.take(7)
        stream.take(stream.number(1))
    elif kind not in (names.BELL, 150):
        raise Forbidden


def _rectangle(stream: Stream) -> int:
    stream.take(4)
    width, height, encoding = stream.number(2), stream.number(2), stream.number(4, signed=True)
    if encoding in names.PICTURES and width * height > from_server.LARGEST_PICTURE:
        raise Forbidden
    area = width * height
    if encoding == names.HEXTILE:
        for y in range(0, height, 16):
            for x in range(0, width, 16):
                _tile(stream, min(16, width - x) * min(16, height - y))
    elif encoding in (names.TIGHT, names.TIGHT_PNG):
        _tight(stream, width, height, encoding == names.TIGHT_PNG)
    elif encoding in (names.ZLIB, names.ZRLE, names.DESKTOP_NAME):
        _bounded(stream, stream.number(4), 16)
    elif encoding == names.RRE:
        _bounded(stream, 4 + 12 * stream.number(4), 16)
    elif encoding == names.EXTENDED_DESKTOP_SIZE:
        stream.take(3 + 16 * stream.number(1))
    elif encoding == names.VMWARE_CURSOR:
        classic = stream.number(1) == 0
        _bounded(stream, 1 + area * (8 if classic else 4), 13)
    elif encoding == names.CURSOR_WITH_ALPHA:
        if stream.number(4):
            raise Forbidden
        _bounded(stream, 4 * area, 16)
    elif encoding in _PLAIN:
        _bounded(stream, _PLAIN[encoding](area, (width + 7) // 8 * height), 12)
    else:
        raise Forbidden
    return encoding


_PLAIN: dict[int, Callable[[int, int], int]] = {
    names.RAW: lambda area, mask: 4 * area,
    names.COPY_RECT: lambda area, mask: 4,
    names.CURSOR: lambda area, mask: 4 * area + mask,
    names.X_CURSOR: lambda area, mask: 6 + 2 * mask if area else 0,
    names.QEMU_LED: lambda area, mask: 1,
    names.VMWARE_LED: lambda area, mask: 4,
    **dict.fromkeys(
        (names.DESKTOP_SIZE, names.LAST_RECT, names.QEMU_KEY, names.MOUSE_BUTTONS, names.VMWARE_CURSOR_POSITION),
        lambda area, mask: 0,
    ),
}


def _tile(stream: Stream, pixels: int) -> None:
    kind = stream.number(1)
    if kind & 1:
        stream.take(4 * pixels)
        return
    stream.take(4 * bool(kind & 2) + 4 * bool(kind & 4))
    if kind & 8:
        stream.take(stream.number(1) * (6 if kind & 16 else 2))


def _tight(stream: Stream, width: int, height: int, png: bool) -> None:
    kind = stream.number(1) >> 4
    if kind == 8:
        stream.take(3)
    elif kind == 9 or (kind == 10 and png):
        stream.take(_compact(stream))
    elif kind > 8 or png:
        raise Forbidden
    else:
        row = _row(stream, width) if kind & 4 else 3 * width
        stream.take(row * height if row * height < 12 else _compact(stream))


def _row(stream: Stream, width: int) -> int:
    """Bytes of a row after the filter that is named."""
    name = stream.number(1)
    if name == 1:
        colours = stream.number(1) + 1
        stream.take(3 * colours)
        return width if colours > 2 else -(-width // 8)
    if name not in (0, 2):
        raise Forbidden
    return 3 * width


def _compact(stream: Stream) -> int:
    value = 0
    for shift in (0, 7):
        byte = stream.number(1)
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value
    return value | stream.number(1) << 14
