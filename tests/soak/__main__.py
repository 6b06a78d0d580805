"""Everything that only time finds: ``python -m tests.soak [--minutes 30] [PART]...``, or ``make soak MINUTES=30``.

Its parts share the time, one after another: what a part did is counted, and a part that did nothing fails as one that
found a fault. The benchmarks come first, each for a few rounds, and take what they take; each other part has half a
minute at least. Logs are in .cache/soak.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from benchmarks.__main__ import FEW, measured
from benchmarks.figures import kept

REPOSITORY = Path(__file__).parents[2]
FOLDER = REPOSITORY / ".cache" / "soak"
LEAST, LATE = 30.0, 900.0
"""Seconds that a part has, and that it may be late by: to begin, to end what it began."""
FIRST_EXAMPLES, MOST_EXAMPLES = 50, 100_000
SEQUENCES = ("tests/store/test_quota_sequences.py", "tests/store/sharing/test_sequences.py")
OBSERVERS = 60
Counts = Counter[str]


class Fault(Exception):
    """A part found something, or did nothing; what it said."""


def _run(name: str, command: list[str], seconds: float, **variables: str) -> str:
    """Run a command of a part with its log; what it said. Raises `Fault` where it fails or does not end."""
    log = FOLDER / f"{name}.log"
    with open(log, "a+") as file:
        begin = file.tell()
        process = subprocess.Popen(
            command, stdout=file, stderr=subprocess.STDOUT, cwd=REPOSITORY, env={**os.environ, **variables}
        )
        try:
            code: int | None = process.wait(seconds + LATE)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            _end(process)
        file.seek(begin)
        said = file.read()
    if code != 0:
        raise Fault(f"{said[-4000:]}\n{name}: {'did not end' if code is None else f'exit code {code}'}, see {log}")
    return said


def _end(process: subprocess.Popen[bytes]) -> None:
    """Interrupt it, so that it ends what it started; after a minute, end it."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _pytest(name: str, seconds: float, *arguments: str, **variables: str) -> str:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n0", *arguments]
    return _run(name, command, seconds, **variables)


def properties(seconds: float) -> Counts:
    """Try random examples of all properties, twice as many in each round while there is time for it."""
    end, examples, counts = time.monotonic() + seconds, FIRST_EXAMPLES, Counts()
    while examples <= MOST_EXAMPLES:
        began = time.monotonic()
        options = ("--hypothesis-profile=soak", "--hypothesis-show-statistics", "-m", "hypothesis", "tests")
        said = _pytest("properties", 3 * seconds, *options, "--timeout=0", SOAK_EXAMPLES=str(examples))
        counts["examples"] += sum(map(int, re.findall(r"(\d+) passing,", said)))
        counts["rounds"] += 1
        if time.monotonic() + 2 * (time.monotonic() - began) > end:
            break
        examples *= 2
    return counts


def sequences(seconds: float) -> Counts:
    """Try random sequences of starts, stops and acts against the store, again and again."""
    end, counts = time.monotonic() + seconds, Counts()
    while not counts or time.monotonic() < end:
        options = ("--hypothesis-profile=soak", "--timeout=0", "-k", "sqlite", *SEQUENCES)
        said = _pytest("sequences", seconds, *options)
        counts["machines"] += sum(map(int, re.findall(r"(\d+) passed", said)))
    return counts


def fuzz(seconds: float) -> Counts:
    """Fuzz RFB's filters in both directions."""
    said = _run("fuzz", ["tools/fuzz", str(int(seconds))], seconds)
    return Counts(executions=sum(map(int, re.findall(r"number_of_executed_units:\s*(\d+)", said))))


def _tests(name: str, seconds: float, each: int, **more: str) -> Counts:
    """Run tests of this folder, each of which goes on for its part of the time."""
    did = FOLDER / f"{name}.did"
    did.unlink(missing_ok=True)
    variables = {"SOAK_SECONDS": str(seconds / each), "SOAK_DID": str(did), **more}
    _pytest(name, seconds, "-m", "soak", f"tests/soak/test_{name}.py", **variables)
    lines = [Counts(json.loads(line)) for line in did.read_text().splitlines()]
    if len(lines) != each:
        raise Fault(f"{len(lines)} of {each} tests of {name} said what they did")
    return sum(lines, Counts())


def flapping(seconds: float) -> Counts:
    """Cut the network of a client and of a page."""
    return _tests("flapping", seconds, 2)


def kills(seconds: float) -> Counts:
    """Kill the hub in the middle of starts."""
    return _tests("kills", seconds, 1)


def attacks(seconds: float) -> Counts:
    """Attack the demo with many instances, and print what was measured."""
    table = FOLDER / "attacks.table"
    table.unlink(missing_ok=True)
    try:
        return _tests("attacks", seconds, 1, SOAK_TABLE=str(table))
    finally:
        print(table.read_text() if table.exists() else "attacks: nothing was measured", flush=True)


def pages(seconds: float) -> Counts:
    """Attack from a page that an instance serves, in the browser of each who may open it."""
    said = _pytest("pages", seconds, "-m", "soak", "tests/soak/hostile")
    return Counts(attacks=sum(map(int, re.findall(r"(\d+) passed", said))))


def observers(seconds: float) -> Counts:
    """Let many watch one instance, round after round."""
    end, counts = time.monotonic() + seconds, Counts()
    while not counts or time.monotonic() < end:
        command = [sys.executable, "-m", "benchmarks.observers", "1", f"--observers={OBSERVERS}"]
        _run("observers", command, seconds)
        counts["rounds"] += 1
        counts["observers"] += OBSERVERS
    return counts


def benchmarks(seconds: float) -> Counts:
    """Run each benchmark for a few rounds, but that of the observers, which is a part of its own."""
    keep = FOLDER / "figures.jsonl"
    keep.unlink(missing_ok=True)
    failed = [name for name in FEW if name != "benchmarks.observers" and not measured(name, FEW[name], keep)]
    if failed:
        raise Fault(f"these failed or measured nothing: {', '.join(failed)}")
    return Counts(benchmarks=len({name for name, _ in kept(keep)}), figures=len(kept(keep)))


PARTS: dict[str, tuple[Callable[[float], Counts], int]] = {
    "benchmarks": (benchmarks, 0),
    "observers": (observers, 2),
    "properties": (properties, 4),
    "sequences": (sequences, 2),
    "fuzz": (fuzz, 2),
    "flapping": (flapping, 2),
    "kills": (kills, 2),
    "attacks": (attacks, 4),
    "pages": (pages, 2),
}
"""Each part, and its share of the time that is left after the benchmarks."""


def done(name: str, seconds: float) -> str:
    """Run one part and say what it did. Raises `Fault` where it found a fault or did nothing."""
    counts = PARTS[name][0](seconds)
    if not counts or not all(counts.values()):
        raise Fault(f"{name} did nothing: {dict(counts)}")
    return ", ".join(f"{count:,} {what}" for what, count in counts.items())


def main() -> int:
    """Run the parts; 1 when one failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=30, help="for all parts together; else 30")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; else all")
    given = parser.parse_args()
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part is called {', '.join(sorted(unknown))}: they are {', '.join(PARTS)}")
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell lets background jobs ignore it, and theirs too
    FOLDER.mkdir(parents=True, exist_ok=True)
    for log in FOLDER.glob("*.log"):
        log.unlink()
    names = [name for name in PARTS if name in (given.parts or PARTS)]
    end, said = time.monotonic() + 60 * given.minutes, {}
    for number, name in enumerate(names):
        left = sum(PARTS[other][1] for other in names[number:]) or 1
        seconds = max(LEAST, (end - time.monotonic()) * PARTS[name][1] / left)
        began = time.monotonic()
        print(f"{name}, about {seconds:.0f} s", flush=True)
        try:
            said[name] = done(name, seconds)
            fault = ""
        except Fault as error:
            fault = "FAULT"
            print(error, file=sys.stderr, flush=True)
        said[name] = f"{time.monotonic() - began:6.0f} s  {fault or said[name]}"
        print(f"{name}: {said[name].strip()}", flush=True)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    print("\n" + "\n".join(f"{name:<12}{what}" for name, what in said.items()) + f"\nload of the machine: {load}")
    return int(any("FAULT" in what for what in said.values()))


if __name__ == "__main__":
    sys.exit(main())
