"""``visa check FILE``: every mistake in facility.yaml and in its catalogue file, at once."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from visa.facility.document import read
from visa.facility.load import load
from visa.facility.model import Facility, SqlCatalogue
from visa.facility.problems import FacilityProblems, Problem

_LINE = re.compile(r"(?P<file>.*?):(?P<line>\d+): (?:(?P<field>[\w.]+): )?(?P<wrong>.*)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("file", type=Path, metavar="FILE", help="facility.yaml")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 when the file can be used (warnings are no mistakes), 1 when not."""
    found: list[str] = []
    problems: list[Problem] = []
    facility = None
    try:
        facility = load(arguments.file)
    except FacilityProblems as error:
        problems = list(error.problems)
    else:
        problems = list(_catalogue(facility, arguments.file))
        found = list(warnings(facility))
    if arguments.json:
        print(json.dumps(_as_json(arguments.file, problems, found), indent=1))
    else:
        for line in (*problems, *(f"warning: {text}" for text in found)):
            print(line)
        if facility and not problems:
            print(f"{arguments.file}: OK ({_summary(facility)})")
    return 1 if problems else 0


def _as_json(file: Path, problems: list[Problem], found: list[str]) -> dict[str, Any]:
    return {
        "file": str(file),
        "ok": not problems,
        "problems": [asdict(problem) for problem in problems],
        "warnings": found,
    }


def _summary(facility: Facility) -> str:
    counts = {
        "data root": len(facility.data),
        "environment": len(facility.environments),
        "flavour": len(facility.flavours),
        "quota": len(facility.quotas),
        "lifetime": len(facility.lifetimes),
    }
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())


def _catalogue(facility: Facility, file: Path) -> Iterator[Problem]:
    """Mistakes in the catalogue's own files, or in what would open its database (which is not asked)."""
    source = facility.catalogue
    if isinstance(source, SqlCatalogue):
        from sqlalchemy.exc import ArgumentError

        from visa.catalogue.opening import open_catalogue

        try:
            open_catalogue(source)
        except (ArgumentError, ImportError, ValueError):  # their messages may hold the password
            wrong, right = "cannot be opened here", "give an SQLAlchemy URL, and install its driver"
            yield read(file).problem(("catalogue", "url"), wrong, right)
    elif source.path.exists():
        from visa.catalogue.file import load_problems

        yield from (_from_text(text, source.path) for text in load_problems(source.path))


def _from_text(text: str, path: Path) -> Problem:
    """The catalogue's problems come as ``file:line: column: wrong; right``."""
    match = _LINE.fullmatch(text)
    if match is None:
        return Problem(str(path), 1, 1, "", text, "see docs/operators/catalogue.md")
    wrong, _, right = match["wrong"].partition("; ")
    return Problem(match["file"], int(match["line"]), 1, match["field"] or "", wrong, right)


def warnings(facility: Facility) -> Iterator[str]:
    """What is well written but not there on this machine."""
    if facility.catalogue.type == "file" and not facility.catalogue.path.exists():
        yield f"catalogue.path: {facility.catalogue.path} is not there on this machine"
    for name, root in facility.data.items():
        if root.local is not None and not root.local.root.is_dir():
            yield f"data.{name}.local.root: {root.local.root} is not a folder on this machine"
    for key, environment in facility.environments.items():
        if environment.local is not None and not (environment.local.prefix / "bin" / "jupyter-lab").exists():
            yield f"environments.{key}.local.prefix: {environment.local.prefix} has no bin/jupyter-lab on this machine"
