"""Experiments and teams from one YAML file or a folder of CSV files, as a user office can export them.

Read in a thread, again when a file changes. A broken edit or a vanished file keeps the last good
content and makes answers stale, so that nothing new is granted until it is mended.
"""

from __future__ import annotations

import asyncio
import csv
import io
import logging
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, TypeVar

import yaml

from visa.catalogue import index, records
from visa.catalogue.base import (
    Answer,
    CatalogueHealth,
    CataloguePerson,
    CatalogueUnavailable,
    Experiment,
    Found,
    Instrument,
    Scope,
    Search,
)
from visa.catalogue.records import BadRecord, Snapshot

log = logging.getLogger(__name__)
T = TypeVar("T")

TABLES = ("people", "instruments", "proposals", "experiments")
COLUMNS = {
    "people": {"username", "name", "email", "affiliation", "uid", "gid", "gids", "groups", "roles"},
    "instruments": {"id", "name", "description", "scientists"},
    "proposals": {"id", "title", "principal"},
    "experiments": {"id", "title", "proposal", "instrument", "start", "end", "team", "release", "doi"},
    "teams": {"experiment", "username"},
}
Row = tuple[str, int, dict[str, Any]]  # file, line, record


class CatalogueProblems(Exception):
    """The files cannot be used; ``problems`` says all that is wrong, as file:line: field wrong; right."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


class _LineLoader(yaml.CSafeLoader):
    """Safe YAML that keeps the line of every mapping under ``__line__``."""


def _mapping(loader: _LineLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    record = loader.construct_mapping(node, deep=True)
    record["__line__"] = node.start_mark.line + 1
    return record


_LineLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)


@dataclass(slots=True)
class _Content:
    """A snapshot with what search needs."""

    snapshot: Snapshot
    mine: dict[str, list[index.Entry]]
    entries: list[index.Entry]
    as_of: datetime


def load_problems(path: Path) -> list[str]:
    """Every mistake in the catalogue at ``path``; empty when it is good."""
    try:
        read(path)
    except CatalogueProblems as error:
        return list(error.problems)
    return []


def read(path: Path) -> Snapshot:
    """Read and check everything; raise `CatalogueProblems`."""
    problems: list[str] = []
    rows = _rows(path, problems)
    snapshot = Snapshot()
    known = snapshot.instruments, snapshot.proposals
    _collect(rows["people"], "people", records.person, lambda p: p.username, snapshot.people, problems)
    _collect(rows["instruments"], "instruments", records.instrument, lambda i: i.id, known[0], problems)
    _collect(rows["proposals"], "proposals", records.proposal, lambda p: p.id, known[1], problems)
    teams: dict[str, list[str]] = defaultdict(list)
    for _file, _line, record in rows["teams"]:
        teams[str(record.get("experiment"))].append(str(record.get("username")))
    for _file, _line, record in rows["experiments"]:
        if "team" not in record and str(record.get("id")) in teams:
            record["team"] = teams[str(record.get("id"))]

    def make(record: records.Record, fault: records.Fault) -> Experiment:
        return records.experiment(record, snapshot.proposals, snapshot.instruments, fault)

    _collect(rows["experiments"], "experiments", make, lambda e: e.id, snapshot.experiments, problems)
    for file, line, record in rows["teams"]:
        if str(record.get("experiment")) not in snapshot.experiments:
            problems.append(f"{file}:{line}: experiment: {record.get('experiment')!r} is not known; give its id")
    problems += _unknown_people(rows, snapshot)
    if problems:
        raise CatalogueProblems(problems)
    return snapshot


def _collect(
    rows: list[Row],
    table: str,
    make: Callable[[records.Record, records.Fault], T],
    key: Callable[[T], str],
    into: dict[str, T],
    problems: list[str],
) -> None:
    for file, line, record in rows:

        def fault(column: str, what: str, where: str = f"{file}:{line}") -> None:
            problems.append(f"{where}: {column}: {what}")

        for column in sorted(set(record) - COLUMNS[table]):
            fault(column, f"is not known in {table}; known are {', '.join(sorted(COLUMNS[table]))}")
        try:
            value = make(record, fault)
        except BadRecord:
            continue  # its faults are in `problems`
        if key(value) in into:
            fault("id" if table != "people" else "username", f"'{key(value)}' is there twice; keep one")
        into[key(value)] = value


def _unknown_people(rows: dict[str, list[Row]], snapshot: Snapshot) -> Iterator[str]:
    columns = (("instruments", "scientists"), ("proposals", "principal"), ("experiments", "team"))
    for table, column in columns:
        for file, line, record in rows[table]:
            for name in records.names(record.get(column)):
                if name not in snapshot.people:
                    yield f"{file}:{line}: {column}: '{name}' is not one of the people; add the person or remove it"


def _rows(path: Path, problems: list[str]) -> dict[str, list[Row]]:
    rows: dict[str, list[Row]] = {table: [] for table in (*TABLES, "teams")}
    try:
        if path.is_dir():
            for table in rows:
                file = path / f"{table}.csv"
                if file.exists() or table != "teams":
                    rows[table] = list(_csv(file, problems))
        else:
            _yaml(path, rows, problems)
    except OSError as error:
        problems.append(f"{error.filename}:1: {(error.strerror or 'cannot be read').lower()}; give a readable file")
    except UnicodeDecodeError:
        problems.append(f"{path}:1: not UTF-8 text; save it as UTF-8")
    return rows


def _yaml(path: Path, rows: dict[str, list[Row]], problems: list[str]) -> None:
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), Loader=_LineLoader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(f"{path}:{line}: not YAML ({error.problem}); check indentation and colons")
        return
    except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
        problems.append(f"{path}:1: not YAML ({error}); check the file")
        return
    if not isinstance(document, dict):
        problems.append(f"{path}:1: the file is not a set of keys; give {', '.join(TABLES)}")
        return
    document.pop("__line__", None)
    for table, content in document.items():
        if table not in TABLES:
            problems.append(f"{path}:1: {table}: is not known; known are {', '.join(TABLES)}")
        elif not isinstance(content, list) or not all(isinstance(item, dict) for item in content):
            problems.append(f"{path}:1: {table}: is not a list of entries; give '- id: ...' lines")
        else:
            rows[table] = [(str(path), record.pop("__line__"), record) for record in content]


def _csv(path: Path, problems: list[str]) -> Iterator[Row]:
    content = path.read_text(encoding="utf-8-sig")
    first = content.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        for record in reader:
            line = reader.line_num
            if None in record or None in record.values():
                problems.append(
                    f"{path}:{line}: has another number of columns than the first line; quote texts with {delimiter}"
                )
                continue
            values = {str(key).strip(): (value or "").strip() for key, value in record.items()}
            if any(values.values()):
                yield str(path), line, {key: value for key, value in values.items() if value or key != "team"}
    except csv.Error as error:
        problems.append(f"{path}:{reader.line_num}: not CSV ({error}); check the quotes")


class FileCatalogue:
    """`Catalogue` on files."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._content: _Content | None = None
        self._stamp: object = None
        self._fault: str | None = None
        self._lock = asyncio.Lock()

    async def _current(self) -> _Content:
        async with self._lock:
            stamp = await asyncio.to_thread(self._stat)
            if stamp != self._stamp:
                await asyncio.to_thread(self._reload)
                self._stamp = stamp
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
        try:
            snapshot = read(self.path)
        except CatalogueProblems as error:
            self._fault = str(error)
            log.error("The catalogue cannot be used; the last good one stays, nothing new is granted:\n%s", error)
            return
        self._content, self._fault = _content(snapshot), None

    def _answer(self, content: _Content, value: T) -> Answer[T]:
        return Answer(value, content.as_of, stale=self._fault is not None)

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        content = await self._current()
        return self._answer(content, content.snapshot.people.get(username))

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        content = await self._current()
        return self._answer(content, tuple(content.snapshot.people.values()))

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        content = await self._current()
        return self._answer(content, tuple(content.snapshot.instruments.values()))

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        content = await self._current()
        known = content.snapshot.experiments
        return self._answer(content, {i: known[i] for i in ids if i in known})

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
        counts = {table: len(getattr(content.snapshot, table)) for table in TABLES}
        return CatalogueHealth(self._fault is None, content.as_of, self._fault, counts)

    async def close(self) -> None:
        self._content = None
        self._stamp = None


def _content(snapshot: Snapshot) -> _Content:
    names = {user: person.name for user, person in snapshot.people.items()}
    entries = [index.entry(experiment, names) for experiment in snapshot.experiments.values()]
    mine: dict[str, list[index.Entry]] = defaultdict(list)
    for item in entries:
        experiment = item.experiment
        principal = {experiment.principal} if experiment.principal else set()
        for user in experiment.team | experiment.instrument_scientists | principal:
            mine[user].append(item)
    return _Content(snapshot, dict(mine), entries, datetime.now(UTC))
