"""Titles: what is refused in words, and how what is stored anyway is shown."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jupyterhub.slugs import is_valid_display_name

from visa.instances.texts import LONGEST_TITLE, UnfitText, for_hub, shown, title

ANY = st.text(st.characters(), max_size=60)  # halves of pairs too


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("  Micelles \t in\u00a0flow\n", "Micelles in flow"),
        ("zero\u200bwidth\ufeff and soft\u00adhyphen", "zerowidth and softhyphen"),
        ("family \U0001f468\u200d\U0001f469", "family \U0001f468\u200d\U0001f469"),
        ("می\u200cخواهم", "می\u200cخواهم"),
        ("x" * LONGEST_TITLE, "x" * LONGEST_TITLE),
        ("?", "?"),
    ],
)
def test_what_people_write_is_kept_as_one_line(given: str, kept: str) -> None:
    assert title(given) == kept


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("a\0b", "U\\+0000"),
        ("a\x1b[2J", "U\\+001B"),
        ("fdp\u202eexe", "U\\+202E"),
        ("\u2067a", "U\\+2067"),
        ("\ud800", "U\\+D800"),
        ("", "nothing that can be read"),
        (" \t\u3000", "nothing that can be read"),
        ("\u200b\u200d\ufeff", "nothing that can be read"),
        ("\u3164", "nothing that can be read"),
        ("x" * 300, "300 characters"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_why_and_a_remedy(given: str, why: str) -> None:
    with pytest.raises(UnfitText, match=why) as refused:
        title(given)
    assert refused.value.remedy


@given(ANY)
@example("a\u200bb")
def test_whatever_is_stored_is_shown_and_starts(stored: str) -> None:
    safe = shown(stored, "exp-1")
    assert title(safe) == safe
    hubs = for_hub(stored)
    assert not hubs or is_valid_display_name(hubs)
    assert for_hub(hubs) == hubs


@given(ANY)
def test_a_title_that_is_taken_is_shown_as_it_is(given: str) -> None:
    try:
        clean = title(given)
    except UnfitText:
        return
    assert shown(clean, "") == clean
    assert title(clean) == clean
    assert not {unicodedata.category(c) for c in clean} & {"Cc", "Cs", "Zl", "Zp"}
