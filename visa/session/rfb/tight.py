"""Where a Tight rectangle ends (rfbproto, "Tight Encoding" and "TightPNG Encoding")."""

from __future__ import annotations

from visa.session.rfb.names import Violation

_FILL, _JPEG, _PNG = 8, 9, 10
_COPY, _PALETTE, _GRADIENT = 0, 1, 2
_PIXEL = 3
"""TPIXEL: three bytes, with the only pixel formats that are allowed."""
_UNPACKED = 12
"""Bytes of data below which it is not compressed and has no length before it."""


def length(data: bytes, at: int, width: int, height: int, *, png: bool) -> int:
    """Bytes of the rectangle's content, which begins at ``at``. ``IndexError`` when too few are here yet."""
    kind = data[at] >> 4
    if kind == _FILL:
        return 1 + _PIXEL
    if kind == _JPEG or (kind == _PNG and png):
        return 1 + _compact(data, at + 1)
    if kind > _FILL or png:
        raise Violation(f"The desktop's Tight rectangle is of the unknown kind {kind}.")
    return _basic(data, at, width, height, filtered=bool(kind & 4))


def _basic(data: bytes, at: int, width: int, height: int, *, filtered: bool) -> int:
    size, row = 1, width * _PIXEL
    if filtered:
        size += 1
        name = data[at + 1]
        if name == _PALETTE:
            colours = data[at + 2] + 1
            size += 1 + colours * _PIXEL
            row = (width + 7) // 8 if colours <= 2 else width
        elif name not in (_COPY, _GRADIENT):
            raise Violation(f"The desktop's Tight rectangle has the unknown filter {name}.")
    plain = row * height
    return size + (plain if plain < _UNPACKED else _compact(data, at + size))


def _compact(data: bytes, at: int) -> int:
    """A length of 7, 14 or 22 bits and the bytes that it announces."""
    first = data[at]
    if first < 128:
        return 1 + first
    second = data[at + 1]
    if second < 128:
        return 2 + (first & 127 | second << 7)
    return 3 + (first & 127 | (second & 127) << 7 | data[at + 2] << 14)
