"""What changed in start-up files, as an environment tells it and as it is kept. Nothing of it is followed."""

from __future__ import annotations

import math
from typing import Any

MOST = 300
_KINDS = frozenset({"file", "folder", "link"})
_LONGEST = 400


def read_look(given: Any) -> dict[str, Any]:
    """The answer of an environment, bounded, with names that can be shown; raise ``ValueError`` and the like.

    ``found``: ``path`` below home, ``kind``, ``changed`` (seconds since 1970), ``why``; ``unread``: how many could not
    be looked at; ``whole``: whether the look came to its end; ``told``: whether the environment answered at all.
    """
    listed = given["found"]
    if not isinstance(listed, list) or len(listed) > MOST:
        raise ValueError("found is no list, or too long")
    unread = given["unread"]
    if isinstance(unread, bool) or not isinstance(unread, int) or unread < 0:
        raise ValueError("unread is no count")
    found = [_one(one) for one in listed]
    told = given.get("told", True) is True
    return {"found": found, "unread": min(unread, 10**6), "whole": given["whole"] is True, "told": told}


def _one(given: Any) -> dict[str, Any]:
    changed = float(given["changed"])
    if given["kind"] not in _KINDS or not math.isfinite(changed) or not 0 <= changed < 2**33:
        raise ValueError("an entry is not as agreed")
    return {
        "path": _shown(given["path"]),
        "kind": given["kind"],
        "changed": changed,
        "why": _shown(given["why"]),
    }


def _shown(given: Any) -> str:
    """With what ends a line, cannot be seen, or turns the order of letters written as its number."""
    if not isinstance(given, str):
        raise ValueError("a name is no text")
    return "".join(c if c.isprintable() else f"\\u{ord(c):04x}" for c in given[:_LONGEST])[: 2 * _LONGEST]
