"""What a viewer may send: exactly the allowed messages reach the server, however the stream is cut."""

from __future__ import annotations

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.rfb import messages as m
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed, Violation
from visa.session.rfb.viewer import LARGEST_SIDE, MOST_ENCODINGS, FromViewer

EVERYTHING = [names.EXTENDED_DESKTOP_SIZE, names.QEMU_KEY, names.MOUSE_BUTTONS, names.FENCE, names.CONTINUOUS_UPDATES]


def one(
    allowed: Allowed = m.OWNER, announced: list[int] | None = None, confirmed: list[int] | None = None
) -> FromViewer:
    """A filter whose ends announced and confirmed all, or these."""
    agreed = Agreed(frozenset(m.ALL if announced is None else announced), set(EVERYTHING))
    if confirmed is not None:
        agreed.confirmed = set(confirmed)
    return FromViewer(allowed, agreed)


LOOKING = {
    "pixels": m.PIXELS,
    "encodings": m.encodings(*m.ALL[:-1]),
    "request": m.REQUEST,
    "continuous": m.CONTINUOUS,
    "fence": m.fence(),
}
ACTING = {
    "key": m.KEY,
    "pointer": m.POINTER,
    "more buttons": struct.pack(">BBHHB", 5, 0x81, 10, 20, 1),
    "qemu": m.QEMU,
    "size": m.size(),
    "cut": m.cut(b"text"),
    "provide": m.provide(b"text\0"),
    "notify": m.extended(1 << 27 | 1),
    "asking": m.extended(1 << 25 | 1),
    "peek": m.extended(1 << 26),
    "caps": m.extended(0x1F000001, b"\0\0\1\0"),
}
DOING = {"key", "pointer", "more buttons", "qemu", "cut", "notify"}
"""What only a person does: the rest of the clipboard's messages are noVNC's answers to programs."""


@pytest.mark.parametrize("name", [*LOOKING, *ACTING])
def test_an_owner_s_legal_messages_pass_and_an_observer_s_only_when_they_ask_for_pictures(name: str) -> None:
    message = {**LOOKING, **ACTING}[name]
    for cut in range(1, len(message) + 1):
        owner, observer = one(), one(m.OBSERVER)
        assert owner.feed(message[:cut]) + owner.feed(message[cut:]) == message
        assert observer.feed(message[:cut]) + observer.feed(message[cut:]) == (message if name in LOOKING else b"")
        assert owner.held == observer.held == 0
        assert owner.acted() == (name in DOING)
        assert not owner.acted()
        assert not observer.acted()


@given(st.lists(st.sampled_from([*LOOKING.items(), *ACTING.items()]), max_size=20), m.SIZES, st.booleans())
def test_joined_and_split_anywhere_exactly_the_allowed_messages_pass(
    sent: list[tuple[str, bytes]], sizes: list[int], owns: bool
) -> None:
    # Encodings are always announced with all that matters, so that the order makes no difference.
    sent = [(name, message) for name, message in sent if name != "encodings"]
    viewer = one(m.OWNER if owns else m.OBSERVER)
    got = b"".join(map(viewer.feed, m.in_pieces(b"".join(message for _, message in sent), sizes)))
    assert got == b"".join(message for name, message in sent if owns or name in LOOKING)


@pytest.mark.parametrize("kind", sorted({*range(256)} - {0, 2, 3, 4, 5, 6, 150, 248, 251, 255}))
def test_a_type_that_is_not_on_the_list_ends_the_connection(kind: int) -> None:
    with pytest.raises(Violation, match=f"type {kind}"):
        one().feed(bytes([kind]))


FORGED = {
    "encodings": struct.pack(">BxH", 2, MOST_ENCODINGS + 1),
    "fence": struct.pack(">B3xIB", 248, 1, 65),
    "screens": struct.pack(">BxHHBx", 251, 800, 600, 255),
    "cut": struct.pack(">B3xi", 6, 2**31 - 1),
    "extended": struct.pack(">B3xi", 6, -(2**31)),
    "audio": b"\xff\x01",
    "16 bit pixels": m.PIXELS[:4] + struct.pack(">BBBBHHHBBB3x", 16, 16, 0, 1, 31, 63, 31, 11, 5, 0),
    "big-endian": m.PIXELS[:6] + b"\1" + m.PIXELS[7:],
    "colour map": m.PIXELS[:7] + b"\0" + m.PIXELS[8:],
    "few reds": m.PIXELS[:8] + b"\0\x7f" + m.PIXELS[10:],
    "high shifts": m.PIXELS[:16] + b"\0\0\0\0",
    "odd shifts": m.PIXELS[:14] + b"\x08\x10\x18\0\0\0",
}


@pytest.mark.parametrize("name", FORGED)
def test_a_forged_length_or_layout_ends_the_connection(name: str) -> None:
    for allowed in (m.OWNER, m.OBSERVER):
        with pytest.raises(Violation):
            one(allowed).feed(FORGED[name] + bytes(8))


@pytest.mark.parametrize("form", [1, -1])
def test_a_text_beyond_the_limit_is_dropped_to_its_last_byte_and_kept_nowhere(form: int) -> None:
    viewer, length = one(), 5_000_000
    out = viewer.feed(struct.pack(">B3xi", 6, form * length))
    for _ in range(50):
        out += viewer.feed(m.KEY * 12500)
        assert viewer.held == 0
    assert out == b""
    assert not viewer.acted()
    assert viewer.feed(m.KEY) == m.KEY


def test_a_text_of_just_the_limit_passes() -> None:
    for make in (m.cut, m.provide):
        assert one().feed(make(bytes(m.LIMIT))) == make(bytes(m.LIMIT))
        assert one().feed(make(bytes(m.LIMIT + 1))) == b""


def test_extended_clipboards_that_say_one_thing_and_hold_another_are_dropped() -> None:

    bomb = zlib.compress(struct.pack(">I", 4) + bytes(10_000_000))[:2000]
    for body in (b"", b"\0", bomb, zlib.compress(b"\xff\xff\xff\xff"), zlib.compress(b"\0\0\0\1ab"), b"\3" * 50):
        viewer = one()
        assert viewer.feed(m.extended(1 << 28 | 1, body) + m.KEY) == m.KEY
    text = zlib.compress(b"\0\0\0\1a")
    assert one().feed(m.extended(1 << 28 | 1, text)) == m.extended(1 << 28 | 1, text)
    assert one().feed(m.extended(1 << 28 | 1, text + b"more") + m.KEY) == m.KEY
    assert one().feed(m.extended(1 << 28 | 3, text) + m.KEY) == m.KEY
    for flags in (1 << 28 | 3, 1 << 28, 0, 1, 1 << 27 | 1 << 28 | 1, 1 << 24 | 1):
        assert one().feed(m.extended(flags) + m.KEY) == m.KEY
    assert one().feed(struct.pack(">B3xi", 6, -2) + b"ab" + m.KEY) == m.KEY


def test_the_clipboard_passes_in_the_allowed_direction_only() -> None:
    into = Allowed(act=True, paste=True, limit=m.LIMIT)
    out = Allowed(act=True, copy=True, limit=m.LIMIT)
    carrying = (m.cut(b"x"), m.provide(b"x"), m.extended(1 << 27 | 1))
    asking = (m.extended(1 << 25 | 1), m.extended(1 << 26 | 1))
    for message in carrying:
        assert one(into).feed(message) == message
        assert one(out).feed(message) == b""
    for message in asking:
        assert one(into).feed(message) == b""
        assert one(out).feed(message) == message


def test_encodings_that_the_server_s_filter_cannot_read_are_taken_out() -> None:
    viewer = one(announced=[])
    sent = m.encodings(50, 21, 7, 7, -309, 16, -27, names.EXTENDED_CLIPBOARD, 12345)
    assert viewer.feed(sent) == m.encodings(7, 16, -27, names.EXTENDED_CLIPBOARD)
    assert one(m.OBSERVER).feed(sent) == m.encodings(7, 16, -27)
    assert viewer.feed(m.encodings()) == m.encodings()


@pytest.mark.parametrize(
    ("message", "encoding"),
    [
        (m.size(), names.EXTENDED_DESKTOP_SIZE),
        (m.QEMU, names.QEMU_KEY),
        (m.fence(), names.FENCE),
        (m.CONTINUOUS, names.CONTINUOUS_UPDATES),
        (m.CONTINUOUS, names.FENCE),
    ],
)
def test_extensions_wait_until_both_sides_named_them(message: bytes, encoding: int) -> None:
    others = [one_ for one_ in EVERYTHING if one_ != encoding]
    assert one(announced=others).feed(message) == b""
    assert one(confirmed=others).feed(message) == b""
    viewer = one()
    assert viewer.feed(message) == message
    viewer.feed(m.encodings(*others))
    assert viewer.feed(message) == b""


def test_the_marker_of_more_buttons_never_makes_the_server_wait_for_a_byte_that_does_not_come() -> None:
    sent = struct.pack(">BBHH", 5, 0x81, 10, 20)
    assert one(confirmed=[]).feed(sent + m.KEY) == m.POINTER + m.KEY
    assert one(announced=[]).feed(sent + m.KEY) == m.POINTER + m.KEY
    assert one().feed(sent + b"\1" + m.KEY) == sent + b"\1" + m.KEY


@pytest.mark.parametrize("wanted", [(0, 600), (800, 0), (LARGEST_SIDE + 1, 1), (8000, 8000), (65535, 65535)])
def test_sizes_out_of_bounds_do_not_pass(wanted: tuple[int, int]) -> None:
    assert one().feed(m.size(*wanted) + m.KEY) == m.KEY
    assert one().feed(m.size(800, 600, 0) + m.KEY) == m.KEY


class Server:
    """Reads what passed as TigerVNC reads it (SMsgReader.cxx): the filter and it must agree on every message."""

    def __init__(self) -> None:
        self.announced: frozenset[int] = frozenset()
        self.kinds: list[int] = []

    def read(self, data: bytes) -> bytes:
        """Whole messages; what is left."""
        at = 0
        while at < len(data):
            size = self.size(data[at:])
            if size == 0 or len(data) - at < size:
                break
            if data[at] == 2:
                self.announced = frozenset(struct.unpack_from(f">{(size - 4) // 4}i", data, at + 4))
            self.kinds.append(data[at])
            at += size
        return data[at:]

    def size(self, data: bytes) -> int:
        """Of the next message; 0 when that is not clear yet."""
        fixed = {0: 20, 3: 10, 4: 8, 150: 10, 255: 12}.get(data[0])
        if fixed is not None:
            return fixed
        try:
            if data[0] == 2:
                return int(4 + 4 * struct.unpack_from(">H", data, 2)[0])
            if data[0] == 5:
                return 7 if data[1] & 0x80 and names.MOUSE_BUTTONS in self.announced else 6
            if data[0] == 6:
                return int(8 + abs(struct.unpack_from(">i", data, 4)[0]))
            if data[0] == 248:
                return 9 + data[8]
            assert data[0] == 251, data[0]
            return 8 + 16 * data[6]
        except (struct.error, IndexError):
            return 0


PARTS = st.one_of(
    st.binary(max_size=30),
    st.sampled_from([*LOOKING.values(), *ACTING.values(), *FORGED.values()]),
    st.builds(
        lambda kind, rest: bytes([kind]) + rest, st.sampled_from([0, 2, 5, 6, 248, 251, 255]), st.binary(max_size=30)
    ),
)


@given(st.lists(PARTS, max_size=12), m.SIZES, st.sampled_from(["owner", "observer"]), st.booleans())
def test_whatever_comes_the_server_reads_only_what_the_role_may_send(
    parts: list[bytes], sizes: list[int], role: str, knows: bool
) -> None:
    viewer = one(m.OWNER if role == "owner" else m.OBSERVER, [], EVERYTHING if knows else [])
    got = b""
    try:
        for piece in m.in_pieces(b"".join(parts), sizes):
            got += viewer.feed(piece)
    except Violation:
        pass
    server = Server()
    assert server.read(got) == b""
    assert role == "owner" or set(server.kinds) <= {0, 2, 3, 150, 248}
    assert viewer.held <= m.LIMIT + 2100


def test_texts_that_are_too_long_are_counted_where_the_way_is_open() -> None:
    closed = names.Agreed()
    FromViewer(Allowed(act=True, limit=m.LIMIT), closed).feed(m.cut(bytes(m.LIMIT + 1)) + m.provide(bytes(m.LIMIT + 1)))
    assert closed.too_long_in == 0
    agreed = names.Agreed()
    viewer = FromViewer(Allowed(act=True, paste=True, limit=m.LIMIT), agreed)
    for count, make in enumerate((m.cut, m.provide, m.cut), 1):
        assert viewer.feed(make(bytes(m.LIMIT)) + make(bytes(m.LIMIT + 1))) == make(bytes(m.LIMIT))
        assert agreed.too_long_in == count
    viewer.feed(m.extended(1 << 28 | 1, b"\3" * 50))
    assert agreed.too_long_in == 3, "what is no text at all is not counted"
