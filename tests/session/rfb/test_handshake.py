"""Both handshakes, split at every byte."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.session.rfb.handshake import Start, WithViewer, with_server
from visa.session.rfb.names import PIXELS, VERSION, Violation

START = Start(800, 600, b"desk")
INIT = struct.pack(">HH16sI", 800, 600, PIXELS, 4) + b"desk"


@pytest.mark.parametrize(
    ("sent", "answer"),
    [
        (b"RFB 003.008\n\1\0", b"\1\1\0\0\0\0" + INIT),
        (b"RFB 003.007\n\1\1", b"\1\1" + INIT),
        (b"RFB 003.003\n\1", b"\0\0\0\1" + INIT),
    ],
)
def test_a_viewer_of_any_version_gets_in_and_what_follows_is_kept(sent: bytes, answer: bytes) -> None:
    for cut in range(len(sent) + 1):
        viewer = WithViewer(START)
        assert viewer.hello == VERSION
        assert viewer.feed(sent[:cut]) + viewer.feed(sent[cut:] + b"more") == answer
        assert viewer.done
        assert viewer.rest == b"more"


@pytest.mark.parametrize("sent", [b"RFB 003.889\n", b"GET / HTTP/1.", b"RFB 003.008\n\2", b"RFB 003.008\n\0"])
def test_another_version_or_security_type_ends_the_connection(sent: bytes) -> None:
    with pytest.raises(Violation):
        WithViewer(START).feed(sent)


@given(st.binary(max_size=40))
def test_any_bytes_give_nothing_but_a_violation(data: bytes) -> None:
    viewer = WithViewer(START)
    try:
        viewer.feed(data)
    except Violation:
        return
    assert not viewer.done or data.startswith(b"RFB 003.00")


def talk(server: bytes) -> tuple[Start, bytes]:
    """The gateway's end against these bytes."""
    steps, sent = with_server(), b""
    try:
        wanted = next(steps)
        while True:
            sent += wanted[0]
            part, server = server[: wanted[1]], server[wanted[1] :]
            assert len(part) == wanted[1]
            wanted = steps.send(part)
    except StopIteration as end:
        return end.value, sent


def test_the_server_is_asked_for_no_security_and_to_share() -> None:
    assert talk(b"RFB 003.008\n\2\1\2\0\0\0\0" + INIT) == (START, b"RFB 003.008\n\1\1")


@pytest.mark.parametrize(
    ("server", "words"),
    [
        (b"RFB 003.003\n", "3.8"),
        (b"RFB 003.008\n\0\0\0\0\5crowd", "crowd"),
        (b"RFB 003.008\n\1\2", "password"),
        (b"RFB 003.008\n\1\1\0\0\0\1\0\0\0\2no", "no"),
        (b"RFB 003.008\n\1\1\0\0\0\0" + INIT[:20] + b"\xff\xff\xff\xff", "name"),
    ],
)
def test_a_server_that_does_not_let_in_is_quoted(server: bytes, words: str) -> None:
    with pytest.raises(Violation, match=words):
        talk(server)
