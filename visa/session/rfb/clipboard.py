"""Clipboard messages, in both directions: classic cut text and rfbproto's extended clipboard."""

from __future__ import annotations

import struct
import zlib
from enum import Enum

from visa.session.rfb.names import Allowed

CAPS, REQUEST, PEEK, NOTIFY, PROVIDE = 1 << 24, 1 << 25, 1 << 26, 1 << 27, 1 << 28
_ACTIONS = CAPS | REQUEST | PEEK | NOTIFY | PROVIDE
_FORMATS = 0xFFFF
_TEXT = 1

OVERHEAD = 1024
"""Bytes by which an extended message may be longer than the text in it."""
LONGEST = 2**30
"""Announced lengths beyond it are a fault, not a large text: nothing waits for their end."""


class Verdict(Enum):
    """What becomes of one clipboard message."""

    PASS = "pass"
    DROP = "drop"


def length_of(announced: int) -> int:
    """Bytes after the header; a negative length marks the extended form."""
    return abs(announced)


def too_long(announced: int, allowed: Allowed) -> bool:
    """Whether it is dropped unread."""
    return length_of(announced) > allowed.limit + (OVERHEAD if announced < 0 else 0)


def judge(announced: int, body: bytes, allowed: Allowed, *, by_viewer: bool) -> Verdict:
    """Whether one whole message may pass; ``by_viewer``: from the viewer to the server."""
    carries, asks = (allowed.paste, allowed.copy) if by_viewer else (allowed.copy, allowed.paste)
    if too_long(announced, allowed):
        return Verdict.DROP
    if announced >= 0:
        return Verdict.PASS if carries else Verdict.DROP
    return Verdict.PASS if _extended(body, allowed, carries, asks) else Verdict.DROP


def _extended(body: bytes, allowed: Allowed, carries: bool, asks: bool) -> bool:
    """Notify and provide carry the sender's clipboard, request and peek ask for the other's."""
    if len(body) < 4:
        return False
    flags = int.from_bytes(body[:4], "big")
    if flags & CAPS:  # the other bits then name what the sender can do, and sizes follow for each format
        return (carries or asks) and len(body) == 4 + 4 * (flags & _FORMATS).bit_count()
    action = flags & _ACTIONS
    if action in (REQUEST, PEEK):
        return asks and len(body) == 4
    if action == NOTIFY:
        return carries and len(body) == 4
    return action == PROVIDE and carries and flags & _FORMATS == _TEXT and _fits(body[4:], allowed.limit)


def _fits(packed: bytes, limit: int) -> bool:
    """Whether it unpacks to one text of at most ``limit`` bytes and nothing after it; more is not unpacked."""
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(packed, limit + 5)
    except zlib.error:
        return False
    if len(plain) < 4 or unpack.unused_data:
        return False
    (size,) = struct.unpack_from(">I", plain)
    return bool(size <= limit and len(plain) == 4 + size)


def is_doing(announced: int, body: bytes) -> bool:
    """Whether a person did it, when a viewer sends it: put something on her clipboard.

    Requests and provides are answers that noVNC gives by itself to what programs on the desktop do.
    """
    return announced >= 0 or int.from_bytes(body[:4], "big") & _ACTIONS == NOTIFY
