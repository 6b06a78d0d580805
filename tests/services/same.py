"""Tests of one machine that are repeated on another backend: those that say that it can change their outcome."""

from __future__ import annotations

from types import ModuleType

import pytest
from _pytest.fixtures import FixtureFunctionDefinition


def repeated(module: ModuleType) -> dict[str, object]:
    """Take from ``module`` its tests with the mark `backend`, and all its fixtures.

    Raise `LookupError` when no test has the mark: nothing would be repeated.
    """
    names = vars(module)
    everything = _marked(names.get("pytestmark", []))
    tests = {name: test for name, test in names.items() if _is_test(name, test) and (everything or _of(test))}
    if not tests:
        raise LookupError(f"no test of {module.__name__} has the mark backend: leave out its file in tests/cluster")
    fixtures = {name: made for name, made in names.items() if isinstance(made, FixtureFunctionDefinition)}
    return {**fixtures, **tests}


def _is_test(name: str, found: object) -> bool:
    return name.startswith("test_") and callable(found)


def _of(test: object) -> bool:
    return _marked(getattr(test, "pytestmark", []))


def _marked(marks: pytest.MarkDecorator | list[pytest.Mark | pytest.MarkDecorator]) -> bool:
    """Whether `backend` is among them, one or several."""
    every = marks if isinstance(marks, list) else [marks]
    return any(mark.name == "backend" for mark in every)
