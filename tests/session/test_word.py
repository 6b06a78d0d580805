"""What the hub says of who may be here is read as a whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.identifiers import instance_id
from visa.instances.members import Membership, Sharing
from visa.session.word import BadWord, Word, read

MINE = instance_id("marie", "work")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
GOOD: dict[str, Any] = {
    "number": 3,
    "members": [
        {"username": "lise", "name": "Lise", "role": "observer", "way": "team", "until": None, "with_owner": True,
         "since": "2026-01-01T00:00:00+00:00"}
    ],
    "sharing": Sharing().told(),
    "requests": [],
    "help": False,
}  # fmt: skip


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_a_word_is_read_or_void(key: str, value: Any) -> None:
    try:
        word = read({**GOOD, key: value}, MINE)
    except BadWord:
        return
    assert isinstance(word, Word)
    assert all(isinstance(member, Membership) for member in word.members.values())


@given(st.sampled_from(sorted(GOOD["members"][0])), JSON)
def test_a_member_is_read_or_all_is_void(key: str, value: Any) -> None:
    try:
        word = read({**GOOD, "members": [{**GOOD["members"][0], key: value}]}, MINE)
    except BadWord:
        return
    (member,) = word.members.values()
    assert member.role in ("observer", "collaborator", "support", "support-view")


@pytest.mark.parametrize("key", sorted(GOOD))
def test_a_word_without_a_part_is_void(key: str) -> None:
    with pytest.raises(BadWord):
        read({k: v for k, v in GOOD.items() if k != key}, MINE)
    assert read(GOOD, MINE).name("lise") == "Lise"
