"""What an instance leaves in its run folder, however odd, keeps neither its next start nor the clean-up of others."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.hub.sandboxing import Place, made_place, told
from tests.hub.test_sandbox_life import SLEEP
from visa.hub.sandbox import VisaSandboxSpawner
from visa.hub.sandboxes import instance
from visa.hub.sandboxes.folders import RunFolder

DEEP = """
import json, os, time
os.chdir("/tmp")
for _ in range(5000):
    os.mkdir("d")
    os.chdir("d")
os.mkfifo("end")
os.chmod(".", 0)
open("/run/visa/.t", "w").write("true")
os.rename("/run/visa/.t", "/run/visa/told")
time.sleep(300)
"""


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


async def left_deep(place: Place) -> Path:
    """The run folder of an instance that ended, with 5,000 folders inside one another in its /tmp."""
    run, running = await place.run((sys.executable, "-c", DEEP))
    assert told(run)
    instance.end(running.supervisor.pid, running.supervisor, now=True)
    assert (run / "scratch" / "d").exists()
    return run


async def test_its_next_start_works_though_nothing_was_cleaned(place: Place) -> None:
    run = await left_deep(place)
    again = replace(place.start(SLEEP), identifier=run.name)
    place.started.append((run.name, await again.run()))
    assert list((run / "scratch").iterdir()) == []
    VisaSandboxSpawner._sweep(place.state, {run.name}, 0.0)
    assert [entry.name for entry in run.parent.iterdir()] == [run.name], "the sweep took what was moved away"


async def test_its_own_clean_up_takes_it(place: Place) -> None:
    run = await left_deep(place)
    RunFolder(run).clear()
    assert not (run / "scratch").exists()
    assert (run / "environment.log").exists()


async def test_a_sweep_takes_it_and_all_that_come_after(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    run = await left_deep(place)
    others = [run.parent / f"{number:016x}" for number in range(3)]
    for other in others:
        RunFolder(other).make(None, None)
    before, broken = RunFolder.clear, others[1]

    def clear(folder: RunFolder) -> None:
        if folder.path == broken:
            raise RecursionError("of a kind that nobody thought of")
        before(folder)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "clear", clear)
        VisaSandboxSpawner._sweep(place.state, set(), 0.0)
    assert [path for path in (run, *others) if (path / "scratch").exists()] == [broken]
    VisaSandboxSpawner._sweep(place.state, set(), 0.0)
    assert not (broken / "scratch").exists()


def test_a_run_folder_older_than_its_logs_are_kept_goes_whole(place: Place) -> None:
    old = place.state / "instances" / "0123456789abcdef"
    RunFolder(old).make(None, None)
    (old / "environment.log").touch()
    os.utime(old, (0, 0))
    VisaSandboxSpawner._sweep(place.state, set(), 0.0)
    assert list(old.parent.iterdir()) == []
