"""Whatever is done to facility.yaml: it is loaded, or its mistakes are said with lines within the file."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from tests.facility.example import EXAMPLE, write
from visa.facility.load import load
from visa.facility.model import Facility
from visa.facility.problems import FacilityProblems, Problem
from visa.facility.schema import document

LINES = EXAMPLE.splitlines(keepends=True)
SCRAPS = [
    "{",
    "}",
    "[",
    "]",
    ":",
    "- ",
    "&a ",
    "*a",
    "!x ",
    "<<: ",
    "'",
    '"',
    "\t",
    "\n",
    "---\n",
    "#",
    "|",
    "\x00",
    "é",
]
WORDS = st.sampled_from([*SCRAPS, "null", "1e999", "0x", "{experiment}", "2001-99-99", "..", "\ud800", "=", "%YAML 9"])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CATALOGUE_PASSWORD", "x")
        yield tmp_path_factory.mktemp("mutations")


@st.composite
def _mutated(draw: st.DrawFn) -> str:
    """The example with some lines taken out, doubled, moved or indented, and scraps put anywhere."""
    lines = list(LINES)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines) - 1))
        kind = draw(st.sampled_from(["delete", "double", "indent", "outdent", "move", "insert", "cut"]))
        if kind == "delete":
            lines.pop(at)
        elif kind == "double":
            lines.insert(at, lines[at])
        elif kind == "indent":
            lines[at] = f"  {lines[at]}"
        elif kind == "outdent":
            lines[at] = lines[at].removeprefix("  ")
        elif kind == "move":
            lines.insert(draw(st.integers(0, len(lines) - 1)), lines.pop(at))
        else:
            place = draw(st.integers(0, len(lines[at])))
            end = place if kind == "insert" else draw(st.integers(place, len(lines[at])))
            lines[at] = lines[at][:place] + draw(WORDS | st.text(max_size=5)) + lines[at][end:]
    return "".join(lines)


def _problems(path: Path) -> tuple[Problem, ...] | None:
    """None when the file is loaded."""
    try:
        load(path)
    except FacilityProblems as error:
        return error.problems
    return None


@given(text=_mutated())
def test_any_change_of_the_text_is_loaded_or_its_mistakes_are_said(folder: Path, text: str) -> None:
    path = folder / "facility.yaml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    problems = _problems(path)
    assert problems != ()
    for problem in problems or ():
        assert 1 <= problem.line <= text.count("\n") + 1, problem
        assert problem.column >= 1
        assert problem.wrong, problem
        assert problem.right, problem
        assert "\n" not in str(problem)


# The schema and the loader

GOOD: dict[str, Any] = yaml.safe_load(EXAMPLE)
VALIDATOR = Draft202012Validator(document())
VALUES = st.one_of(
    st.booleans(),
    st.integers(-3, 10**7),
    st.sampled_from([0.5, 1.5, "2Gi", "1d", "500m", "rw", "notebook", "everyone", "", "..", "a/b", "{experiment}"]),
    st.text(alphabet="abé .{}/-9", max_size=6),
    st.sampled_from([[], {}, ["a"], [1], {"a": 1}, {"a": "b"}, [{}], ["notebook", "notebook"]]),
)


def _places(node: Any, keys: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if keys:
        yield keys
    if isinstance(node, dict | list):
        for key, value in node.items() if isinstance(node, dict) else enumerate(node):
            yield from _places(value, (*keys, key))


PLACES = list(_places(GOOD))


@st.composite
def _changed(draw: st.DrawFn) -> dict[str, Any]:
    """The example with one value replaced, removed or added."""
    data = copy.deepcopy(GOOD)
    *above, last = draw(st.sampled_from(PLACES))
    node: Any = data
    for key in above:
        node = node[key]
    kind = draw(st.sampled_from(["replace", "remove", "add"]))
    if kind == "remove":
        del node[last]
    elif kind == "replace" or not isinstance(node, dict):
        node[last] = draw(VALUES)
    else:
        node[draw(st.sampled_from(["cpu", "gpu", "who", "roles", "local", "title", "a b", "x"]))] = draw(VALUES)
    return data


@settings(max_examples=200)
@given(data=_changed())
def test_the_schema_refuses_nothing_that_the_loader_takes(folder: Path, data: dict[str, Any]) -> None:
    if _problems(write(folder, json.dumps(data, indent=1))) is None:
        assert [error.message for error in VALIDATOR.iter_errors(data)] == []


@settings(max_examples=200)
@given(data=_changed())
def test_what_the_schema_takes_has_the_right_form(data: dict[str, Any]) -> None:
    """What only the loader refuses is a size out of range or an address: the schema knows the form."""
    if VALIDATOR.is_valid(data):
        assert _kinds(data) <= {"value_error", "url_parsing", "url_scheme", "int_type"}


def _kinds(data: dict[str, Any]) -> set[str]:
    """The kinds of what pydantic finds wrong."""
    try:
        Facility.model_validate(data)
    except ValidationError as error:
        return {item["type"] for item in error.errors()}
    return set()


def test_the_schema_takes_the_example_and_refuses_what_is_bad() -> None:
    assert VALIDATOR.is_valid(GOOD)
    for keys, value in [
        (("flavours", "small", "cpu"), "lots"),
        (("flavours", "small", "memory"), "2GB"),
        (("flavours", "small", "gpus"), 1),
        (("lifetimes", 0, "maximum"), "14"),
        (("lifetimes", 0, "role"), "student"),
        (("data", "raw", "path"), "../{experiment}"),
        (("data", "raw", "path"), "{instrument}"),
        (("data", "raw", "target"), "/home/{experiment}"),
        (("environments", "scattering", "sessions"), ["lab"]),
        (("environments", "a b"), GOOD["environments"]["scattering"]),
        (("quotas", 0, "who"), "all"),
        (("catalogue", "type"), "csv"),
        (("catalogue", "queries"), {"nothing": "SELECT 1"}),
    ]:
        data = copy.deepcopy(GOOD)
        node: Any = data
        for key in keys[:-1]:
            node = node[key]
        node[keys[-1]] = value
        assert not VALIDATOR.is_valid(data), keys
