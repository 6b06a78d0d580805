"""Which staff may support which instances: ``support`` of facility.yaml."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from visa import clock
from visa.catalogue.base import Experiment, Instrument
from visa.facility.model import Facility
from visa.instances.joining import Experiments
from visa.instances.model import Person


class SupportKind(StrEnum):
    """Which rule lets somebody support an instance."""

    EVERYWHERE = "everywhere"
    INSTRUMENT = "instrument"
    WINDOW = "window"


def support_kind(person: Person, experiments: Experiments, facility: Facility, now: datetime) -> SupportKind | None:
    """The widest rule that lets her support an instance of ``experiments`` now; None: no rule does."""
    rules = facility.support
    if not person.active:
        return None
    if person.roles & frozenset(rules.everywhere):
        return SupportKind.EVERYWHERE
    there = [one for one in experiments if one is not None]
    if rules.instruments and any(person.username in one.instrument_scientists for one in there):
        return SupportKind.INSTRUMENT
    if person.roles & frozenset(rules.window.roles) and any(_begun_and_not_over(one, facility, now) for one in there):
        return SupportKind.WINDOW
    return None


def may_break_glass(person: Person, facility: Facility) -> bool:
    """Whether she may enter an instance without its owner's consent."""
    return person.active and bool(person.roles & frozenset(facility.support.break_glass))


def window(experiment: Experiment, facility: Facility) -> tuple[datetime, datetime]:
    """From when until when instrument control may support instances on it: days at the facility, the last one whole."""
    around, zone = facility.support.window.around, facility.facility.zone
    ends = clock.wall_moment(experiment.end, zone, timedelta(days=1) + around)
    return clock.wall_moment(experiment.start, zone, -around), ends


def support_ends(kind: SupportKind, experiments: Experiments, facility: Facility, now: datetime) -> datetime:
    """When a consent that is given now ends: after ``support.lasts``, and never after the window."""
    ends = now + facility.support.lasts
    if kind is not SupportKind.WINDOW:
        return ends
    open_now = [one for one in experiments if one is not None and _begun_and_not_over(one, facility, now)]
    return min(ends, max((window(one, facility)[1] for one in open_now), default=now))


def _begun_and_not_over(experiment: Experiment, facility: Facility, now: datetime) -> bool:
    begins, ends = window(experiment, facility)
    return begins <= now < ends


@dataclass(frozen=True, slots=True)
class Cover:
    """What a person may support, for lists: everything, or what is on these instruments or experiments."""

    everywhere: bool = False
    instruments: frozenset[str] = frozenset()
    experiments: frozenset[str] = frozenset()

    @property
    def nothing(self) -> bool:
        return not (self.everywhere or self.instruments or self.experiments)


def asks_for_dates(person: Person, facility: Facility) -> bool:
    """Whether `cover` needs the experiments of all running instances: only for roles of the window."""
    return person.active and bool(person.roles & frozenset(facility.support.window.roles))


def cover(
    person: Person,
    instruments: Iterable[Instrument],
    experiments: Iterable[Experiment],
    facility: Facility,
    now: datetime,
) -> Cover:
    """What she may support. ``experiments``: those of running instances (see `asks_for_dates`, else empty)."""
    rules = facility.support
    if not person.active:
        return Cover()
    if person.roles & frozenset(rules.everywhere):
        return Cover(everywhere=True)
    hers = [one.id for one in instruments if person.username in one.scientists] if rules.instruments else []
    by_dates = experiments if asks_for_dates(person, facility) else ()
    windows = [one.id for one in by_dates if _begun_and_not_over(one, facility, now)]
    return Cover(False, frozenset(map(str, hers)), frozenset(map(str, windows)))
