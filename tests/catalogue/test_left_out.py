"""What cannot be used is left out alone, in files and in a database, and said to operators."""

from __future__ import annotations

from contextlib import suppress
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from tests.catalogue.test_file import write
from tests.catalogue.test_sql import SCHEMA, add_experiment, database, fill  # noqa: F401 - a fixture
from tests.services.facility import CATALOGUE
from visa.catalogue import records
from visa.catalogue.base import Catalogue, CatalogueUnavailable, Part, Reading, RowUnreadable
from visa.catalogue.file import FileCatalogue
from visa.catalogue.left_out import SHOWN, LeftOut
from visa.catalogue.records import BadRecord
from visa.catalogue.shrinking import shrunk
from visa.catalogue.sql import QUERIES, SqlCatalogue
from visa.identifiers import Username

EXPORT = {
    "people.csv": "username,name,email,uid,gid\nana,Ana,,20001,20001\nbo,Bo,,20002,20002\n"
    "o'neil,O Example,,20003,20003\n",
    "instruments.csv": "id,name,scientists\nd22,D22,bo\n",
    "proposals.csv": "id,title,principal\np1,Micelles,ana\n",
    "experiments.csv": "id,title,proposal,instrument,start,end\n"
    "e1,Run one,p1,d22,2026-02-01T00:00:00.000Z,2026-02-03T23:59:59Z\n",
    "teams.csv": "experiment,username\ne1,ana\ne1,left-last-year\n",
}


def export(folder: Path, **changed: str) -> FileCatalogue:
    for name, content in EXPORT.items():
        (folder / name).write_bytes(changed.get(name.removesuffix(".csv"), content).encode("utf-8", "surrogateescape"))
    return FileCatalogue(folder)


async def left_out(catalogue: Catalogue) -> str:
    return "\n".join((await catalogue.health()).left_out)


async def reading(catalogue: Catalogue, *ids: str) -> Reading:
    answer = await catalogue.experiments(ids)
    assert not answer.stale
    return Reading(answer.value, answer.unreadable)


async def test_an_export_with_one_name_that_cannot_be_used(tmp_path: Path) -> None:
    catalogue = export(tmp_path)
    assert [p.username for p in (await catalogue.people()).value] == ["ana", "bo"]
    found = await reading(catalogue, "e1")
    assert found.experiments["e1"].team == {"ana", "left-last-year"}
    assert (found.experiments["e1"].start, found.experiments["e1"].end) == (date(2026, 2, 1), date(2026, 2, 3))
    said = await left_out(catalogue)
    assert 'people.csv:4: username: user name "o\'neil" is not valid' in said
    assert "'left-last-year' is not one of the people" in said


@pytest.mark.parametrize(
    ("table", "content", "said"),
    [
        ("teams", "experiment,username\ne1,ana\ne1,o'neil\n", 'teams.csv:3: username: user name "o\'neil"'),
        ("instruments", "id,name,scientists\nd22,D22,jürgen\n", "instruments.csv:2: scientists: user name 'jürgen'"),
        ("proposals", "id,title,principal\np1,Micelles,Ana Example\n", "proposals.csv:2: principal"),
        ("teams", "experiment,username\ne1,ana\ne1\n", "teams.csv:3: teams: has another number of columns"),
    ],
)
async def test_a_name_is_left_out_and_not_the_experiment(tmp_path: Path, table: str, content: str, said: str) -> None:
    catalogue = export(tmp_path, **{table: content})
    found = await reading(catalogue, "e1")
    assert "ana" in found.experiments["e1"].team
    assert not found.is_clear("e1"), "who is missing may be in what was left out"
    assert said in await left_out(catalogue)


@pytest.mark.parametrize(
    "row",
    ["e1,Run one,p1,d22,never,", "e1,Run one", 'e1,"Run" one,p1,d22,2026-02-01,', "e1,Run,,d22,2026-02-01,"],
)
async def test_an_experiment_in_a_row_that_does_not_read_is_not_gone(tmp_path: Path, row: str) -> None:
    header = "id,title,proposal,instrument,start,end\n"
    catalogue = export(tmp_path, experiments=f"{header}{row}\ne2,Run two,p1,d22,2026-02-01,2026-02-02\n")
    found = await reading(catalogue, "e1", "e2")
    assert set(found.experiments) == {"e2"}
    assert not found.is_clear("e1")
    assert found.is_clear("e2")


async def test_an_id_that_is_none_may_be_that_of_the_experiment_that_went_when_it_came(tmp_path: Path) -> None:
    header = "id,title,proposal,instrument,start,end\n"
    row = "{},Run,p1,d22,2026-02-01,2026-02-02\n"

    def rows(*ids: str) -> str:
        return header + "".join(row.format(identifier) for identifier in ids)

    catalogue = export(tmp_path, experiments=rows("e1", "e2", "e3", "old 7"))
    assert not (await reading(catalogue, "e9")).is_clear("e9"), "nobody saw what it was before"
    export(tmp_path, experiments=rows("e1", "e2", "old 7"))
    assert (await reading(catalogue, "e3")).is_clear("e3"), "it was there beside the strange one"
    export(tmp_path, experiments=rows("e1", "e/2", "old 7"))
    assert not (await reading(catalogue, "e2")).is_clear("e2")
    export(tmp_path, experiments=rows("e1", "e/2"))
    assert not (await reading(catalogue, "e2")).is_clear("e2"), "as long as it is there"
    export(tmp_path, experiments=rows("e1"))
    assert (await reading(catalogue, "e2")).is_clear("e2")


async def test_what_is_not_there_is_clear(tmp_path: Path) -> None:
    assert (await reading(export(tmp_path), "e9")).is_clear("e9")


@pytest.mark.parametrize("column", ["title", "name"])
async def test_a_missing_title_hides_nothing(tmp_path: Path, column: str) -> None:
    everything = {
        table: [{**row, column: ""} if column in row else row for row in rows] for table, rows in CATALOGUE.items()
    }
    catalogue = FileCatalogue(write(tmp_path, **everything))
    found = await reading(catalogue, "exp-1")
    assert found.is_clear("exp-1")
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    shown = (found.experiments["exp-1"].title, found.experiments["exp-1"].instrument_name, marie.name)
    assert shown[:2] == ("exp-1", "D22") if column == "title" else shown == ("Micelles at rest", "d22", "marie")


async def test_a_broken_number_is_left_out_alone(tmp_path: Path) -> None:
    people = [{**CATALOGUE["people"][0], "uid": "many", "gids": ["x", 30001]}, *CATALOGUE["people"][1:]]
    marie = (await FileCatalogue(write(tmp_path, people=people)).person("marie")).value
    assert marie is not None
    assert (marie.uid, marie.gid, marie.gids) == (None, 20001, (30001,))


async def test_two_rows_of_one_id_that_differ_are_not_believed(tmp_path: Path) -> None:
    twice = [*CATALOGUE["people"], {**CATALOGUE["people"][0], "uid": 20099}]
    catalogue = FileCatalogue(write(tmp_path, people=twice))
    with pytest.raises(RowUnreadable, match="marie"):
        await catalogue.person("marie")
    assert (await catalogue.person("lise")).value is not None
    assert (await catalogue.person("nobody")).value is None


async def test_latin_1_spoils_the_values_it_stands_in_and_is_named_by_file(tmp_path: Path) -> None:
    people = "username,name,uid,gid\nana,J\udcfcrgen,20001,20001\nbo,Bo,20002,20002\n"
    catalogue = export(tmp_path, people=people)
    ana = (await catalogue.person("ana")).value
    assert ana is not None
    assert ana.name == "J\ufffdrgen"
    assert "people.csv:2: text: bytes: are not UTF-8 (Latin-1?)" in await left_out(catalogue)


async def test_an_unknown_column_is_said_once(tmp_path: Path) -> None:
    entries = [{**entry, "colour": "red"} for entry in CATALOGUE["experiments"]]
    catalogue = FileCatalogue(write(tmp_path, experiments=entries))
    assert (await left_out(catalogue)).count("colour") == 1
    assert len((await reading(catalogue, "exp-1", "exp-2")).experiments) == 2


async def test_groups_and_roles_that_are_no_plain_text_are_left_out(tmp_path: Path) -> None:
    """JupyterHub's database refuses them, and with them the login."""
    people = [{**CATALOGUE["people"][0], "roles": ["scientist", "\x00", "x" * 300], "groups": ["a b", "\u202eb"]}]
    catalogue = FileCatalogue(write(tmp_path, people=[*people, *CATALOGUE["people"][1:]]))
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    assert (marie.roles, marie.groups) == ({"scientist"}, {"a b"})
    assert (await left_out(catalogue)).count("is no plain text") == 3


async def test_the_list_is_bounded_and_the_rest_counted(tmp_path: Path) -> None:
    people = [*CATALOGUE["people"], *({"username": f"a b {n}"} for n in range(SHOWN + 50))]
    health = await FileCatalogue(write(tmp_path, people=people)).health()
    assert health.up
    assert (len(health.left_out), health.counts["rows left out"]) == (SHOWN, SHOWN + 50)


async def test_a_day_that_no_calendar_has_spoils_one_column(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_text(path.read_text().replace("release: '2023-05-01'", "release: 0000-00-00"))
    found = await reading(FileCatalogue(path), "exp-4")
    assert found.experiments["exp-4"].release is None
    assert found.is_clear("exp-4"), "0000-00-00 is a database's word for none"


async def test_a_file_that_suddenly_holds_much_less_is_not_believed(tmp_path: Path) -> None:
    many = [{**CATALOGUE["experiments"][0], "id": f"e-{n}"} for n in range(20)]
    catalogue = FileCatalogue(write(tmp_path, experiments=many))
    assert (await reading(catalogue, "e-3")).is_clear("e-3")
    write(tmp_path, experiments=many[:2])
    answer = await catalogue.experiments(["e-3"])
    assert answer.stale
    assert "e-3" in answer.value
    assert "there were 20, now 2" in str((await catalogue.health()).fault)
    write(tmp_path, experiments=many[:15])
    assert set((await reading(catalogue, "e-3", "e-17")).experiments) == {"e-3"}


def run(url: str, *statements: str) -> None:
    engine = create_engine(url)
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


@pytest.mark.parametrize(
    ("statement", "part", "said"),
    [
        ("INSERT INTO instrument_scientists VALUES ('d22', 'jürgen')", Part.SCIENTISTS, "jürgen"),
        ("INSERT INTO team VALUES ('exp-1', 'o''neil')", Part.TEAM, "o'neil"),
        ("INSERT INTO team VALUES ('exp-1', 'DOMAIN\\user')", Part.TEAM, "DOMAIN"),
        ("UPDATE proposals SET principal = 'Marie Curie' WHERE id = 'p1'", Part.PRINCIPAL, "Marie Curie"),
    ],
)
async def test_a_name_in_the_database_is_left_out_alone(database: str, statement: str, part: Part, said: str) -> None:  # noqa: F811
    run(database, statement)
    catalogue = SqlCatalogue(database)
    found = await reading(catalogue, "exp-1", "exp-4")
    assert found.experiments["exp-1"].unread == {part}
    assert "marie" in found.experiments["exp-1"].team
    assert found.is_clear("exp-4")
    assert said in await left_out(catalogue)
    await catalogue.close()


async def test_a_row_of_the_database_that_does_not_read_is_not_gone(database: str) -> None:  # noqa: F811
    start = "CASE WHEN e.id = 'exp-1' THEN NULL ELSE e.start_date END AS start"
    catalogue = SqlCatalogue(database, {"experiments": QUERIES["experiments"].replace("e.start_date AS start", start)})
    found = await reading(catalogue, "exp-1", "exp-2", "exp-9")
    assert set(found.experiments) == {"exp-2"}
    assert not found.is_clear("exp-1")
    assert found.is_clear("exp-9"), "the database answered without it"
    assert "start: is missing" in await left_out(catalogue)
    await catalogue.close()


async def test_a_database_whose_teams_are_empty_at_once_is_not_believed(database: str) -> None:  # noqa: F811
    engine = create_engine(database)
    with engine.begin() as connection:
        for number in range(20):
            add_experiment(connection, {**CATALOGUE["experiments"][0], "id": f"e-{number}"})
    engine.dispose()
    many = [f"e-{number}" for number in range(20)]
    catalogue = SqlCatalogue(database)
    assert len((await reading(catalogue, *many)).experiments) == 20
    run(database, "DELETE FROM team WHERE experiment = 'e-0'")
    assert (await reading(catalogue, *many[:19])).experiments["e-0"].team == frozenset(), "one of many may be"
    run(database, "DELETE FROM team")
    with pytest.raises(CatalogueUnavailable, match="experiments with a team: there were 19, now 0"):  # two beside
        await catalogue.experiments(many[:18])
    assert "experiments with a team" in str((await catalogue.health()).fault)
    await catalogue.close()


async def test_empty_titles_in_the_database_hide_nothing(database: str) -> None:  # noqa: F811
    tables = ("experiments", "proposals")
    run(database, *(f"UPDATE {t} SET title = ''" for t in tables), "UPDATE people SET name = ''")
    catalogue = SqlCatalogue(database)
    found = await reading(catalogue, "exp-1")
    assert (found.experiments["exp-1"].title, found.experiments["exp-1"].proposal_title) == ("exp-1", "p1")
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    assert marie.name == "marie"
    await catalogue.close()


async def test_a_row_that_was_mended_is_not_said_any_more(database: str) -> None:  # noqa: F811
    run(database, "UPDATE people SET name = '' WHERE username = 'marie'")
    catalogue = SqlCatalogue(database, refresh=timedelta(0))
    await catalogue.people()
    assert "marie" in await left_out(catalogue)
    run(database, "UPDATE people SET name = 'Marie' WHERE username = 'marie'")
    await catalogue.people()
    assert await left_out(catalogue) == ""
    await catalogue.close()


async def test_one_value_that_is_not_utf_8_spoils_that_value(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'c.sqlite'}"  # PostgreSQL refuses such text itself
    run(url, *(statement for statement in SCHEMA.read_text().split(";") if statement.strip()))
    engine = create_engine(url)
    with engine.begin() as connection:
        fill(connection)
    engine.dispose()
    run(url, "UPDATE people SET name = CAST(X'4AFC72' AS TEXT) WHERE username = 'marie'")
    catalogue = SqlCatalogue(url)
    assert len((await catalogue.people()).value) == len(CATALOGUE["people"])
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    assert marie.name == "J\ufffdr"
    assert "is not UTF-8" in await left_out(catalogue)
    await catalogue.close()


async def test_a_database_that_turns_anonymous_is_not_believed(database: str) -> None:  # noqa: F811
    catalogue = SqlCatalogue(database, refresh=timedelta(0))
    await reading(catalogue, "exp-1")
    run(database, "DELETE FROM instrument_scientists")
    catalogue._instruments._kept.clear()
    with suppress(Exception):
        await catalogue.instruments()
    assert not (await catalogue.health()).up
    assert "instrument scientists: there were 1, now 0" in str((await catalogue.health()).fault)
    await catalogue.close()


def day(value: object, zone: Any) -> date | None:
    return records.day({"start": value}, "start", lambda column, what: None, zone)[0]


@pytest.mark.parametrize(
    ("given_text", "zone", "expected"),
    [
        ("2026-02-01T00:00:00.000Z", "Europe/Paris", date(2026, 2, 1)),
        ("2026-02-01T23:30:00Z", "Europe/Paris", date(2026, 2, 2)),
        ("2026-07-01T22:30:00Z", "Europe/Paris", date(2026, 7, 2)),
        ("2026-01-01T22:30:00Z", "Europe/Paris", date(2026, 1, 1)),
        ("2026-02-01T00:30:00+02:00", "America/Los_Angeles", date(2026, 1, 31)),
        ("20260201", "UTC", date(2026, 2, 1)),
        ("2026-02-01 23:59:59", "America/Los_Angeles", date(2026, 2, 1)),
        ("01.02.2026", "UTC", date(2026, 2, 1)),
        ("0000-00-00", "UTC", None),
        ("0000-00-00 00:00:00", "UTC", None),
        (None, "UTC", None),
    ],
)
def test_days_as_exports_have_them(given_text: str | None, zone: str, expected: date | None) -> None:
    assert day(given_text, ZoneInfo(zone)) == expected


@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2100, 1, 1)),
    st.sampled_from(["Europe/Paris", "America/Los_Angeles", "Asia/Tokyo", "UTC"]),
    st.integers(-14, 14),
)
def test_a_moment_is_the_same_day_however_it_is_spelt(local: Any, zone: str, offset: int) -> None:
    there = ZoneInfo(zone)
    moment = local.replace(tzinfo=timezone(timedelta(hours=offset)))
    assert day(moment, there) == day(moment.isoformat(), there) == moment.astimezone(there).date()
    assert day(local, there) == local.date(), "without its zone it is the facility's"


anything = st.one_of(st.none(), st.text(max_size=20), st.integers(), st.binary(max_size=10), st.booleans(), st.floats())


@given(
    st.dictionaries(
        st.sampled_from(["id", "title", "proposal", "instrument", "start", "end", "team", "release"]), anything
    )
)
def test_no_row_breaks_the_reading_and_what_is_left_out_is_said(record: dict[str, Any]) -> None:
    said: list[str] = []
    with suppress(BadRecord):
        made = records.experiment(record, {}, {}, lambda column, what: said.append(column))
        assert made.title
        assert Part.PRINCIPAL in made.unread, "nobody knows who leads it"
    assert said


@given(st.lists(st.one_of(st.sampled_from(["marie", "lise", "x@example.org"]), st.text(max_size=12)), max_size=8))
def test_names_that_read_are_kept_whatever_stands_beside_them(names: list[str]) -> None:
    found, out = records.usernames({"team": names}, "team", lambda column, what: None)
    good = set()
    for name in names:
        with suppress(ValueError):
            good.add(Username(name.strip()))
    assert found == good
    assert out == tuple(sorted(name.strip() for name in names if name.strip() not in good))


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_growing_is_always_believed_and_nothing_left_never(before: int, after: int) -> None:
    less = shrunk({"experiments": before}, {"experiments": after})
    if after >= before:
        assert less is None
    elif after == 0:
        assert less


def test_a_row_that_is_read_again_forgets() -> None:
    out = LeftOut()
    out.row("a:1")("name", "is missing")
    out.row("a:1")
    assert (out.all, out.rows) == ([], 0)
