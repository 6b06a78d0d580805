"""Tickets for pictures of desktops: for one instance, for some minutes, and made by nobody without the key."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from visa.instances.pictures import good, key_of, ticket

KEY = key_of(b"secret", "0123456789abcdef")
SECONDS = st.floats(0, 4e9)


@given(SECONDS)
def test_a_ticket_is_good_for_four_to_five_minutes(now: float) -> None:
    made = ticket(KEY, now)
    assert good(KEY, made, now)
    assert good(KEY, made, now + 239)
    assert not good(KEY, made, now + 301)


@given(SECONDS, st.text())
def test_nothing_else_is(now: float, text: str) -> None:
    made = ticket(KEY, now)
    assert not good(KEY, text, now)
    assert not good(key_of(b"secret", "other"), made, now)
    assert not good(key_of(b"other", "0123456789abcdef"), made, now)
    assert not good("", ticket("", now), now)
    end, _, mark = made.partition(".")
    assert not good(KEY, f"{int(end) + 60}.{mark}", now)
    assert not good(KEY, made + text, now) or not text
