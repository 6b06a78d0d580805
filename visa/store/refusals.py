"""Refusals in the audit trail: the first of a kind have a row each, what follows for a while is one row with a count.

Anybody who is logged in can be refused as often as they like. Rows are still only added: what is summed is counted
here, in each process, and written when the while is over or the process ends.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

SPAN = timedelta(minutes=10)
OF_A_KIND = 5
"""Rows of the same refusal within the span."""
OF_A_PERSON = 200
"""Rows of all refusals of one person within the span."""
LOGIN, EVERYBODY = "login", "(everybody)"
_SAMPLES = 20

Kind = tuple[str, str, str, str | None, str | None, str]
"""Actor, owner, action, instance, reason, and the detail as JSON."""


@dataclass(slots=True)
class Summed:
    """What got no row of its own. ``kinds``: some of what it was, when it was not one kind."""

    kind: Kind
    times: int
    since: datetime
    until: datetime
    kinds: list[str]


class Refusals:
    """Which refusals have a row of their own. ``late`` is called, from a thread, when sums are due."""

    def __init__(self, late: Callable[[], None]) -> None:
        self._late = late
        self._lock = threading.Lock()
        self._began: datetime | None = None
        self._rows: dict[object, int] = {}
        self._sums: dict[Kind, Summed] = {}
        self._timer: threading.Timer | None = None

    def own_row(self, kind: Kind, at: datetime) -> bool:
        """Whether this one has a row; else it is counted."""
        with self._lock:
            if self._began is None or (not self._sums and at - self._began >= SPAN):
                self._began, self._rows = at, {}
            # Whoever fails to log in may say any name.
            whose = kind[0] if kind[2] != LOGIN else ""
            rows, of_person = self._rows.get(kind, 0), self._rows.get(whose, 0)
            if rows < OF_A_KIND and of_person < OF_A_PERSON:
                self._rows[kind], self._rows[whose] = rows + 1, of_person + 1
                return True
            name = whose or EVERYBODY
            self._count(kind if rows >= OF_A_KIND else (name, name, kind[2], None, "many", "{}"), kind, at)
            return False

    def _count(self, under: Kind, kind: Kind, at: datetime) -> None:
        known = self._sums.setdefault(under, Summed(under, 0, at, at, []))
        known.times, known.until = known.times + 1, at
        if under != kind and len(known.kinds) < _SAMPLES:
            known.kinds.append(" ".join((kind[0], kind[4] or "", kind[3] or kind[1])))
        self._wait()

    def _wait(self) -> None:
        if self._timer is None:
            self._timer = threading.Timer(SPAN.total_seconds(), self._late)
            self._timer.daemon = True
            self._timer.start()

    def again(self, sums: list[Summed]) -> None:
        """Take back what was due and could not be written."""
        with self._lock:
            for one in sums:
                known = self._sums.setdefault(one.kind, one)
                if known is not one:
                    known.times, known.since = known.times + one.times, min(known.since, one.since)
                    known.kinds = [*one.kinds, *known.kinds][:_SAMPLES]
                self._began = min(self._began or one.since, one.since)
                self._wait()

    def due(self, at: datetime, *, all_of_them: bool = False) -> list[Summed]:
        """Take what is to be written now, and begin anew: nothing, until the span is over."""
        with self._lock:
            if self._began is None or not (all_of_them or (self._sums and at - self._began >= SPAN)):
                return []
            found, self._sums, self._rows, self._began = list(self._sums.values()), {}, {}, None
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            return found
