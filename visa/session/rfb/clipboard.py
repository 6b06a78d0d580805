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
    TOO_LONG = "too long"  # dropped too, and the person is told


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
        return Verdict.TOO_LONG if carries else Verdict.DROP
    if announced >= 0:
        return Verdict.PASS if carries else Verdict.DROP
    if carries and action(announced, body) == PROVIDE:
        return _provided(body, allowed.limit)
    return Verdict.PASS if _extended(body, carries, asks) else Verdict.DROP


def action(announced: int, body: bytes) -> int:
    """What an extended message does; 0 when it is none, or says more than one thing."""
    flags = int.from_bytes(body[:4], "big") & _ACTIONS if announced < 0 else 0
    return flags if flags.bit_count() == 1 else 0


def _extended(body: bytes, carries: bool, asks: bool) -> bool:
    """Notify carries the sender's clipboard, request and peek ask for the other's."""
    if len(body) < 4:
        return False
    flags = int.from_bytes(body[:4], "big")
    if flags & CAPS:  # the other bits then name what the sender can do, and sizes follow for each format
        return (carries or asks) and len(body) == 4 + 4 * (flags & _FORMATS).bit_count()
    if flags & _ACTIONS in (REQUEST, PEEK):
        return asks and len(body) == 4
    return flags & _ACTIONS == NOTIFY and carries and len(body) == 4


def _provided(body: bytes, limit: int) -> Verdict:
    """It has to unpack to one text of at most ``limit`` bytes and nothing after it; more is not unpacked."""
    unpack = zlib.decompressobj()
    try:
        plain = unpack.decompress(body[4:], limit + 5)
    except zlib.error:
        return Verdict.DROP
    if int.from_bytes(body[:4], "big") & _FORMATS != _TEXT or len(plain) < 4:
        return Verdict.DROP
    (size,) = struct.unpack_from(">I", plain)
    if size > limit:
        return Verdict.TOO_LONG
    return Verdict.PASS if len(plain) == 4 + size and not unpack.unused_data else Verdict.DROP


def is_doing(announced: int, body: bytes) -> bool:
    """Whether a person did it, when a viewer sends it: put something on her clipboard.

    Requests and provides are answers that noVNC gives by itself to what programs on the desktop do.
    """
    return announced >= 0 or action(announced, body) == NOTIFY
