"""The filter of what Selkies sends: pictures, pointers, sizes and clipboards, and nothing else."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.session.rfb.names import Violation
from visa.session.selkies import server
from visa.session.selkies.server import Clipboards, picture, told

HEAD = bytes.fromhex("041186a20000050003208600")
CURSOR = {"curdata": "AAAA", "width": 9, "height": 16, "hotx": 4, "hoty": 8}


def test_pictures_pass_by_their_number_and_nothing_else_that_is_bytes() -> None:
    assert picture(HEAD + b"x") == 0x86A2
    for other in (b"", b"\4", HEAD, b"\1" + HEAD[1:] + b"x", b"\3" + HEAD[1:] + b"x", b"\5abc" + b"x" * 20):
        assert picture(other) is None
    assert picture(b"\4\x51" + HEAD[2:] + b"x") is None  # H.265
    with pytest.raises(Violation):
        picture(HEAD + bytes(server.LARGEST_PICTURE))


def test_texts_are_written_anew() -> None:
    size = {"type": "stream_resolution", "width": 1280, "height": 800, "displayId": "primary", "more": "<b>"}
    assert json.loads(told(json.dumps(size)) or "") == {"type": "stream_resolution", "width": 1280, "height": 800}
    cursor = told("cursor," + json.dumps({**CURSOR, "handle": 7})) or ""
    assert json.loads(cursor.removeprefix("cursor,")) == CURSOR
    assert told("PIPELINE_RESETTING primary") == "PIPELINE_RESETTING primary"


@pytest.mark.parametrize(
    "message",
    [
        *("MODE websockets", "KILL you", "system,{}", "AUTH_SUCCESS,{}", "clipboard,AAAA", "{", "[]", "cursor,", ""),
        *('{"type": "server_settings"}', "DISPLAY_CONFIG_UPDATE,{}", "cursor,[1]", "PIPELINE_RESETTING display2"),
        json.dumps({"type": "stream_resolution", "width": "1280", "height": 800, "displayId": "primary"}),
        json.dumps({"type": "stream_resolution", "width": 1280, "height": 800, "displayId": "display2"}),
        json.dumps({"type": "stream_resolution", "width": True, "height": 800, "displayId": "primary"}),
        *("cursor," + json.dumps({**CURSOR, name: value}) for name, value in [("curdata", "a)"), ("hotx", -1)]),
        "cursor," + json.dumps({**CURSOR, "curdata": "AAAA) 0 0, url(x"}),
        "[" * 10**5,
    ],
)
def test_other_texts_are_left_out(message: str) -> None:
    assert told(message) is None


def test_a_text_that_is_too_long_ends_the_connection() -> None:
    with pytest.raises(Violation):
        told("x" * (server.LARGEST_TEXT + 1))


def packed(plain: bytes) -> str:
    return base64.b64encode(plain).decode()


@given(st.text(max_size=60), st.integers(1, 9))
def test_a_clipboard_is_whole_however_it_comes(text: str, step: int) -> None:
    plain = text.encode()
    clipboards = Clipboards(100)
    wanted = plain if 0 < len(plain) <= 100 else None
    assert clipboards.feed(f"clipboard,{packed(plain)}") == wanted
    parts = [plain[at : at + step] for at in range(0, len(plain), step)]
    messages = [f"clipboard_start,text/plain,{len(plain)}", *(f"clipboard_data,{packed(part)}" for part in parts)]
    assert [clipboards.feed(message) for message in messages] == [None] * len(messages)
    assert clipboards.feed("clipboard_finish") == wanted
    assert clipboards.feed("clipboard_finish") is None


def test_a_clipboard_over_the_limit_is_left_out_and_not_kept() -> None:
    clipboards = Clipboards(100)
    assert clipboards.feed(f"clipboard,{packed(b'x' * 101)}") is None
    clipboards.feed("clipboard_start,text/plain,1")  # a forged size
    for _ in range(1000):
        clipboards.feed(f"clipboard_data,{packed(b'x' * 99)}")
        assert clipboards.held <= 100
    assert clipboards.feed("clipboard_finish") is None


@pytest.mark.parametrize("start", ["image/png,3", "text/html,3", "application/x-flavours,3", ""])
def test_only_text_is_a_clipboard(start: str) -> None:
    clipboards = Clipboards(100)
    for message in (f"clipboard_start,{start}", "clipboard_data,AAAA", "clipboard_finish"):
        assert clipboards.feed(message) is None
    assert clipboards.feed("clipboard_binary,image/png,AAAA") is None
    assert clipboards.feed(f"clipboard,{packed(bytes([255]))}") is None


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
)


@given(st.one_of(st.text(max_size=60), JSON.map(json.dumps), JSON.map(lambda one: "cursor," + json.dumps(one))))
def test_no_text_breaks_the_filters(message: str) -> None:
    Clipboards(50).feed(message)
    passed = told(message)
    assert passed is None or passed.startswith(("cursor,", "{", "PIPELINE"))


@given(st.binary(max_size=40))
def test_no_bytes_break_the_filter(message: bytes) -> None:
    number = picture(message)
    assert number is None or number == int.from_bytes(message[2:4], "big")
