"""How long is left, and why it ends."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from visa.instances.lifetimes import time_left

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_nothing_limits_what_no_rule_limits() -> None:
    assert time_left(START, None, None, None, START) is None


def test_the_nearer_end_counts() -> None:
    left = time_left(START, START + HOUR, 10 * HOUR, 2 * HOUR, START + HOUR)
    assert left is not None
    assert (left.left, left.because, left.over) == (2 * HOUR, "idle", False)
    left = time_left(START, START + 9 * HOUR, 10 * HOUR, 5 * HOUR, START + 9 * HOUR)
    assert left is not None
    assert (left.left, left.because) == (HOUR, "maximum")


def test_activity_before_the_start_does_not_count() -> None:
    left = time_left(START, START - 9 * HOUR, None, HOUR, START)
    assert left is not None
    assert left.left == HOUR


def test_over_at_the_very_end() -> None:
    left = time_left(START, None, HOUR, None, START + HOUR)
    assert left is not None
    assert left.over
