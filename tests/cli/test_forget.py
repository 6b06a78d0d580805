"""`visa demo --reset` takes whatever people left in their homes."""

from __future__ import annotations

from pathlib import Path

from tests.test_removal import deep
from visa.cli.demo.command import MARKER, forget


def test_homes_of_any_depth_and_rights_go_and_the_demos_own_marks_stay(tmp_path: Path) -> None:
    for name in (MARKER, "lock", "hub.log"):
        (tmp_path / name).touch()
    homes = tmp_path / "state" / "homes"
    homes.mkdir(parents=True)
    deep(homes / "marie", 1500)
    (homes / "rosalind").mkdir(mode=0)
    (tmp_path / "link").symlink_to(homes)
    forget(tmp_path)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [MARKER, "lock"]
