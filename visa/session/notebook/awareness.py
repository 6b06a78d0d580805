"""Yjs' awareness: who is in a document and where her cursor is. Everybody may tell of herself, in her own name."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from visa.session.notebook.lib0 import Malformed, Reader, number, string

LARGEST = 2**20
MOST = 4096
_MOST_CURSORS = 64
_LARGEST_STATE = 2**16


@dataclass(frozen=True, slots=True)
class Entry:
    """One client's state, None when it left."""

    client: int
    clock: int
    state: dict[str, Any] | None


def read(update: bytes) -> list[Entry]:
    """All entries; raise `Malformed`."""
    if len(update) > LARGEST:
        raise Malformed("too many people")
    reader = Reader(update)
    count = reader.number()
    if count > MOST:
        raise Malformed("too many people")
    entries = [Entry(reader.number(), reader.number(), _state(reader.bytes())) for _ in range(count)]
    if not reader.ended:
        raise Malformed("something follows the last person")
    return entries


def _state(text: bytes) -> dict[str, Any] | None:
    try:
        state = json.loads(text.decode(), parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise Malformed("a state is not JSON") from None
    if state is not None and not isinstance(state, dict):
        raise Malformed("a state is no object")
    return state


def _no_number(name: str) -> Any:
    raise ValueError(name)


def written(entries: Iterable[Entry]) -> bytes:
    """Encoded; raise `Malformed` when a state cannot be JSON for a browser."""
    entries = list(entries)
    parts = [number(len(entries))]
    for one in entries:
        try:
            text = json.dumps(one.state, separators=(",", ":"), allow_nan=False)
        except (ValueError, RecursionError):
            raise Malformed("a state is not JSON") from None
        parts += [number(one.client), number(one.clock), string(text.encode())]
    return b"".join(parts)


def own(state: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """The state of somebody who may act: all that she says, in her own name."""
    return {**state, "user": identity}


def looking(state: dict[str, Any], identity: dict[str, Any]) -> dict[str, Any]:
    """The state of somebody who may only look: her name and her cursors. She does not make Jupyter save."""
    told: dict[str, Any] = {"user": identity, "autosave": False}
    cursors = _cursors(state.get("cursors"))
    if cursors:
        told["cursors"] = cursors
    return told


def _cursors(given: Any) -> list[dict[str, Any]]:
    """In the form that JupyterLab's editors read; others would make them stumble."""
    if not isinstance(given, list) or len(given) > _MOST_CURSORS:
        return []
    found = []
    for one in given:
        if not isinstance(one, dict):
            return []
        ends = {key: _position(one.get(key)) for key in ("anchor", "head")}
        if None in ends.values():
            return []
        found.append({**ends, "primary": one.get("primary") is True, "empty": one.get("empty") is True})
    return found


def _position(given: Any) -> dict[str, Any] | None:
    """A relative position of Yjs."""
    if not isinstance(given, dict):
        return None
    ids = {key: given.get(key) for key in ("type", "item")}
    if not all(value is None or _is_id(value) for value in ids.values()):
        return None
    name, side = given.get("tname"), given.get("assoc", 0)
    if not (name is None or (isinstance(name, str) and len(name) < 200)) or not _counts(side, -1):
        return None
    kept = {key: value and {"client": value["client"], "clock": value["clock"]} for key, value in ids.items()}
    return {**{key: value for key, value in kept.items() if value}, **({"tname": name} if name else {}), "assoc": side}


def _is_id(value: Any) -> bool:
    return isinstance(value, dict) and _counts(value.get("client"), 0) and _counts(value.get("clock"), 0)


def _counts(value: Any, least: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and least <= value < 2**53


def small(entry: Entry) -> bool:
    """Whether an entry is of a size that is passed on."""
    return entry.state is None or len(json.dumps(entry.state)) <= _LARGEST_STATE
