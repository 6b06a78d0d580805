"""Which staff may support what: everywhere, an instrument's scientists, and instrument control in its window."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import experiment, facility, person
from visa.catalogue.base import Instrument
from visa.identifiers import InstrumentId, Username
from visa.instances.model import Person
from visa.instances.support import (
    Cover,
    SupportKind,
    asks_for_dates,
    cover,
    may_break_glass,
    support_ends,
    support_kind,
    window,
)

NOW = datetime(2026, 11, 26, 2, 0, tzinfo=UTC)
RULES = facility()
D22 = experiment(
    "exp-1", start=date(2026, 11, 20), end=date(2026, 11, 22), instrument_scientists=frozenset({Username("dorothy")})
)
DOROTHY = person("dorothy", roles=frozenset({"instrument_scientist"}))
GRACE = person("grace", roles=frozenset({"administrator"}))
IRENE = person("irene", roles=frozenset({"it_support"}))
CLARA = person("clara", roles=frozenset({"instrument_control"}))


@pytest.mark.parametrize(
    ("who", "kind"),
    [
        (GRACE, SupportKind.EVERYWHERE),
        (IRENE, SupportKind.EVERYWHERE),
        (DOROTHY, SupportKind.INSTRUMENT),
        (CLARA, SupportKind.WINDOW),
        (person("marie"), None),
        (person("pierre", roles=frozenset({"instrument_scientist"})), None),  # of another instrument
        (person("grace", roles=frozenset({"administrator"}), active=False), None),
    ],
)
def test_which_rule(who: Person, kind: SupportKind | None) -> None:
    assert support_kind(who, [D22], RULES, NOW) is kind


def test_the_window_is_whole_days_and_not_a_second_more() -> None:
    begins, ends = datetime(2026, 11, 13, tzinfo=UTC), datetime(2026, 11, 30, tzinfo=UTC)
    assert window(D22, RULES) == (begins, ends)
    for when, kind in (
        (begins - timedelta(seconds=1), None),
        (begins, SupportKind.WINDOW),
        (ends - timedelta(seconds=1), SupportKind.WINDOW),
        (ends, None),
    ):
        assert support_kind(CLARA, [D22], RULES, when) is kind
    assert support_kind(CLARA, [], RULES, NOW) is None
    assert support_kind(CLARA, [None], RULES, NOW) is None


def test_rules_can_be_switched_off() -> None:
    rules = facility(support={"everywhere": [], "instruments": False, "break_glass": [], "window": {"roles": []}})
    for who in (GRACE, IRENE, DOROTHY, CLARA):
        assert support_kind(who, [D22], rules, NOW) is None
        assert not may_break_glass(who, rules)
        assert cover(
            who, [Instrument(InstrumentId("d22"), "D22", scientists=frozenset({who.username}))], [D22], rules, NOW
        ).nothing


def test_break_glass_is_for_its_roles_and_active_accounts() -> None:
    assert may_break_glass(GRACE, RULES)
    assert not may_break_glass(IRENE, RULES)
    assert not may_break_glass(person("grace", roles=frozenset({"administrator"}), active=False), RULES)


def test_a_consent_ends_with_the_window() -> None:
    assert support_ends(SupportKind.EVERYWHERE, [D22], RULES, NOW) == NOW + timedelta(hours=8)
    last = datetime(2026, 11, 29, 20, tzinfo=UTC)
    assert support_ends(SupportKind.WINDOW, [D22], RULES, last) == datetime(2026, 11, 30, tzinfo=UTC)
    assert support_ends(SupportKind.WINDOW, [], RULES, last) == last


def test_cover() -> None:
    instruments = [
        Instrument(InstrumentId("d22"), "D22", scientists=frozenset({Username("dorothy")})),
        Instrument(InstrumentId("id10"), "ID10"),
    ]
    assert cover(GRACE, instruments, [], RULES, NOW) == Cover(everywhere=True)
    assert cover(DOROTHY, instruments, [D22], RULES, NOW) == Cover(instruments=frozenset({"d22"}))
    assert cover(CLARA, instruments, [D22], RULES, NOW) == Cover(experiments=frozenset({"exp-1"}))
    assert cover(CLARA, instruments, [D22], RULES, NOW + timedelta(days=30)).nothing
    assert [asks_for_dates(who, RULES) for who in (GRACE, DOROTHY, CLARA)] == [False, False, True]


@given(
    st.sets(st.sampled_from(["administrator", "it_support", "instrument_control", "scientist"])),
    st.booleans(),
    st.integers(-40, 40),
)
def test_lists_and_doors_agree(roles: set[str], scientist: bool, days: int) -> None:
    """What the list shows is what `support_kind` lets in, and nothing else."""
    who = person("dorothy" if scientist else "marie", roles=frozenset(roles))
    when = NOW + timedelta(days=days)
    instruments = [Instrument(InstrumentId("d22"), "D22", scientists=frozenset({Username("dorothy")}))]
    seen = cover(who, instruments, [D22], RULES, when)
    listed = seen.everywhere or D22.instrument in seen.instruments or D22.id in seen.experiments
    assert listed == (support_kind(who, [D22], RULES, when) is not None)
