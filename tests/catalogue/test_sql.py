"""The SQL source on PostgreSQL and SQLite: documented queries, hostile rows, a source that goes away."""

from __future__ import annotations

import asyncio
import threading
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, event, text

from tests.services.facility import CATALOGUE
from tests.services.waiting import leap
from visa.catalogue.base import CatalogueUnavailable, Reading, Scope, Search
from visa.catalogue.sql import QUERIES, SqlCatalogue

TODAY = date(2026, 1, 1)
SCHEMA = Path(__file__).parents[2] / "docs" / "operators" / "catalogue.sql"


@pytest.fixture
def database(store_url: str) -> str:
    """The documented schema with the tests' facility in it."""
    make(store_url)
    return store_url


def make(url: str) -> None:
    """Create the documented tables with the tests' facility in them."""
    execute(url, *(statement for statement in SCHEMA.read_text().split(";") if statement.strip()))
    engine = create_engine(url)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()


def execute(url: str, *statements: str) -> None:
    """In one transaction."""
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)
    engine.dispose()


def fill(connection: Any) -> None:
    for person in CATALOGUE["people"]:
        values = {"email": None, "affiliation": None, "groups": None, "gids": None, "roles": None, **person}
        values["gids"] = ",".join(map(str, person.get("gids", [])))
        values["roles"] = ",".join(person.get("roles", []))
        columns = "username, name, email, affiliation, uid, gid, gids, groups, roles"
        names = ", ".join(f":{c.strip()}" for c in columns.split(","))
        connection.execute(text(f"INSERT INTO people ({columns}) VALUES ({names})"), values)
    for instrument in CATALOGUE["instruments"]:
        connection.execute(text("INSERT INTO instruments (id, name) VALUES (:id, :name)"), instrument)
        for scientist in instrument["scientists"]:
            values = {"i": instrument["id"], "u": scientist}
            connection.execute(text("INSERT INTO instrument_scientists VALUES (:i, :u)"), values)
    for proposal in CATALOGUE["proposals"]:
        connection.execute(text("INSERT INTO proposals VALUES (:id, :title, :principal)"), proposal)
    for experiment in CATALOGUE["experiments"]:
        add_experiment(connection, experiment)


def add_experiment(connection: Any, experiment: dict[str, Any]) -> None:
    days = {k: date.fromisoformat(experiment[k]) if experiment.get(k) else None for k in ("start", "end", "release")}
    statement = (
        "INSERT INTO experiments (id, title, proposal, instrument, start_date, end_date, release_date, doi) "
        "VALUES (:id, :title, :proposal, :instrument, :start, :end, :release, :doi)"
    )
    connection.execute(text(statement), {"doi": None, **experiment, **days, "team": None})
    for member in experiment["team"]:
        connection.execute(text("INSERT INTO team VALUES (:e, :u)"), {"e": experiment["id"], "u": member})


async def ids(catalogue: SqlCatalogue, username: str, **search: Any) -> list[str]:
    found = await catalogue.search(username, Search(**search), TODAY)
    return [str(e.id) for e in found.value.experiments]


async def test_it_answers_as_the_file_does(database: str) -> None:
    catalogue = SqlCatalogue(database)
    assert await ids(catalogue, "marie") == ["exp-2", "exp-1"]
    assert await ids(catalogue, "rosalind") == ["exp-1"]
    assert await ids(catalogue, "dorothy") == ["exp-2", "exp-1"]
    assert await ids(catalogue, "grace") == []
    assert await ids(catalogue, "grace", scope=Scope.OPEN) == ["exp-4"]
    assert await ids(catalogue, "lise", scope=Scope.ALL) == ["exp-3", "exp-4"]
    assert await ids(catalogue, "marie", text="franklin") == ["exp-1"]
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    assert (marie.uid, marie.gids, marie.roles) == (20001, (30001,), frozenset({"scientist"}))
    assert (await catalogue.person("nobody")).value is None
    assert len((await catalogue.people()).value) == 5
    found = (await catalogue.experiments(["exp-4", "nothing", "'; DROP TABLE people; --"])).value
    assert list(found) == ["exp-4"]
    assert (found["exp-4"].release, found["exp-4"].doi) == (date(2023, 5, 1), "10.5072/open.4")
    assert (await catalogue.health()).up
    await catalogue.close()


async def test_rows_that_cannot_be_used_are_left_out_and_counted(database: str) -> None:
    engine = create_engine(database)
    with engine.begin() as connection:
        bad = {**CATALOGUE["experiments"][0], "id": "../etc", "title": "Bad"}
        add_experiment(connection, bad)
    engine.dispose()
    catalogue = SqlCatalogue(database)
    assert await ids(catalogue, "marie") == ["exp-2", "exp-1"]
    assert (await catalogue.health()).counts["rows left out"] >= 1
    await catalogue.close()


STRANGE_DAYS = ("infinity", "-infinity", "0044-03-15 BC", "4713-01-01 BC", "10000-01-01", "294276-12-31")


@pytest.mark.parametrize("kind", ["date", "timestamp", "timestamptz"])
@pytest.mark.parametrize("column", ["start", "end", "release"])
async def test_days_that_python_has_not_spoil_their_own_value(postgres_url: str, kind: str, column: str) -> None:
    make(postgres_url)
    execute(postgres_url, f"ALTER TABLE experiments ALTER {column}_date TYPE {kind}")
    with_one = create_engine(postgres_url)
    with with_one.begin() as connection:
        for number, strange in enumerate(STRANGE_DAYS):
            add_experiment(connection, {**CATALOGUE["experiments"][0], "id": f"odd-{number}"})
            connection.execute(text(f"UPDATE experiments SET {column}_date = '{strange}' WHERE id = 'odd-{number}'"))
    with_one.dispose()
    odd = [f"odd-{number}" for number in range(len(STRANGE_DAYS))]
    catalogue = SqlCatalogue(postgres_url)
    answer = await catalogue.experiments(["exp-1", *odd])
    found = Reading(answer.value, answer.unreadable)
    assert not answer.stale
    assert found.is_clear("exp-1")
    said = (await catalogue.health()).left_out
    for identifier, strange in zip(odd, STRANGE_DAYS, strict=True):
        (one,) = [line for line in said if identifier in line]
        assert f"{column}: '{strange[:10]}" in one
        if column == "start":
            assert identifier not in found.experiments, "data folders need the year"
        else:
            assert "marie" in found.experiments[identifier].team
            assert found.experiments[identifier].release is None
            assert found.is_clear(identifier) == (column == "end")
    assert set(odd) <= {*await ids(catalogue, "marie"), *found.unreadable}
    await catalogue.close()


async def test_a_facility_gives_its_own_queries(database: str) -> None:
    queries = {"experiments_of": "SELECT experiment AS id FROM team WHERE username = :username"}
    catalogue = SqlCatalogue(database, queries)
    assert await ids(catalogue, "dorothy") == [], "no longer by instrument"
    await catalogue.close()
    with pytest.raises(ValueError, match="experiment_of"):
        SqlCatalogue(database, {"experiment_of": "SELECT 1"})


async def test_admission_sees_a_change_at_once(database: str) -> None:
    catalogue = SqlCatalogue(database, refresh=timedelta(hours=1))
    assert "marie" in (await catalogue.experiments(["exp-2"])).value["exp-2"].team
    assert await ids(catalogue, "marie") == ["exp-2", "exp-1"]
    engine = create_engine(database)
    with engine.begin() as connection:
        connection.execute(text("DELETE FROM team WHERE experiment = 'exp-2'"))
    engine.dispose()
    leap(2.001)
    assert "marie" not in (await catalogue.experiments(["exp-2"])).value["exp-2"].team, "whatever `refresh` says"
    await catalogue.close()


async def test_a_source_that_is_down_is_stale_then_back(tmp_path: Path) -> None:
    """A database file that vanishes and returns."""
    path = tmp_path / "c.sqlite"
    make(f"sqlite:///{path}")
    catalogue = SqlCatalogue(f"sqlite:///{path}", refresh=timedelta(seconds=1))
    assert await ids(catalogue, "marie") == ["exp-2", "exp-1"]
    assert not (await catalogue.experiments(["exp-1"])).stale
    await catalogue.close()
    path.rename(tmp_path / "away")
    leap(2.001)
    answer = await catalogue.experiments(["exp-1"])
    assert answer.stale
    assert "exp-1" in answer.value
    assert (await catalogue.search("marie", Search(), TODAY)).stale
    assert not (await catalogue.health()).up
    with pytest.raises(CatalogueUnavailable):
        await catalogue.experiments(["exp-3"])
    await catalogue.close()
    path.unlink(missing_ok=True)
    (tmp_path / "away").rename(path)
    assert (await catalogue.experiments(["exp-1"])).stale, "it is not asked again at once"
    leap(5.001)
    assert not (await catalogue.experiments(["exp-1"])).stale
    assert (await catalogue.health()).up
    await catalogue.close()


async def test_a_hundred_questions_at_once_ask_once(database: str) -> None:
    catalogue = SqlCatalogue(database)
    asked: list[str] = []
    lock = threading.Lock()

    @event.listens_for(catalogue._engine, "before_cursor_execute")
    def count(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        with lock:
            asked.append(statement)

    answers = await asyncio.gather(*(catalogue.search("marie", Search(), TODAY) for _ in range(100)))
    assert all(answer.value.total == 2 for answer in answers)
    assert len(asked) <= 6, asked
    await catalogue.close()


def test_the_documented_queries_are_the_ones_in_use() -> None:
    page = (SCHEMA.parent / "catalogue.md").read_text()
    assert all(f"`{name}`" in page for name in QUERIES)


async def test_a_query_that_lacks_a_column_is_said_and_ends_nothing(database: str) -> None:
    team = "SELECT t.experiment FROM team t WHERE t.experiment IN :ids"
    catalogue = SqlCatalogue(database, {"team": team})
    with pytest.raises(CatalogueUnavailable, match="query 'team' gives no column 'username'"):
        await catalogue.experiments(["exp-1"])
    await catalogue.close()


async def test_a_proposal_that_is_not_found_may_be_anybody_s(database: str) -> None:
    execute(database, "DELETE FROM proposals WHERE id = 'p2'")
    catalogue = SqlCatalogue(database)
    answer = await catalogue.experiments(["exp-1", "exp-3"])
    found = Reading(answer.value, answer.unreadable)
    assert found.is_clear("exp-1")
    assert (found.experiments["exp-3"].proposal_title, found.experiments["exp-3"].left_out) == ("p2", ("",))
    assert "'p2' is not known" in "".join((await catalogue.health()).left_out)
    await catalogue.close()
