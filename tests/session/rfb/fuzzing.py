"""What fuzzers try, Hypothesis in the test suite and libFuzzer by `tools/fuzz`: any bytes, in any pieces, as any role.

The first five bytes choose rights, extensions and pieces, the rest is the stream.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.session.rfb import reference
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed, Violation
from visa.session.rfb.server import HEAD, FromServer
from visa.session.rfb.viewer import MOST_ENCODINGS, FromViewer

CHOICES = 5
LIMIT = 40
"""Bytes of a clipboard: short, so that small inputs come beyond it."""
EXTENSIONS = (
    names.EXTENDED_DESKTOP_SIZE,
    names.QEMU_KEY,
    names.MOUSE_BUTTONS,
    names.FENCE,
    names.CONTINUOUS_UPDATES,
)
LOOKING = frozenset({0, 2, 3, 150, 248})
MOST_HELD = max(8 + 4 * MOST_ENCODINGS, 8 + LIMIT + 1024 + 4)


@dataclass(frozen=True)
class Choice:
    """What the first bytes say."""

    allowed: Allowed
    confirmed: frozenset[int]
    sizes: tuple[int, ...]

    @classmethod
    def of(cls, data: bytes) -> Choice:
        """Any bytes will do."""
        rights, knows, *sizes = data[:CHOICES].ljust(CHOICES, b"\0")
        act, resize, paste, copy, in_turn = (bool(rights & 1 << bit) for bit in range(5))
        confirmed = frozenset(number for bit, number in enumerate(EXTENSIONS) if knows & 1 << bit)
        return cls(Allowed(act, resize, paste, copy, LIMIT, in_turn), confirmed, tuple(1 + size for size in sizes))

    def pieces(self, data: bytes) -> Iterator[bytes]:
        """As they arrive."""
        at = turn = 0
        while at < len(data):
            size = self.sizes[turn % len(self.sizes)]
            yield data[at : at + size]
            at, turn = at + size, turn + 1


def _fed(pieces: Iterator[bytes], feed: Callable[[bytes], bytes]) -> tuple[bytes, bool]:
    """What passed, and whether the connection was ended."""
    passed = b""
    try:
        for piece in pieces:
            passed += feed(piece)
    except Violation:
        return passed, True
    return passed, False


def from_viewer(data: bytes) -> None:
    """Exactly what the reference lets through reaches the server, and never what the role may not send."""
    choice, stream = Choice.of(data), data[CHOICES:]
    told = reference.from_viewer(stream, choice.allowed, choice.confirmed)
    for pieces in (iter([stream]), choice.pieces(stream)):
        viewer = FromViewer(choice.allowed, Agreed(frozenset(), set(choice.confirmed)))
        passed, ended = _fed(pieces, viewer.feed)
        assert ended == told.forbidden
        assert told.passes.startswith(passed) if ended else passed == told.passes
        assert viewer.held <= MOST_HELD or ended
    _only_what_may(told.passes, choice)


def _only_what_may(passes: bytes, choice: Choice) -> None:
    """Read again as by a server that has every extension: the same messages, none of which is an observer's deed."""
    everything = Allowed(act=True, resize=True, paste=True, copy=True, limit=LIMIT)
    again = reference.from_viewer(passes, everything, frozenset(EXTENSIONS))
    assert not again.forbidden
    allowed = choice.allowed
    may = LOOKING | ({4, 5, 255} if allowed.act else set()) | ({251} if allowed.resize else set())
    may |= {6} if allowed.paste or allowed.copy else set()
    assert set(again.kinds) <= may


def to_viewer(data: bytes) -> None:
    """All but forbidden clipboards, and fences that are answered, reaches the viewer untouched."""
    choice, stream = Choice.of(data), data[CHOICES:]
    told = reference.to_viewer(stream, choice.allowed)
    for pieces in (iter([stream]), choice.pieces(stream)):
        server = FromServer(choice.allowed, Agreed())
        passed, ended = _fed(pieces, server.feed)
        assert ended == told.forbidden
        assert told.passes.startswith(passed) if ended else passed == told.passes
        answers = server.fences()
        assert told.answers.startswith(answers) if ended else answers == told.answers
        assert len(server._head) <= HEAD
        assert len(server._held or b"") <= 8 + LIMIT + 1024
