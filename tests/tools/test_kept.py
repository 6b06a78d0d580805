"""`tools/kept`: what is made once for all clones on a machine is whole, made by one at a time, and goes when unused."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.services.hub import until

KEPT = Path(__file__).parents[2] / "tools" / "kept"
MAKE = """#!/bin/sh
set -eu
if [ "$1" = --state ]; then sha256sum <state; exit; fi
[ -e "$1/made-from" ] && exit
mkdir "$1"
touch "$1/half"
echo made >>log
while [ -e wait ]; do sleep 0.02; done
cp state "$1/whole"
touch "$1/made-from"
"""
MONTH = 31 * 24 * 3600


class Clones:
    """Clones beside a cache, and a command that makes something of the file ``state``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "make").write_text(MAKE)
        (folder / "make").chmod(0o755)
        (folder / "log").touch()
        self.state("one")

    def state(self, text: str) -> None:
        (self.folder / "state").write_text(text)

    def begin(self, clone: str) -> subprocess.Popen[str]:
        """Ask for it in a clone."""
        return subprocess.Popen(
            [KEPT, "some", f"{clone}/.cache/some", "./make"],
            cwd=self.folder,
            env={**os.environ, "VISA_CACHE": str(self.folder / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def ask(self, clone: str) -> Path:
        """Ask and get it; where the clone's link leads."""
        process = self.begin(clone)
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said
        return self.link(clone).resolve()

    def link(self, clone: str) -> Path:
        return self.folder / clone / ".cache" / "some"

    @property
    def made(self) -> int:
        """How often the command made something."""
        return (self.folder / "log").read_text().count("made")

    def unused(self, folder: Path) -> None:
        """Nobody asked for it in a month."""
        past = time.time() - MONTH
        os.utime(f"{folder}.links", (past, past))


@pytest.fixture
def clones(tmp_path: Path) -> Clones:
    return Clones(tmp_path)


def test_two_clones_share_what_is_made_once(clones: Clones) -> None:
    folder = clones.ask("a")
    assert clones.ask("b") == folder
    assert clones.ask("a") == folder
    assert clones.made == 1
    assert (folder / "whole").read_text() == "one"


def test_another_state_is_another_folder_and_the_former_stays(clones: Clones) -> None:
    first = clones.ask("a")
    clones.state("two")
    second = clones.ask("b")
    assert (second / "whole").read_text() == "two"
    assert clones.link("a").resolve() == first
    assert clones.ask("a") == second
    assert (first / "whole").exists()


def test_of_two_at_once_one_makes_it(clones: Clones) -> None:
    (clones.folder / "wait").touch()
    first = clones.begin("a")
    until(lambda: clones.made == 1, 60, "the first one's work")
    second = clones.begin("b")
    assert second.stdout is not None
    assert "Waiting for another" in second.stdout.readline()
    (clones.folder / "wait").unlink()
    assert (first.wait(30), second.wait(30)) == (0, 0)
    assert clones.made == 1
    assert clones.link("a").resolve() == clones.link("b").resolve()


def test_what_a_killed_one_left_is_made_anew(clones: Clones) -> None:
    (clones.folder / "wait").touch()
    first = clones.begin("a")
    until(lambda: clones.made == 1, 60, "half of it")
    os.killpg(first.pid, signal.SIGKILL)
    first.wait(30)
    assert not clones.link("a").exists(), "nothing leads to half an environment"
    (clones.folder / "wait").unlink()
    folder = clones.ask("a")
    assert (folder / "whole").exists()
    assert clones.made == 2


def test_what_nobody_uses_goes_after_a_month(clones: Clones) -> None:
    first = clones.ask("a")
    clones.state("two")
    clones.unused(first)
    clones.ask("b")
    assert (first / "whole").exists(), "a clone's link leads there"
    clones.ask("a")
    assert not first.exists()
    assert [path.name for path in first.parent.glob("*.links")] == [f"{clones.link('a').resolve().name}.links"]


def test_what_was_used_lately_stays(clones: Clones) -> None:
    first = clones.ask("a")
    clones.state("two")
    clones.ask("a")
    assert (first / "whole").exists()


def test_something_else_in_the_links_place_is_left(clones: Clones) -> None:
    place = clones.link("a")
    place.mkdir(parents=True)
    (place / "precious").touch()
    process = clones.begin("a")
    said, _ = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "holds something else" in said
    assert (place / "precious").exists()


def test_an_environment_of_the_clones_own_gives_way(clones: Clones) -> None:
    place = clones.link("a")
    place.mkdir(parents=True)
    (place / "pyvenv.cfg").touch()
    assert (clones.ask("a") / "whole").exists()
    assert place.is_symlink()
