"""facility.yaml that was broken since: the next process starts on the last good one, and says so."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from tests.facility.example import SMALL, write
from visa.facility.problems import FacilityProblems
from visa.facility.watch import FacilitySource

OTHER = SMALL.replace("name: Test", "name: Another")
BROKEN = SMALL.replace("cpu: 1", "cpu: lots")


def test_the_next_process_starts_on_the_last_good_one_loudly(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = tmp_path / "state.yaml"
    path = write(tmp_path, SMALL)
    before = FacilitySource(path, kept)
    write(tmp_path, OTHER)
    assert before.check()
    write(tmp_path, BROKEN)
    assert not before.check()
    with caplog.at_level(logging.INFO):
        after = FacilitySource(path, kept)
    assert after.current == before.current
    assert after.current.facility.name == "Another"
    assert [problem.field for problem in after.problems] == ["flavours.small.cpu"]
    (said,) = [record for record in caplog.records if record.levelno == logging.CRITICAL]
    assert "THE LAST GOOD ONE" in said.getMessage()
    assert "flavours.small.cpu: 'lots'" in said.getMessage()
    write(tmp_path, SMALL)
    assert after.check()
    assert after.problems == ()


def test_its_folders_are_those_of_the_file_itself(tmp_path: Path) -> None:
    folder = tmp_path / "facility"
    folder.mkdir()
    kept = tmp_path / "state.yaml"
    before = FacilitySource(write(folder, SMALL), kept).current
    path = write(folder, BROKEN)
    assert FacilitySource(path, kept).current == before


def test_who_only_looks_writes_nothing(tmp_path: Path) -> None:
    kept = tmp_path / "state.yaml"
    path = write(tmp_path, SMALL)
    FacilitySource(path, kept, keeps=False)
    assert not kept.exists()
    FacilitySource(path, kept)
    write(tmp_path, BROKEN)
    assert FacilitySource(path, kept, keeps=False).problems


def test_without_one_and_with_one_that_cannot_be_used_either_the_first_load_must_succeed(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    kept = tmp_path / "state.yaml"
    path = write(tmp_path, BROKEN)
    with pytest.raises(FacilityProblems):
        FacilitySource(path, kept)
    assert not kept.exists()
    kept.write_text(SMALL.replace("cpu: 1", "cpu: many"))
    with pytest.raises(FacilityProblems, match="'lots'") as caught:
        FacilitySource(path, kept)
    assert str(kept) not in str(caught.value), "the operator mends facility.yaml"
    (said,) = [record.getMessage() for record in caplog.records if record.levelno == logging.CRITICAL]
    assert str(kept) in said
    assert "'many'" in said


def test_a_state_folder_that_is_full_costs_nothing_but_the_copy(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    missing = tmp_path / "missing" / "state.yaml"
    source = FacilitySource(write(tmp_path, SMALL), missing)
    assert source.current.facility.name == "Test"
    assert "cannot be kept" in caplog.text
    assert os.listdir(tmp_path) == ["facility.yaml"]
