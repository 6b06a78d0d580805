"""Benchmarks do not rot: all can be imported and asked, and none passes that measured nothing.

`make soak` runs each of those that need a hub; those that need a cluster run by hand.
"""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path

import pytest

from benchmarks import figures
from benchmarks.__main__ import FEW

FOLDER = Path(__file__).parents[2] / "benchmarks"
PARTS = {"__init__", "figures", "filling", "stock", "program", "seen", "sides", "viewers", "hubs"}
"""What benchmarks are made of."""


def modules() -> list[str]:
    """All that can be run with ``python -m``, but the one that runs them all."""
    found = []
    for path in sorted(FOLDER.rglob("*.py")):
        parts = path.relative_to(FOLDER.parent).with_suffix("").parts
        if path.stem not in PARTS and parts != ("benchmarks", "__main__"):
            found.append(".".join(parts))
    return found


@pytest.mark.parametrize("module", modules())
def test_each_reads_its_arguments(module: str) -> None:
    benchmark: figures.Benchmark = importlib.import_module(module).BENCHMARK
    assert benchmark.name == module.removesuffix(".__main__")
    assert benchmark.parsed([])["rounds"] >= 1
    assert benchmark.parsed(["7", "--keep=there"])["rounds"] == 7
    with pytest.raises(SystemExit):
        benchmark.parsed(["0"])
    with pytest.raises(SystemExit):
        benchmark.parsed(["1", "2"])


def test_all_run_at_once_but_those_of_a_cluster() -> None:
    named = {module.removesuffix(".__main__") for module in modules()}
    assert set(FEW) == {name for name in named if ".kubernetes." not in name}


@pytest.mark.parametrize("name", list(FEW))
def test_what_is_run_for_a_few_rounds_has_arguments_that_are_read(name: str) -> None:
    module = importlib.import_module(f"{name}.__main__" if (FOLDER.parent / name.replace(".", "/")).is_dir() else name)
    few, usual = module.BENCHMARK.parsed(FEW[name]), module.BENCHMARK.parsed([])
    assert few["rounds"] < usual["rounds"] or few != usual


def test_a_reservation_is_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from benchmarks.admission import BENCHMARK

    keep = tmp_path / "figures.jsonl"
    BENCHMARK.main(["1", f"--keep={keep}"])
    (middle, most) = figures.kept(keep)
    assert middle[0] == most[0] == "benchmarks.admission"
    assert middle[1].count == 1
    assert middle[1].value == most[1].value > 0
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == ["what", "figure", "values", "wanted", "load", "command"]
    assert len(table) == 3


def test_who_measures_nothing_fails() -> None:
    with pytest.raises(figures.NothingMeasured):
        figures.Benchmark("benchmarks.none", "None.", lambda rounds: [], rounds=1).main([])


@pytest.mark.parametrize("make", [figures.median, figures.p95, figures.mean])
def test_no_figure_comes_of_no_values(make: object) -> None:
    assert callable(make)
    with pytest.raises(figures.NothingMeasured, match="time"):
        make("time", "ms", [])


def test_a_figure_that_is_no_number_is_none() -> None:
    with pytest.raises(figures.NothingMeasured):
        figures.Figure("time", math.nan, "ms", 3)
    with pytest.raises(figures.NothingMeasured):
        figures.ratio("over", [1.0], [])


def test_figures_of_known_values() -> None:
    values = [float(number) for number in range(100, 0, -1)]
    assert figures.median("m", "ms", values).value == 50.5
    assert figures.p95("p", "ms", values).value == 95
    assert figures.p95("p", "ms", [1.0, 3.0, 2.0]).value == 3
    assert figures.ratio("r", [4.0, 6.0], [2.0]) == figures.Figure("r", 2.5, "", 1, load=figures._load())


def test_the_table_says_what_was_missed_and_the_load() -> None:
    good = figures.Figure("quick", 1.5, "ms", 3, most=2, load=0.25)
    bad = figures.Figure("slow", 0.5, "", 4, least=0.7, load=13)
    head, first, second = figures.table([("a.b", good), ("c.d", bad)]).splitlines()
    assert first.split("  ")[0] == "quick"
    assert [part.strip() for part in first.split("  ") if part] == ["quick", "1.5 ms", "3", "at most 2", "0.2", "a.b"]
    assert "at least 0.7, missed" in second
    assert "13.0" in second
    assert len({len(line) for line in (head, first, second)}) == 1


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    figure = figures.Figure("quick", 1.5, "ms", 3, most=2, load=0.25)
    keep = tmp_path / "kept"
    figures.Benchmark("benchmarks.one", "One.", lambda rounds: [figure] * rounds, rounds=2).main([f"--keep={keep}"])
    assert figures.kept(keep) == [("benchmarks.one", figure)] * 2
    assert len([json.loads(line) for line in keep.read_text().splitlines()]) == 2
