"""What is given to environments runs on their own Python, from 3.8 on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.session.rig import FILES


@pytest.mark.parametrize("path", sorted(FILES.glob("*.py")), ids=lambda path: path.name)
def test_what_waits_in_asyncio_catches_its_own_error(path: Path) -> None:
    """Until 3.10 it is not the built-in one, and who waited too long would get no sentence."""
    tree = ast.parse(path.read_text())
    waits = any(isinstance(node, ast.Attribute) and node.attr == "wait_for" for node in ast.walk(tree))
    assert not (waits and any(isinstance(node, ast.Name) and node.id == "TimeoutError" for node in ast.walk(tree)))
