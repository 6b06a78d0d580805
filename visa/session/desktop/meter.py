"""How well the pictures reach one viewer."""

from __future__ import annotations

import struct

from visa import clock

_PAYLOAD = struct.Struct(">d")


class Meter:
    """Bytes and frames of the last interval, and the time a websocket ping takes to the browser and back."""

    def __init__(self) -> None:
        self._bytes = self._frames = 0
        self._at = clock.elapsed()
        self._asked: bytes | None = None
        self.bytes_per_s = self.frames_per_s = 0.0
        self.round_trip_ms: float | None = None

    def passed(self, count: int, frames: int) -> None:
        """Bytes that went to the viewer, and all frames until now."""
        self._bytes += count
        self._latest = frames

    _latest = 0

    def tick(self) -> bytes | None:
        """An interval ends; the payload of a ping to send, None while one is under way."""
        now = clock.elapsed()
        passed = max(now - self._at, 1e-3)
        self.bytes_per_s = self._bytes / passed
        self.frames_per_s = (self._latest - self._frames) / passed
        self._bytes, self._frames, self._at = 0, self._latest, now
        if self._asked is not None:
            return None
        self._asked = _PAYLOAD.pack(now)
        return self._asked

    def pong(self, payload: bytes) -> None:
        """The answer; any other than the one asked for is of no interest."""
        if payload == self._asked:
            self.round_trip_ms = 1000 * (clock.elapsed() - _PAYLOAD.unpack(payload)[0])
            self._asked = None

    @property
    def measure(self) -> dict[str, float | None]:
        """For the page."""
        trip = None if self.round_trip_ms is None else round(self.round_trip_ms, 1)
        return {
            "round_trip_ms": trip,
            "bytes_per_s": round(self.bytes_per_s),
            "frames_per_s": round(self.frames_per_s, 1),
        }
