"""What a server sends passes untouched, but for the clipboard; whatever is not understood ends the connection."""

from __future__ import annotations

import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.rfb import messages as m
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed, Violation
from visa.session.rfb.server import FromServer
from visa.session.rfb.viewer import FromViewer


def one(allowed: Allowed = m.OWNER) -> FromServer:
    """A filter."""
    return FromServer(allowed, Agreed())


TEXT = m.cut(b"secret", 3)
CLIPBOARDS = [
    TEXT,
    m.provide(b"secret\0", 3),
    m.extended(1 << 27 | 1, kind=3),
    m.extended(1 << 25 | 1, kind=3),
    m.extended(0x1F000003, bytes(8), kind=3),
]


@pytest.mark.parametrize("name", m.RECTANGLES)
def test_every_encoding_passes_split_at_every_byte_and_the_clipboard_after_it_is_found(name: str) -> None:
    data = m.update(m.RECTANGLES["copy"], m.RECTANGLES[name])
    for cut in range(0, len(data), 1 if len(data) < 2000 else 97):
        server = one(m.OBSERVER)
        assert server.feed(data[:cut]) + server.feed(data[cut:] + TEXT + m.BELL) == data + m.BELL
        assert server.frames == 1


@given(st.lists(st.sampled_from([*m.SERVER, *CLIPBOARDS]), max_size=12), m.SIZES, st.booleans())
def test_joined_and_split_anywhere_all_but_forbidden_clipboards_passes(
    sent: list[bytes], sizes: list[int], owns: bool
) -> None:
    server = one(m.OWNER if owns else m.OBSERVER)
    got = b"".join(map(server.feed, m.in_pieces(b"".join(sent), sizes)))
    assert got == b"".join(message for message in sent if owns or message not in CLIPBOARDS)


def test_only_updates_with_pictures_are_frames() -> None:
    server = one()
    server.feed(m.update(m.RECTANGLES["raw"]) + m.update(m.RECTANGLES["cursor"]) + m.update() + m.LAST + m.BELL)
    assert server.frames == 2


def test_what_the_server_can_do_is_remembered() -> None:
    agreed = Agreed()
    server = FromServer(m.OWNER, agreed)
    server.feed(m.update(m.RECTANGLES["extended size"], m.RECTANGLES["qemu"], m.RECTANGLES["buttons"]) + m.END)
    assert names.FENCE not in agreed.confirmed
    server.feed(m.fence())
    assert agreed.confirmed == {
        *(names.EXTENDED_DESKTOP_SIZE, names.QEMU_KEY, names.MOUSE_BUTTONS),
        *(names.FENCE, names.CONTINUOUS_UPDATES),
    }


def test_a_clipboard_passes_out_by_direction_and_size() -> None:
    into = Allowed(act=True, paste=True, limit=m.LIMIT)
    text, provided, notify, asks, caps = CLIPBOARDS
    assert one(into).feed(b"".join(CLIPBOARDS)) == asks + caps
    out = Allowed(act=True, copy=True, limit=m.LIMIT)
    assert one(out).feed(b"".join(CLIPBOARDS)) == text + provided + notify + caps
    for make in (m.cut, m.provide):
        just = make(bytes(m.LIMIT), 3)
        assert one().feed(just) == just
        assert one().feed(make(bytes(m.LIMIT + 1), 3) + m.BELL) == m.BELL


def test_a_large_clipboard_is_dropped_as_it_comes() -> None:
    server = one()
    assert server.feed(m.BELL + struct.pack(">B3xi", 3, 1_000_000)) == m.BELL
    for _ in range(10):
        assert server.feed(bytes(100_000)) == b""
    assert server.feed(m.BELL) == m.BELL


FORGED = {
    "type": b"\x63",
    "encoding": m.update(m.rectangle(21, 1, 1, b"")),
    "raw": m.update(m.rectangle(0, 65535, 65535, b"")),
    "hextile": m.update(m.rectangle(5, 65535, 65535, b"")),
    "zrle": m.update(m.rectangle(16, 1, 1, b"\xff\xff\xff\xff")),
    "name": m.update(m.rectangle(-307, 1, 1, b"\xff\xff\xff\xff")),
    "tight kind": m.update(m.rectangle(7, 9, 9, b"\xb0\0\0\0\0")),
    "png in tight": m.update(m.rectangle(7, 9, 9, b"\xa0\0\0\0\0")),
    "tight filter": m.update(m.rectangle(7, 9, 9, b"\x40\x03\0\0\0")),
    "basic in png": m.update(m.rectangle(-260, 9, 9, b"\0\0\0\0")),
    "cursor": m.update(m.rectangle(-314, 9, 9, struct.pack(">i", 7))),
    "cut": struct.pack(">B3xi", 3, 2**31 - 1),
    "extended": struct.pack(">B3xi", 3, -(2**31)),
}


@pytest.mark.parametrize("name", FORGED)
def test_a_message_that_cannot_be_counted_ends_the_connection(name: str) -> None:
    with pytest.raises(Violation):
        one().feed(FORGED[name])


@given(st.lists(st.one_of(st.binary(max_size=60), st.sampled_from([*m.SERVER, *CLIPBOARDS])), max_size=8), m.SIZES)
def test_any_bytes_give_nothing_but_a_violation_and_never_a_text(parts: list[bytes], sizes: list[int]) -> None:
    whole, cut = one(m.OBSERVER), one(m.OBSERVER)
    data = b"".join(parts)
    results = []
    for server, pieces in ((whole, [data]), (cut, m.in_pieces(data, sizes))):
        try:
            results.append(b"".join(map(server.feed, pieces)))
        except Violation:
            results.append(b"violation")
    assert results[0] == results[1]


def test_a_picture_passes_uncopied_and_fast() -> None:
    """A second of 1080p at 57 frames of 200 rectangles is read in a small part of a second."""
    one_rectangle = m.rectangle(7, 64, 64, b"\x90" + m.compact(b"\3" * 270))
    stream = m.update(*[one_rectangle] * 200) * 57
    server, begin = one(), time.process_time()
    for at in range(0, len(stream), 2**16):
        part = stream[at : at + 2**16]
        assert server.feed(part) is part
    assert server.frames == 57
    assert time.process_time() - begin < 0.3


def test_texts_that_are_too_long_or_do_not_come_are_known() -> None:
    agreed = names.Agreed()
    server, viewer = FromServer(m.OWNER, agreed), FromViewer(m.OWNER, agreed)
    for count, make in enumerate((m.cut, m.provide), 1):
        server.feed(make(bytes(m.LIMIT), 3) + make(bytes(m.LIMIT + 1), 3))
        assert agreed.too_long_out == count
    for answer in (m.provide(b"text", 3), m.provide(bytes(m.LIMIT + 1), 3), m.cut(bytes(m.LIMIT + 2000), 3)):
        assert not agreed.text_awaited
        viewer.feed(m.extended(1 << 25 | 1))
        server.feed(m.extended(1 << 27 | 1, kind=3))
        assert agreed.text_awaited
        server.feed(answer)
    assert not agreed.text_awaited
    shut = names.Agreed()
    FromServer(m.OBSERVER, shut).feed(m.cut(bytes(m.LIMIT + 1), 3))
    assert shut.too_long_out == 0


def test_fences_of_who_is_asked_in_turn_are_answered_and_stay_here() -> None:
    asks, tells = m.fence(b"12345678"), m.fence(b"", 1)
    data = m.BELL + asks + m.BELL + tells + m.update(m.RECTANGLES["raw"]) + asks
    for cut in range(len(data)):
        server = one(Allowed(in_turn=True))
        passed = server.feed(data[:cut]) + server.feed(data[cut:])
        assert passed == m.BELL + m.BELL + m.update(m.RECTANGLES["raw"])
        assert server.fences() == 2 * m.fence(b"12345678", 1)
        assert server.fences() == b""
        assert server.frames == 1
    assert one().feed(data) == data, "others answer themselves"
