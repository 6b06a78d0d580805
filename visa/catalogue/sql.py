"""Experiments and teams from queries on a database.

The queries below fit the documented schema (docs/operators/catalogue.md); a facility replaces any of
them by name in facility.yaml, keeping the columns and the bound parameters.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from sqlalchemy import bindparam, create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import SQLAlchemyError

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
from visa.catalogue.cache import Cache, Outage, SourceDown
from visa.catalogue.records import BadRecord, Proposal, Snapshot
from visa.identifiers import ExperimentId, InvalidIdentifier

log = logging.getLogger(__name__)

QUERIES = {
    "person": "SELECT username, name, email, affiliation, uid, gid, gids, groups, roles "
    "FROM people WHERE username = :username",
    "people": "SELECT username, name, email, affiliation, uid, gid, gids, groups, roles FROM people ORDER BY username",
    "instruments": "SELECT id, name, description FROM instruments ORDER BY id",
    "instrument_scientists": "SELECT instrument, username FROM instrument_scientists",
    "experiments": "SELECT e.id, e.title, e.proposal, p.title AS proposal_title, p.principal, e.instrument, "
    'e.start_date AS start, e.end_date AS "end", e.release_date AS release, e.doi '
    "FROM experiments e JOIN proposals p ON p.id = e.proposal WHERE e.id IN :ids",
    "team": "SELECT t.experiment, t.username, m.name FROM team t "
    "LEFT JOIN people m ON m.username = t.username WHERE t.experiment IN :ids",
    "experiments_of": "SELECT experiment AS id FROM team WHERE username = :username "
    "UNION SELECT e.id FROM experiments e JOIN proposals p ON p.id = e.proposal WHERE p.principal = :username "
    "UNION SELECT e.id FROM experiments e JOIN instrument_scientists s ON s.instrument = e.instrument "
    "WHERE s.username = :username",
    "open_experiments": "SELECT id FROM experiments WHERE release_date <= :today",
}
"""Name to query. Bound parameters: ``:username``, ``:ids`` (a list), ``:today``."""

_CHUNK = 500  # ids per query; SQLite and some drivers limit the number of parameters
_ADMISSION_AGE = 2.0  # seconds; what admission decides on is no older


class SqlCatalogue:
    """`Catalogue` on any SQLAlchemy URL. The database is only read."""

    def __init__(self, url: str, queries: dict[str, str] | None = None, refresh: timedelta = timedelta(minutes=5)):
        unknown = set(queries or {}) - set(QUERIES)
        if unknown:
            known = ", ".join(sorted(QUERIES))
            raise ValueError(f"catalogue.queries: {', '.join(sorted(unknown))} is not known; known are {known}")
        arguments = {"connect_timeout": 5} if make_url(url).get_backend_name() == "postgresql" else {}
        self._engine = create_engine(url, pool_pre_ping=True, pool_timeout=10, connect_args=arguments)
        self._queries = {**QUERIES, **(queries or {})}
        self._outage = Outage()
        self._bad_rows = 0
        age = refresh.total_seconds()
        shared = {"age": age, "outage": self._outage}
        self._person = Cache(self._ask_person, size=2000, **shared)  # type: ignore[arg-type]
        self._people = Cache(self._ask_people, size=1, **shared)  # type: ignore[arg-type]
        self._instruments = Cache(self._ask_instruments, size=1, **shared)  # type: ignore[arg-type]
        self._one = Cache(self._ask_experiments, size=2000, **shared)  # type: ignore[arg-type]
        self._mine = Cache(self._ask_mine, size=200, **shared)  # type: ignore[arg-type]
        self._open = Cache(self._ask_open, size=2, **shared)  # type: ignore[arg-type]

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        return await self._person.get(username, age=_ADMISSION_AGE)

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        return await self._people.get("")

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        return await self._instruments.get("")

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        """Fresh: no older than two seconds while the source is up."""
        safe = tuple(sorted({i for i in ids if _is_safe(i)}))
        answer = await self._one.get(safe, age=_ADMISSION_AGE)
        found = {e.experiment.id: e.experiment for e in answer.value}
        return Answer({str(k): v for k, v in found.items()}, answer.as_of, answer.stale)

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]:
        answers = []
        if search.scope is not Scope.OPEN:
            answers.append(await self._mine.get(username))
        if search.scope is not Scope.MINE:
            answers.append(await self._open.get(today))
        entries = {e.experiment.id: e for answer in answers for e in answer.value}
        found = await asyncio.to_thread(index.search, entries.values(), search)
        return Answer(found, min(a.as_of for a in answers), any(a.stale for a in answers))

    async def health(self) -> CatalogueHealth:
        try:
            answer = await self._instruments.get("", age=_ADMISSION_AGE)
        except CatalogueUnavailable as error:
            return CatalogueHealth(False, None, str(error))
        counts = {"instruments": len(answer.value), "rows left out": self._bad_rows}
        return CatalogueHealth(not answer.stale, answer.as_of, self._outage.fault, counts)

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)

    # what the caches ask

    async def _ask_person(self, username: str) -> CataloguePerson | None:
        rows = await self._rows("person", username=username)
        people = self._made(records.person, rows)
        return people[0] if people else None

    async def _ask_people(self, _: str) -> tuple[CataloguePerson, ...]:
        return tuple(self._made(records.person, await self._rows("people")))

    async def _ask_instruments(self, _: str) -> tuple[Instrument, ...]:
        scientists: dict[str, list[str]] = defaultdict(list)
        for row in await self._rows("instrument_scientists"):
            scientists[str(row["instrument"])].append(str(row["username"]))
        rows = [{**row, "scientists": scientists[str(row["id"])]} for row in await self._rows("instruments")]
        return tuple(self._made(records.instrument, rows))

    async def _ask_mine(self, username: str) -> tuple[index.Entry, ...]:
        rows = await self._rows("experiments_of", username=username)
        return await self._ask_experiments(tuple(str(row["id"]) for row in rows))

    async def _ask_open(self, today: date) -> tuple[index.Entry, ...]:
        rows = await self._rows("open_experiments", today=today)
        return await self._ask_experiments(tuple(str(row["id"]) for row in rows))

    async def _ask_experiments(self, ids: tuple[str, ...]) -> tuple[index.Entry, ...]:
        if not ids:
            return ()
        instruments = {str(i.id): i for i in (await self._instruments.get("", age=_ADMISSION_AGE)).value}
        rows: list[dict[str, Any]] = []
        team: dict[str, list[str]] = defaultdict(list)
        names: dict[str, str] = {}
        for start in range(0, len(ids), _CHUNK):
            chunk = list(ids[start : start + _CHUNK])
            rows += await self._rows("experiments", ids=chunk)
            for member in await self._rows("team", ids=chunk):
                team[str(member["experiment"])].append(str(member["username"]))
                names[str(member["username"])] = str(member.get("name") or "")
        return await asyncio.to_thread(self._entries, rows, team, names, instruments)

    def _entries(
        self,
        rows: Iterable[dict[str, Any]],
        team: dict[str, list[str]],
        names: dict[str, str],
        instruments: dict[str, Instrument],
    ) -> tuple[index.Entry, ...]:
        snapshot = Snapshot()

        def make(record: records.Record, fault: records.Fault) -> Experiment:
            of = {"id": record["proposal"], "title": record["proposal_title"], "principal": record.get("principal")}
            proposal: Proposal = records.proposal(of, fault)
            snapshot.proposals[str(proposal.id)] = proposal
            return records.experiment(record, snapshot.proposals, instruments, fault)

        full = [{**row, "team": team.get(str(row["id"]), [])} for row in rows]
        return tuple(index.entry(value, names) for value in self._made(make, full))

    def _made(self, make: Any, rows: Iterable[records.Record]) -> list[Any]:
        """The rows that can be used; the others are logged and counted for operators."""
        made = []
        for row in rows:

            def fault(column: str, what: str, row: records.Record = row) -> None:
                log.warning("Left out of the catalogue: %s: %s: %s", dict(row), column, what)

            try:
                made.append(make(row, fault))
            except BadRecord:
                self._bad_rows += 1
        return made

    async def _rows(self, name: str, **values: Any) -> list[dict[str, Any]]:
        try:
            return await asyncio.wait_for(asyncio.to_thread(self._query, name, values), 20)
        except (SQLAlchemyError, TimeoutError, OSError) as error:
            # Drivers put the statement and its values in later lines; the first says what happened.
            fault = str(error).splitlines()[0] if str(error) else type(error).__name__
            log.warning("The catalogue's query '%s' failed: %s", name, fault)
            raise SourceDown(fault) from error

    def _query(self, name: str, values: dict[str, Any]) -> list[dict[str, Any]]:
        statement = text(self._queries[name])
        if "ids" in values:
            statement = statement.bindparams(bindparam("ids", expanding=True))
        with self._engine.connect() as connection:
            return [dict(row._mapping) for row in connection.execute(statement, values)]


def _is_safe(identifier: str) -> bool:
    try:
        ExperimentId(identifier)
    except InvalidIdentifier:
        return False
    return True
