"""Experiments and teams from queries on a database.

The queries below fit the documented schema (docs/operators/catalogue.md); a facility replaces any of
them by name in facility.yaml, keeping the columns and the bound parameters.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta, tzinfo
from typing import Any, TypeVar

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
    RowUnreadable,
    Scope,
    Search,
)
from visa.catalogue.cache import Cache, Outage, SourceDown
from visa.catalogue.collecting import Collected, collect, key_of
from visa.catalogue.drivers import lenient
from visa.catalogue.left_out import SHOWN, LeftOut
from visa.catalogue.records import Fault, Proposal, Record, as_text
from visa.catalogue.shrinking import Belief, MemoryFails
from visa.identifiers import ExperimentId, InvalidIdentifier

log = logging.getLogger(__name__)
T = TypeVar("T")

QUERIES = {
    "person": "SELECT username, name, email, affiliation, uid, gid, gids, groups, roles "
    "FROM people WHERE username = :username",
    "people": "SELECT username, name, email, affiliation, uid, gid, gids, groups, roles FROM people ORDER BY username",
    "instruments": "SELECT id, name, description FROM instruments ORDER BY id",
    "instrument_scientists": "SELECT instrument, username FROM instrument_scientists",
    "experiments": "SELECT e.id, e.title, e.proposal, p.title AS proposal_title, p.principal, e.instrument, "
    'e.start_date AS start, e.end_date AS "end", e.release_date AS release, e.doi '
    "FROM experiments e LEFT JOIN proposals p ON p.id = e.proposal WHERE e.id IN :ids",
    "team": "SELECT t.experiment, t.username, m.name FROM team t "
    "LEFT JOIN people m ON m.username = t.username WHERE t.experiment IN :ids",
    "experiments_of": "SELECT experiment AS id FROM team WHERE username = :username "
    "UNION SELECT e.id FROM experiments e JOIN proposals p ON p.id = e.proposal WHERE p.principal = :username "
    "UNION SELECT e.id FROM experiments e JOIN instrument_scientists s ON s.instrument = e.instrument "
    "WHERE s.username = :username",
    "open_experiments": "SELECT id FROM experiments WHERE release_date <= :today",
}
"""Name to query. Bound parameters: ``:username``, ``:ids`` (a list), ``:today``."""

_NEEDED = {
    "person": {"username"},
    "people": {"username"},
    "instruments": {"id"},
    "instrument_scientists": {"instrument", "username"},
    "experiments": {"id", "proposal", "proposal_title", "instrument", "start"},
    "team": {"experiment", "username"},
    "experiments_of": {"id"},
    "open_experiments": {"id"},
}
"""Columns without which a query says nothing; all others may be absent."""

_CHUNK = 500  # ids per query; SQLite and some drivers limit the number of parameters
_ADMISSION_AGE = 2.0  # seconds; what admission decides on is no older

_Team = dict[str, list[object]]  # user names by experiment


@dataclass(frozen=True, slots=True)
class _Experiments:
    """What the database says of some ids."""

    entries: tuple[index.Entry, ...] = ()
    unreadable: frozenset[str] = frozenset()


class SqlCatalogue:
    """`Catalogue` on any SQLAlchemy URL. The database is only read."""

    def __init__(
        self,
        url: str,
        queries: dict[str, str] | None = None,
        refresh: timedelta = timedelta(minutes=5),
        zone: tzinfo = UTC,
        belief: Belief | None = None,
    ) -> None:
        unknown = set(queries or {}) - set(QUERIES)
        if unknown:
            known = ", ".join(sorted(QUERIES))
            raise ValueError(f"catalogue.queries: {', '.join(sorted(unknown))} is not known; known are {known}")
        arguments = {"connect_timeout": 5} if make_url(url).get_backend_name() == "postgresql" else {}
        self._engine = create_engine(url, pool_pre_ping=True, pool_timeout=10, connect_args=arguments)
        lenient(self._engine)
        self._queries = {**QUERIES, **(queries or {})}
        self._outage = Outage()
        self._zone, self._left_out = zone, LeftOut()
        self._belief = belief or Belief()
        age = refresh.total_seconds()
        shared = {"age": age, "outage": self._outage}
        self._person = Cache(self._ask_person, size=2000, **shared)  # type: ignore[arg-type]
        self._people = Cache(self._ask_people, size=1, **shared)  # type: ignore[arg-type]
        self._instruments = Cache(self._ask_instruments, size=1, **shared)  # type: ignore[arg-type]
        self._one = Cache(self._ask_experiments, size=2000, **shared)  # type: ignore[arg-type]
        self._mine = Cache(self._ask_mine, size=200, **shared)  # type: ignore[arg-type]
        self._open = Cache(self._ask_open, size=2, **shared)  # type: ignore[arg-type]

    async def person(self, username: str) -> Answer[CataloguePerson | None]:
        answer = await self._person.get(username, age=_ADMISSION_AGE)
        if answer.value.doubtful(username):
            raise RowUnreadable(f"The row of {username!r} in the catalogue cannot be read")
        return Answer(answer.value.values.get(username), answer.as_of, answer.stale)

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]:
        return await self._people.get("")

    async def instruments(self) -> Answer[tuple[Instrument, ...]]:
        return await self._instruments.get("")

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        """Fresh: no older than two seconds while the source is up."""
        safe = tuple(sorted({i for i in ids if _is_safe(i)}))
        answer = await self._one.get(safe, age=_ADMISSION_AGE)
        found = {str(e.experiment.id): e.experiment for e in answer.value.entries}
        return Answer(found, answer.as_of, answer.stale, answer.value.unreadable)

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]:
        answers = []
        if search.scope is not Scope.OPEN:
            answers.append(await self._mine.get(username))
        if search.scope is not Scope.MINE:
            answers.append(await self._open.get(today))
        entries = {e.experiment.id: e for answer in answers for e in answer.value.entries}
        found = await asyncio.to_thread(index.search, entries.values(), search)
        return Answer(found, min(a.as_of for a in answers), any(a.stale for a in answers))

    async def health(self) -> CatalogueHealth:
        try:
            answer = await self._instruments.get("", age=_ADMISSION_AGE)
        except CatalogueUnavailable as error:
            return CatalogueHealth(False, None, str(error))
        counts = {"instruments": len(answer.value), "rows left out": self._left_out.rows}
        return CatalogueHealth(
            not answer.stale, answer.as_of, self._outage.fault, counts, tuple(self._left_out.all[:SHOWN])
        )

    async def close(self) -> None:
        await asyncio.to_thread(self._engine.dispose)

    # what the caches ask

    async def _ask_person(self, username: str) -> Collected[CataloguePerson]:
        return self._made("people", "username", records.person, await self._rows("person", username=username))

    async def _ask_people(self, _: str) -> tuple[CataloguePerson, ...]:
        made = self._made("people", "username", records.person, await self._rows("people"))
        return tuple(made.values.values())

    async def _ask_instruments(self, _: str) -> tuple[Instrument, ...]:
        scientists: dict[str, list[object]] = defaultdict(list)
        of = await self._rows("instrument_scientists")
        for row in of:
            scientists[key_of(row, "instrument")].append(row["username"])
        rows = [{**row, "scientists": scientists[key_of(row, "id")]} for row in await self._rows("instruments")]
        sizes = {"instruments": len(rows), "instrument scientists": len(of)}
        await self._believe(self._belief.doubt, sizes)
        return tuple(self._made("instruments", "id", records.instrument, rows).values.values())

    @staticmethod
    async def _believe(doubt: Callable[..., str | None], *told: Any) -> None:
        """Raise `SourceDown` when the database suddenly holds much less: rights were lost, or a load is half done."""
        why = await asyncio.to_thread(doubt, *told)
        if why is not None:
            raise SourceDown(why)

    async def _ask_mine(self, username: str) -> _Experiments:
        rows = await self._rows("experiments_of", username=username)
        return await self._ask_experiments(tuple(key_of(row, "id") for row in rows))

    async def _ask_open(self, today: date) -> _Experiments:
        rows = await self._rows("open_experiments", today=today)
        return await self._ask_experiments(tuple(key_of(row, "id") for row in rows))

    async def _ask_experiments(self, ids: tuple[str, ...]) -> _Experiments:
        if not ids:
            return _Experiments()
        answer = await self._instruments.get("", age=_ADMISSION_AGE)
        if answer.stale:
            raise SourceDown(self._outage.fault or "the instruments are not known")
        instruments = {str(i.id): i for i in answer.value}
        rows, team, names = await self._rows_of(ids)
        await self._believe_teams(ids, _have_team(rows, team))
        return await asyncio.to_thread(self._entries, rows, team, names, instruments)

    async def _believe_teams(self, ids: tuple[str, ...], found: dict[str, bool]) -> None:
        """As `_believe`; when a team is gone, others are asked for too: is it this one, or the table?"""
        try:
            beside = await asyncio.to_thread(self._belief.beside, ids, found)
        except MemoryFails as error:
            raise SourceDown(f"what it held before is not known: {error}") from error
        if beside:
            rows, team, _names = await self._rows_of(beside)
            found = {**_have_team(rows, team), **found}
        await self._believe(self._belief.doubt_teams, ids, found, beside)

    async def _rows_of(self, ids: tuple[str, ...]) -> tuple[list[dict[str, Any]], _Team, dict[str, str]]:
        """Rows of experiments, their teams, and names of those in them."""
        rows: list[dict[str, Any]] = []
        team: _Team = defaultdict(list)
        names: dict[str, str] = {}
        for start in range(0, len(ids), _CHUNK):
            chunk = list(ids[start : start + _CHUNK])
            rows += await self._rows("experiments", ids=chunk)
            for member in await self._rows("team", ids=chunk):
                team[key_of(member, "experiment")].append(member["username"])
                names[key_of(member, "username")] = as_text(member.get("name"))
        return rows, team, names

    def _entries(
        self,
        rows: Iterable[dict[str, Any]],
        team: _Team,
        names: dict[str, str],
        instruments: dict[str, Instrument],
    ) -> _Experiments:
        def make(record: Record, fault: Fault) -> Experiment:
            of = {"id": record["proposal"], "title": record["proposal_title"], "principal": record.get("principal")}
            there: dict[str, Proposal] = {}
            if of["title"] is not None or of["principal"] is not None:  # else no proposal of that id was found
                proposal = records.proposal(of, fault)
                there[str(proposal.id)] = proposal
            return records.experiment(record, there, instruments, fault, self._zone)

        full = [{**row, "team": team.get(key_of(row, "id"), [])} for row in rows]
        made = self._made("experiments", "id", make, full)
        entries = tuple(index.entry(value, names) for value in made.values.values())
        return _Experiments(entries, frozenset(made.unreadable))

    def _made(
        self, table: str, column: str, make: Callable[[Record, Fault], T], rows: Iterable[Record]
    ) -> Collected[T]:
        """The rows by id; what is left out is said to operators."""
        named = ((f"{table} {key_of(row, column)!r}", row) for row in rows)
        return collect(named, column, make, self._left_out)

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
            result = connection.execute(statement, values)
            missing = sorted(_NEEDED[name] - set(result.keys()))
            if missing:
                raise SourceDown(
                    f"query '{name}' gives no column '{missing[0]}'; keep the columns of the documented one"
                )
            return [dict(row._mapping) for row in result]


def _have_team(rows: Iterable[dict[str, Any]], team: _Team) -> dict[str, bool]:
    return {key_of(row, "id"): bool(team.get(key_of(row, "id"))) for row in rows}


def _is_safe(identifier: str) -> bool:
    try:
        ExperimentId(identifier)
    except InvalidIdentifier:
        return False
    return True
