"""facility.yaml edited while it is in use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.services.facility import write
from visa.facility.load import FacilityProblems
from visa.facility.model import Facility
from visa.facility.watch import FacilitySource


def test_a_broken_first_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FacilityProblems):
        FacilitySource(write(tmp_path, environments={}))


def test_a_good_edit_is_taken_and_a_broken_one_keeps_the_last_good(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = FacilitySource(write(tmp_path))
    seen: list[Facility] = []
    source.subscribe(seen.append)
    assert not source.check()
    write(tmp_path, facility={"name": "Renamed", "contact": "x@example.org"})
    assert source.check()
    assert source.current.facility.name == "Renamed"
    assert seen == [source.current]
    write(tmp_path, facility={"nam": "Broken"})
    assert not source.check()
    assert source.current.facility.name == "Renamed"
    assert any("did you mean 'name'" in problem.right for problem in source.problems)
    assert "last good one" in caplog.text
    caplog.clear()
    assert not source.check()
    assert caplog.text == "", "said once per edit"
    write(tmp_path, facility={"name": "Mended", "contact": "x"})
    assert source.check()
    assert source.problems == ()


def test_a_file_that_vanishes_keeps_the_last_good_one(tmp_path: Path) -> None:
    path = write(tmp_path)
    source = FacilitySource(path)
    path.unlink()
    assert not source.check()
    assert source.current.facility.name == "Test Facility"
    assert source.problems


def test_a_swapped_link_is_noticed(tmp_path: Path) -> None:
    """Kubernetes replaces a ConfigMap by moving a link."""
    first, second = write(tmp_path / "1"), write(tmp_path / "2", facility={"name": "Second", "contact": "x"})
    link = tmp_path / "facility.yaml"
    link.symlink_to(first)
    source = FacilitySource(link)
    new = tmp_path / "new"
    new.symlink_to(second)
    os.replace(new, link)
    assert source.check()
    assert source.current.facility.name == "Second"
