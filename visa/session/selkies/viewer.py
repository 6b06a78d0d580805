"""What a viewer sends, filtered: an allow-list of messages, each matched to its last character.

A message that the viewer may not send is taken out; one that nobody may send is a `Violation`. Selkies knows many
more than are on the list (commands, uploads, microphones, settings for all viewers): none of them passes.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from visa.session.rfb.names import Allowed, Violation

SMALL = 1024
"""Most characters of a message that is no clipboard."""
LARGEST_SIDE = 8192
LARGEST_AREA = 2**25
MOST_HELD = 32
"""Keys that one viewer may hold."""
LARGEST_KEYSYM = 0x1FFFFFFF
_PART = 3 * 2**18
"""Bytes of a clipboard in one message of many; Selkies takes messages of 8 MiB."""
_WHOLE = 2**20


@dataclass(frozen=True, slots=True)
class Passed:
    """What becomes of a message. ``pictures``: for the viewer's own connection; ``acts``: for the one that acts.

    ``seen``: the number of a picture that arrived, for the gateway itself.
    """

    pictures: tuple[str, ...] = ()
    acts: tuple[str, ...] = ()
    seen: int | None = None


NOTHING = Passed()


class FromViewer:
    """The messages of one viewer."""

    def __init__(self, allowed: Allowed, name: str) -> None:
        """``name`` tells her clipboards from other viewers'; letters and digits."""
        self._allowed, self._name = allowed, name
        self._keys: dict[str, None] = {}
        self._pointer: tuple[str, str] | None = None
        self._acted = False
        self._clipboards = 0

    def feed(self, message: str) -> Passed:
        """Raise `Violation`."""
        word = message[: _LONGEST_WORD + 1].partition(",")[0].partition(" ")[0]
        kind = _KINDS.get(word)
        if kind is None:
            raise Violation("The viewer sent a message that is not allowed here.")
        if word != "cw" and len(message) > SMALL:
            raise Violation(f"The viewer's message '{word}' is too long.")
        match = kind.form.fullmatch(message)
        if match is None:
            raise Violation(f"The viewer's message '{word}' is not well formed.")
        return kind.passes(self, match)

    def acted(self) -> bool:
        """Whether a key, the pointer or a clipboard passed since this was last asked."""
        acted, self._acted = self._acted, False
        return acted

    def release(self) -> tuple[str, ...]:
        """She goes: what she holds is let go."""
        keys, self._keys = tuple(f"ku,{key}" for key in self._keys), {}
        pointer, self._pointer = self._pointer, None
        return (*keys, *(() if pointer is None else (f"m,{pointer[0]},{pointer[1]},0,0",)))

    def _act(self, *messages: str) -> Passed:
        self._acted = True
        return Passed(acts=messages)

    def ask(self, match: re.Match[str]) -> Passed:
        """For pictures: anybody's who looks."""
        return Passed(pictures=(match[0],))

    def seen(self, match: re.Match[str]) -> Passed:
        """A picture arrived; only the gateway wants to know."""
        number = int(match[1])
        if number > 0xFFFF:
            raise Violation("The viewer names a picture that there is not.")
        return Passed(seen=number)

    def key_down(self, match: re.Match[str]) -> Passed:
        """Who may act; she holds a limited number."""
        key = _keysym(match[1])
        if not self._allowed.act or (key not in self._keys and len(self._keys) >= MOST_HELD):
            return NOTHING
        self._keys[key] = None
        return self._act(f"kd,{key}")

    def key_up(self, match: re.Match[str]) -> Passed:
        """Who may act, of a key that she holds: others' keys are theirs."""
        key = _keysym(match[1])
        if not self._allowed.act or key not in self._keys:
            return NOTHING
        del self._keys[key]
        return self._act(f"ku,{key}")

    def held(self, match: re.Match[str]) -> Passed:
        """Keys stay down for as long as this comes; nobody does anything by it."""
        keys = [key for key in map(_keysym, match[1].split(",")) if key in self._keys]
        return Passed(acts=(f"kh,{','.join(keys)}",)) if keys else NOTHING

    def pointer(self, match: re.Match[str]) -> Passed:
        """Who may act, on a screen that there can be."""
        x, y, mask, scroll = map(int, match.groups())
        if x >= LARGEST_SIDE or y >= LARGEST_SIDE or mask > 0xFF or scroll > 15:
            raise Violation("The viewer's pointer is where there is no screen, or has buttons that there are not.")
        if not self._allowed.act:
            return NOTHING
        self._pointer = (str(x), str(y)) if mask & 7 else None
        return self._act(f"m,{x},{y},{mask},{scroll}")

    def size(self, match: re.Match[str]) -> Passed:
        """Who may resize."""
        width, height = int(match[1]), int(match[2])
        fits = 0 < width <= LARGEST_SIDE and 0 < height <= LARGEST_SIDE and width * height <= LARGEST_AREA
        return Passed(acts=(f"r,{width}x{height}",)) if self._allowed.resize and fits else NOTHING

    def clipboard(self, match: re.Match[str]) -> Passed:
        """By direction and size; text alone."""
        packed = match[1]
        if not self._allowed.paste or len(packed) > 4 * (self._allowed.limit // 3 + 1):
            return NOTHING
        try:
            plain = base64.b64decode(packed, validate=True)
            plain.decode()
        except (binascii.Error, UnicodeDecodeError):
            raise Violation("The viewer's clipboard is no text.") from None
        if len(plain) > self._allowed.limit:
            return NOTHING
        return self._act(*self._written(plain))

    def _written(self, plain: bytes) -> list[str]:
        if len(plain) <= _WHOLE:
            return [f"cw,{_packed(plain)}"]
        self._clipboards += 1
        name = f"{self._name}{self._clipboards}"
        parts = [plain[at : at + _PART] for at in range(0, len(plain), _PART)]
        return [f"cws,{name},{len(plain)}", *(f"cwd,{name},{_packed(part)}" for part in parts), f"cwe,{name}"]


def _keysym(digits: str) -> str:
    value = int(digits)
    if not 0 < value <= LARGEST_KEYSYM:
        raise Violation("The viewer presses a key that there is not.")
    return str(value)


def _packed(plain: bytes) -> str:
    return base64.b64encode(plain).decode("ascii")


@dataclass(frozen=True, slots=True)
class _Kind:
    form: re.Pattern[str]
    passes: Callable[[FromViewer, re.Match[str]], Passed]


def _kind(form: str, passes: Callable[[FromViewer, re.Match[str]], Passed]) -> _Kind:
    return _Kind(re.compile(form, re.ASCII), passes)


_KINDS: Mapping[str, _Kind] = {
    "START_VIDEO": _kind(r"START_VIDEO", FromViewer.ask),
    "STOP_VIDEO": _kind(r"STOP_VIDEO", FromViewer.ask),
    "REQUEST_KEYFRAME": _kind(r"REQUEST_KEYFRAME", FromViewer.ask),
    "CLIENT_FRAME_ACK": _kind(r"CLIENT_FRAME_ACK ([0-9]{1,5})", FromViewer.seen),
    "kd": _kind(r"kd,([0-9]{1,9})", FromViewer.key_down),
    "ku": _kind(r"ku,([0-9]{1,9})", FromViewer.key_up),
    "kh": _kind(rf"kh,([0-9]{{1,9}}(?:,[0-9]{{1,9}}){{0,{MOST_HELD - 1}}})", FromViewer.held),
    "m": _kind(r"m,([0-9]{1,5}),([0-9]{1,5}),([0-9]{1,3}),([0-9]{1,2})", FromViewer.pointer),
    "r": _kind(r"r,([0-9]{1,5})x([0-9]{1,5})", FromViewer.size),
    "cw": _kind(r"cw,([A-Za-z0-9+/]*={0,2})", FromViewer.clipboard),
}
"""The allow-list. What is not on it ends the connection."""
_LONGEST_WORD = max(map(len, _KINDS))
