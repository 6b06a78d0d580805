"""The complete example of docs/operators/facility.md, and how tests write and load files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from visa.facility.load import load
from visa.facility.problems import FacilityProblems, Problem
from visa.facility.reference import PAGE

EXAMPLE = re.findall(r"```yaml\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)[0]

SMALL = """\
facility: {name: Test, contact: help@example.org}
catalogue: {type: file, path: catalogue.yaml}
data:
  raw: {path: "{proposal}/{experiment}", local: {root: raw}}
environments:
  one: {title: One, local: {prefix: environment}}
flavours:
  small: {cpu: 1, memory: 2Gi}
"""
"""The least that is a facility.yaml; tests add to it."""


def write(folder: Path, text: str) -> Path:
    """``text`` as a facility.yaml."""
    path = folder / "facility.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def problems(folder: Path, text: str) -> tuple[Problem, ...]:
    """What is wrong with ``text``; it must be wrong."""
    with pytest.raises(FacilityProblems) as caught:
        load(write(folder, text))
    assert caught.value.problems
    return caught.value.problems


def only(folder: Path, text: str) -> Problem:
    """The one thing that is wrong with ``text``."""
    (problem,) = problems(folder, text)
    return problem
