"""Experiments and teams from one YAML file or a folder of CSV files, as a user office can export them.

Read in a thread, again when a file changes. What cannot be used in a row is left out alone. A file that cannot be
used at all, that vanished or that suddenly holds much less keeps the last good content and makes answers stale, so
that nothing new is granted until it is mended.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, tzinfo
from pathlib import Path
from typing import TypeVar

from visa import clock
from visa.catalogue import index, records
from visa.catalogue.base import (
    Answer,
    CatalogueHealth,
    CataloguePerson,
    CatalogueUnavailable,
    Experiment,
    Found,
    Instrument,
    Part,
    RowUnreadable,
    Scope,
    Search,
)
from visa.catalogue.collecting import Collected, collect, key_of
from visa.catalogue.left_out import SHOWN, LeftOut
from visa.catalogue.records import Proposal
from visa.catalogue.shrinking import Belief
from visa.catalogue.tables import COLUMNS, KEYS, TABLES, CatalogueProblems, Rows, read_rows
from visa.identifiers import InvalidIdentifier, Username

log = logging.getLogger(__name__)
T = TypeVar("T")
_DOUBTED = 5.0  # seconds, after which files that were not believed are read again though nothing changed them


@dataclass(slots=True)
class Snapshot:
    """Everything that the files say."""

    people: Collected[CataloguePerson]
    instruments: Collected[Instrument]
    proposals: Collected[Proposal]
    experiments: Collected[Experiment]

    @property
    def sizes(self) -> dict[str, int]:
        """How much there is, to see when it shrinks."""
        counts = {table: len(getattr(self, table).values) for table in TABLES}
        return {**counts, "team members": sum(len(e.team) for e in self.experiments.values.values())}


@dataclass(slots=True)
class _Content:
    """A snapshot with what search needs."""

    snapshot: Snapshot
    mine: dict[str, list[index.Entry]]
    entries: list[index.Entry]
    as_of: datetime


def load_problems(path: Path) -> tuple[list[str], list[str]]:
    """Why the catalogue at ``path`` cannot be used at all, and what would be left out of it; both empty when good."""
    left_out = LeftOut()
    try:
        read(path, left_out)
    except CatalogueProblems as error:
        return list(error.problems), left_out.all
    return [], left_out.all


def read(path: Path, left_out: LeftOut, zone: tzinfo = UTC) -> Snapshot:
    """Read everything; what is left out is said to ``left_out``. Raise `CatalogueProblems` when nothing can be used."""
    rows = read_rows(path, left_out)

    def table(name: str, make: Callable[[records.Record, records.Fault], T]) -> Collected[T]:
        found = collect(rows.tables[name], KEYS[name], make, left_out, table=name, known=COLUMNS[name])
        found.gap = found.gap or name in rows.gaps
        return found

    people = table("people", records.person)

    def in_people(column: str, names: Iterable[str | None], fault: records.Fault) -> None:
        for name in names:
            if name is not None and name not in people.values:
                fault(column, f"'{name}' is not one of the people; add the person or remove it")

    def instrument(record: records.Record, fault: records.Fault) -> Instrument:
        made = records.instrument(record, fault)
        in_people("scientists", sorted(made.scientists), fault)
        return made

    def proposal(record: records.Record, fault: records.Fault) -> Proposal:
        made = records.proposal(record, fault)
        in_people("principal", [made.principal], fault)
        return made

    def experiment(record: records.Record, fault: records.Fault) -> Experiment:
        made = records.experiment(record, proposals.values, instruments.values, fault, zone)
        in_people("team", sorted(made.team), fault)
        cut = (*partly.get(made.id, ()), *(records.ANYBODY if "teams" in rows.gaps else ()))
        if not cut:
            return made
        return replace(made, unread=made.unread | {Part.TEAM}, left_out=made.left_out + cut)

    instruments = table("instruments", instrument)
    proposals = table("proposals", proposal)
    partly = _teams(rows, left_out)
    return Snapshot(people, instruments, proposals, table("experiments", experiment))


def _teams(rows: Rows, left_out: LeftOut) -> dict[str, list[str]]:
    """Puts the rows of teams.csv into their experiments. By experiment, the names that cannot be used."""
    teams: dict[str, list[str]] = defaultdict(list)
    partly: dict[str, list[str]] = defaultdict(list)
    known = {key_of(record, "id") for _where, record in rows.tables["experiments"]}
    said: set[str] = set()
    for where, record in rows.tables["teams"]:
        fault = left_out.row(where)
        for column in sorted(set(record) - COLUMNS["teams"] - said):
            said.add(column)
            fault(
                column, f"is not known in teams, left out in all rows; known are {', '.join(sorted(COLUMNS['teams']))}"
            )
        experiment = key_of(record, "experiment")
        if experiment not in known:
            fault("experiment", f"{experiment!r} is not known; give its id")
            if not experiment or "\ufffd" in experiment:
                rows.gaps.add("teams")
        try:
            teams[experiment].append(Username(key_of(record, "username")))
        except InvalidIdentifier as error:
            fault("username", f"{error}; this name is left out")
            partly[experiment].append(key_of(record, "username")[: records.LONGEST_LEFT_OUT])
    for _where, record in rows.tables["experiments"]:
        if "team" not in record:
            record["team"] = teams.get(key_of(record, "id"), [])
    return partly


class FileCatalogue:
    """`Catalogue` on files."""

    def __init__(self, path: Path, zone: tzinfo = UTC, belief: Belief | None = None) -> None:
        self.path, self.zone = path, zone
        self._belief = belief or Belief()
        self._left_out = LeftOut()
        self._content: _Content | None = None
        self._stamp: object = None
        self._fault: str | None = None
        self._doubted, self._read = False, 0.0
        self._lock = asyncio.Lock()

    async def _current(self) -> _Content:
        async with self._lock:
            stamp = await asyncio.to_thread(self._stat)
            if stamp != self._stamp or (self._doubted and clock.elapsed() - self._read > _DOUBTED):
                await asyncio.to_thread(self._reload)
                self._stamp, self._read = stamp, clock.elapsed()
        if self._content is None:
            raise CatalogueUnavailable(f"The catalogue {self.path} cannot be read: {self._fault}")
        return self._content

    def _stat(self) -> object:
        files = [self.path / f"{t}.csv" for t in (*TABLES, "teams")] if self.path.is_dir() else [self.path]
        stamps = []
        for file in files:
            try:
                stat = file.stat()
            except OSError:
                stamps.append((str(file), 0, 0))
            else:
                stamps.append((str(file), stat.st_mtime_ns, stat.st_size))
        return tuple(stamps)

    def _reload(self) -> None:
        left_out = LeftOut()
        self._doubted = False
        try:
            snapshot = read(self.path, left_out, self.zone)
            why = self._belief.doubt(snapshot.sizes)
            if why is not None:
                self._doubted = True
                raise CatalogueProblems([f"{self.path}:1: {why}"])
        except CatalogueProblems as error:
            self._fault = str(error)
            log.error("The catalogue cannot be used; the last good one stays, nothing new is granted:\n%s", error)
            return
        snapshot.experiments.after(self._content.snapshot.experiments if self._content else None)
        self._content, self._left_out, self._fault = _content(snapshot), left_out, None

    def _answer(self, content: _Content, value: T, unreadable: frozenset[str] = frozenset()) -> Answer[T]:
        return Answer(value, content.as_of, self._fault is not None, unreadable)

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        content = await self._current()
        people = content.snapshot.people
        if people.doubtful(username):
            raise RowUnreadable(f"The row of {username!r} in the catalogue cannot be read")
        return self._answer(content, people.values.get(username))

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        content = await self._current()
        return self._answer(content, tuple(content.snapshot.people.values.values()))

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        content = await self._current()
        return self._answer(content, tuple(content.snapshot.instruments.values.values()))

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        content = await self._current()
        known = content.snapshot.experiments
        unreadable = frozenset(i for i in ids if known.doubtful(i))
        return self._answer(content, {i: known.values[i] for i in ids if i in known.values}, unreadable)

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]:
        content = await self._current()
        entries = content.mine.get(username, [])
        if search.scope is not Scope.MINE:
            released = [e for e in content.entries if e.experiment.is_open(today)]
            mine = {e.experiment.id for e in entries}
            extra = [e for e in released if e.experiment.id not in mine]
            entries = released if search.scope is Scope.OPEN else [*entries, *extra]
        return self._answer(content, index.search(entries, search))

    async def health(self) -> CatalogueHealth:
        try:
            content = await self._current()
        except CatalogueUnavailable:
            return CatalogueHealth(False, None, self._fault)
        counts = {table: len(getattr(content.snapshot, table).values) for table in TABLES}
        counts["rows left out"] = self._left_out.rows
        left_out = tuple(self._left_out.all[:SHOWN])
        return CatalogueHealth(self._fault is None, content.as_of, self._fault, counts, left_out)

    async def close(self) -> None:
        self._content = None
        self._stamp = None


def _content(snapshot: Snapshot) -> _Content:
    names = {user: person.name for user, person in snapshot.people.values.items()}
    entries = [index.entry(experiment, names) for experiment in snapshot.experiments.values.values()]
    mine: dict[str, list[index.Entry]] = defaultdict(list)
    for item in entries:
        experiment = item.experiment
        principal = {experiment.principal} if experiment.principal else set()
        for user in experiment.team | experiment.instrument_scientists | principal:
            mine[user].append(item)
    return _Content(snapshot, dict(mine), entries, clock.now())
