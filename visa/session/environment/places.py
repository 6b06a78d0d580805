"""Where an address of files.py leads, and whether that is somewhere people may reach. Python 3.9, standard library."""

from __future__ import annotations

import os
import re
from typing import Any, NamedTuple
from urllib.parse import unquote_to_bytes

MOST_LINKS = 20_000
_DANGEROUS = re.compile("[\x00-\x1f\x7f-\x9f/\\\\\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""What ends a line or a part of a path, turns the direction of what follows, or is not UTF-8 on the disk."""


class Problem(Exception):
    """The request ends here."""

    def __init__(self, status: int, sentence: str, **more: Any) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.more = status, sentence, more


class Place(NamedTuple):
    """A file or folder that was asked for. ``root``: home, shared or data."""

    root: str
    path: str


def roots() -> dict[str, str]:
    """The folders that may be reached."""
    home, data = os.environ.get("HOME", ""), os.environ.get("VISA_DATA", "/data")
    return {"home": home, "shared": os.environ.get("VISA_SHARED", "/shared"), "data": data}


def place(raw: str) -> Place:
    """Where an address leads; raise `Problem`."""
    # Parts first: a coded slash is none that divides.
    try:
        root, *parts = [unquote_to_bytes(part).decode("utf-8") for part in raw.strip("/").split("/")]
    except UnicodeDecodeError:
        raise Problem(400, "The address is not UTF-8.") from None
    folder = roots().get(root)
    if not folder:
        raise Problem(404, "An address begins with home, shared or data.")
    for part in parts:
        if part in ("", ".", ".."):
            raise Problem(400, "The address has an empty part, '.' or '..'.")
        if not clean(part):
            raise Problem(400, f"The name {ascii(part)[:80]} {UNFIT}: give it another one.")
        if len(part.encode()) > 255:
            raise Problem(400, "The name is too long.")
    return Place(root, os.path.join(folder, *parts))


UNFIT = "has a control character, a backslash, or a sign that turns the direction of writing"


def clean(name: str) -> bool:
    """Whether a name can stand in an address and in a list: whatever is not dangerous can."""
    return not _DANGEROUS.search(name)


def within(path: str, folder: str) -> bool:
    """Whether ``path``, free of links, is ``folder`` or below."""
    real = os.path.realpath(folder)
    return path == real or path.startswith(real.rstrip("/") + "/")


def readable(where: Place) -> str:
    """The path without links; raise `Problem` when it leads out of all the roots."""
    real = os.path.realpath(where.path)
    if not any(folder and within(real, folder) for folder in roots().values()):
        raise Problem(403, "This is a link that leads out of the home folder, the shared space and the data.")
    return real


def named(real: str) -> str | None:
    """A path without links as an address names it, None when it is below no root; the innermost root counts."""
    found = [
        (len(os.path.realpath(folder)), root) for root, folder in roots().items() if folder and within(real, folder)
    ]
    if not found:
        return None
    root = max(found)[1]
    rest = os.path.relpath(real, os.path.realpath(roots()[root]))
    return root if rest == "." else f"{root}/{rest}"


def leads(where: Place, links: bool) -> dict[str, Any]:
    """Where ``where`` leads when all links are followed, and with ``links`` also where those in the folder do.

    What is not there yet leads where it would be made.
    """
    real = os.path.realpath(where.path)
    folder = os.path.isdir(real)
    answer: dict[str, Any] = {"place": named(real), "folder": folder}
    if links and folder:
        with os.scandir(real) as entries:
            linked = [one.name for one in entries if one.is_symlink()]
        if len(linked) > MOST_LINKS:
            raise Problem(507, "There are too many links in this folder.")
        answer["links"] = {name: named(os.path.realpath(os.path.join(real, name))) for name in linked}
    return answer
