"""lib0's encoding, in which Yjs speaks: numbers of seven bits a byte, byte strings with their length before them."""

from __future__ import annotations

LARGEST = 2**53 - 1


class Malformed(ValueError):
    """Bytes that are none of the protocol's."""


class Reader:
    """Reads from the front, and only what is spelled in the one shortest way."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def ended(self) -> bool:
        """Whether all is read."""
        return self._at == len(self._data)

    def number(self) -> int:
        """The next number; raise `Malformed`."""
        value = shift = 0
        while True:
            if self._at >= len(self._data) or shift > 49:
                raise Malformed("a number does not end")
            byte = self._data[self._at]
            self._at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                break
        if value > LARGEST or (byte == 0 and shift > 7):
            raise Malformed("a number is too large or spelled in a longer way than needed")
        return value

    def bytes(self) -> bytes:
        """The next byte string; raise `Malformed`."""
        size = self.number()
        part = self._data[self._at : self._at + size]
        if len(part) != size:
            raise Malformed("a byte string is cut")
        self._at += size
        return part


def number(value: int) -> bytes:
    """Encoded."""
    parts = bytearray()
    while value > 127:
        parts.append(128 | (value & 127))
        value >>= 7
    parts.append(value)
    return bytes(parts)


def string(data: bytes) -> bytes:
    """With its length before it."""
    return number(len(data)) + data
