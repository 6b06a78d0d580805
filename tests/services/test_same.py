"""What is repeated in pods is what a backend can change, and something is."""

from __future__ import annotations

import importlib
import sys
import types
from pathlib import Path

import pytest

from tests.services.same import repeated

FOLDER = Path(__file__).parents[1] / "cluster"
REPEATING = sorted(path.stem for path in FOLDER.glob("test_same_*.py"))


@pytest.fixture
def module() -> types.ModuleType:
    """Two tests, of which a backend changes one, and a fixture."""

    @pytest.mark.backend
    def test_starts() -> None: ...

    def test_reads() -> None: ...

    @pytest.fixture
    def person() -> str:
        return "marie"

    made = types.ModuleType("of_one_machine")
    vars(made).update(test_starts=test_starts, test_reads=test_reads, person=person, OTHER=7)
    return made


def test_marked_tests_and_all_fixtures_are_taken(module: types.ModuleType) -> None:
    assert set(repeated(module)) == {"test_starts", "person"}


@pytest.mark.parametrize("marks", [pytest.mark.backend, [pytest.mark.timeout(9), pytest.mark.backend]])
def test_a_module_may_have_the_mark(module: types.ModuleType, marks: object) -> None:
    vars(module)["pytestmark"] = marks
    assert set(repeated(module)) == {"test_starts", "test_reads", "person"}


def test_a_module_without_the_mark_is_said(module: types.ModuleType) -> None:
    del vars(module)["test_starts"]
    with pytest.raises(LookupError, match="no test of of_one_machine has the mark backend"):
        repeated(module)


@pytest.mark.parametrize("name", REPEATING)
def test_what_pods_repeat_has_marked_tests(name: str) -> None:
    """A module that has none ends the import; what is taken past the helper is told by its missing mark."""
    known = vars(importlib.import_module(f"tests.cluster.{name}"))
    own = f"tests.cluster.{name}"
    found = {key: test for key, test in known.items() if key.startswith("test_") and callable(test)}
    taken = {key: test for key, test in found.items() if test.__module__ != own}
    assert taken
    for key, test in taken.items():
        assert test in repeated(sys.modules[test.__module__]).values(), f"{key} has not the mark backend"


def test_there_is_something_to_repeat() -> None:
    assert len(REPEATING) >= 5
