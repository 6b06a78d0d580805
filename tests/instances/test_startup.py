"""What an environment tells of its start-up files is bounded, and can be shown."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.instances.startup import MOST, read_look

ENTRY = {"path": ".bashrc", "kind": "file", "changed": 1.5, "why": "shells"}
LOOK = {"found": [ENTRY], "unread": 0, "whole": True}


def test_an_answer_is_taken_as_it_is() -> None:
    assert read_look(LOOK) == {**LOOK, "told": True}
    assert read_look({**LOOK, "found": []})["found"] == []
    assert read_look({**LOOK, "told": False})["told"] is False


@given(st.text())
def test_every_name_can_be_shown_and_is_bounded(name: str) -> None:
    (one,) = read_look({**LOOK, "found": [{**ENTRY, "path": name}]})["found"]
    assert one["path"].isprintable()
    assert len(one["path"]) <= 800


@pytest.mark.parametrize(
    "wrong",
    [
        {"found": [ENTRY] * (MOST + 1)},
        {"found": {}},
        {"found": [{**ENTRY, "kind": "device"}]},
        {"found": [{**ENTRY, "changed": float("nan")}]},
        {"found": [{**ENTRY, "changed": -1}]},
        {"found": [{**ENTRY, "changed": 1e300}]},
        {"found": [{**ENTRY, "path": 7}]},
        {"found": [None]},
        {"unread": -1},
        {"unread": True},
        {"unread": "7"},
    ],
)
def test_what_is_not_as_agreed_is_no_answer(wrong: dict[str, Any]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_look({**LOOK, **wrong})


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_nothing_but_an_answer_is_one(given_: Any) -> None:
    with pytest.raises((ValueError, KeyError, TypeError)):
        read_look(given_)
