"""The files of a file catalogue as rows: one YAML file, or a folder of CSV files."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from visa.catalogue.left_out import LeftOut

TABLES = ("people", "instruments", "proposals", "experiments")
COLUMNS = {
    "people": {"username", "name", "email", "affiliation", "uid", "gid", "gids", "groups", "roles"},
    "instruments": {"id", "name", "description", "scientists"},
    "proposals": {"id", "title", "principal"},
    "experiments": {"id", "title", "proposal", "instrument", "start", "end", "team", "release", "doi"},
    "teams": {"experiment", "username"},
}
KEYS = {"people": "username", "instruments": "id", "proposals": "id", "experiments": "id", "teams": "experiment"}
Row = tuple[str, dict[str, Any]]  # file:line, record


class CatalogueProblems(Exception):
    """The files cannot be used; ``problems`` says all that is wrong, as file:line: field wrong; right."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems))


@dataclass(slots=True)
class Rows:
    """Rows by table; ``gaps`` are the tables in which a row could not be taken apart."""

    tables: dict[str, list[Row]] = field(default_factory=lambda: {table: [] for table in (*TABLES, "teams")})
    gaps: set[str] = field(default_factory=set)


class _LineLoader(yaml.CSafeLoader):
    """Safe YAML that keeps the line of every mapping under ``__line__``, and dates that are none as text."""


def _mapping(loader: _LineLoader, node: yaml.MappingNode) -> dict[Any, Any]:
    record = loader.construct_mapping(node, deep=True)
    record["__line__"] = node.start_mark.line + 1
    return record


def _moment(loader: _LineLoader, node: yaml.ScalarNode) -> object:
    try:
        return loader.construct_yaml_timestamp(node)
    except (ValueError, OverflowError):  # 0000-00-00, and other days that no calendar has
        return loader.construct_scalar(node)


_LineLoader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_LineLoader.add_constructor("tag:yaml.org,2002:timestamp", _moment)


def read_rows(path: Path, left_out: LeftOut) -> Rows:
    """All rows; what is left out is said to ``left_out``. Raise `CatalogueProblems` when a file cannot be used."""
    rows = Rows()
    problems: list[str] = []
    try:
        if path.is_dir():
            for table in rows.tables:
                file = path / f"{table}.csv"
                if file.exists() or table != "teams":
                    rows.tables[table] = list(_csv(file, table, rows, left_out, problems))
        else:
            _yaml(path, rows, left_out, problems)
    except OSError as error:
        problems.append(f"{error.filename}:1: {(error.strerror or 'cannot be read').lower()}; give a readable file")
    if problems:
        raise CatalogueProblems(problems)
    return rows


def _text(path: Path, left_out: LeftOut) -> str:
    """The file's text. Bytes that are not UTF-8 are marked, so that they spoil only the values they stand in."""
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        left_out.row(f"{path}:{line}: text")("bytes", "are not UTF-8 (Latin-1?), from here on; save it as UTF-8")
        return content.decode("utf-8-sig", "replace")


def _yaml(path: Path, rows: Rows, left_out: LeftOut, problems: list[str]) -> None:
    try:
        document = yaml.load(_text(path, left_out), Loader=_LineLoader)
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
            left_out.row(f"{path}:1: {table}")("table", f"is not known; known are {', '.join(TABLES)}")
        elif not isinstance(content, list):
            problems.append(f"{path}:1: {table}: is not a list of entries; give '- id: ...' lines")
        else:
            rows.tables[table] = list(_entries(path, table, content, rows, left_out))


def _entries(path: Path, table: str, content: list[Any], rows: Rows, left_out: LeftOut) -> Iterator[Row]:
    for number, record in enumerate(content, 1):
        if isinstance(record, dict):
            # An anchor may put one entry into two places: it is left as it is.
            yield f"{path}:{record['__line__']}", {k: v for k, v in record.items() if k != "__line__"}
        else:
            rows.gaps.add(table)
            left_out.row(f"{path}:1: {table} entry {number}")(table, "is no entry; give '- id: ...' lines")


def _csv(path: Path, table: str, rows: Rows, left_out: LeftOut, problems: list[str]) -> Iterator[Row]:
    content = _text(path, left_out)
    first = content.split("\n", 1)[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    reader = csv.DictReader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    header = _header(reader)
    if KEYS[table] not in header:
        problems.append(f"{path}:1: {KEYS[table]}: no such column; begin with a line of the columns' names")
        return
    while True:
        wrong = f"has another number of columns than the first line; quote texts with {delimiter}"
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            record, wrong = {}, f"not CSV ({error}); check the quotes"
        if not record or None in record or None in record.values():
            rows.gaps.add(table)
            left_out.row(f"{path}:{reader.line_num}", apart=table)(table, wrong)
            continue
        values = {str(key).strip(): (value or "").strip() for key, value in record.items()}
        if any(values.values()):
            yield f"{path}:{reader.line_num}", {k: v for k, v in values.items() if v or k != "team"}


def _header(reader: csv.DictReader[str]) -> list[str]:
    try:
        return [name.strip() for name in reader.fieldnames or ()]
    except csv.Error:
        return []
