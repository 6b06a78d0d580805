"""Files that share what starts slowly are one piece of work."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

from tests.services.scheduling import BySharing

ROOT = Path(__file__).parents[2]


def piece(file: str, root: Path = ROOT) -> str:
    scheduler = BySharing.__new__(BySharing)
    scheduler.config = SimpleNamespace(rootpath=root)
    return BySharing._split_scope(scheduler, f"{file}::test_this[a::b]")


def test_the_demo_and_the_hub_are_each_started_in_one_process() -> None:
    demo = {piece(f"tests/end_to_end/test_{name}.py") for name in ("desktop", "notebook", "together")}
    hub = {piece(file) for file in ("tests/hub/test_rights.py", "tests/portal/test_hub.py")}
    assert (len(demo), len(hub)) == (1, 1)
    assert demo != hub


def test_other_files_are_alone(tmp_path: Path) -> None:
    files = ["tests/hub/test_chp.py", "tests/cli/test_demo.py", "tests/cli/test_demo_data.py"]
    files += ["tests/end_to_end/test_subdomains.py", "tests/cluster/test_desktop_page.py", "tests/gone.py"]
    assert [piece(file) for file in files] == files
    (tmp_path / "test_new.py").write_text("def test_it(shared_hub: RunningHub) -> None: ...")
    assert piece("test_new.py", tmp_path) == piece("tests/hub/test_rights.py")
