"""``visa check FILE``: every mistake in facility.yaml, and all that is left out of its catalogue, at once."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

from visa.addresses import SHARED, Origins
from visa.facility.document import read
from visa.facility.load import load
from visa.facility.model import Facility, SqlCatalogue
from visa.facility.problems import FacilityProblems, Problem

if TYPE_CHECKING:
    from visa.catalogue.base import Catalogue

_LINE = re.compile(r"(?P<file>.*?):(?P<line>\d+): (?:(?P<field>[\w.]+): )?(?P<wrong>.*)", re.DOTALL)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("file", type=Path, metavar="FILE", help="facility.yaml")
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")
    parser.add_argument("--catalogue", action="store_true", help="ask the catalogue's database for all that it has")
    parser.add_argument(
        "--instances",
        metavar="HOSTS",
        default=os.environ.get("VISA_INSTANCES", ""),
        help="where each instance has a host of its own, as https://*.visa.example.org (default: $VISA_INSTANCES)",
    )
    parser.add_argument("--strict", action="store_true", help="end with 1 when anything is left out of the catalogue")


@dataclass
class Found:
    """``problems`` keep the hub from starting, ``left_out`` does not; ``warnings`` neither.

    ``notes`` say what is lost with what facility.yaml does not decide.
    """

    problems: list[Problem] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def run(arguments: argparse.Namespace) -> int:
    """0 when the file can be used (what is left out and warnings are no mistakes), 1 when not."""
    found = Found()
    facility = None
    try:
        facility = load(arguments.file)
    except FacilityProblems as error:
        found.problems = list(error.problems)
    else:
        _catalogue(facility, arguments.file, found, ask=arguments.catalogue)
        found.warnings += warnings(facility)
        _hosts(arguments.instances, found)
    if arguments.json:
        print(json.dumps({"file": str(arguments.file), "ok": not found.problems, **asdict(found)}, indent=1))
    else:
        _say(found)
        if facility and not found.problems:
            print(f"{arguments.file}: OK ({_summary(facility)})")
    return 1 if found.problems or (arguments.strict and found.left_out) else 0


def _say(found: Found) -> None:
    for problem in found.problems:
        print(problem)
    for one in found.left_out:
        print(f"left out: {one}")
    for text in found.warnings:
        print(f"warning: {text}")
    for text in found.notes:
        print(f"note: {text}")


def _hosts(pattern: str, found: Found) -> None:
    """Whether each instance has a host of its own, as far as this command is told."""
    try:
        if not Origins.read(pattern):
            found.notes.append(f"--instances is not given, nor $VISA_INSTANCES. {SHARED} See docs/operators/hosts.md.")
    except ValueError as error:
        found.problems.append(Problem("--instances", 1, 1, "", str(error), "see docs/operators/hosts.md"))


def _summary(facility: Facility) -> str:
    counts = {
        "data root": len(facility.data),
        "environment": len(facility.environments),
        "flavour": len(facility.flavours),
        "quota": len(facility.quotas),
        "lifetime": len(facility.lifetimes),
    }
    return ", ".join(f"{count} {what}{'' if count == 1 else 's'}" for what, count in counts.items())


def _catalogue(facility: Facility, file: Path, found: Found, *, ask: bool) -> None:
    """Mistakes in the catalogue's own files, or in what would open its database, which is asked only when wanted."""
    source = facility.catalogue
    if not isinstance(source, SqlCatalogue):
        if source.path.exists():
            from visa.catalogue.file import load_problems

            fatal, left_out = load_problems(source.path)
            found.problems += [_from_text(text, source.path) for text in fatal]
            found.left_out += left_out
        return
    from sqlalchemy.exc import ArgumentError

    from visa.catalogue.opening import open_catalogue

    try:
        catalogue = open_catalogue(source, facility.facility.zone)
    except (ArgumentError, ImportError, ValueError):  # their messages may hold the password
        wrong, right = "cannot be opened here", "give an SQLAlchemy URL, and install its driver"
        found.problems.append(read(file).problem(("catalogue", "url"), wrong, right))
        return
    if ask:
        asyncio.run(_ask(catalogue, facility.facility.today(), file, found))


async def _ask(catalogue: Catalogue, today: date, file: Path, found: Found) -> None:
    """Read what the service would read for each person, and say what it would leave out."""
    from visa.catalogue.base import CatalogueUnavailable, Scope, Search

    try:
        await catalogue.instruments()
        people = (await catalogue.people()).value
        for person in people:
            await catalogue.search(person.username, Search(scope=Scope.MINE), today)
        await catalogue.search("", Search(scope=Scope.OPEN), today)
        health = await catalogue.health()
    except CatalogueUnavailable as error:
        found.problems.append(read(file).problem(("catalogue",), f"does not answer: {error}", "see the database's log"))
        return
    finally:
        await catalogue.close()
    found.left_out += health.left_out
    if (more := health.counts["rows left out"]) > len(health.left_out):
        found.left_out.append(f"{more} rows in all; the first are above")


def _from_text(text: str, path: Path) -> Problem:
    """The catalogue's problems come as ``file:line: column: wrong; right``."""
    match = _LINE.fullmatch(text)
    if match is None:
        return Problem(str(path), 1, 1, "", text, "see docs/operators/catalogue.md")
    wrong, _, right = match["wrong"].partition("; ")
    return Problem(match["file"], int(match["line"]), 1, match["field"] or "", wrong, right)


def warnings(facility: Facility) -> Iterator[str]:
    """What is well written but not there on this machine, or weaker than it could be."""
    if facility.people.login_again == "off":
        yield "people.login_again is off: nobody logs in again to enter without consent or to make a link for everybody"
    if facility.people.login_again == "unproven":
        yield "people.login_again is unproven: a provider is believed that does not prove when the login was"
    if facility.catalogue.type == "file" and not facility.catalogue.path.exists():
        yield f"catalogue.path: {facility.catalogue.path} is not there on this machine"
    for name, root in facility.data.items():
        if root.local is not None and not root.local.root.is_dir():
            yield f"data.{name}.local.root: {root.local.root} is not a folder on this machine"
    for key, environment in facility.environments.items():
        if environment.local is not None and not (environment.local.prefix / "bin" / "jupyter-lab").exists():
            yield f"environments.{key}.local.prefix: {environment.local.prefix} has no bin/jupyter-lab on this machine"
