"""No word of the portal's own addresses can be taken for a name, and no name for a word."""

from __future__ import annotations

import itertools
import re

from visa.identifiers import Username
from visa.portal.api import OPERATIONS
from visa.portal.sharing.pages import ROUTES

PARTS = {
    "id": re.compile(r"[0-9a-f]{16}"),
    "n": re.compile(r"[0-9]{1,18}"),
    "username": Username.pattern,
}
"""What stands for each part: an instance's id, a number, a name."""
PATHS = sorted({one.path for one in OPERATIONS})


def test_every_part_of_a_path_is_known_here() -> None:
    assert set(re.findall(r"{(\w+)}", " ".join(PATHS))) == set(PARTS)


def test_no_word_stands_where_a_name_may() -> None:
    pairs = itertools.combinations([path.split("/") for path in PATHS], 2)
    assert [pair for pair in pairs if _may_be_one(*pair)] == []


def _may_be_one(path: list[str], other: list[str]) -> bool:
    """Whether there is an address that both have, for some names."""
    return len(path) == len(other) and all(map(_agree, path, other))


def _agree(part: str, word: str) -> bool:
    if part == word or (part.startswith("{") and word.startswith("{")):
        return True
    name, plain = (part, word) if part.startswith("{") else (word, part)
    return name.startswith("{") and PARTS[name.strip("{}")].fullmatch(plain) is not None


def test_no_word_stands_where_a_page_has_a_name() -> None:
    patterns = [pattern for pattern, _ in ROUTES]
    plain = {word for pattern in patterns for word in pattern.split("/") if re.fullmatch("[a-z]+", word)}
    named = [part for pattern in patterns for part in re.findall(r"\(.*?\)", pattern)]
    assert set(named) == {"([0-9a-f]{16})", "([A-Za-z0-9_-]+)"}
    assert not any(re.fullmatch("[0-9a-f]{16}", word) for word in plain)
    assert len([pattern for pattern in patterns if pattern.startswith("join/")]) == 1
