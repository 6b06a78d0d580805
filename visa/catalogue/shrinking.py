"""When a source suddenly holds much less than before, something is wrong with the source: nothing was withdrawn.

What it held is kept beyond the process (`Memory`): a source that lost its rows while nobody looked is doubted as well.
An operator says that it is so with a new text in facility.yaml, ``catalogue.believe``: nothing is remembered of that.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

from visa.identifiers import ExperimentId

_FEW = 10  # below this a facility may well halve what it has
_BESIDE = 50  # experiments that are asked for as well
REMEMBERED = 20_000  # experiments of a source


class MemoryFails(Exception):
    """What was kept cannot be read. The message says why."""


class Memory(Protocol):
    """Keeps numbers of a source, by name, for other processes and later ones. Both methods may raise `MemoryFails`."""

    def recall(self, source: str) -> dict[str, int]: ...

    def keep(self, source: str, changed: Mapping[str, int | None]) -> None:
        """``changed``: name to number; None forgets."""
        ...


def shrunk(before: Mapping[str, int], after: Mapping[str, int], *, one_may_go: bool = False) -> str | None:
    """What there is suddenly too little of, and what to do; None when the change can be believed.

    Nothing at all is never believed after something; ``one_may_go``: after more than one.
    """
    for what, count in before.items():
        now = after.get(what, 0)
        none_left = now == 0 and not (one_may_go and count == 1)
        if now < count and (none_left or (count >= _FEW and 2 * now < count)):
            return (
                f"{what}: there were {count}, now {now}, which is not believed; mend it, "
                "or give catalogue.believe in facility.yaml a new text if it is so"
            )
    return None


class Belief:
    """What one source held when it was last believed. Used from threads: a question may read a database.

    ``source`` names it among all that the memory knows.
    """

    def __init__(self, source: str = "", memory: Memory | None = None) -> None:
        self._source, self._memory = source, memory
        self._known: dict[str, int] | None = None
        self._lock = threading.Lock()

    def doubt(self, sizes: Mapping[str, int]) -> str | None:
        """Why it is not believed that the whole source holds ``sizes``; None: it is, and remembered."""

        def less(known: Mapping[str, int]) -> str | None:
            return shrunk({what: known.get(what, 0) for what in sizes}, sizes)

        return self._judge(less, dict(sizes))

    def beside(self, ids: Iterable[str], found: Mapping[str, bool]) -> tuple[str, ...]:
        """Other experiments that had a team, at most 50, when one of ``ids`` that had one was found without, or not.

        A few experiments alone do not tell a team that was emptied from a table that was. Raise `MemoryFails`.
        """
        asked = set(ids)
        with self._lock:
            known = self._recalled()
            if not any(known.get(_row(one)) and not found.get(one) for one in asked):
                return ()
            if self._memory:
                known = self._known = self._memory.recall(self._source)  # with what other processes saw
            had = [what.removeprefix(_ROW) for what, number in known.items() if number and what.startswith(_ROW)]
        return tuple([one for one in had if one not in asked][-_BESIDE:])  # the newest: old ones may be archived

    def doubt_teams(self, ids: Iterable[str], found: Mapping[str, bool], beside: Iterable[str] = ()) -> str | None:
        """As `doubt`, for some experiments: of each that was ``found``, whether it has a team.

        What is found of those ``beside`` them is judged as well, and not remembered.
        """
        asked = [identifier for identifier in ids if _is_id(identifier)]
        others = frozenset(beside)

        def less(known: Mapping[str, int]) -> str | None:
            sample = [one for one in (*asked, *others) if _row(one) in known]
            if any(one in found for one in sample):  # what the source has no more says nothing of teams
                sample = [one for one in sample if one in found or one not in others]
            now = [found[one] for one in sample if one in found]
            had = {"experiments": len(sample), "experiments with a team": sum(known[_row(one)] for one in sample)}
            return shrunk(had, {"experiments": len(now), "experiments with a team": sum(now)}, one_may_go=True)

        return self._judge(less, {_row(one): int(found[one]) if one in found else None for one in asked})

    def _judge(self, less: Callable[[Mapping[str, int]], str | None], now: Mapping[str, int | None]) -> str | None:
        with self._lock:
            try:
                if less(self._recalled()) is not None and self._memory:
                    self._known = self._memory.recall(self._source)  # another process may have believed it step by step
                known = self._recalled()
                if (why := less(known)) is not None:
                    return why
                changed = {what: number for what, number in now.items() if known.get(what) != number}
                if changed and self._memory:
                    self._memory.keep(self._source, changed)
            except MemoryFails as error:
                return f"what it held before is not known: {error}"
            _note(known, changed)
        return None

    def _recalled(self) -> dict[str, int]:
        if self._known is None:
            self._known = self._memory.recall(self._source) if self._memory else {}
        return self._known


def _note(known: dict[str, int], changed: Mapping[str, int | None]) -> None:
    for what, number in changed.items():
        known.pop(what, None)
        if number is not None:
            known[what] = number
    rows = [what for what in known if what.startswith(_ROW)] if len(known) > REMEMBERED else []
    for what in rows[:-REMEMBERED]:
        del known[what]


_ROW = "experiment "


def _is_id(identifier: str) -> bool:
    return len(identifier) <= ExperimentId.longest and ExperimentId.pattern.fullmatch(identifier) is not None


def _row(identifier: str) -> str:
    return _ROW + identifier
