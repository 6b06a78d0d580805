"""RFB messages, made by hand: what a well-behaved end sends, and hypothesis strategies of them."""

from __future__ import annotations

import struct
import zlib

from hypothesis import strategies as st

from visa.session.rfb import names
from visa.session.rfb.names import Allowed

LIMIT = 1000
OWNER = Allowed(act=True, resize=True, paste=True, copy=True, limit=LIMIT)
OBSERVER = Allowed(limit=LIMIT)
ALL = [7, 16, 5, 2, 1, 0, -224, -239, -258, -307, -308, -312, -313, -316, names.EXTENDED_CLIPBOARD]

REQUEST = struct.pack(">BBHHHH", 3, 1, 0, 0, 640, 480)
KEY = struct.pack(">BB2xI", 4, 1, 0x61)
POINTER = struct.pack(">BBHH", 5, 1, 10, 20)
QEMU = struct.pack(">BBHII", 255, 0, 1, 0x61, 30)
CONTINUOUS = struct.pack(">BBHHHH", 150, 1, 0, 0, 640, 480)
PIXELS = b"\0\0\0\0" + struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 0, 8, 16)


def encodings(*numbers: int) -> bytes:
    """SetEncodings."""
    return struct.pack(f">BxH{len(numbers)}i", 2, len(numbers), *numbers)


def fence(payload: bytes = b"ab", flags: int = 0x80000001) -> bytes:
    """In either direction."""
    return struct.pack(">B3xIB", 248, flags, len(payload)) + payload


def cut(text: bytes, kind: int = 6) -> bytes:
    """ClientCutText; ServerCutText with kind 3."""
    return struct.pack(">B3xi", kind, len(text)) + text


def extended(flags: int, body: bytes = b"", kind: int = 6) -> bytes:
    """A message of the extended clipboard."""
    return struct.pack(">B3xiI", kind, -4 - len(body), flags) + body


def provide(text: bytes, kind: int = 6) -> bytes:
    """The text, packed."""
    return extended(1 << 28 | 1, zlib.compress(struct.pack(">I", len(text)) + text), kind)


def size(width: int = 800, height: int = 600, screens: int = 1) -> bytes:
    """SetDesktopSize."""
    one = struct.pack(">IHHHHI", 1, 0, 0, width, height, 0)
    return struct.pack(">BxHHBx", 251, width, height, screens) + one * screens


def rectangle(encoding: int, width: int, height: int, body: bytes) -> bytes:
    """One of an update."""
    return struct.pack(">HHHHi", 0, 0, width, height, encoding) + body


def update(*rectangles: bytes) -> bytes:
    """FramebufferUpdate."""
    return struct.pack(">BxH", 0, len(rectangles)) + b"".join(rectangles)


def compact(data: bytes) -> bytes:
    """With Tight's length before it."""
    count = len(data)
    if count < 128:
        return bytes([count]) + data
    if count < 2**14:
        return bytes([count & 127 | 128, count >> 7]) + data
    return bytes([count & 127 | 128, count >> 7 & 127 | 128, count >> 14]) + data


def hextile(width: int, height: int, kinds: list[int]) -> bytes:
    """Tiles of these kinds in turn."""
    out, turn = b"", 0
    for y in range(0, height, 16):
        for x in range(0, width, 16):
            kind = kinds[turn % len(kinds)]
            turn += 1
            out += bytes([kind])
            if kind & 1:
                out += bytes([3]) * 4 * min(16, width - x) * min(16, height - y)
                continue
            out += b"\3\3\3\3" * bool(kind & 2) + b"\3\3\3\3" * bool(kind & 4)
            if kind & 8:
                out += bytes([2]) + b"\3" * 2 * (6 if kind & 16 else 2)
    return out


RECTANGLES = {
    "raw": rectangle(0, 7, 3, b"\3" * 84),
    "copy": rectangle(1, 9, 9, b"\0\3\0\3"),
    "rre": rectangle(2, 30, 30, struct.pack(">I", 2) + b"\3" * 28),
    "hextile": rectangle(5, 40, 20, hextile(40, 20, [1, 0, 2, 14, 31, 30])),
    "zlib": rectangle(6, 9, 9, struct.pack(">I", 3) + b"\3\3\3"),
    "zrle": rectangle(16, 9, 9, struct.pack(">I", 200) + b"\3" * 200),
    "fill": rectangle(7, 99, 99, b"\x80\3\3\3"),
    "jpeg": rectangle(7, 99, 99, b"\x90" + compact(b"\3" * 20000)),
    "tight": rectangle(7, 9, 9, b"\x00" + compact(b"\3" * 130)),
    "tight small": rectangle(7, 1, 3, b"\x03" + b"\3" * 9),
    "tight copy": rectangle(7, 9, 9, b"\x50\x00" + compact(b"\3" * 3)),
    "tight gradient": rectangle(7, 9, 9, b"\x40\x02" + compact(b"\3" * 3)),
    "tight two colours": rectangle(7, 9, 5, b"\x40\x01\x01" + b"\3" * 6 + b"\3" * 10),
    "tight two colours packed": rectangle(7, 9, 6, b"\x40\x01\x01" + b"\3" * 6 + compact(b"\3" * 2)),
    "tight palette": rectangle(7, 9, 9, b"\x40\x01\xff" + b"\3" * 768 + compact(b"\3" * 9)),
    "png": rectangle(-260, 9, 9, b"\xa0" + compact(b"\3" * 300)),
    "cursor": rectangle(-239, 9, 9, b"\3" * (9 * 9 * 4 + 18)),
    "x cursor": rectangle(-240, 9, 9, b"\3" * (6 + 36)),
    "no x cursor": rectangle(-240, 0, 0, b""),
    "alpha cursor": rectangle(-314, 3, 3, struct.pack(">i", 0) + b"\3" * 36),
    "vmware cursor": rectangle(0x574D5664, 3, 3, b"\1\0" + b"\3" * 36),
    "vmware classic": rectangle(0x574D5664, 3, 3, b"\0\0" + b"\3" * 72),
    "size": rectangle(-223, 800, 600, b""),
    "extended size": rectangle(-308, 800, 600, b"\2\0\0\0" + b"\3" * 32),
    "name": rectangle(-307, 0, 0, struct.pack(">I", 3) + b"\3\3\3"),
    "qemu": rectangle(-258, 0, 0, b""),
    "led": rectangle(-261, 0, 0, b"\3"),
    "buttons": rectangle(-316, 0, 0, b""),
}
"""One of each encoding. Their content is the number of a clipboard message: a lost count meets it at once."""

BELL, END, COLOURS = b"\2", b"\x96", struct.pack(">BxHH", 1, 3, 1) + b"\3" * 6
LAST = struct.pack(">BxH", 0, 0xFFFF) + RECTANGLES["raw"] + RECTANGLES["copy"] + rectangle(-224, 0, 0, b"")
SERVER = [BELL, END, COLOURS, LAST, fence(), update(), *(update(one) for one in RECTANGLES.values())]
"""Messages of a server that always pass."""


def in_pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Cut: the sizes in turn, again and again."""
    out, at, turn = [], 0, 0
    while at < len(data):
        out.append(data[at : at + sizes[turn % len(sizes)]])
        at += len(out[-1])
        turn += 1
    return out


SIZES = st.lists(st.integers(1, 40), min_size=1, max_size=8)
