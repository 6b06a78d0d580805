"""Rows of any source to values by id: what reads, what is there but does not read, and what may be there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from visa.catalogue.left_out import LeftOut
from visa.catalogue.records import BadRecord, Fault, Record, as_text
from visa.identifiers import Identifier

T = TypeVar("T")
_LONGEST = 200  # characters of a strange id that are kept


@dataclass(slots=True)
class Collected(Generic[T]):
    """``values`` by id; ids in ``unreadable`` are in rows that do not read.

    ``gap``: some row does not even tell its id, so what is not found may be in it. ``strange`` are ids that are none:
    see `after`.
    """

    values: dict[str, T] = field(default_factory=dict)
    unreadable: set[str] = field(default_factory=set)
    gap: bool = False
    strange: list[str] = field(default_factory=list)
    _seen: set[str] | None = None
    _lost: dict[str, frozenset[str]] = field(default_factory=dict)

    def doubtful(self, identifier: str) -> bool:
        """Whether the source has it, or may have it, in a row that does not read."""
        if identifier in self.values:
            return False
        unseen = self._seen is not None and identifier not in self._seen and bool(self.strange)
        return self.gap or unseen or identifier in self.unreadable or identifier in self._lost

    def after(self, former: Collected[T] | None) -> None:
        """Note what was read before, by the same process: a strange id that came when another went may be it, respelt.

        One that was there beside it is another's. Of what was never read nobody can tell.
        """
        seen = former._seen or set() if former else set()
        self._seen = seen | set(self.values)
        if former is None:
            return
        came = frozenset(Counter(self.strange) - Counter(former.strange))
        gone = set(former.values) - set(self.values) if came else set()
        before = {key: names for key, names in former._lost.items() if names & set(self.strange)}
        self._lost = {key: names for key, names in before.items() if key not in self.values}
        self._lost |= dict.fromkeys(gone, came)


def key_of(record: Record, column: str) -> str:
    """An id as text, to join tables by."""
    return as_text(record.get(column)).strip()


def collect(
    rows: Iterable[tuple[str, Record]],
    column: str,
    make: Callable[[Record, Fault], T],
    left_out: LeftOut,
    *,
    table: str = "",
    known: frozenset[str] | set[str] | None = None,
) -> Collected[T]:
    """Make a value of each row (where it stands, and its columns); ``column`` has the id.

    Columns that are not in ``known`` are said once, in the first row that has them. Two rows of one id that differ
    contradict each other: neither is believed.
    """
    found: Collected[T] = Collected()
    said: set[str] = set()
    for where, record in rows:
        fault = left_out.row(where)
        if known is not None:
            for name in sorted(set(map(str, record)) - known - said):
                said.add(name)
                fault(name, f"is not known in {table}, left out in all rows; known are {', '.join(sorted(known))}")
        key = key_of(record, column)
        try:
            value = make(record, fault)
        except BadRecord:
            found.gap = found.gap or not key or "\ufffd" in key
            found.unreadable.add(key)
            found.values.pop(key, None)
            if not Identifier.pattern.fullmatch(key) or len(key) > Identifier.longest or ".." in key:
                found.strange.append(key[:_LONGEST])
            continue
        if key in found.unreadable or (key in found.values and found.values[key] != value):
            fault(column, f"'{key}' is there twice; keep one")
            found.unreadable.add(key)
            found.values.pop(key, None)
        else:
            if key in found.values:
                fault(column, f"'{key}' is there twice; keep one")
            found.values[key] = value
    return found
