"""What Selkies sends, filtered: pictures, the pointer's looks, the size, and clipboards for who may have them.

Everything else that it tells (settings, statistics, files, sound) is left out: the page has no use for it.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Any

from visa.session.rfb.names import Violation

LARGEST_PICTURE = 2**23
LARGEST_TEXT = 2**18
"""Characters of a text; pointers are the longest that pass, clipboards come in parts of 16 KiB."""
_PICTURE, _H264 = 4, 1
_HEADER = 12
_SIDE = 2**14


def picture(message: bytes) -> int | None:
    """The number of a picture in H.264; None for anything else. Raise `Violation`."""
    if len(message) > LARGEST_PICTURE:
        raise Violation("Selkies sent a picture that is too large.")
    if len(message) <= _HEADER or message[0] != _PICTURE or message[1] >> 4 != _H264:
        return None
    return int.from_bytes(message[2:4], "big")


def told(message: str) -> str | None:
    """What a viewer is told of a text, written anew; None for nothing. Raise `Violation`."""
    if len(message) > LARGEST_TEXT:
        raise Violation("Selkies sent a text that is too long.")
    if message == "PIPELINE_RESETTING primary":
        return message
    if message.startswith("cursor,"):
        return _pointer(_object(message.partition(",")[2]))
    if message.startswith("{"):
        given = _object(message)
        return _size(given) if given.get("type") == "stream_resolution" else None
    return None


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _numbers(given: dict[str, Any], *names: str) -> dict[str, int] | None:
    found = {name: given.get(name) for name in names}
    kept = {name: value for name, value in found.items() if type(value) is int and 0 <= value < _SIDE}
    return kept if len(kept) == len(names) else None


def _pointer(given: dict[str, Any]) -> str | None:
    numbers, look = _numbers(given, "width", "height", "hotx", "hoty"), given.get("curdata")
    if numbers is None or not isinstance(look, str) or _plain(look) is None:
        return None
    return "cursor," + json.dumps({**numbers, "curdata": look})


def _size(given: dict[str, Any]) -> str | None:
    numbers = _numbers(given, "width", "height")
    if numbers is None or given.get("displayId") != "primary":
        return None
    return json.dumps({"type": "stream_resolution", **numbers})


def _plain(packed: str) -> bytes | None:
    try:
        return base64.b64decode(packed, validate=True)
    except (binascii.Error, ValueError):
        return None


class Clipboards:
    """The desktop's clipboard out of Selkies' messages, which bring a long one in parts; never more than a limit."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._parts: bytearray | None = None

    def feed(self, message: str) -> bytes | None:
        """A whole text of at most the limit's size, once it is there."""
        word, _, rest = message.partition(",")
        if word == "clipboard":
            self._parts = None
            return self._text(_plain(rest) if len(rest) <= LARGEST_TEXT else None)
        if word == "clipboard_start":
            self._parts = bytearray() if rest.startswith("text/plain,") else None
        elif word == "clipboard_data" and self._parts is not None:
            part = _plain(rest)
            if part is None or len(self._parts) + len(part) > self._limit:
                self._parts = None
            else:
                self._parts += part
        elif word == "clipboard_finish":
            whole, self._parts = self._parts, None
            return self._text(None if whole is None else bytes(whole))
        return None

    @property
    def held(self) -> int:
        """Bytes that wait for the rest of their text."""
        return len(self._parts or b"")

    def _text(self, plain: bytes | None) -> bytes | None:
        if not plain or len(plain) > self._limit:
            return None
        try:
            plain.decode()
        except UnicodeDecodeError:
            return None
        return plain


def given(plain: bytes) -> str:
    """A clipboard as the page takes it."""
    return f"clipboard,{base64.b64encode(plain).decode('ascii')}"
