"""What who may only look sends a kernel: questions what it is and how its widgets stand, and nothing else.

Widgets tell their state on a comm of their own kind (``jupyter.widget.control``), which the page opens. A comm that had
another one's name would take its place in the kernel, so those of who only looks have names that no others have
(`OWN_COMM`; lab-watching.js gives them), and all that passes on them is the one question.

A message that passes is written anew from what was read of it, so Jupyter cannot read another one in it. Both
encodings: JSON text, and the frames of ``v1.kernel.websocket.jupyter.org``.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from visa.session.notebook.lib0 import Malformed

V1 = "v1.kernel.websocket.jupyter.org"
QUESTIONS = frozenset({"kernel_info_request", "comm_info_request"})
COMMS = frozenset({"comm_open", "comm_msg", "comm_close"})
OWN_COMM = re.compile(r"visa-watching-[0-9a-f]{32}")
_CONTROL, _STATES, _VERSION = "jupyter.widget.control", {"method": "request_states"}, "1.0.0"
CHANNELS = frozenset({"shell", "control"})
LARGEST = 2**16
_HEAD = 8
_PARTS = 4
_MOST_BUFFERS = 64
_WORD = re.compile(r"[\w.:-]{1,128}", re.ASCII)
_IDENTIFIER = re.compile(rb'"msg_id": "([^"]*)"')
_KIND = re.compile(rb'"msg_type": "([^"]*)"')
_COMM = re.compile(rb'"comm_id": "(%s)"' % OWN_COMM.pattern.encode())
_SHORT = 2**13
_WORDY = 16
_KNOWN = re.compile(r"\w{1,60}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Question:
    """What was read of a message."""

    channel: str
    kind: str
    identifier: str
    session: str
    content: dict[str, Any]
    metadata: dict[str, str]


def passing(message: str | bytes, v1: bool, username: str) -> tuple[str | bytes | None, str]:
    """``(what goes on to Jupyter or None, the type of message)``; raise `Malformed` to close."""
    if len(message) > LARGEST:
        return None, "a large message"
    if v1:
        if isinstance(message, str):
            raise Malformed("v1 speaks bytes")
        channel, header, content = _frames(message)
    elif isinstance(message, bytes):
        return None, "a message with buffers"
    else:
        channel, header, content = _text(message)
    kind = header.get("msg_type")
    if not isinstance(kind, str):
        raise Malformed("the message has no type")
    asks = _of_widgets(kind, content) if kind in COMMS and channel == "shell" else None
    if kind in QUESTIONS and channel in CHANNELS:
        asks = _of_kernel(kind, content)
    if asks is None:
        return None, kind if _KNOWN.fullmatch(kind) else "an unknown message"
    metadata = {"version": _VERSION} if kind == "comm_open" else {}
    question = Question(channel, kind, _word(header, "msg_id"), _word(header, "session"), asks, metadata)
    return _written(question, v1, username), kind


def has_answer(question: str | bytes) -> bool:
    """Whether the kernel answers a message that `passing` wrote to who sent it; what widgets tell is told to all."""
    found = _KIND.search(question.encode() if isinstance(question, str) else question)
    return found is not None and found[1].decode() in QUESTIONS


def of_comm(question: str | bytes) -> tuple[str, str]:
    """``(kind, comm)`` of a message of widgets that `passing` wrote; empty of another one."""
    data = question.encode() if isinstance(question, str) else question
    kind, comm = _KIND.search(data), _COMM.search(data)
    return (kind[1].decode(), comm[1].decode()) if kind and comm and kind[1].decode() in COMMS else ("", "")


def status(message: str | bytes) -> tuple[str, str] | None:
    """``(state, the identifier of what it is about)`` when a message of Jupyter's says how the kernel does."""
    if len(message) > _SHORT:
        return None
    try:
        if isinstance(message, str):
            if '"execution_state"' not in message:
                return None
            given = _json(message, "the message")
            header, parent, content = (given.get(part) for part in ("header", "parent_header", "content"))
        else:
            if b'"execution_state"' not in message:
                return None
            places = _places(message)
            spans = [message[places[at] : places[at + 1]] for at in (1, 2, 4)]
            header, parent, content = (_json(span, "a part") for span in spans)
    except Malformed:
        return None
    if not (isinstance(header, dict) and isinstance(parent, dict) and isinstance(content, dict)):
        return None
    state, about = content.get("execution_state"), parent.get("msg_id", "")
    return (state, str(about)) if header.get("msg_type") == "status" and isinstance(state, str) else None


def identifier(question: str | bytes) -> str:
    """Of a message that `passing` wrote."""
    found = _IDENTIFIER.search(question.encode() if isinstance(question, str) else question)
    return found[1].decode() if found else ""


def answered(message: str | bytes) -> str | None:
    """The identifier of the question that a message of Jupyter's answers; None for what is told to all."""
    try:
        if isinstance(message, str):
            # Looked for first: outputs are large.
            if '_info_reply"' not in message:
                return None
            given = _json(message, "the message")
            channel, parent = given.get("channel"), given.get("parent_header")
        else:
            first, second = (int.from_bytes(message[at : at + _HEAD], "little") for at in (_HEAD, 2 * _HEAD))
            if second - first > _WORDY or message[first:second].decode(errors="replace") not in CHANNELS:
                return None
            channel, third, fourth = "shell", *_places(message)[2:4]
            parent = _json(message[third:fourth], "the parent")
    except Malformed:
        return None
    said = parent.get("msg_id") if isinstance(parent, dict) else None
    return said if channel in CHANNELS and isinstance(said, str) else None


def _object(given: Any, what: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Malformed(f"{what} is no JSON object")
    return given


def _json(text: str | bytes, what: str) -> dict[str, Any]:
    try:
        return _object(json.loads(text), what)
    except (ValueError, RecursionError):
        raise Malformed(f"{what} is not JSON") from None


def _text(message: str) -> tuple[str, dict[str, Any], dict[str, Any]]:
    given = _json(message, "the message")
    channel = given.get("channel", "shell")
    header, content = _object(given.get("header"), "the header"), _object(given.get("content", {}), "the content")
    return channel if isinstance(channel, str) else "", header, content


def _places(message: bytes) -> list[int]:
    count = int.from_bytes(message[:_HEAD], "little")
    if not _PARTS + 2 <= count <= _PARTS + 2 + _MOST_BUFFERS or len(message) < _HEAD * (count + 1):
        raise Malformed("the frame's table is cut")
    places = [int.from_bytes(message[_HEAD * (i + 1) : _HEAD * (i + 2)], "little") for i in range(count)]
    if places != sorted(places) or places[0] < _HEAD * (count + 1) or places[-1] > len(message):
        raise Malformed("the frame's table is not in order")
    return places


def _frames(message: bytes) -> tuple[str, dict[str, Any], dict[str, Any]]:
    places = _places(message)
    parts = [message[start:end] for start, end in pairwise(places)]
    try:
        channel = parts[0].decode()
    except UnicodeDecodeError:
        raise Malformed("the channel is not UTF-8") from None
    return channel, _json(parts[1], "the header"), _json(parts[4], "the content")


def _word(header: dict[str, Any], name: str) -> str:
    value = header.get(name)
    if not isinstance(value, str) or not _WORD.fullmatch(value):
        raise Malformed(f"{name} is no identifier")
    return value


def _of_kernel(kind: str, content: dict[str, Any]) -> dict[str, Any]:
    target = content.get("target_name", content.get("target"))
    named = kind == "comm_info_request" and isinstance(target, str) and len(target) <= 200
    return {"target_name": target} if named else {}


def _of_widgets(kind: str, content: dict[str, Any]) -> dict[str, Any] | None:
    """The content of a question how widgets stand; None of anything else."""
    comm = content.get("comm_id")
    if not isinstance(comm, str) or not OWN_COMM.fullmatch(comm):
        return None
    if kind == "comm_open":
        return (
            {"comm_id": comm, "target_name": _CONTROL, "data": {}} if content.get("target_name") == _CONTROL else None
        )
    if kind == "comm_close":
        return {"comm_id": comm, "data": {}}
    asks = kind == "comm_msg" and content.get("data") == _STATES
    return {"comm_id": comm, "data": _STATES} if asks else None


def _written(question: Question, v1: bool, username: str) -> str | bytes:
    header = {
        "msg_id": question.identifier,
        "msg_type": question.kind,
        "username": username,
        "session": question.session,
        "version": "5.3",
        "date": "",
    }
    metadata, content = question.metadata, question.content
    if not v1:
        parts = {"header": header, "parent_header": {}, "metadata": metadata, "content": content, "buffers": []}
        return json.dumps({**parts, "channel": question.channel})
    parts_ = [question.channel.encode(), *(json.dumps(part).encode() for part in (header, {}, metadata, content))]
    at = _HEAD * (len(parts_) + 2)
    places = [at]
    for part in parts_:
        places.append(at := at + len(part))
    table = [len(places), *places]
    return b"".join(number.to_bytes(_HEAD, "little") for number in table) + b"".join(parts_)
