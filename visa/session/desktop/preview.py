"""``desktop/preview.png``: the owner's small picture of her desktop, made when asked for, kept in memory only.

The portal shows it in a page of another origin, for which browsers send no cookies here: it comes with a ticket.
"""

from __future__ import annotations

import asyncio
import contextlib
import struct
import zlib
from dataclasses import dataclass

from tornado.iostream import IOStream, StreamClosedError

from visa import clock
from visa.instances.access import Role
from visa.instances.pictures import good
from visa.session import run, upstream
from visa.session.desktop.greeting import shake_hands
from visa.session.guard import Forbidden, Guard, Refused, refusing
from visa.session.rfb.names import BELL, COLOURS, CUT_TEXT, RAW, UPDATE, Violation

FRESH = 10.0
"""Seconds for which a picture is given again."""
LARGEST = 640
"""Pixels of width and of height."""
_STRIP = 2**20
"""Bytes of the screen that are held at a time."""
_PATIENCE = 10.0
_TEXT = 2**26


class NoPicture(Exception):
    """The desktop gives none."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A PNG and when it was made."""

    png: bytes
    at: float


async def take(path: str) -> bytes:
    """A PNG of the desktop on a socket; raise `NoPicture`."""
    try:
        async with asyncio.timeout(_PATIENCE):
            stream = await run.connect(path)
            with contextlib.closing(stream):
                return await _take(stream)
    except (upstream.NotListening, StreamClosedError, Violation, TimeoutError) as error:
        raise NoPicture(str(error)) from error


async def _take(stream: IOStream) -> bytes:
    start = await shake_hands(stream)
    await stream.write(struct.pack(">BxHi", 2, 1, 0))  # SetEncodings: raw alone
    width, height = start.width, start.height
    if not width or not height:
        raise NoPicture("The desktop has no size.")
    step = max(1, -(-width // LARGEST), -(-height // LARGEST))
    rows = step * max(1, _STRIP // (4 * width * step))
    lines: list[bytes] = []
    for top in range(0, height - step + 1, rows):
        strip = await _strip(stream, width, top, min(rows, height - top))
        lines += await asyncio.to_thread(shrunk, strip, width, step)
    return await asyncio.to_thread(png, lines, width // step)


async def _strip(stream: IOStream, width: int, top: int, rows: int) -> bytearray:
    """Some rows of the screen, four bytes a pixel: blue, green, red, nothing."""
    await stream.write(struct.pack(">BBHHHH", 3, 0, 0, top, width, rows))
    strip, missing = bytearray(4 * width * rows), width * rows
    while missing > 0:
        (kind,) = await stream.read_bytes(1)
        if kind == UPDATE:
            (count,) = struct.unpack(">xH", await stream.read_bytes(3))
            for _ in range(count):
                missing -= await _rectangle(stream, strip, width, top)
        elif kind == CUT_TEXT:
            await _pass_over(stream, struct.unpack(">3xI", await stream.read_bytes(7))[0])
        elif kind == COLOURS:
            await _pass_over(stream, 6 * struct.unpack(">3xH", await stream.read_bytes(5))[0])
        elif kind != BELL:
            raise NoPicture("The desktop sends what was not asked for.")
    return strip


async def _rectangle(stream: IOStream, strip: bytearray, width: int, top: int) -> int:
    """Put it in its place; how many pixels it has."""
    x, y, wide, high, encoding = struct.unpack(">HHHHi", await stream.read_bytes(12))
    rows = len(strip) // (4 * width)
    if encoding != RAW or not wide or not high or x + wide > width or not top <= y <= top + rows - high:
        raise NoPicture("The desktop sends what was not asked for.")
    for row in range(y - top, y - top + high):
        at = 4 * (row * width + x)
        strip[at : at + 4 * wide] = await stream.read_bytes(4 * wide)
    return int(wide * high)


async def _pass_over(stream: IOStream, count: int) -> None:
    if count > _TEXT:
        raise NoPicture("The desktop sends too much text.")
    while count:
        part = min(count, 2**16)
        await stream.read_bytes(part)
        count -= part


def shrunk(strip: bytearray, width: int, step: int) -> list[bytes]:
    """Rows of red, green and blue, each pixel the middle of four of a square of ``step``. All in C's loops."""
    pixels = memoryview(strip).cast("I")
    end = width // step * step
    lines = []
    for top in range(0, len(pixels) // width - step + 1, step):
        rows = (top * width, (top + step // 2) * width)
        points = [pixels[at + across : at + end : step].tobytes() for at in rows for across in (0, step // 2)]
        mixed = _middle(_middle(points[0], points[1]), _middle(points[2], points[3]))
        line = bytearray(end // step * 3)
        line[0::3], line[1::3], line[2::3] = mixed[2::4], mixed[1::4], mixed[0::4]
        lines.append(bytes(line))
    return lines


def _middle(one: bytes, other: bytes) -> bytes:
    """Of each pair of bytes."""
    a, b = int.from_bytes(one), int.from_bytes(other)
    mask = int.from_bytes(b"\xfe" * len(one))
    return ((a & b) + (((a ^ b) & mask) >> 1)).to_bytes(len(one))


def png(lines: list[bytes], width: int) -> bytes:
    """Rows of red, green and blue as a PNG."""
    head = struct.pack(">IIBBBBB", width, len(lines), 8, 2, 0, 0, 0)
    content = zlib.compress(b"".join(b"\0" + line for line in lines), 6)
    parts = ((b"IHDR", head), (b"IDAT", content), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


class Preview(Guard):
    """For the owner, unless the facility has no previews. ``kept``: of this gateway's desktop."""

    def initialize(self, kept: Kept) -> None:
        """The same for every request."""
        self._kept = kept

    @refusing
    async def get(self) -> None:
        """The picture: for the owner, or for a ticket that the portal gave her."""
        key, ticket = self.gateway.people.pictures, self.get_query_argument("ticket", "")
        if good(key, ticket, clock.now().timestamp()):
            self.set_header("Cross-Origin-Resource-Policy", "cross-origin")
        elif (await self.admit()).visitor.role is not Role.OWNER:
            raise Forbidden
        if not self.gateway.settings.desktop.preview:
            raise Refused(404, "The facility shows no pictures of desktops.")
        picture = await self._picture()
        self.set_header("Content-Type", "image/png")
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.finish(picture)

    async def _picture(self) -> bytes:
        """The last one, or a new one: one at a time."""
        try:
            return await self._kept.picture(f"{self.gateway.settings.run}/{run.DESKTOP}")
        except NoPicture:
            raise Refused(404, "The desktop does not run.") from None


class Kept:
    """The last picture."""

    def __init__(self) -> None:
        self._last: Picture | None = None
        self._one = asyncio.Lock()

    async def picture(self, path: str) -> bytes:
        """Not older than `FRESH`; raise `NoPicture`."""
        async with self._one:
            if self._last is None or clock.elapsed() - self._last.at > FRESH:
                self._last = None
                self._last = Picture(await take(path), clock.elapsed())
            return self._last.png
