"""Time spans, memory, cores and templates: what is taken, what is refused, and that nothing is evaluated."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, TypeAdapter, ValidationError

from visa.facility.units import (
    Cpu,
    Duration,
    Memory,
    PathTemplate,
    TargetTemplate,
    parse_cpu,
    parse_duration,
    write_duration,
)
from visa.identifiers import ExperimentId, InstrumentId, ProposalId


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("14d", timedelta(days=14)),
        ("1h", timedelta(hours=1)),
        ("30m", timedelta(minutes=30)),
        ("2w", timedelta(weeks=2)),
        ("90s", timedelta(seconds=90)),
        ("1d12h", timedelta(days=1, hours=12)),
    ],
)
def test_time_spans(text: str, span: timedelta) -> None:
    assert parse_duration(text) == span


@pytest.mark.parametrize(
    "bad", ["", "14", 14, "1.5h", "-1d", "1h1d", "1d1d", "0d", "99999d", "\u0661d", "1 d", "1D", None, True]
)
def test_what_is_no_time_span_is_refused_with_what_would_be_right(bad: object) -> None:
    with pytest.raises(ValueError, match=r"time span; give .*14d"):
        parse_duration(bad)


@given(st.integers(1, 3660 * 86400))
def test_time_spans_are_read_back_as_written(seconds: int) -> None:
    span = timedelta(seconds=seconds)
    assert parse_duration(write_duration(span)) == span


@pytest.mark.parametrize(
    ("given", "amount", "shown"),
    [
        ("2Gi", 2 * 2**30, "2Gi"),
        ("512Mi", 512 * 2**20, "512Mi"),
        ("1.5Gi", 1536 * 2**20, "1536Mi"),
        ("4G", 4 * 10**9, "3906250Ki"),
        (2**30 + 1, 2**30 + 1, "1073741825"),
        ("1073741824", 2**30, "1Gi"),
    ],
)
def test_memory(given: object, amount: int, shown: str) -> None:
    assert Memory(given) == amount
    assert str(Memory(given)) == shown


@pytest.mark.parametrize(
    "bad", ["2GB", "2gi", "lots", "", "-2Gi", "1e9", 2.0, True, None, "1Ki", 5, "65Ti", "\u0662Gi", [2]]
)
def test_what_is_no_memory_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"amount of memory; give .*2Gi"):
        Memory(bad)


@given(st.integers(2**20, 2**46))
def test_memory_is_read_back_as_written(amount: int) -> None:
    assert Memory(str(Memory(amount))) == amount


@pytest.mark.parametrize(
    ("given", "cores"), [("2", 2), (2, 2), (0.5, 0.5), ("500m", 0.5), ("0.5", 0.5), (65536, 65536)]
)
def test_cores(given: object, cores: float) -> None:
    assert parse_cpu(given) == cores


@pytest.mark.parametrize(
    "bad", [0, -1, "lots", "", True, None, "5mm", float("nan"), float("inf"), "1m", 65537, {"a": 1}]
)
def test_what_is_no_number_of_cores_is_refused(bad: object) -> None:
    with pytest.raises(ValueError, match="number of cores; give "):
        parse_cpu(bad)


def test_a_message_shows_little_of_what_was_given() -> None:
    with pytest.raises(ValueError) as caught:
        parse_cpu("9" * 5000)
    assert len(str(caught.value)) < 150


class _Values(BaseModel):
    time: Duration
    cpu: Cpu
    memory: Memory
    path: PathTemplate


def test_values_go_to_json_as_they_are_written() -> None:
    values = _Values.model_validate({"time": "36h", "cpu": "500m", "memory": "2048Mi", "path": "{experiment}"})
    assert values.model_dump(mode="json") == {"time": "1d12h", "cpu": 0.5, "memory": "2Gi", "path": "{experiment}"}
    assert _Values.model_validate(values.model_dump()) == values


# Templates

FILLED = {
    "instrument": InstrumentId("d22"),
    "year": 2026,
    "proposal": ProposalId("p-1"),
    "experiment": ExperimentId("exp.7"),
}


def test_a_template_is_filled() -> None:
    template = PathTemplate("{instrument}/raw-{year}/{proposal}/{experiment}/data")
    assert template.fill(**FILLED) == "d22/raw-2026/p-1/exp.7/data"


@pytest.mark.parametrize(
    "bad",
    [
        "",
        None,
        7,
        "/{experiment}",
        "../{experiment}",
        "{proposal}/../{experiment}",
        "{proposal}/./{experiment}",
        "{proposal}//{experiment}",
        "{experiment}/",
        "{userid}",
        "{experiment.__class__}",
        "{experiment!r}",
        "{experiment:>9}",
        "{experiment[0]}",
        "{}",
        "{{experiment}}",
        "{experiment",
        "experiment}",
        "{experiment}\n",
        "{experiment}\0",
        "{experiment} x",
        "$HOME/{experiment}",
        "~/{experiment}",
        "{experiment}" + "x" * 500,
    ],
)
def test_other_templates_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"; (give|use) "):
        PathTemplate(bad)


@given(st.text(alphabet="{}experimntyar/._-!:[]0 \n$\\é", max_size=40))
def test_every_template_that_is_taken_stays_below_its_root(text: str) -> None:
    try:
        template = PathTemplate(text)
    except ValueError:
        return
    filled = template.fill(**FILLED)
    assert re.fullmatch(r"[A-Za-z0-9._/-]+", filled)
    assert not filled.startswith("/")
    assert not {"", ".", ".."} & set(filled.split("/"))


@pytest.mark.parametrize(
    "good", ["/data/{experiment}", "/shared/{experiment}", "/data/{experiment}-raw", "/data/x-{experiment}"]
)
def test_targets(good: str) -> None:
    assert TargetTemplate(good).fill(**FILLED) == good.replace("{experiment}", "exp.7")


@pytest.mark.parametrize(
    "bad",
    [
        "/data/all",
        "/data/{proposal}",
        "/home/{experiment}",
        "data/{experiment}",
        "/data/{experiment}/raw",
        "/data/../{experiment}",
        "/data/..{experiment}",
        "/data/{experiment}{experiment}",
        "/data//{experiment}",
        "/data/{experiment}\n",
        "",
        3,
    ],
)
def test_other_targets_are_refused(bad: object) -> None:
    with pytest.raises(ValueError, match=r"give /data/\{experiment\}"):
        TargetTemplate(bad)


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        (Duration, ["14d", "1d12h"], ["", "14", "1h1d", "1.5h"]),
        (Memory, [2**30, "2Gi", "1.5Gi"], ["2GB", True, 5]),
        (Cpu, [2, 0.5, "500m"], ["lots", True, 0]),
        (
            PathTemplate,
            ["{experiment}", "a/{proposal}-x"],
            ["../{experiment}", "{experiment}/", "a/./{experiment}", "{x}"],
        ),
        (TargetTemplate, ["/data/{experiment}"], ["/data/x", "/data/..{experiment}", "/data/{experiment}/x"]),
    ],
)
def test_schemas_take_what_the_parsers_take(kind: object, good: list[object], bad: list[object]) -> None:
    from jsonschema import Draft202012Validator

    adapter: TypeAdapter[object] = TypeAdapter(kind)
    validator = Draft202012Validator(adapter.json_schema())
    for value in good:
        adapter.validate_python(value)
        assert validator.is_valid(value), value
    for value in bad:
        with pytest.raises(ValidationError):
            adapter.validate_python(value)
        assert not validator.is_valid(value), value
