"""A collaboration room's messages, as jupyter-server-ydoc and Yjs speak them. Whatever is not known here is not passed.

Who may only look asks for the document (sync step 1) and tells where she is (awareness). Her edits never pass: her
browser answers the server's own question with a step 2 by itself, so that one goes without a word. The gateway answers
in her place that she has none (`reply`): jupyter-server-documents takes no message of anybody until it has the answer,
or for 5 s, and then sends who owes it away.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from visa.session.notebook import awareness
from visa.session.notebook.awareness import Entry
from visa.session.notebook.lib0 import Malformed, Reader, number, string

SYNC, AWARENESS, RAW = 0, 1, 2
STEP_1, STEP_2, UPDATE = 0, 1, 2
EVERYBODY = "JupyterLab:globalAwareness"
"""The room of all who are in this Jupyter; it holds no document."""
LARGEST_QUESTION = 2**20
NOTHING_NEW = bytes([SYNC, STEP_2]) + string(bytes(2))
"""The answer to a question for edits: there are none."""
_CLOCK = 2**32
_MOST_CLIENTS = 4
_DOCUMENT = re.compile(r"(json|text|base64):(notebook|file|chat):([0-9A-Za-z-]{1,64})")
_FORK = re.compile(r"[0-9a-f]{32}")


def document(room: str) -> tuple[str, str, str] | None:
    """``(format, type, file id)`` of a room's document, None when it has none."""
    found = _DOCUMENT.fullmatch(room)
    return (found[1], found[2], found[3]) if found else None


def is_fork(room: str) -> bool:
    """Whether it is a copy of a document, as the timeline makes it."""
    return _FORK.fullmatch(room) is not None


@dataclass(slots=True, weakref_slot=True, eq=False)
class Claims:
    """Whose clients of Yjs are whose, in one room: nobody may speak for another's."""

    holders: dict[int, Room] = field(default_factory=dict)

    def take(self, client: int, room: Room, alone: bool) -> bool:
        """Whether ``client`` is the room's own; an unknown one becomes it when it stands ``alone`` in its message."""
        holder = self.holders.get(client)
        if holder is room:
            return True
        if holder is not None and holder.username != room.username:
            return False
        if not alone or len(room.clocks) >= _MOST_CLIENTS:
            return False
        if holder is not None:
            holder.clocks.pop(client, None)
        self.holders[client] = room
        return True

    def release(self, room: Room) -> None:
        """It is closed."""
        for client in room.clocks:
            if self.holders.get(client) is room:
                del self.holders[client]


@dataclass(frozen=True, slots=True)
class Passes:
    """What goes on to Jupyter, what is answered, and what to log of a message that does neither."""

    on: str | bytes | None = None
    answer: bytes | None = None
    dropped: str = ""


class Room:
    """One person's end of a room. ``acts``: her role may change the document."""

    def __init__(self, identity: dict[str, Any], acts: bool, everybody: bool, claims: Claims) -> None:
        self.username = str(identity.get("username", ""))
        self.clocks: dict[int, int] = {}
        self._identity, self._acts, self._everybody, self._claims = identity, acts, everybody, claims

    def inward(self, message: str | bytes) -> Passes:
        """Of the browser's message; raise `Malformed` to close."""
        if isinstance(message, str) or not message:
            raise Malformed("a room speaks bytes")
        if message[0] == AWARENESS:
            return self._told(message)
        if self._acts:
            return Passes(on=message)
        if message[0] == SYNC:
            return _question(message)
        return _kept(message) if message[0] == RAW else Passes(dropped=f"a message of type {message[0]}")

    def _told(self, message: bytes) -> Passes:
        reader = Reader(message[1:])
        entries = awareness.read(reader.bytes())
        if not reader.ended:
            raise Malformed("something follows the awareness")
        # Browsers repeat what they were told of others; it is known already.
        mine = [self._mine(one) for one in entries if self._claims.take(one.client, self, len(entries) == 1)]
        if not mine:
            return Passes()
        if not all(awareness.small(one) for one in mine):
            return Passes(dropped="a state that is too large")
        for one in mine:
            self.clocks[one.client] = max(one.clock, self.clocks.get(one.client, 0))
        return Passes(on=_awareness(mine))

    def _mine(self, entry: Entry) -> Entry:
        if entry.state is None:
            return entry
        state = awareness.own if self._acts else awareness.looking
        return Entry(entry.client, entry.clock, state(entry.state, self._identity))

    def reply(self, beginning: bytes) -> bytes | None:
        """What Jupyter is answered as soon as it begins to tell who only looks the document."""
        return NOTHING_NEW if not self._acts and beginning[:2] == bytes([SYNC, STEP_2]) else None

    @property
    def keeps_back(self) -> bool:
        """Whether `outward` has something to keep back."""
        return self._everybody and not self._acts

    def outward(self, message: str | bytes) -> str | bytes | None:
        """Of Jupyter's message: who only looks is not told which documents the others have open."""
        if not self.keeps_back or isinstance(message, str) or message[:1] != bytes([AWARENESS]):
            return message
        try:
            entries = awareness.read(Reader(message[1:]).bytes())
            return _awareness([Entry(e.client, e.clock, e.state and _name_only(e.state)) for e in entries])
        except Malformed:
            return None

    def farewell(self) -> bytes | None:
        """What tells the others that she left; her browser cannot when she is sent away."""
        self._claims.release(self)
        gone = [Entry(client, clock + 1, None) for client, clock in self.clocks.items()]
        self.clocks = {}
        return _awareness(gone) if gone else None


def _name_only(state: dict[str, Any]) -> dict[str, Any]:
    return {"user": state["user"]} if isinstance(state.get("user"), dict) else {}


def _awareness(entries: list[Entry]) -> bytes:
    return bytes([AWARENESS]) + string(awareness.written(entries))


def _question(message: bytes) -> Passes:
    kind = message[1] if len(message) > 1 else None
    if kind == STEP_2:
        return Passes()
    if kind != STEP_1:
        return Passes(dropped="an edit" if kind == UPDATE else "an unknown sync message")
    reader = Reader(message[2:])
    state = reader.bytes()
    if not reader.ended or len(state) > LARGEST_QUESTION:
        raise Malformed("a question with something behind it, or too large")
    return Passes(on=bytes([SYNC, STEP_1]) + string(_vector(state)))


def _vector(state: bytes) -> bytes:
    """A state vector, read to its end: pairs of a client and how much of its doing is known."""
    reader = Reader(state)
    pairs = [(reader.number(), reader.number()) for _ in range(_count(reader, len(state)))]
    if not reader.ended or any(clock >= _CLOCK for _, clock in pairs):
        raise Malformed("the state vector is not in order")
    return number(len(pairs)) + b"".join(number(client) + number(clock) for client, clock in pairs)


def _count(reader: Reader, most: int) -> int:
    count = reader.number()
    if count > most:
        raise Malformed("the state vector is cut")
    return count


def _kept(message: bytes) -> Passes:
    """JupyterLab's wish to save: answered, so that nobody waits."""
    reader = Reader(message[1:])
    if reader.bytes() != b"save":
        return Passes(dropped="an unknown request")
    told = {"type": "save", "responseTo": reader.number(), "status": "failed"}
    return Passes(answer=bytes([RAW]) + string(json.dumps(told).encode()), dropped="a wish to save")
