"""What benchmarks share: their arguments, their figures, and the table in which these are told."""

from __future__ import annotations

import argparse
import json
import math
import os
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any


class NothingMeasured(Exception):
    """A benchmark has no value for a figure: it does not tell what it is there for."""


def _load() -> float:
    return os.getloadavg()[0]


@dataclass(frozen=True)
class Figure:
    """What was found: of how many values, and the load of the machine in the minute before.

    ``most`` and ``least`` are what is wanted; a figure beyond them is told as missed, and is no fault of the run.
    Raises `NothingMeasured` where there are no values or the figure is no number.
    """

    what: str
    value: float
    unit: str
    count: int
    most: float | None = None
    least: float | None = None
    load: float = field(default_factory=_load)

    def __post_init__(self) -> None:
        if self.count < 1 or not math.isfinite(self.value):
            raise NothingMeasured(f"{self.what}: nothing was measured")

    @property
    def wanted(self) -> str:
        """What is wanted, in words, and whether it was missed."""
        if self.most is not None:
            return f"at most {self.most:g}" + ("" if self.value <= self.most else ", missed")
        if self.least is not None:
            return f"at least {self.least:g}" + ("" if self.value >= self.least else ", missed")
        return ""


def median(what: str, unit: str, values: Sequence[float], **wanted: float) -> Figure:
    """Make a figure of the middle of some values."""
    return Figure(what, statistics.median(values) if values else math.nan, unit, len(values), **wanted)


def p95(what: str, unit: str, values: Sequence[float], **wanted: float) -> Figure:
    """Make a figure of the value that 95 % do not exceed; of few values that is the largest."""
    value = sorted(values)[math.ceil(0.95 * len(values)) - 1] if values else math.nan
    return Figure(what, value, unit, len(values), **wanted)


def mean(what: str, unit: str, values: Sequence[float], **wanted: float) -> Figure:
    """Make a figure of the mean of some values."""
    return Figure(what, statistics.fmean(values) if values else math.nan, unit, len(values), **wanted)


def ratio(what: str, values: Sequence[float], others: Sequence[float], **wanted: float) -> Figure:
    """Make a figure of the median of some values over that of others."""
    value = statistics.median(values) / statistics.median(others) if values and others else math.nan
    return Figure(what, value, "", min(len(values), len(others)), **wanted)


def table(rows: Iterable[tuple[str, Figure]]) -> str:
    """Tell figures, each with the command that measured it, in lines of the same columns."""
    lines = [("what", "figure", "values", "wanted", "load", "command")]
    for command, one in rows:
        figure = f"{one.value:.4g} {one.unit}".strip()
        lines.append((one.what, figure, str(one.count), one.wanted, f"{one.load:.1f}", command))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths, strict=True)) for line in lines)


Measure = Callable[..., Iterable[Figure]]


class Benchmark:
    """A benchmark's command: ``measure(rounds, **options)`` gives its figures.

    Each option's value without an argument is given by name; it tells its type too.
    """

    def __init__(self, module: str, text: str, measure: Measure, *, rounds: int, **options: Any) -> None:
        self.name = module.removesuffix(".__main__")
        self._text, self._measure = text, measure
        self._parser = argparse.ArgumentParser(prog=f"python -m {self.name}", description=text.partition("\n")[0])
        self._parser.add_argument("rounds", nargs="?", type=_some, default=rounds, help=f"how many; else {rounds}")
        for option, value in options.items():
            self._parser.add_argument(f"--{option}", type=type(value), default=value, help=f"else {value!r}")
        self._parser.add_argument("--keep", type=Path, help="a file that gets each figure as a line of JSON")

    def parsed(self, arguments: Sequence[str]) -> dict[str, Any]:
        """Read arguments; those that are wrong end the program with a usage."""
        return vars(self._parser.parse_args(arguments))

    def main(self, arguments: Sequence[str] | None = None) -> None:
        """Measure and print; fails where nothing was measured."""
        options = self.parsed(sys.argv[1:] if arguments is None else arguments)
        keep: Path | None = options.pop("keep")
        found = list(self._measure(**options))
        if not found:
            raise NothingMeasured(f"{self.name} has no figures")
        print(table((self.name, one) for one in found))
        if keep is not None:
            with open(keep, "a") as file:
                file.writelines(json.dumps([self.name, asdict(one)]) + "\n" for one in found)


def _some(text: str) -> int:
    """Read a number of rounds; without one nothing would be measured."""
    if (rounds := int(text)) < 1:
        raise argparse.ArgumentTypeError("at least 1 round")
    return rounds


def kept(file: Path) -> list[tuple[str, Figure]]:
    """Read figures that benchmarks kept."""
    lines = file.read_text().splitlines() if file.exists() else []
    return [(name, Figure(**one)) for name, one in map(json.loads, lines)]
