"""How long an instance may live: rules of facility.yaml, applied to one person and one instance."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from visa.facility.model import Facility, Lifetime
from visa.instances.model import Person


@dataclass(frozen=True, slots=True)
class TimeLeft:
    """How long until the instance ends, and why it will: its ``maximum`` age or being ``idle``."""

    left: timedelta
    because: Literal["maximum", "idle"]

    @property
    def over(self) -> bool:
        return self.left <= timedelta(0)


def limits(person: Person, facility: Facility) -> tuple[timedelta | None, timedelta | None]:
    """``(maximum, idle)`` for ``person``; None is no limit.

    Entries of her roles replace everyone's, per value; of several roles the most generous counts.
    """
    of_roles = [rule for rule in facility.lifetimes if rule.role in person.roles]
    everyone = [rule for rule in facility.lifetimes if rule.who]
    return _longest(of_roles, everyone, "maximum"), _longest(of_roles, everyone, "idle")


def _longest(of_roles: list[Lifetime], everyone: list[Lifetime], field: Literal["maximum", "idle"]) -> timedelta | None:
    for rules in (of_roles, everyone):
        values: list[timedelta] = [value for rule in rules if (value := getattr(rule, field)) is not None]
        if values:
            return max(values)
    return None


def time_left(
    started: datetime,
    last_activity: datetime | None,
    maximum: timedelta | None,
    idle: timedelta | None,
    now: datetime,
) -> TimeLeft | None:
    """The nearer of the two ends, or None when nothing limits the instance. Times are aware (UTC)."""
    ends: list[TimeLeft] = []
    if maximum is not None:
        ends.append(TimeLeft(started + maximum - now, "maximum"))
    if idle is not None:
        ends.append(TimeLeft(max(started, last_activity or started) + idle - now, "idle"))
    return min(ends, key=lambda end: end.left, default=None)
