"""facility.yaml edited while the hub runs."""

from __future__ import annotations

import asyncio
import logging
import os
from pathlib import Path

import pytest

from tests.facility.example import SMALL, write
from visa.facility.model import Facility
from visa.facility.problems import FacilityProblems
from visa.facility.watch import FacilitySource

OTHER = SMALL.replace("name: Test", "name: Another")
BROKEN = SMALL.replace("cpu: 1", "cpu: lots")


def test_the_first_load_must_succeed(tmp_path: Path) -> None:
    with pytest.raises(FacilityProblems, match=r"flavours\.small\.cpu"):
        FacilitySource(write(tmp_path, BROKEN))


def test_a_good_edit_is_taken_and_told(tmp_path: Path) -> None:
    source = FacilitySource(write(tmp_path, SMALL))
    told: list[Facility] = []
    source.subscribe(told.append)
    assert not source.check()
    write(tmp_path, OTHER)
    assert source.check()
    assert not source.check()
    assert source.current.facility.name == "Another"
    assert told == [source.current]


def test_a_broken_edit_keeps_the_last_good_one_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FacilitySource(write(tmp_path, SMALL))
    good, told = source.current, list[Facility]()
    source.subscribe(told.append)
    write(tmp_path, BROKEN)
    with caplog.at_level(logging.INFO):
        assert [source.check() for _ in range(3)] == [False] * 3
    assert source.current is good
    assert [problem.field for problem in source.problems] == ["flavours.small.cpu"]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "flavours.small.cpu: 'lots'" in errors[0].getMessage()
    assert told == []
    write(tmp_path, OTHER)
    assert source.check()
    assert source.problems == ()
    assert source.current.facility.name == "Another"


def test_a_file_that_is_gone_and_comes_back(tmp_path: Path) -> None:
    path = write(tmp_path, SMALL)
    source = FacilitySource(path)
    path.rename(tmp_path / "away")
    assert not source.check()
    assert "no such file" in source.problems[0].wrong
    (tmp_path / "away").rename(path)
    assert source.check()
    assert source.problems == ()


def test_a_config_map_is_swapped_by_a_link(tmp_path: Path) -> None:
    """The kubelet swaps ``..data``; size and time of the files may be the same."""
    for name, text in (("one", SMALL), ("two", SMALL.replace("name: Test", "name: Tost"))):
        (tmp_path / name).mkdir()
        os.utime(write(tmp_path / name, text), (1000, 1000))
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "facility.yaml").symlink_to("..data/facility.yaml")
    source = FacilitySource(tmp_path / "facility.yaml")
    (tmp_path / "..new").symlink_to("two")
    (tmp_path / "..new").rename(tmp_path / "..data")
    assert source.check()
    assert source.current.facility.name == "Tost"


def test_who_cannot_take_the_new_one_does_not_stop_the_others(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    source = FacilitySource(write(tmp_path, SMALL))
    told: list[Facility] = []

    def fails(facility: Facility) -> None:
        raise RuntimeError("cannot")

    source.subscribe(fails)
    source.subscribe(told.append)
    write(tmp_path, OTHER)
    assert source.check()
    assert told == [source.current]
    assert "RuntimeError: cannot" in caplog.text


async def test_the_watch_sees_an_edit(tmp_path: Path) -> None:
    source = FacilitySource(write(tmp_path, SMALL))
    loop, seen = asyncio.get_running_loop(), asyncio.Event()
    source.subscribe(lambda facility: loop.call_soon_threadsafe(seen.set))
    watching = asyncio.create_task(source.watch(0.01))
    try:
        write(tmp_path, OTHER)
        await asyncio.wait_for(seen.wait(), 60)
        assert source.current.facility.name == "Another"
    finally:
        watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
