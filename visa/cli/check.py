"""``visa check FILE``: every mistake in facility.yaml and in its catalogue file, at once."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from visa.facility.load import FacilityProblems, load
from visa.facility.model import Facility


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Of this subcommand."""
    parser.add_argument("file", type=Path, help="facility.yaml")
    parser.add_argument("--json", action="store_true", help="print the problems as JSON")


def run(arguments: argparse.Namespace) -> int:
    """0 when the file can be used, 1 when not."""
    try:
        facility = load(arguments.file)
    except FacilityProblems as error:
        if arguments.json:
            fields = ("file", "line", "field", "wrong", "right")
            print(json.dumps([{name: getattr(p, name) for name in fields} for p in error.problems], indent=1))
        else:
            print(error)
        return 1
    problems = list(_catalogue(facility))
    if arguments.json:
        print(json.dumps([{"file": p.partition(":")[0], "wrong": p} for p in problems], indent=1))
    else:
        for line in (*problems, *(f"warning: {text}" for text in warnings(facility))):
            print(line)
        if not problems:
            counts = f"{len(facility.environments)} environments, {len(facility.flavours)} flavours"
            print(f"{arguments.file}: good ({counts}, {len(facility.data)} data roots, {len(facility.quotas)} quotas)")
    return 1 if problems else 0


def _catalogue(facility: Facility) -> list[str]:
    if facility.catalogue.type != "file" or not facility.catalogue.path.exists():
        return []
    from visa.catalogue.file import load_problems

    return load_problems(facility.catalogue.path)


def warnings(facility: Facility) -> Iterator[str]:
    """What is well written but not there on this machine."""
    if facility.catalogue.type == "file" and not facility.catalogue.path.exists():
        yield f"catalogue.path: {facility.catalogue.path} is not there on this machine"
    for name, root in facility.data.items():
        if root.local is not None and not root.local.root.is_dir():
            yield f"data.{name}.local.root: {root.local.root} is not there on this machine"
    for key, environment in facility.environments.items():
        if environment.local is not None and not (environment.local.prefix / "bin" / "jupyter-lab").exists():
            yield f"environments.{key}.local.prefix: {environment.local.prefix} has no bin/jupyter-lab on this machine"
