"""Values with units, read and written."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.facility.units import Memory, PathTemplate, TargetTemplate, parse_cpu, parse_duration, write_duration
from visa.identifiers import ExperimentId, InstrumentId, ProposalId


@pytest.mark.parametrize(
    ("text", "seconds"), [("14d", 1209600), ("1h", 3600), ("1d12h", 129600), ("90s", 90), ("2w", 1209600), ("5m", 300)]
)
def test_durations(text: str, seconds: int) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "1", 3, "1y", "-1d", "1d ", "0s", "9999w", None, "1.5h", "d", "1" * 41])
def test_what_is_no_duration(value: object) -> None:
    with pytest.raises(ValueError, match="time span"):
        parse_duration(value)


@given(st.integers(1, 3660 * 86400))
def test_durations_are_read_back(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(write_duration(span)) == span


@pytest.mark.parametrize(("value", "cores"), [(2, 2.0), (0.5, 0.5), ("500m", 0.5), ("2", 2.0), ("1.5", 1.5)])
def test_cores(value: object, cores: float) -> None:
    assert parse_cpu(value) == cores


@pytest.mark.parametrize("value", ["lots", 0, -1, True, None, "1e3", "9999", float("nan"), [1]])
def test_what_is_no_number_of_cores(value: object) -> None:
    with pytest.raises(ValueError, match="cores"):
        parse_cpu(value)


@pytest.mark.parametrize(
    ("value", "size", "written"),
    [("2Gi", 2**31, "2Gi"), ("512Mi", 2**29, "512Mi"), ("4G", 4 * 10**9, "3906250Ki"), (2**30, 2**30, "1Gi")],
)
def test_memory(value: object, size: int, written: str) -> None:
    memory = Memory(value)
    assert (int(memory), str(memory)) == (size, written)
    assert Memory(str(memory)) == memory


@pytest.mark.parametrize("value", ["lots", "2GB", "-1Gi", 0, 1, True, None, "99999Ti", "1 Gi"])
def test_what_is_no_memory(value: object) -> None:
    with pytest.raises(ValueError, match="memory"):
        Memory(value)


def test_a_template_is_filled_and_nothing_in_it_is_evaluated() -> None:
    template = PathTemplate("{instrument}/{year}/{proposal}/raw.{experiment}")
    filled = template.fill(
        instrument=InstrumentId("d22"), year=2025, proposal=ProposalId("p.1"), experiment=ExperimentId("exp_1")
    )
    assert filled == "d22/2025/p.1/raw.exp_1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/a",
        "a/",
        "a//b",
        "../a",
        "a/..",
        ".",
        "{x}",
        "{experiment.__class__}",
        "{0}",
        "a b",
        "a\n",
        "é",
        "{",
        "a\\b",
    ],
)
def test_templates_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        PathTemplate(text)


@pytest.mark.parametrize("text", ["/data/x", "/etc/{experiment}", "/data/{experiment}/x", "/data/../{experiment}", ""])
def test_targets_that_are_refused(text: str) -> None:
    with pytest.raises(ValueError):
        TargetTemplate(text)
