"""Whether a login was made just now, by what the provider says of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import facility
from visa.instances.confirming import CLOCK, asks_again, not_fresh

BEGUN = datetime(2026, 11, 29, 2, 0, tzinfo=UTC)
skews = st.integers(-(10**8), 10**8)
"""Seconds by which the provider's clock is another than ours."""
spans = st.integers(0, 600)


@given(spans, spans, skews)
def test_a_login_between_question_and_answer_is_fresh_whatever_the_providers_clock(
    takes: int, after: int, skew: int
) -> None:
    answered = BEGUN + timedelta(seconds=takes + after)
    issued = int(answered.timestamp()) + skew
    assert not_fresh(BEGUN, answered, issued, issued - after) is None


@given(spans, st.integers(CLOCK + 1, 10**6), skews)
def test_a_login_of_before_is_not_fresh_whatever_the_providers_clock(takes: int, before: int, skew: int) -> None:
    answered = BEGUN + timedelta(seconds=takes)
    issued = int(answered.timestamp()) + skew
    why = not_fresh(BEGUN, answered, issued, issued - takes - before)
    assert why is not None
    assert "prompt" in why


@pytest.mark.parametrize("said", [None, "1700000000", True, [], {}, "now"])
def test_what_is_no_time_shows_nothing(said: object) -> None:
    assert "auth_time" in (not_fresh(BEGUN, BEGUN, 1_700_000_000, said) or "")


def test_a_login_that_is_yet_to_come_shows_nothing() -> None:
    assert not_fresh(BEGUN, BEGUN, 1000, 1000 + CLOCK) is None
    assert "yet to come" in (not_fresh(BEGUN, BEGUN, 1000, 1001 + CLOCK) or "")


def test_a_clock_that_was_set_back_meanwhile_makes_nothing_older_fresh() -> None:
    answered = BEGUN - timedelta(hours=1)
    assert not_fresh(BEGUN, answered, 1000, 1000 - CLOCK) is None
    assert not_fresh(BEGUN, answered, 1000, 999 - CLOCK) is not None


def test_facilities_ask_again_unless_they_say_otherwise() -> None:
    assert asks_again(facility())
    assert asks_again(facility(people={"login_again": "unproven"}))
    assert not asks_again(facility(people={"login_again": "off"}))
