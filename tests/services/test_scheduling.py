"""Files that share what starts slowly are one piece of work."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from tests.services.scheduling import SLOWEST, BySharing, seconds_of

ROOT = Path(__file__).parents[2]


class Node:
    """A process of tests, which only notes what it is given."""

    def __init__(self) -> None:
        self.given = list[int]()

    def send_runtest_some(self, numbers: list[int]) -> None:
        self.given += numbers


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
    files += ["tests/end_to_end/test_origins.py", "tests/cluster/test_failures.py", "tests/gone.py"]
    assert [piece(file) for file in files] == files
    (tmp_path / "test_new.py").write_text("def test_it(shared_hub: RunningHub) -> None: ...")
    assert piece("test_new.py", tmp_path) == piece("tests/hub/test_rights.py")


def test_who_uses_a_release_is_not_beside_who_kills_its_hub() -> None:
    files = ["tests/cluster/test_hub_dies.py", "tests/cluster/test_together.py", "tests/helm/test_release.py"]
    assert {piece(file) for file in files} == {"a release"}


def test_tests_repeated_in_pods_share_a_hub_there() -> None:
    hub = piece("tests/cluster/test_same_restart.py")
    assert hub == piece("tests/cluster/test_same_entrances.py")
    assert hub not in (piece("tests/hub/test_restart.py"), "tests/cluster/test_same_restart.py")


def test_what_takes_long_is_given_out_first() -> None:
    lines = ["40 tests/portal/test_hub.py", "50 tests/cli/test_demo.py", "20 tests/hub/test_rights.py"]
    scheduler = BySharing.__new__(BySharing)
    scheduler.config = SimpleNamespace(rootpath=ROOT)
    scheduler._seconds = seconds_of(scheduler._split_scope, lines)
    hub = piece("tests/hub/test_rights.py")
    pieces = ["tests/of_many.py", "tests/of_few.py", "tests/cli/test_demo.py", hub]
    scheduler.workqueue = OrderedDict((one, {f"{one}::test": False}) for one in pieces)
    node: Any = Node()
    scheduler.assigned_work, scheduler.registered_collections = {node: {}}, {node: [f"{one}::test" for one in pieces]}
    for _ in pieces:
        scheduler._assign_work_unit(node)
    given = [pieces[number] for number in node.given]
    assert given == [hub, "tests/cli/test_demo.py", "tests/of_many.py", "tests/of_few.py"]


def test_files_that_take_long_are_there() -> None:
    """A file that was renamed is told again by `tools/lane --slowest`."""
    named = [line.split()[1] for line in SLOWEST.read_text().splitlines()]
    assert len(named) == len(set(named)) > 10
    assert [file for file in named if not (ROOT / file).is_file()] == []
