"""Days in the facility's zone on the days when clocks change: 23 and 25 hours, no midnight, no day at all."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.services.facility import experiment, facility
from visa import clock
from visa.catalogue import records
from visa.instances.admission import entitled
from visa.instances.lifetimes import time_left
from visa.instances.model import Person
from visa.instances.support import window

ZONES = [
    "UTC", "Europe/Paris", "America/Los_Angeles", "America/Sao_Paulo", "Africa/Cairo", "Asia/Beirut", "Asia/Tokyo",
    "Australia/Lord_Howe", "Pacific/Apia", "Pacific/Kiritimati", "Pacific/Pago_Pago", "America/Havana",
    "America/St_Johns", "Asia/Kathmandu", "Antarctica/Troll", "Africa/Casablanca", "America/Toronto",
]  # fmt: skip
SECOND = timedelta(seconds=1)


def about(zone: str) -> dict[str, str]:
    return {"name": "Test Facility", "contact": "help@example.org", "time_zone": zone}


BEGINS = [
    ("Europe/Paris", date(2026, 3, 29), "2026-03-28T23:00:00", 23),
    ("Europe/Paris", date(2026, 10, 25), "2026-10-24T22:00:00", 25),
    ("America/Los_Angeles", date(2026, 3, 8), "2026-03-08T08:00:00", 23),
    ("America/Sao_Paulo", date(2017, 10, 15), "2017-10-15T03:00:00", 23),  # from 24:00 to 01:00
    ("America/Sao_Paulo", date(2017, 2, 18), "2017-02-18T02:00:00", 25),  # 23:00 to 24:00 twice
    ("Africa/Cairo", date(2023, 4, 28), "2023-04-27T22:00:00", 23),
    ("Asia/Beirut", date(2023, 3, 26), "2023-03-25T22:00:00", 23),
    ("America/Havana", date(2023, 11, 5), "2023-11-05T04:00:00", 25),  # midnight twice
    ("Australia/Lord_Howe", date(2026, 10, 4), "2026-10-03T13:30:00", 23.5),
    ("Australia/Lord_Howe", date(2026, 4, 5), "2026-04-04T13:00:00", 24.5),
    ("America/Toronto", date(1919, 3, 31), "1919-03-31T04:30:00", 23.5),  # from 23:30 to 00:30
    ("Pacific/Apia", date(2011, 12, 29), "2011-12-29T10:00:00", 24),
    ("Pacific/Apia", date(2011, 12, 30), "2011-12-30T10:00:00", 0),  # there was none
    ("Pacific/Apia", date(2011, 12, 31), "2011-12-30T10:00:00", 24),
]


@pytest.mark.parametrize(("zone", "day", "begins", "hours"), BEGINS)
def test_a_day_begins_once_and_is_as_long_as_it_is(zone: str, day: date, begins: str, hours: float) -> None:
    there = ZoneInfo(zone)
    first = clock.wall_moment(day, there)
    assert first == datetime.fromisoformat(begins).replace(tzinfo=UTC)
    assert clock.wall_moment(day, there, timedelta(days=1)) - first == timedelta(hours=hours)


@given(st.sampled_from(ZONES), st.dates(date(1900, 1, 1), date(2100, 1, 1)))
@example("Pacific/Apia", date(2011, 12, 30))
@example("Africa/Cairo", date(2023, 4, 28))
def test_data_opens_with_the_first_second_of_its_day_and_stays_open(zone: str, release: date) -> None:
    rules = facility(facility=about(zone))
    nobody = Person(username=experiment().id, name="Nobody")  # type: ignore[arg-type]
    secret = experiment(team=frozenset(), principal=None, instrument_scientists=frozenset(), release=release)
    first = clock.wall_moment(release, ZoneInfo(zone))
    for moment, is_open in ((first - SECOND, False), (first, True), (first + timedelta(hours=2), True)):
        with clock.wall(lambda at=moment: at):
            assert entitled(nobody, secret, rules.facility.today()) is is_open


@given(
    st.sampled_from(ZONES),
    st.dates(date(1900, 1, 1), date(2100, 1, 1)),
    st.integers(0, 40),
    st.sampled_from(["1d", "7d", "36h"]),
)
def test_a_beamtime_s_window_is_whole_days_there(zone: str, start: date, length: int, around: str) -> None:
    rules = facility(facility=about(zone), support={"window": {"around": around}})
    begins, ends = window(experiment(start=start, end=start + timedelta(days=length)), rules)
    there, span = rules.facility.zone, rules.support.window.around
    for moment, day, after in ((begins, start, -span), (ends, start + timedelta(days=length + 1), span)):
        wanted = datetime.combine(day, datetime.min.time()) + after
        assert moment.astimezone(there).replace(tzinfo=None) >= wanted
        assert (moment - SECOND).astimezone(there).replace(tzinfo=None) < wanted
    assert begins < ends


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Paris"])
def test_days_at_the_ends_of_the_calendar_break_no_window(zone: str) -> None:
    """9999-12-31 is some databases' word for never."""
    rules = facility(facility=about(zone), support={"window": {"around": "3660d"}})
    begins, ends = window(experiment(start=date.min, end=date.max), rules)
    assert begins.year < 200
    assert ends.year > 9800


@given(st.sampled_from(ZONES), st.dates(date(1970, 1, 1), date(2100, 1, 1)), st.integers(-1, 86_400))
@example("Pacific/Apia", date(2011, 12, 30), 0)
def test_a_moment_of_the_source_is_the_day_that_clocks_at_the_facility_show(zone: str, day: date, seconds: int) -> None:
    there = ZoneInfo(zone)
    first = clock.wall_moment(day, there)
    moment = first + timedelta(seconds=seconds)
    read, clear = records.day({"start": moment.isoformat()}, "start", lambda column, what: None, there)
    assert clear
    assert read == moment.astimezone(there).date()
    assert read is not None
    if seconds <= 0:  # later, clocks may be put back over midnight, as St John's did until 2011
        assert (read < day) == (seconds < 0)


@pytest.mark.parametrize("day", [date(2026, 3, 29), date(2026, 10, 25)])
def test_a_lifetime_s_day_is_24_hours_on_every_day(day: date) -> None:
    """Nobody's work ends an hour early, nor lives longer than another's, for the change of clocks."""
    started = clock.wall_moment(day, ZoneInfo("Europe/Paris"))
    one = timedelta(days=1)
    for now, over in ((started + one - SECOND, False), (started + one, True)):
        left = time_left(started, None, one, None, now)
        assert left is not None
        assert left.over is over
