"""`tools/lane`: what failed once by chance is run again and named, what fails twice fails the run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LANE = Path(__file__).parents[2] / "tools" / "lane"
ONCE = """
import pathlib, pytest

@pytest.mark.parametrize("name", ["a@b", "c"])
def test_chance(name):
    seen = pathlib.Path(__file__).with_name(f"seen-{name}")
    assert seen.exists() or name == "c" or seen.touch()
"""
NEVER = "def test_fault():\n    assert 1 == 2\n"
ALWAYS = "def test_good():\n    assert 2 == 2\n"
TOO_MANY = "import pytest\n@pytest.mark.parametrize('n', range(11))\ndef test_fault(n):\n    assert n < 0\n"
BROKEN = "import nothing_of_that_name\n"


class Lanes:
    """A folder with tests, and what the lanes that ran there left."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *arguments: str, **files: str) -> subprocess.CompletedProcess[str]:
        """Write test files, then run the command."""
        for name, text in files.items():
            (self.folder / f"test_{name}.py").write_text(text)
        variables = {k: v for k, v in os.environ.items() if not k.startswith("PYTEST")}
        # Without this repository's plugins a start takes a tenth.
        variables |= {"LANES": str(self.folder / "lanes"), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        return subprocess.run(
            [sys.executable, str(LANE), *arguments], cwd=self.folder, env=variables, capture_output=True, text=True
        )

    def flaky(self) -> str:
        """What the report says under that heading."""
        return self.run("--report").stdout.partition("\nflaky")[2].partition("\nload")[0]


@pytest.fixture
def lanes(tmp_path: Path) -> Lanes:
    return Lanes(tmp_path)


TOGETHER = ["--pytest", "-p", "xdist", "-n", "2", "--dist", "loadfile", "."]


def test_what_passes_alone_is_named_and_the_run_is_green(lanes: Lanes) -> None:
    done = lanes.run("unit", *TOGETHER, once=ONCE, good=ALWAYS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 failed and is run once more, alone." in done.stdout
    assert lanes.flaky().split() == ["test_once.py::test_chance[a@b]"]
    assert lanes.run("--report").returncode == 0


def test_what_fails_twice_fails_the_run_and_is_not_called_flaky(lanes: Lanes) -> None:
    done = lanes.run("unit", *TOGETHER, never=NEVER, once=ONCE)
    assert done.returncode == 1
    assert lanes.flaky().split() == ["test_once.py::test_chance[a@b]"]
    assert lanes.run("--report").returncode == 1


def test_many_failures_are_no_chance(lanes: Lanes) -> None:
    done = lanes.run("unit", *TOGETHER, many=TOO_MANY)
    assert done.returncode == 1
    assert "once more" not in done.stdout


def test_a_file_that_cannot_be_imported_fails_the_run(lanes: Lanes) -> None:
    assert lanes.run("unit", "--pytest", ".", broken=BROKEN, good=ALWAYS).returncode > 1


def test_no_test_fails_the_run(lanes: Lanes) -> None:
    assert lanes.run("unit", "--pytest", ".").returncode == 5


def test_the_report_names_lanes_with_what_they_took_and_the_slowest_tests(lanes: Lanes) -> None:
    assert lanes.run("unit", "--pytest", ".", good=ALWAYS).returncode == 0
    assert lanes.run("images", "sh", "-c", "exit 3").returncode == 3
    report = lanes.run("--report")
    assert report.returncode == 1
    assert [line.split()[::2] for line in report.stdout.splitlines()[2:4]] == [["unit", "ok"], ["images", "failed"]]
    assert "test_good.test_good" in report.stdout
    assert "flaky: none" in report.stdout


def test_files_that_took_long_are_named_the_longest_first(lanes: Lanes) -> None:
    assert lanes.run("unit", "--pytest", ".", good=ALWAYS).returncode == 0
    assert lanes.run("--slowest").returncode == 2
    case = '<testcase classname="tests.{}" name="test_it" time="{}"/>'
    cases = [("hub.test_ends", 8), ("cli.test_demo", 40), ("hub.test_ends", 33.6), ("cli.test_check", 4)]
    suite = "".join(case.format(*one) for one in cases)
    (lanes.folder / "lanes" / "unit.xml").write_text(f"<testsuites><testsuite>{suite}</testsuite></testsuites>")
    assert lanes.run("--slowest").stdout.splitlines() == ["42 tests/hub/test_ends.py", "40 tests/cli/test_demo.py"]


def test_a_report_of_nothing_is_a_fault(lanes: Lanes) -> None:
    assert lanes.run("--report").returncode == 2
