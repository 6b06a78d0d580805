"""Words of programs on a page: short, on one line, and nothing that a terminal or browser would act on."""

from __future__ import annotations

import signal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.hub.words import LONGEST, how_ended, shown


@given(st.one_of(st.text(), st.none(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text())))
def test_anything_is_shown_on_one_line_and_bounded(value: Any) -> None:
    line = shown(value)
    assert line.isprintable()
    assert len(line) <= LONGEST
    assert line == line.strip()
    assert shown(line) == line


@given(st.text(st.characters(categories=["L", "N", "P"]), max_size=LONGEST))
def test_plain_words_stay_as_they_are(text: str) -> None:
    assert shown(text) == text


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a\nb\tc\r\n", "a b c"),
        ("\x1b[31mred\x07", "[31mred"),
        ("left\u202eright\u2066", "left right"),
        ("  ", ""),
        (None, ""),
        ("x" * 301, "x" * 299 + "…"),
        ("x" * 300, "x" * 300),
    ],
)
def test_what_is_not_for_reading_goes(text: str | None, line: str) -> None:
    assert shown(text) == line


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGSEGV, signal.SIGHUP])
def test_a_signal_has_its_name_either_way(number: signal.Signals) -> None:
    assert how_ended(-number) == how_ended(128 + number) == f"by signal {number.name}"


@pytest.mark.parametrize("code", [0, 1, 3, 127, 128, 255, -1000, 100_000])
def test_any_other_code_is_a_number(code: int) -> None:
    assert how_ended(code) == f"exit code {code}"
