"""One broken cell of any kind, anywhere: it spoils its row alone, is said, and ends nobody's work."""

from __future__ import annotations

import asyncio
import copy
import csv
import io
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text

from tests.catalogue.test_sql import make
from tests.services import facility
from tests.services.facility import CATALOGUE
from tests.services.waiting import leap
from visa.catalogue import records
from visa.catalogue.base import Catalogue, CatalogueUnavailable, Experiment, Reading
from visa.catalogue.file import FileCatalogue
from visa.catalogue.sql import SqlCatalogue
from visa.identifiers import ExperimentId, Identifier, InvalidIdentifier, Username
from visa.instances.admission import entitled
from visa.instances.withdrawal import Withdrawals

TODAY = date(2026, 1, 1)
IDS = [str(one["id"]) for one in CATALOGUE["experiments"]]
NAMES = [str(one["username"]) for one in CATALOGUE["people"]]
COLUMNS = {
    "people": ["username", "name", "email", "uid", "gid", "gids", "roles"],
    "instruments": ["id", "name", "scientists"],
    "proposals": ["id", "title", "principal"],
    "experiments": ["id", "title", "proposal", "instrument", "start", "end", "release", "doi", "team"],
}
KEYS = {"people": "username", "instruments": "id", "proposals": "id", "experiments": "id"}
FAULTS: list[Any] = [
    None, "", " ", "\t", "a\nb", "a\r\nb", "\x00", "a\x00b", "x" * 2**20, "\ufeffmarie", "mar\ufffde", "\u202emarie",
    "mar\u200bie", "e\u0301", "jürgen", "o'neil", "FACILITY\\marie", "Marie Curie", "Marie", "EXP-1", "lise", "exp-3",
    7, -1, 2**70, 1.5, float("nan"), float("inf"), True, "null", "NULL", "None", "N/A", "#REF!", "=1+1", '"', "'",
    ";,;,", "..", "../../etc/passwd", "%2e%2e", "{experiment}", "<script>", "0000-00-00", "9999-12-31", "0001-01-01",
    "infinity", "32.13.2026", "2026-02-30", "20260230", "2026-02-01T25:00:00Z", "2026-02-01T00:00:00+99:00",
    b"\xff\xfe",
    b"J\xfcrgen", [], [[]], ["marie", None], {"a": 1}, date(2026, 2, 1),
]  # fmt: skip


@dataclass
class Looked:
    """What a catalogue says."""

    experiments: dict[str, Experiment]
    people: dict[str, Any]
    reading: Reading
    left_out: tuple[str, ...]


async def look(catalogue: Catalogue) -> Looked:
    """Everything; it answers, whatever stands in it."""
    answer = await catalogue.experiments(IDS)
    people = (await catalogue.people()).value
    health = await catalogue.health()
    assert not answer.stale
    assert health.up, health.fault
    return Looked(
        dict(answer.value),
        {str(one.username): one for one in people},
        Reading(answer.value, answer.unreadable),
        health.left_out,
    )


def spoiled(table: str, row: int, column: str, value: Any) -> dict[str, Any]:
    content = copy.deepcopy(CATALOGUE)
    rows = content[table]
    rows[row % len(rows)][column] = value
    return content


def touched(table: str, row: int, content: dict[str, Any]) -> tuple[set[str], set[str]]:
    """Experiments and people that the row is about."""
    rows = CATALOGUE[table]
    key = str(rows[row % len(rows)][KEYS[table]])
    if table == "people":
        return set(), {key}
    if table == "experiments":
        return {key}, set()
    column = "instrument" if table == "instruments" else "proposal"
    return {str(one["id"]) for one in CATALOGUE["experiments"] if one[column] == key}, set()


def compare(before: Looked, after: Looked, table: str, row: int, content: dict[str, Any], value: Any) -> None:
    """``after`` differs from ``before`` in what the row is about and nowhere else."""
    experiments, people = touched(table, row, content)
    # A value may be the id of another row: then both are not believed.
    others = set() if not isinstance(value, str) else {value}
    for identifier in set(IDS) - experiments - others:
        assert after.experiments[identifier] == before.experiments[identifier]
    for name in set(NAMES) - people - others:
        assert after.people[name] == before.people[name]
    if table in ("instruments", "proposals"):
        assert set(after.experiments) == set(IDS), "an experiment is not hidden by what it belongs to"


def ended(before: Looked, after: Looked) -> set[tuple[str, str]]:
    """Who would lose work on what, by two looks in a row."""
    seen, lost = Withdrawals(), []
    for looked in (before, after, after):
        seen.begin()
        gone = set()
        for name in NAMES:
            person = facility.person(name, name={one["username"]: one["name"] for one in CATALOGUE["people"]}[name])
            for identifier in IDS:
                clear = seen.clear(person, identifier, looked.reading)
                one = looked.experiments.get(identifier)
                had = entitled(person, before.experiments[identifier], TODAY)
                if had and clear and (one is None or not entitled(person, one, TODAY)):
                    gone.add((name, identifier))
        lost.append(gone)
    return lost[1] & lost[2]


def reads(table: str, column: str, value: Any, *, split: bool) -> bool:
    """Whether the value is one of its kind, so that what it says counts. ``split``: one text has several names."""
    if column in ("scientists", "team", "principal"):
        several = split and column != "principal"
        items = records.names(value) if several else value if isinstance(value, list) else [value]
        if column == "principal" and (not value or isinstance(value, list | dict)):
            return not value
        return all(is_one(Username, item) for item in items)
    if column in ("id", "proposal", "instrument"):  # another row's; a database is asked by the id
        return is_one(ExperimentId, value) or (not split and column == "id")
    return column == "release"


def is_one(kind: type[Identifier], value: Any) -> bool:
    try:
        kind("" if isinstance(value, bool) else records.as_text(value).strip())
    except InvalidIdentifier:
        return False
    return True


cells = st.sampled_from([(table, column) for table, columns in COLUMNS.items() for column in columns])
faults = st.sampled_from(FAULTS) | st.text(max_size=20) | st.binary(max_size=8)


@contextmanager
def folder() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="visa-faults-"))
    try:
        yield path
    finally:
        shutil.rmtree(path)


def check(
    made: Callable[[Path, dict[str, Any]], Catalogue],
    cell: tuple[str, str],
    row: int,
    value: Any,
    *,
    split: bool = True,
) -> None:
    """One cell in one kind of source."""
    table, column = cell
    content = spoiled(table, row, column, value)

    async def looks(path: Path) -> list[Looked]:
        """Before; then by who begins with it, and, of files, by who saw it before."""
        clean = made(path / "clean", CATALOGUE)
        before = await look(clean)
        broken = made(path / ("clean" if split else "broken"), content)
        found = [before, await look(broken), *([await look(clean)] if split else [])]
        await clean.close()
        await broken.close()
        return found

    with folder() as path:
        before, *afterwards = asyncio.run(looks(path))
    for after in afterwards:
        compare(before, after, table, row, content, value)
        lost = ended(before, after)
        if not reads(table, column, value, split=split):
            assert lost == set(), (cell, value, after.left_out)
    said = "\n".join(after.left_out)
    assert len(said) < 100_000, "a value of a megabyte is not said as a whole"
    if split and column == KEYS[table] and (value is None or (isinstance(value, str) and not value.strip())):
        assert column in said


def as_yaml(path: Path, content: dict[str, Any]) -> Catalogue:
    path.mkdir(exist_ok=True)
    (path / "catalogue.yaml").write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    return FileCatalogue(path / "catalogue.yaml")


def cell_text(value: Any) -> str:
    """As an export writes it; bytes stay bytes."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, list):
        return ",".join(map(cell_text, value))
    return "" if value is None else str(value)


def as_csv(path: Path, content: dict[str, Any]) -> Catalogue:
    path.mkdir(exist_ok=True)
    for table, columns in COLUMNS.items():
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(columns)
        writer.writerows([cell_text(row.get(column)) for column in columns] for row in content[table])
        (path / f"{table}.csv").write_bytes(out.getvalue().encode("utf-8", "surrogateescape"))
    return FileCatalogue(path)


def as_sqlite(path: Path, content: dict[str, Any]) -> Catalogue:
    """Without any of the schema's constraints."""
    path.mkdir(exist_ok=True)
    url = f"sqlite:///{path}/c.sqlite"
    make(url)
    engine = create_engine(url)
    names = {"start": "start_date", "end": "end_date", "release": "release_date"}
    with engine.begin() as connection:
        for table in ("people", "instruments", "instrument_scientists", "proposals", "experiments", "team"):
            columns = [row.name for row in connection.execute(text(f"SELECT * FROM pragma_table_info('{table}')"))]
            connection.execute(text(f"DROP TABLE {table}"))
            connection.execute(text(f"CREATE TABLE {table} ({', '.join(columns)})"))
        for table, wanted in COLUMNS.items():
            for row in content[table]:
                values = {names.get(c, c): row.get(c) for c in wanted if c not in ("team", "scientists")}
                insert(connection, table, values)
                for column, other, key in (("scientists", "instrument_scientists", "instrument"),
                                           ("team", "team", "experiment")):  # fmt: skip
                    members = row.get(column, [])
                    for member in members if isinstance(members, list) else [members]:
                        insert(connection, other, {key: row["id"], "username": member})
    engine.dispose()
    return SqlCatalogue(url)


def insert(connection: Any, table: str, values: dict[str, Any]) -> None:
    def value(given: Any) -> Any:
        if isinstance(given, list):
            return ",".join(map(cell_text, given))
        if isinstance(given, int) and abs(given) >= 2**63:
            return str(given)
        return given if isinstance(given, str | bytes | int | float) or given is None else str(given)

    columns = ", ".join(f'"{column}"' for column in values)
    marks = ", ".join(f":{column}" for column in values)
    connection.execute(
        text(f"INSERT INTO {table} ({columns}) VALUES ({marks})"), {k: value(v) for k, v in values.items()}
    )


@given(cells, st.integers(0, 4), faults)
@example(("experiments", "team"), 0, ["rosalind", "FACILITY\\marie"])
@example(("experiments", "end"), 0, "9999-12-31")
@example(("people", "username"), 0, None)
def test_one_cell_of_a_yaml_file(cell: tuple[str, str], row: int, value: Any) -> None:
    check(as_yaml, cell, row, value)


@given(cells, st.integers(0, 4), faults)
@example(("experiments", "id"), 0, "a\x00b")
def test_one_cell_of_an_export(cell: tuple[str, str], row: int, value: Any) -> None:
    check(as_csv, cell, row, cell_text(value).strip())


@given(cells, st.integers(0, 4), faults)
@example(("experiments", "start"), 0, b"\xff\xfe")
def test_one_cell_of_a_database(cell: tuple[str, str], row: int, value: Any) -> None:
    check(as_sqlite, cell, row, value, split=False)


def files(kind: str, path: Path) -> None:
    """Break one file of an export as a whole, or its form."""
    content = path.read_bytes() if path.exists() else b""
    lines = content.splitlines(keepends=True)
    changes: dict[str, Callable[[], object]] = {
        "missing": path.unlink,
        "folder": lambda: (path.unlink(), path.mkdir()),
        "empty": lambda: path.write_bytes(b""),
        "header": lambda: path.write_bytes(lines[0]),
        "garbage": lambda: path.write_bytes(bytes(range(256)) * 40),
        "utf-16": lambda: path.write_bytes(content.decode().encode("utf-16")),
        "other header": lambda: path.write_bytes(b"a,b,c\r\n" + b"".join(lines[1:])),
        "cut": lambda: path.write_bytes(content[: len(content) // 2]),
        "bom": lambda: path.write_bytes(b"\xef\xbb\xbf" + content),
        "line ends": lambda: path.write_bytes(lines[0] + b"".join(line.rstrip() + b"\n" for line in lines[1:])),
        "mac": lambda: path.write_bytes(content.replace(b"\r\n", b"\r")),
        "unclosed": lambda: path.write_bytes(lines[0] + b'"' + b"".join(lines[1:])),
        "unclosed last": lambda: path.write_bytes(content.rstrip() + b'\r\n"x'),
        "repeated": lambda: path.write_bytes(content + b"".join(lines[1:])),
        "fifo away": lambda: (path.unlink(), path.symlink_to(path.with_suffix(".gone"))),
    }
    changes[kind]()


KINDS = ["missing", "folder", "empty", "header", "garbage", "utf-16", "other header", "cut", "bom", "line ends", "mac",
         "unclosed", "unclosed last", "repeated", "fifo away"]  # fmt: skip
HARMLESS = {"bom", "line ends", "repeated", "mac"}


@pytest.mark.parametrize("table", list(COLUMNS))
@pytest.mark.parametrize("kind", KINDS)
async def test_a_file_that_breaks_ends_nobody_and_is_said(tmp_path: Path, kind: str, table: str) -> None:
    catalogue = as_csv(tmp_path / "export", CATALOGUE)
    before = await look(catalogue)
    files(kind, tmp_path / "export" / f"{table}.csv")
    try:
        answer = await catalogue.experiments(IDS)
    except CatalogueUnavailable:
        pytest.fail("what was known before is forgotten")
    health = await catalogue.health()
    if answer.stale:
        assert not health.up
        assert f"{table}" in str(health.fault)
        assert dict(answer.value) == before.experiments
    else:
        after = await look(catalogue)
        assert ended(before, after) == set()
        if kind not in HARMLESS:
            assert after.left_out, "it is said"
    if kind in ("bom", "line ends", "mac"):
        assert not answer.stale
        assert dict(answer.value) == before.experiments


@pytest.mark.parametrize("table", list(COLUMNS))
@pytest.mark.parametrize("kind", KINDS)
async def test_a_hub_that_begins_with_a_broken_file_says_so_and_grants_nothing_it_does_not_know(
    tmp_path: Path, kind: str, table: str
) -> None:
    catalogue = as_csv(tmp_path / "export", CATALOGUE)
    whole = (await look(as_csv(tmp_path / "whole", CATALOGUE))).experiments
    files(kind, tmp_path / "export" / f"{table}.csv")
    try:
        answer = await catalogue.experiments(IDS)
    except CatalogueUnavailable as error:
        said = str(error)
    else:
        said = ""
    if said:
        assert table in said
        leap(5.001)
        as_csv(tmp_path / "mended", CATALOGUE)
        broken = tmp_path / "export"
        shutil.rmtree(broken)
        (tmp_path / "mended").rename(broken)
        assert dict((await catalogue.experiments(IDS)).value) == whole, "mended, it is read at once"
        return
    for name in NAMES:
        person = facility.person(name)
        for one in answer.value.values():
            assert not entitled(person, one, TODAY) or entitled(person, whole[str(one.id)], TODAY)


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [*a]",
        "people: &p\n- {username: marie, name: Marie}\nexperiments: *p\n",
        "people:\n- &x {username: marie, name: *x}\n",
        "people: !!set {marie}\n",
        "people:\n- [marie]\n- marie\n- 7\n- null\n",
        "people:\n- {username: marie, username: lise}\n",
        "people:\n- {? [a, b] : c, username: marie}\n",
        'people:\n- {username: marie, name: "\\ud800"}\n',
        "people:\n- {username: marie, name: \"\\x00\"}\n",
        "people:\n- {username: 2026-01-01, name: 0x1F}\n",
        "? a\n: b\n? [c]\n: d\n",
        "people:\n- {username: marie, name: !!binary aGVsbG8=}\n",
        "[" * 5000,
        "---\npeople: []\n---\npeople: []\n",
        "%YAML 9.9\n---\npeople: []\n",
        "people:\n\t- a\n",
        "\ud800",
    ],
    ids=range(17),
)  # fmt: skip
async def test_any_yaml_is_read_or_refused_in_words(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    catalogue = FileCatalogue(path)
    health = await catalogue.health()
    if not health.up:
        assert str(path) in str(health.fault)
        return
    for one in (await catalogue.people()).value:
        assert one.name.encode()
