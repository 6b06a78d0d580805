"""The gateway's image holds every module of ours that the gateway imports; no image is built for that."""

from __future__ import annotations

import ast
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PACKAGE = REPOSITORY / "visa"


def _file(module: str) -> Path | None:
    path = REPOSITORY.joinpath(*module.split("."))
    found = [candidate for candidate in (path.with_suffix(".py"), path / "__init__.py") if candidate.is_file()]
    return found[0] if found else None


def _imported(file: Path) -> set[Path]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return {found for name in names if name.split(".")[0] == "visa" and (found := _file(name)) is not None}


def _needed() -> set[Path]:
    seen: set[Path] = set()
    found = set((PACKAGE / "session").rglob("*.py")) - set((PACKAGE / "session" / "environment").rglob("*.py"))
    while found - seen:
        file = (found - seen).pop()
        seen.add(file)
        found |= _imported(file)
    return found


def test_the_gateways_image_has_what_the_gateway_imports() -> None:
    (line,) = (
        line
        for line in (REPOSITORY / "images" / "gateway" / "Containerfile").read_text().splitlines()
        if "/opt/builder/package" in line
    )
    listed = line.split("/opt/visa ", 1)[1].rstrip("\\ ").split()
    held = {PACKAGE / "__init__.py"}
    for name in listed:
        held |= set((PACKAGE / name).rglob("*.py")) if (PACKAGE / name).is_dir() else {PACKAGE / name}
    assert {str(file.relative_to(PACKAGE)) for file in _needed() - held} == set()
