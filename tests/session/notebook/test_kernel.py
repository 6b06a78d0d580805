"""What who may only look sends a kernel, in both encodings: two questions pass, whatever the bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.session.notebook.messages import CHANNELS, KERNEL_MESSAGES, frames, text
from visa.session.notebook.kernel import COMMS, QUESTIONS, answered, has_answer, identifier, of_comm, passing, status
from visa.session.notebook.lib0 import Malformed

ALLOWED = {(kind, channel) for kind in ("kernel_info_request", "comm_info_request") for channel in ("shell", "control")}


def as_jupyter_reads(message: str | bytes) -> tuple[str, list[Any]]:
    """``(channel, [header, parent header, metadata, content, …])`` by Jupyter's own way of reading."""
    if isinstance(message, str):
        given_ = json.loads(message)
        return given_["channel"], [given_[part] for part in ("header", "parent_header", "metadata", "content")]
    count = int.from_bytes(message[:8], "little")
    places = [int.from_bytes(message[8 * (i + 1) : 8 * (i + 2)], "little") for i in range(count)]
    parts = [message[places[i] : places[i + 1]] for i in range(count - 1)]
    return parts[0].decode(), [json.loads(part) for part in parts[1:]]


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", KERNEL_MESSAGES)
def test_every_message_on_every_channel(kind: str, channel: str, v1: bool) -> None:
    message = frames(kind, channel) if v1 else text(kind, channel)
    passes, named = passing(message, v1, "pierre")
    assert named == kind
    if (kind, channel) not in ALLOWED:
        assert passes is None
        return
    assert passes is not None
    assert isinstance(passes, bytes) is v1
    read_channel, parts = as_jupyter_reads(passes)
    assert read_channel == channel
    sent = as_jupyter_reads(message)[1][0]
    assert parts == [sent | {"username": "pierre"}, {}, {}, {}]


def test_only_known_fields_go_on() -> None:
    sneaky = text("comm_info_request", "shell", {"target_name": "x", "code": "1"}, metadata={"a": 1}, more=[1])
    passes, _ = passing(sneaky, False, "pierre")
    assert passes is not None
    _, parts = as_jupyter_reads(passes)
    assert parts[1:] == [{}, {}, {"target_name": "x"}]
    with_buffers, _ = passing(frames("kernel_info_request", "shell", {}, b"buffer"), True, "pierre")
    assert with_buffers is not None
    assert len(as_jupyter_reads(with_buffers)[1]) == 4


OWN = "visa-watching-" + "0a" * 16
CONTROL = "jupyter.widget.control"
OF_WIDGETS: list[tuple[str, dict[str, Any]]] = [
    ("comm_open", {"comm_id": OWN, "target_name": CONTROL, "data": {}}),
    ("comm_msg", {"comm_id": OWN, "data": {"method": "request_states"}}),
    ("comm_close", {"comm_id": OWN, "data": {}}),
]


@pytest.mark.parametrize("v1", [False, True])
@pytest.mark.parametrize(("kind", "content"), OF_WIDGETS)
def test_how_widgets_stand_may_be_asked(kind: str, content: dict[str, Any], v1: bool) -> None:
    more = {**content, "target_module": "os", "more": 1}
    message = frames(kind, "shell", more) if v1 else text(kind, "shell", more, metadata={"version": "2", "x": 1})
    passes, _ = passing(message, v1, "pierre")
    assert passes is not None
    assert not has_answer(passes)
    assert of_comm(passes) == (kind, OWN)
    channel, parts = as_jupyter_reads(passes)
    assert channel == "shell"
    assert parts[1:] == [{}, {"version": "1.0.0"} if kind == "comm_open" else {}, content]


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("comm_open", {"comm_id": OWN, "target_name": "jupyter.widget"}),
        ("comm_open", {"comm_id": "0a" * 16, "target_name": CONTROL}),
        ("comm_open", {"comm_id": OWN + "0", "target_name": CONTROL}),
        ("comm_msg", {"comm_id": "0a" * 16, "data": {"method": "request_states"}}),
        ("comm_msg", {"comm_id": OWN, "data": {"method": "update", "state": {"value": 9}}}),
        ("comm_msg", {"comm_id": OWN, "data": {"method": "request_states", "x": 1}}),
        ("comm_close", {"comm_id": "0a" * 16}),
        ("comm_close", {"comm_id": [OWN]}),
    ],
)
def test_nothing_else_goes_to_widgets(kind: str, content: dict[str, Any]) -> None:
    assert passing(text(kind, "shell", content), False, "pierre") == (None, kind)
    assert passing(text(kind, "control", content), False, "pierre") == (None, kind)
    assert passing(frames(kind, "shell", content), True, "pierre") == (None, kind)


@pytest.mark.parametrize(
    ("message", "v1"),
    [
        ("", False),
        ("[]", False),
        ("null", False),
        ("{}", False),
        ('{"header": []}', False),
        ('{"header": {}}', False),
        ('{"header": {"msg_type": 3}}', False),
        ('{"header": {"msg_type": "kernel_info_request", "msg_id": "a\\nb", "session": "s"}}', False),
        ("[" * 5000, False),
        (b"", True),
        (b"\xff" * 64, True),
        ("text", True),
        (bytes(8), True),
        (frames("kernel_info_request", "shell")[:-1], True),
        ((7).to_bytes(8, "little") + frames("kernel_info_request", "shell")[8:], True),
        (frames("kernel_info_request", "shell").replace(b"shell", b"\xff\xffell"), True),
    ],
)
def test_what_is_not_in_order_closes(message: str | bytes, v1: bool) -> None:
    with pytest.raises(Malformed):
        passing(message, v1, "pierre")


def test_large_messages_and_those_with_buffers_of_the_old_encoding_do_not_pass() -> None:
    assert passing(text("kernel_info_request", "shell", {"x": "y" * 70_000}), False, "pierre")[0] is None
    assert passing(b"\0\0\0\1\0\0\0\x08{}", False, "pierre")[0] is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
_HEADERS = st.dictionaries(
    st.sampled_from(["msg_type", "msg_id", "session", "x"]), st.sampled_from(KERNEL_MESSAGES) | _JSON
)


_FRAMES = [frames(kind, channel) for kind in KERNEL_MESSAGES for channel in CHANNELS]


@st.composite
def _changed(draw: st.DrawFn) -> bytes:
    """A frame with some bytes changed, cut or doubled."""
    data = bytearray(draw(st.sampled_from(_FRAMES)))
    for _ in range(draw(st.integers(0, 6))):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) + draw(st.binary(max_size=20))


_TEXTS = st.builds(
    lambda head, channel, content, more: json.dumps({"header": head, "channel": channel, "content": content, **more}),
    _HEADERS,
    st.sampled_from(CHANNELS) | _JSON,
    _JSON,
    st.dictionaries(st.sampled_from(["header", "msg_type", "channel"]), _JSON, max_size=2),
)


@given(st.one_of(st.tuples(_TEXTS | st.text(), st.just(False)), st.tuples(_changed() | st.binary(), st.just(True))))
def test_no_bytes_make_jupyter_read_anything_but_a_question(given_: tuple[str | bytes, bool]) -> None:
    message, v1 = given_
    try:
        passes, _ = passing(message, v1, "pierre")
    except Malformed:
        return
    if passes is None:
        return
    channel, parts = as_jupyter_reads(passes)
    assert channel in ("shell", "control")
    assert parts[0]["msg_type"] in QUESTIONS | COMMS
    assert parts[0]["username"] == "pierre"
    if parts[0]["msg_type"] in QUESTIONS:
        assert set(parts[3]) <= {"target_name"}
    else:
        assert parts[3] in [content for _, content in OF_WIDGETS]


def reply(v1: bool, channel: str, kind: str, parent: str) -> str | bytes:
    """What Jupyter sends."""
    parts: list[Any] = [{"msg_id": "own", "msg_type": kind}, {"msg_id": parent}, {}, {"text": '_info_reply"'}]
    if not v1:
        named = dict(zip(("header", "parent_header", "metadata", "content"), parts, strict=True))
        return json.dumps({**named, "channel": channel, "buffers": []})
    written = [channel.encode(), *(json.dumps(part).encode() for part in parts)]
    places = [8 * (len(written) + 2)]
    for one in written:
        places.append(places[-1] + len(one))
    return b"".join(one.to_bytes(8, "little") for one in (len(places), *places)) + b"".join(written)


@pytest.mark.parametrize("v1", [False, True])
def test_an_answer_names_its_question_and_what_is_told_to_all_names_none(v1: bool) -> None:
    asked = frames("kernel_info_request", "shell") if v1 else text("kernel_info_request", "shell")
    passes, _ = passing(asked, v1, "pierre")
    assert passes is not None
    name = as_jupyter_reads(passes)[1][0]["msg_id"]
    assert identifier(passes) == name
    for channel in CHANNELS:
        found = answered(reply(v1, channel, "kernel_info_reply", name))
        assert found == (name if channel in ("shell", "control") else None), channel


@pytest.mark.parametrize("v1", [False, True])
def test_how_the_kernel_does_is_read_of_its_status_alone(v1: bool) -> None:
    def said(kind: str, content: dict[str, Any]) -> str | bytes:
        more = {"parent_header": {"msg_id": "asked"}}
        told = text(kind, "iopub", content, **more)
        if not v1:
            return told
        given_ = json.loads(told)
        written = [
            b"iopub",
            *(json.dumps(given_[part]).encode() for part in ("header", "parent_header", "metadata", "content")),
        ]
        places = [8 * (len(written) + 2)]
        for one in written:
            places.append(places[-1] + len(one))
        return b"".join(one.to_bytes(8, "little") for one in (len(places), *places)) + b"".join(written)

    assert status(said("status", {"execution_state": "idle"})) == ("idle", "asked")
    assert status(said("display_data", {"execution_state": "idle"})) is None
    assert status(said("status", {"execution_state": 3})) is None
    assert status(said("stream", {"text": "x"})) is None


@given(st.binary(max_size=200) | st.text(max_size=50).map(lambda one: one + '_info_reply"'))
def test_no_message_of_a_kernel_s_is_too_odd_to_be_passed_on(message: str | bytes) -> None:
    assert answered(message) is None or isinstance(message, bytes)
    assert status(message) is None
