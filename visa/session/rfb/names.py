"""Numbers of the protocol, under rfbproto's names, and what the two directions know of each other."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

VERSION = b"RFB 003.008\n"

UPDATE, COLOURS, BELL, CUT_TEXT = 0, 1, 2, 3
"""Messages of a server."""

RAW, COPY_RECT, RRE, HEXTILE, ZLIB, TIGHT, ZRLE = 0, 1, 2, 5, 6, 7, 16
TIGHT_PNG = -260
DESKTOP_SIZE, LAST_RECT, CURSOR, X_CURSOR = -223, -224, -239, -240
QEMU_KEY, QEMU_LED, DESKTOP_NAME, EXTENDED_DESKTOP_SIZE = -258, -261, -307, -308
FENCE, CONTINUOUS_UPDATES, CURSOR_WITH_ALPHA, MOUSE_BUTTONS = -312, -313, -314, -316
VMWARE_CURSOR, VMWARE_CURSOR_POSITION, VMWARE_LED = 0x574D5664, 0x574D5666, 0x574D5668
EXTENDED_CLIPBOARD = 0xC0A1E5CE - 2**32

PICTURES = frozenset({RAW, COPY_RECT, RRE, HEXTILE, ZLIB, TIGHT, ZRLE, TIGHT_PNG})
_PSEUDO = frozenset(
    {
        *(DESKTOP_SIZE, LAST_RECT, CURSOR, X_CURSOR, QEMU_KEY, QEMU_LED, DESKTOP_NAME, EXTENDED_DESKTOP_SIZE),
        *(FENCE, CONTINUOUS_UPDATES, CURSOR_WITH_ALPHA, MOUSE_BUTTONS),
        *(VMWARE_CURSOR, VMWARE_CURSOR_POSITION, VMWARE_LED, EXTENDED_CLIPBOARD),
    }
)
_LEVELS = frozenset({*range(-32, -22), *range(-256, -246), *range(-512, -411), *range(-768, -762)})
"""JPEG quality, compression, fine-grained quality and subsampling: they change values, not the layout."""
UNDERSTOOD = PICTURES | _PSEUDO | _LEVELS
"""Encodings that a server may use: `server` knows where each ends."""

PIXELS = struct.pack(">BBBBHHHBBB3x", 32, 24, 0, 1, 255, 255, 255, 16, 8, 0)
"""The pixel format that both sides begin with: true colour, 32 bits of which 24 count, little-endian."""


class Violation(Exception):
    """One end does not keep to the protocol, or the protocol is not what the filter reads. Ends the connection.

    The message is for people and fits into a websocket's reason.
    """


@dataclass(slots=True)
class Agreed:
    """What the two ends of one connection told each other: extensions work once both named them.

    ``too_long_in``, ``too_long_out``: texts of the clipboard that were dropped for their length; ``text_awaited``:
    the viewer asked for the desktop's and nothing has come. ``size``: of the desktop.
    """

    announced: frozenset[int] = frozenset()
    confirmed: set[int] = field(default_factory=set)
    too_long_in: int = 0
    too_long_out: int = 0
    text_awaited: bool = False
    size: tuple[int, int] = (0, 0)

    def has(self, encoding: int) -> bool:
        """Whether the viewer's last SetEncodings had it and the server answered to it at some time."""
        return encoding in self.announced and encoding in self.confirmed


@dataclass(frozen=True, slots=True)
class Allowed:
    """What one viewer may do. Nothing but asking for pictures by default.

    ``paste``: clipboard into the desktop; ``copy``: out of it; ``limit``: its largest size in bytes. ``in_turn``: she
    is asked for pictures in her name (`FromViewer.asked`), and the server sends none by itself; its fences are answered
    in her name (`FromServer.fences`).
    """

    act: bool = False
    resize: bool = False
    paste: bool = False
    copy: bool = False
    limit: int = 0
    in_turn: bool = False
