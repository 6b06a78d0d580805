"""How long the tests of `make soak` go on, and what they did."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SECONDS = float(os.environ.get("SOAK_SECONDS", "60"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each of this folder as long as was asked for, and time to begin and end."""
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.soak)
            item.add_marker(pytest.mark.timeout(SECONDS + 600))


class Soak:
    """The time that a test has, and its counts."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}

    def turns(self) -> Iterator[int]:
        """Count turns until the time is over; there is one at least."""
        end, turn = time.monotonic() + SECONDS, 0
        while turn == 0 or time.monotonic() < end:
            yield turn
            turn += 1

    def did(self, what: str, count: int = 1) -> None:
        """Say what was done so many times more."""
        self.counts[what] = self.counts.get(what, 0) + count


@pytest.fixture
def soak() -> Iterator[Soak]:
    """What it did stands at the end in the file SOAK_DID, a line of JSON for each test."""
    made = Soak()
    yield made
    assert made.counts, "it did nothing"
    if file := os.environ.get("SOAK_DID"):
        with open(file, "a") as kept:
            kept.write(json.dumps(made.counts) + "\n")
