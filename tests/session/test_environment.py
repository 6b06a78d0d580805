"""What is given to environments runs on their own Python, from 3.8 on."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from tests.session.rig import FILES, ROOT


@pytest.mark.parametrize("path", sorted(FILES.glob("*.py")), ids=lambda path: path.name)
def test_what_waits_in_asyncio_catches_its_own_error(path: Path) -> None:
    """Until 3.10 it is not the built-in one, and who waited too long would get no sentence."""
    tree = ast.parse(path.read_text())
    waits = any(isinstance(node, ast.Attribute) and node.attr == "wait_for" for node in ast.walk(tree))
    assert not (waits and any(isinstance(node, ast.Name) and node.id == "TimeoutError" for node in ast.walk(tree)))


def test_the_chart_hands_over_every_file() -> None:
    """Jupyter's configuration imports them: without one no session starts in a pod."""
    chart = ROOT / "helm/visa"
    template = (chart / "templates/facility.yaml").read_text()
    for file in FILES.iterdir():
        if file.is_file():
            assert (chart / "files" / file.name).resolve() == file, file.name
            assert f'.Files.Get "files/{file.name}"' in template, file.name
