"""A collaboration room: who only looks never changes a document, and nobody speaks in another's name."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pycrdt import Awareness, Doc, Text, create_sync_message, handle_sync_message

from tests.session.notebook.messages import states, sync
from visa.session.notebook import awareness
from visa.session.notebook.lib0 import Malformed, Reader, number, string
from visa.session.notebook.room import Claims, Passes, Room, document, is_fork

PIERRE = {"username": "pierre", "display_name": "Pierre", "color": "red"}
MARIE = {"username": "marie", "display_name": "Marie", "color": "blue"}


def looks(claims: Claims | None = None, *, everybody: bool = False) -> Room:
    return Room(PIERRE, False, everybody, claims or Claims())


def acts(claims: Claims | None = None) -> Room:
    return Room(MARIE, True, False, claims or Claims())


def an_update() -> bytes:
    doc = Doc(client_id=7)
    doc["source"] = Text("print(6 * 7)")
    return doc.get_update()


def entries(passes: Passes) -> list[awareness.Entry]:
    assert isinstance(passes.on, bytes)
    assert passes.on[0] == 1
    return awareness.read(Reader(passes.on[1:]).bytes())


def test_her_question_passes_and_her_edits_do_not() -> None:
    question, update = create_sync_message(Doc()), an_update()
    assert looks().inward(question).on == question
    assert looks().inward(sync(1, update)) == Passes()
    assert looks().inward(sync(2, update)) == Passes(dropped="an edit")
    assert looks().inward(sync(3, update)).on is None
    # The gateway says in her place that there are none, as soon as she is told the document.
    assert looks().reply(sync(1, update)) == b"\0\1\2\0\0"
    assert looks().reply(sync(0, update)) is None
    assert acts().reply(sync(1, update)) is None
    for kind in range(2, 256):
        if kind != 2:
            assert looks().inward(bytes([kind]) + string(update)).on is None


def test_who_acts_is_not_hindered() -> None:
    for message in (sync(0, b"\0"), sync(1, an_update()), sync(2, an_update()), b"\x02\x04save\x07", b"\x7dchat"):
        assert acts().inward(message).on == message


def test_a_wish_to_save_is_answered_and_goes_nowhere() -> None:
    passes = looks().inward(b"\x02\x04save\x07")
    assert passes.on is None
    assert passes.answer is not None
    assert json.loads(Reader(passes.answer[1:]).bytes()) == {"type": "save", "responseTo": 7, "status": "failed"}


def test_everybody_bears_her_own_name() -> None:
    forged = states((5, 1, {"user": MARIE, "cursors": [], "autosave": True, "more": 1}))
    assert entries(looks().inward(forged)) == [awareness.Entry(5, 1, {"user": PIERRE, "autosave": False})]
    told = entries(acts().inward(states((6, 1, {"user": PIERRE, "more": 1}))))
    assert told == [awareness.Entry(6, 1, {"user": MARIE, "more": 1})]


def test_cursors_pass_in_the_form_that_editors_read() -> None:
    end = {"type": {"client": 3, "clock": 4}, "tname": None, "item": {"client": 3, "clock": 9, "x": 1}, "assoc": 0}
    kept = {"type": {"client": 3, "clock": 4}, "item": {"client": 3, "clock": 9}, "assoc": 0}
    one = {"anchor": end, "head": end, "primary": True, "empty": 0, "x": 1}
    state = entries(looks().inward(states((5, 1, {"cursors": [one]}))))[0].state
    assert state is not None
    assert state["cursors"] == [{"anchor": kept, "head": kept, "primary": True, "empty": False}]
    for bad in ("x", [1], [{}], [{"anchor": 1, "head": end}], [{"anchor": {"type": 5}, "head": end}], [one] * 100):
        state = entries(looks().inward(states((5, 1, {"cursors": bad}))))[0].state
        assert state is not None
        assert "cursors" not in state


def test_nobody_speaks_for_another_and_repeats_are_not_passed() -> None:
    claims = Claims()
    marie, pierre = acts(claims), looks(claims)
    assert entries(marie.inward(states((6, 1, {}))))
    assert entries(pierre.inward(states((5, 1, {}))))
    assert pierre.inward(states((6, 9, None))) == Passes()
    assert marie.inward(states((5, 9, None))) == Passes()
    assert [one.client for one in entries(pierre.inward(states((5, 2, {}), (6, 9, {}), (77, 1, {}))))] == [5]
    again = acts(claims)
    assert entries(again.inward(states((6, 2, {}))))  # a reload, while the old end is still there
    assert marie.farewell() is None
    gone = again.farewell()
    assert gone is not None
    assert entries(Passes(on=gone)) == [awareness.Entry(6, 3, None)]
    assert entries(pierre.inward(states((6, 9, {}))))


def test_who_only_looks_is_not_told_what_others_have_open() -> None:
    message = states((6, 1, {"user": MARIE, "current": "notebook:home/secret.ipynb", "documents": ["a"]}), (7, 2, None))
    told = looks(everybody=True).outward(message)
    assert entries(Passes(on=told)) == [awareness.Entry(6, 1, {"user": MARIE}), awareness.Entry(7, 2, None)]
    assert looks(everybody=True).outward(b"\x01\xff") is None
    assert looks(everybody=True).outward(b"\x00\x00\x01\x00") == b"\x00\x00\x01\x00"
    assert looks().outward(message) == message
    assert acts().outward(message) == message


@pytest.mark.parametrize(
    "message",
    [
        "text",
        b"",
        b"\x00\x00",
        b"\x00\x00\x05\x01",
        b"\x00\x00\x01\x00\x00",
        b"\x00\x00\x03\x01\x05\x80",
        sync(0, b"\xff\xff\x7f"),
        sync(0, number(1) + number(1) + number(2**40)),
        b"\x01",
        b"\x01\x02\x01",
        b"\x01" + string(number(1) + number(1) + number(1) + string(b"[]")),
        b"\x01" + string(number(1) + number(1) + number(1) + string(b'{"a": NaN}')),
        b"\x01" + string(number(1) + number(1) + number(1) + string(b'{"a":' * 40_000)),
        b"\x01" + string(number(2**40)),
        states((1, 1, {})) + b"\0",
    ],
)
def test_what_is_not_in_order_closes(message: str | bytes) -> None:
    with pytest.raises(Malformed):
        looks().inward(message)


def test_rooms() -> None:
    assert document("json:notebook:0a1b-2c") == ("json", "notebook", "0a1b-2c")
    for name in ("", "JupyterLab:globalAwareness", "json:notebook:", "json:notebook:../x", "a:b:c", "x" * 32):
        assert document(name) is None
    assert is_fork("0123456789abcdef" * 2)
    assert not is_fork("json:notebook:0a1b-2c")


class Server:
    """A document and its awareness, which take messages as jupyter-server-ydoc and pycrdt do."""

    def __init__(self) -> None:
        self.doc = Doc()
        self.doc["source"] = Text("as it was")
        self.awareness = Awareness(self.doc)

    def take(self, message: bytes) -> None:
        if message[0] == 0:
            handle_sync_message(message[1:], self.doc)
        elif message[0] == 1:
            self.awareness.apply_awareness_update(Reader(message[1:]).bytes(), None)
        else:
            raise AssertionError(message)


@st.composite
def _messages(draw: st.DrawFn) -> bytes:
    """Real messages, also changed, cut and joined."""
    real = [
        sync(0, b"\0"),
        sync(0, bytes([1, 7, 3])),
        sync(1, an_update()),
        sync(2, an_update()),
        b"\x02\x04save\x07",
        states((5, 1, {"user": {"username": "marie"}})),
        states((5, 1, None), (6, 2, {"cursors": [{}]})),
    ]
    data = bytearray(b"".join(draw(st.lists(st.sampled_from(real) | st.binary(max_size=12), min_size=1, max_size=3))))
    for _ in range(draw(st.integers(0, 4))):
        if data:
            data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data[: draw(st.integers(0, len(data)))]) if draw(st.booleans()) else bytes(data)


@given(st.lists(_messages(), max_size=6))
def test_no_bytes_make_a_document_change(messages: list[bytes]) -> None:
    server, room = Server(), looks()
    before = server.doc.get_update()
    for message in messages:
        try:
            passes = room.inward(message)
        except Malformed:
            continue
        if isinstance(passes.on, bytes):
            server.take(passes.on)
    assert server.doc.get_update() == before
    for client, state in server.awareness.states.items():
        assert client == server.doc.client_id or state["user"] == PIERRE
        assert not state.get("autosave")


@given(st.binary(max_size=40))
def test_numbers_are_read_as_they_are_written(data: bytes) -> None:
    reader = Reader(data)
    try:
        value = reader.number()
    except Malformed:
        return
    assert data.startswith(number(value))


@given(st.dictionaries(st.integers(0, 2**53 - 1), st.dictionaries(st.text(max_size=5), st.text()), max_size=5))
def test_awareness_comes_back_as_it_went(given_: dict[int, dict[str, Any]]) -> None:
    wanted = [awareness.Entry(client, 3, state) for client, state in given_.items()]
    assert awareness.read(awareness.written(wanted)) == wanted
