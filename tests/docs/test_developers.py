"""Signatures in the developers' pages are those of the code."""

from __future__ import annotations

import ast
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from visa.hub.admitted import AdmittedSpawner
from visa.hub.kubernetes import VisaKubeSpawner
from visa.hub.sandbox import VisaSandboxSpawner

PAGES = sorted((REPOSITORY / "docs" / "developers").glob("*.md"))
SPAN = re.compile(r"`([a-z_]+)\(([a-z_, *=]+)\)`")


def parameters(function: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Without ``self`` or ``cls``, types and defaults: ``hub, known, *, grace``."""
    given = function.args
    positional = [one.arg for one in (*given.posonlyargs, *given.args) if one.arg not in ("self", "cls")]
    star = ["*"] if given.kwonlyargs and not given.vararg else []
    return ", ".join([*positional, *star, *(one.arg for one in given.kwonlyargs)])


def functions() -> dict[str, set[str]]:
    """Every function of the package, with the parameters of all that have the name."""
    found: dict[str, set[str]] = defaultdict(set)
    for file in (REPOSITORY / "visa").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                found[node.name].add(parameters(node))
    return found


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    return functions()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_signatures(page: Path, known: dict[str, set[str]]) -> None:
    for name, told in SPAN.findall(page.read_text()):
        assert told in known[name], f"{page.name}: {name}({told}) is {sorted(known[name])} in the code"


def test_what_a_backend_has_is_what_both_have() -> None:
    """The page's section names methods of `AdmittedSpawner`, which the two backends have with the same parameters."""
    text = (REPOSITORY / "docs" / "developers" / "hub.md").read_text()
    section = text.partition("## A new backend")[2].partition("\n## ")[0]
    named = re.findall(r"`([a-z_]+)\(([a-z_, *=]*)\)`", section)
    assert {"start_instance", "stop_instance", "sweep"} <= {name for name, _ in named}
    for name, _ in named:
        expected = list(inspect.signature(getattr(AdmittedSpawner, name)).parameters)
        for backend in (VisaSandboxSpawner, VisaKubeSpawner):
            assert list(inspect.signature(getattr(backend, name)).parameters) == expected, (backend, name)
