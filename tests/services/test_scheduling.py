"""Files that share what starts slowly are known."""

from __future__ import annotations

import re
from pathlib import Path

from tests.services.scheduling import SHARED, BySharing

ROOT = Path(__file__).parents[2]
USE = re.compile(r'\b(shared_hub): RunningHub|getfixturevalue\("(shared_hub)"|\b(demo): tuple\[str, Path\]')


def test_files_that_use_a_shared_fixture_are_listed() -> None:
    """Those of tests/cluster have a hub of their own backend."""
    found = {}
    for path in (ROOT / "tests").rglob("test_*.py"):
        uses = USE.search(path.read_text())
        if uses and "cluster" not in path.parts:
            found[str(path.relative_to(ROOT))] = next(filter(None, uses.groups()))
    assert found == SHARED


def test_they_are_one_piece_of_work() -> None:
    split = BySharing._split_scope
    scheduler = BySharing.__new__(BySharing)
    pieces = {path: split(scheduler, f"{path}::test_this[a::b]") for path in (*SHARED, "tests/hub/test_chp.py")}
    assert pieces == {**SHARED, "tests/hub/test_chp.py": "tests/hub/test_chp.py"}
