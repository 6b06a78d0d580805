"""docs/operators/troubleshooting.md: every sentence that people see of the cluster is on it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.docs.sentences import sentences

HUB = REPOSITORY / "visa" / "hub"
PAGE = " ".join((REPOSITORY / "docs" / "operators" / "troubleshooting.md").read_text().split())
FINISHED = re.compile(r"\\?.?[\"']?[A-Z].*\\\.(\.\{0,120\}\?)?$")


def cases() -> list[object]:
    """(pattern, source) of everything in failures.py, and of whole sentences elsewhere."""
    found = list(sentences(HUB / "pods" / "failures.py").items())
    for file in ("kubernetes.py", "pods/cluster.py", "admitted.py"):
        found += [(p, s) for p, s in sentences(HUB / file).items() if FINISHED.match(p)]
    return [pytest.param(pattern, id=source[:70]) for pattern, source in dict(found).items()]


@pytest.mark.parametrize("pattern", cases())
def test_every_sentence_is_on_the_page(pattern: str) -> None:
    assert re.search(pattern.removesuffix(" .{0,120}?"), PAGE), f"troubleshooting.md does not say: {pattern}"


def test_the_sentences_are_found(tmp_path: Path) -> None:
    """The search itself: f-strings are patterns; remedies, docstrings and what Kubernetes says are not looked for."""
    code = tmp_path / "code.py"
    code.write_text(
        '"""A docstring of words."""\n'
        'PAIRS = ((r"Insufficient cpu of it", "too few cores free"),)\n'
        'def f(x):\n    if "some words in it" in x:\n        re.search("a b c", x)\n'
        '    return Cause(f"The {x} is not there.", "A remedy that is long.")\n'
    )
    assert set(sentences(code).values()) == {"f'The {x} is not there.'", "'too few cores free'"}
