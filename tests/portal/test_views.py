"""Values as people read them; colours that can be read."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import experiment
from visa.portal import views
from visa.portal.service import new_name, ways_in


@pytest.mark.parametrize(
    ("length", "words"),
    [
        (timedelta(seconds=59), "less than a minute"),
        (timedelta(minutes=1), "1 minute"),
        (timedelta(hours=2, minutes=59), "2 hours"),
        (timedelta(days=3, hours=23), "3 days"),
        (timedelta(seconds=-5), "less than a minute"),
    ],
)
def test_spans(length: timedelta, words: str) -> None:
    assert views.span(length) == words


@pytest.mark.parametrize(
    ("start", "end", "words"),
    [
        (date(2025, 5, 3), date(2025, 5, 3), "3 May 2025"),
        (date(2025, 5, 3), date(2025, 5, 5), "3–5 May 2025"),
        (date(2025, 5, 30), date(2025, 6, 2), "30 May – 2 Jun 2025"),
        (date(2025, 12, 30), date(2026, 1, 2), "30 Dec 2025 – 2 Jan 2026"),
    ],
)
def test_dates(start: date, end: date, words: str) -> None:
    assert views.dates(experiment(start=start, end=end)) == words


@given(st.from_regex(r"#[0-9a-f]{6}", fullmatch=True), st.sampled_from(["#ffffff", "#212529"]))
def test_any_facility_colour_becomes_readable(colour: str, background: str) -> None:
    readable = views.readable(colour, background)
    high, low = sorted((views.luminance(readable), views.luminance(background)), reverse=True)
    assert (high + 0.05) / (low + 0.05) >= 4.5


@given(st.lists(st.text(max_size=80), max_size=3))
def test_server_names_are_what_jupyterhub_takes(experiments: list[str]) -> None:
    import re

    name = new_name(experiments)
    assert re.fullmatch(r"[a-z][a-z0-9-]*[a-z0-9]", name)
    assert len(name) <= 30
    assert "--" not in name


def test_both_ways_in_the_one_asked_for_first() -> None:
    ways = ways_in("desktop", ("notebook", "desktop"), "/user/marie/e1/")
    assert [(way.session, way.url) for way in ways] == [
        ("desktop", "/user/marie/e1/"),
        ("notebook", "/user/marie/e1/lab"),
    ]
    assert [way.session for way in ways_in("notebook", (), "/user/marie/e1/")] == ["notebook"]
