"""What a viewer sends, filtered: an allow-list of message types, each read to its very last byte.

A websocket's frames say nothing about where messages begin: they come joined and split anywhere, so the stream is
read. A message that the viewer may not send is taken out whole; one that nobody may send is a `Violation`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from visa.session.rfb import clipboard
from visa.session.rfb.names import (
    CONTINUOUS_UPDATES,
    EXTENDED_CLIPBOARD,
    EXTENDED_DESKTOP_SIZE,
    FENCE,
    MOUSE_BUTTONS,
    QEMU_KEY,
    UNDERSTOOD,
    Agreed,
    Allowed,
    Violation,
)

MOST_ENCODINGS = 512
MOST_SCREENS = 16
LARGEST_SIDE = 8192
LARGEST_AREA = 2**25
"""Pixels; 8K is 33.2 million. Xvnc takes 4 bytes for each."""
ONE_PIXEL = struct.pack(">BBHHHH", 3, 0, 0, 0, 1, 1)
"""Ends a request that waits for a change: Xvnc has an answer to this, and then forgets all that was asked for. The
answer is that pixel, together with what changed; or, to who follows its size, the size alone, and the pixel with the
next answer."""
_FENCE_PAYLOAD = 64
_SHIFTS = [0, 8, 16]
_EXTENDED_POINTER = 0x80


class FromViewer:
    """The messages of one viewer, from the end of her handshake on."""

    def __init__(self, allowed: Allowed, agreed: Agreed) -> None:
        self._allowed, self._agreed = allowed, agreed
        self._buffer = bytearray()
        self._skip = 0
        self._acted = False
        self._wants = self._wants_whole = False
        self.pushed = False
        """Whether she gets pictures without asking for each: continuous updates."""

    def feed(self, data: bytes) -> bytes:
        """What of it may reach the server. Raise `Violation`."""
        buffer, out, at = self._buffer, bytearray(), 0
        buffer += data
        while at < len(buffer):
            if self._skip:
                step = min(self._skip, len(buffer) - at)
                self._skip -= step
                at += step
                continue
            kind = _KINDS.get(buffer[at])
            if kind is None:
                raise Violation(f"The viewer sent a message of type {buffer[at]}, which is not allowed here.")
            if len(buffer) - at < kind.head:
                break
            size = kind.size(self, bytes(buffer[at : at + kind.head]))
            if len(buffer) - at < size:
                break
            out += kind.passes(self, bytes(buffer[at : at + size]))
            at += size
        del buffer[:at]
        return bytes(out)

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their message."""
        return len(self._buffer)

    def acted(self) -> bool:
        """Whether a key, the pointer or a clipboard passed since this was last asked."""
        acted, self._acted = self._acted, False
        return acted

    def _act(self, message: bytes) -> bytes:
        if not self._allowed.act:
            return b""
        self._acted = True
        return message

    def pixel_format(self, message: bytes) -> bytes:
        """Only formats of the layout that both filters count with; noVNC asks for one of these."""
        bits, depth, big, true, red, green, blue, *shifts = struct.unpack(">BBBBHHHBBB", message[4:17])
        if (bits, depth, big) != (32, 24, 0) or not true or {red, green, blue} != {255} or sorted(shifts) != _SHIFTS:
            raise Violation("The viewer asks for a pixel format that is not allowed here.")
        return message

    def encodings(self, message: bytes) -> bytes:
        """Those that `server` can read, in the viewer's order, each once."""
        asked = dict.fromkeys(struct.unpack(f">{(len(message) - 4) // 4}i", message[4:]))
        taken = [encoding for encoding in asked if encoding in UNDERSTOOD]
        if EXTENDED_CLIPBOARD in taken and not (self._allowed.paste or self._allowed.copy):
            taken.remove(EXTENDED_CLIPBOARD)
        if self._allowed.in_turn:
            # Xvnc would push pictures, and keep them from who does not answer its fences: the gateway does.
            taken = [encoding for encoding in taken if encoding not in (CONTINUOUS_UPDATES, FENCE)]
        self._agreed.announced = frozenset(taken)
        if self._allowed.in_turn:
            taken.append(FENCE)
        return struct.pack(f">BxH{len(taken)}i", 2, len(taken), *taken)

    def encodings_size(self, head: bytes) -> int:
        """The count is at most `MOST_ENCODINGS`."""
        (count,) = struct.unpack_from(">H", head, 2)
        if count > MOST_ENCODINGS:
            raise Violation("The viewer names too many encodings.")
        return 4 + 4 * int(count)

    def update_request(self, message: bytes) -> bytes:
        """Anybody's who looks; in turn, it is kept until it is hers."""
        if not self._allowed.in_turn:
            return message
        self._wants, self._wants_whole = True, self._wants_whole or not message[1]
        return b""

    def wants(self) -> bool:
        """Whether she asked for a picture and her turn has not come."""
        return self._wants

    def wants_whole(self) -> bool:
        """Whether that is a picture of all, not of what changed."""
        return self._wants_whole

    def asked(self) -> bytes:
        """Her request, of the whole desktop: on a piece that never changes she would wait for ever."""
        message = self._request(self._wants_whole)
        self._wants = self._wants_whole = False
        return message

    def again(self) -> bytes:
        """Of the whole desktop, for what the server has by now."""
        return self._request(False)

    def _request(self, whole: bool) -> bytes:
        return struct.pack(">BBHHHH", 3, not whole, 0, 0, *self._agreed.size)

    def key(self, message: bytes) -> bytes:
        """Who may act."""
        return self._act(message)

    def pointer_size(self, head: bytes) -> int:
        """rfbproto's extended mouse buttons: with the marker bit a byte more, once both sides know of it."""
        return 7 if head[1] & _EXTENDED_POINTER and self._agreed.has(MOUSE_BUTTONS) else 6

    def pointer(self, message: bytes) -> bytes:
        """Who may act. A marker bit that the server might take for the longer form is taken away."""
        if len(message) == 6:
            message = bytes([message[0], message[1] & ~_EXTENDED_POINTER]) + message[2:]
        return self._act(message)

    def cut_text_size(self, head: bytes) -> int:
        """Of a text that is too long only the header is waited for; the rest is dropped as it comes."""
        (announced,) = struct.unpack_from(">i", head, 4)
        if clipboard.length_of(announced) > clipboard.LONGEST:
            raise Violation("The viewer announces a clipboard of an absurd length.")
        if clipboard.too_long(announced, self._allowed):
            return 8
        return 8 + clipboard.length_of(announced)

    def cut_text(self, message: bytes) -> bytes:
        """By direction and size."""
        (announced,) = struct.unpack_from(">i", message, 4)
        if len(message) - 8 < clipboard.length_of(announced):
            self._skip = clipboard.length_of(announced)
            self._agreed.too_long_in += self._allowed.paste
            return b""
        body = message[8:]
        verdict = clipboard.judge(announced, body, self._allowed, by_viewer=True)
        self._agreed.too_long_in += verdict is clipboard.Verdict.TOO_LONG
        if verdict is not clipboard.Verdict.PASS:
            return b""
        if clipboard.action(announced, body) == clipboard.REQUEST:
            self._agreed.text_awaited = True
        if clipboard.is_doing(announced, body):
            self._acted = True
        return message

    def continuous(self, message: bytes) -> bytes:
        """Anybody's who looks; TigerVNC takes it for a fault from who did not announce fences too."""
        if not (self._agreed.has(CONTINUOUS_UPDATES) and self._agreed.has(FENCE)):
            return b""
        self.pushed = bool(message[1])
        return message

    def fence_size(self, head: bytes) -> int:
        """rfbproto allows 64 bytes."""
        if head[8] > _FENCE_PAYLOAD:
            raise Violation("The viewer's fence is too long.")
        return 9 + head[8]

    def fence(self, message: bytes) -> bytes:
        """Anybody's who looks."""
        return message if self._agreed.has(FENCE) else b""

    def desktop_size_size(self, head: bytes) -> int:
        """At most `MOST_SCREENS`."""
        if head[6] > MOST_SCREENS:
            raise Violation("The viewer asks for too many screens.")
        return 8 + 16 * head[6]

    def desktop_size(self, message: bytes) -> bytes:
        """Who may resize, and never before both sides named ExtendedDesktopSize: Xvnc 1.12 crashes on that."""
        width, height, screens = struct.unpack_from(">HHB", message, 2)
        fits = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and width * height <= LARGEST_AREA
        if not self._allowed.resize or not fits or not screens or not self._agreed.has(EXTENDED_DESKTOP_SIZE):
            return b""
        return message

    def qemu(self, message: bytes) -> bytes:
        """The extended key event is the only one known."""
        return self._act(message) if self._agreed.has(QEMU_KEY) else b""

    def qemu_size(self, head: bytes) -> int:
        """Audio has the same type and other lengths."""
        if head[1] != 0:
            raise Violation(f"The viewer sent a QEMU message of type {head[1]}, which is not allowed here.")
        return 12


@dataclass(frozen=True, slots=True)
class _Kind:
    """``head``: bytes from which ``size`` tells the message's length; ``passes``: what of it passes."""

    head: int
    size: Callable[[FromViewer, bytes], int]
    passes: Callable[[FromViewer, bytes], bytes]


def _fixed(size: int, passes: Callable[[FromViewer, bytes], bytes]) -> _Kind:
    return _Kind(1, lambda viewer, head: size, passes)


_KINDS: Mapping[int, _Kind] = {
    0: _fixed(20, FromViewer.pixel_format),
    2: _Kind(4, FromViewer.encodings_size, FromViewer.encodings),
    3: _fixed(10, FromViewer.update_request),
    4: _fixed(8, FromViewer.key),
    5: _Kind(2, FromViewer.pointer_size, FromViewer.pointer),
    6: _Kind(8, FromViewer.cut_text_size, FromViewer.cut_text),
    150: _fixed(10, FromViewer.continuous),
    248: _Kind(9, FromViewer.fence_size, FromViewer.fence),
    251: _Kind(8, FromViewer.desktop_size_size, FromViewer.desktop_size),
    255: _Kind(2, FromViewer.qemu_size, FromViewer.qemu),
}
"""The allow-list: RFC 6143 7.5 and rfbproto. What is not on it ends the connection."""
