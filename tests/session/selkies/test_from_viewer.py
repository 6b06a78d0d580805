"""The filter of what viewers of the video send: a table of messages by role, and what no input may do."""

from __future__ import annotations

import base64
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.session.rfb.names import Allowed, Violation
from visa.session.selkies import viewer as filters
from visa.session.selkies.viewer import FromViewer, Passed

OWNER = Allowed(act=True, resize=True, paste=True, copy=True, limit=100)
OBSERVER = Allowed()
TEXT = base64.b64encode("à la carte".encode()).decode()

ASKS = ["START_VIDEO", "STOP_VIDEO", "REQUEST_KEYFRAME"]
ACTS = ["kd,97", "m,10,20,1,0", "m,10,20,8,3", "r,1280x800", f"cw,{TEXT}"]
FORBIDDEN = [
    *('SETTINGS,{"displayId":"primary"}', "cmd,xterm", "co,end,ls", "START_AUDIO", "STOP_AUDIO", "_gz,1", "cr"),
    *("REQUEST_CLIPBOARD", "cb,image/png,AAAA", "cws,a,3", "cwd,a,AAAA", "cwe,a", "cbs,a,text/plain,3", "kr"),
    *("js,c,0,AAAA,4,17", "m2,1,1,0,0", "s,1.5", "vb,8000", "ab,1", "_rc,cbr", "_crf,1", "_arg_fps,240", "p,1"),
    *("SET_NATIVE_CURSOR_RENDERING,1", "LOST_FRAME 3", "DECODE_PACE 1", "vp,0,0,1,1", "_stats_video,{}", "_ebc,true"),
    *("FILE_UPLOAD_START:a:1", "pong,1", "", ",", " ", "kd", "KD,97", "\x05kd,97"),
]
FORGED = [
    *(
        "kd,0",
        "kd,",
        "kd,-1",
        "kd,97,97",
        "kd,97\n",
        "kd,97\nkd,98",
        " kd,97",
        "kd, 97",
        "kd,٣",
        "kd,999999999",
        "kd,1e3",
    ),
    *("ku,0", "ku,97x", "kh,", "kh,97,", "kh,0", "kh," + ",".join(["97"] * 33), "CLIENT_FRAME_ACK 70000"),
    *("CLIENT_FRAME_ACK -1", "CLIENT_FRAME_ACK 1 2", "m,1,2,3", "m,1,2,3,4,5", "m,-1,2,0,0", "m,9000,1,0,0"),
    *("m,1,1,256,0", "m,1,1,0,16", "m,1,1,0,0,", "r,1280x800,display2", "r,1280", "r,-1x5", "r,1e3x5", "r,٣x5"),
    *("cw,****", "cw,AA", "cw,=", f"cw,{TEXT},{TEXT}", "cw,/w==", "START_VIDEO ", "START_VIDEO,1", "STOP_VIDEO\0"),
]


def filtered(allowed: Allowed, *messages: str) -> list[Passed]:
    viewer = FromViewer(allowed, "v")
    return [viewer.feed(message) for message in messages]


def test_the_owner_s_messages_pass() -> None:
    assert filtered(OWNER, *ASKS) == [Passed(pictures=(ask,)) for ask in ASKS]
    assert filtered(OWNER, *ACTS) == [Passed(acts=(act,)) for act in ACTS]
    assert filtered(OWNER, "kd,97", "kh,97", "ku,97")[1:] == [Passed(acts=("kh,97",)), Passed(acts=("ku,97",))]
    assert filtered(OWNER, "CLIENT_FRAME_ACK 65535") == [Passed(seen=65535)]


def test_an_observer_s_ask_for_pictures_and_do_nothing_else() -> None:
    assert filtered(OBSERVER, *ASKS) == [Passed(pictures=(ask,)) for ask in ASKS]
    assert filtered(OBSERVER, *ACTS, "ku,97", "kh,97") == [Passed()] * (len(ACTS) + 2)
    viewer = FromViewer(OBSERVER, "v")
    for act in ACTS:
        viewer.feed(act)
    assert not viewer.acted()
    assert viewer.release() == ()


@pytest.mark.parametrize("message", [*FORBIDDEN, *FORGED])
@pytest.mark.parametrize("allowed", [OWNER, OBSERVER])
def test_any_other_ends_the_connection(message: str, allowed: Allowed) -> None:
    if allowed is OBSERVER and message.startswith("cw,") and set(message[3:]) <= set("/AMw="):
        assert filtered(allowed, message) == [Passed()]  # well formed, and taken out before it is unpacked
        return
    with pytest.raises(Violation) as said:
        filtered(allowed, message)
    assert len(str(said.value).encode()) <= 120


@pytest.mark.parametrize("message", ACTS)
def test_a_message_that_is_split_is_none(message: str) -> None:
    for at in range(1, len(message)):
        with pytest.raises(Violation):
            filtered(OWNER, message[at:])


def test_oversized_messages_end_the_connection_unread() -> None:
    for message in ("kd," + "9" * 2000, "START_VIDEO" + " " * 2000, "x" * 10**7):
        with pytest.raises(Violation):
            filtered(OWNER, message)


def test_sizes_that_no_screen_has_are_left_out() -> None:
    assert filtered(OWNER, "r,0x5", "r,8193x5", "r,8192x8192", "r,99999x99999") == [Passed()] * 4
    assert filtered(OWNER, "r,8192x4096") == [Passed(acts=("r,8192x4096",))]


def test_clipboards_go_in_by_way_and_limit() -> None:
    def cut(size: int) -> str:
        return "cw," + base64.b64encode(b"x" * size).decode()

    assert filtered(OWNER, cut(100), cut(101), cut(10**5))[1:] == [Passed()] * 2
    only_out = Allowed(act=True, copy=True, limit=100)
    assert filtered(only_out, cut(1)) == [Passed()]


@pytest.mark.parametrize("size", [2**20 + 1, 3 * 2**18 * 2, 3 * 2**18 * 2 + 1, 2**24])
def test_a_long_clipboard_goes_in_parts_that_selkies_takes(size: int) -> None:
    plain = b"y" * size
    allowed = Allowed(act=True, paste=True, limit=2**24)
    (passed,) = filtered(allowed, "cw," + base64.b64encode(plain).decode())
    first, *parts, last = passed.acts
    assert first == f"cws,v1,{len(plain)}"
    assert last == "cwe,v1"
    assert b"".join(base64.b64decode(part.removeprefix("cwd,v1,")) for part in parts) == plain


def test_who_leaves_holds_nothing_any_more() -> None:
    viewer = FromViewer(OWNER, "v")
    for message in ("kd,97", "kd,98", "ku,97", "m,5,6,1,0"):
        viewer.feed(message)
    assert viewer.release() == ("ku,98", "m,5,6,0,0")
    assert viewer.release() == ()
    for key in range(1, 100):
        viewer.feed(f"kd,{key}")
    assert len(viewer.release()) == filters.MOST_HELD


def test_nobody_lets_go_of_another_s_keys() -> None:
    assert filtered(OWNER, "ku,97", "kh,97") == [Passed()] * 2


@pytest.mark.parametrize(("message", "acted"), [("kd,97", True), ("m,1,1,0,0", True), (f"cw,{TEXT}", True)])
def test_activity(message: str, acted: bool) -> None:
    viewer = FromViewer(OWNER, "v")
    for other in (*ASKS, "r,800x600", "CLIENT_FRAME_ACK 1", "kh,97"):
        viewer.feed(other)
    assert not viewer.acted()
    viewer.feed(message)
    assert viewer.acted() is acted
    assert not viewer.acted()


WORDS = st.sampled_from(["kd", "ku", "kh", "m", "r", "cw", "CLIENT_FRAME_ACK", *ASKS, "cmd", "SETTINGS"])
LINES = st.one_of(
    st.text(max_size=40),
    st.builds(lambda word, rest: f"{word},{rest}", WORDS, st.text("0123456789,x=AZaz+/ \n-", max_size=20)),
    st.builds(lambda *n: "m,{},{},{},{}".format(*n), *[st.integers(0, 10**5)] * 4),
)
SAFE = "|".join(
    [
        *(r"k[du],\d{1,9}", r"kh,\d{1,9}(,\d{1,9}){0,31}", r"m(,\d{1,5}){4}", r"r,\d{1,4}x\d{1,4}"),
        r"cw,[A-Za-z0-9+/]*={0,2}",
    ]
)


@given(st.lists(LINES, max_size=12), st.booleans(), st.booleans(), st.booleans())
def test_nothing_passes_that_the_viewer_may_not_do(lines: list[str], act: bool, resize: bool, paste: bool) -> None:
    viewer = FromViewer(Allowed(act, resize, paste, False, 50), "v")
    for line in lines:
        try:
            passed = viewer.feed(line)
        except Violation:
            return
        assert set(passed.pictures) <= set(ASKS)
        for one in passed.acts:
            assert re.fullmatch(SAFE, one, re.ASCII)
            needed = {"r": resize, "c": paste}.get(one[0], act)
            assert needed
        if passed.acts and not act and not paste:
            assert all(one.startswith("r,") for one in passed.acts)
