"""Which tests run one after the other in one process, and in which order: what takes long comes first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any

from xdist.scheduler import LoadFileScheduling

SLOWEST = Path(__file__).with_name("slowest.txt")
"""Files that take long, each after its seconds; `tools/lane --slowest` says it of the last run."""

_SHARES = re.compile(r"\b(shared_hub)\b|\b(demo): tuple\[str, Path\]|\b(release): Release\b")
_REPEATS = re.compile(r"^from tests\.([\w.]+) import (test_\w+)", re.MULTILINE)


@cache
def shared_by(path: Path) -> str | None:
    """Name the fixture of a whole run that the tests in ``path`` share with other files, by what the file says.

    In tests/cluster it is also said by the module whose tests are repeated there, with a hub of that backend. Who uses
    a release on the cluster may kill its hub, so they are one after the other.
    """
    if not path.is_file():
        return None
    text, pods = path.read_text(), "cluster" in path.parts
    if pods:
        text += "".join(_texts_of(path, _REPEATS.findall(text)))
    uses = _SHARES.search(text)
    if uses is None:
        return None
    hub, demo, release = uses.groups()
    if release:
        return "a release"
    return f"{path.parent} {demo}" if demo and not pods else f"pods {hub}" if hub and pods else hub


def _texts_of(path: Path, modules: Iterable[tuple[str, str]]) -> Iterable[str]:
    """What the modules say that a file of tests/cluster takes tests from."""
    tests = path.parents[1]
    for package, module in modules:
        found = tests.joinpath(*package.split("."), f"{module}.py")
        if found.is_file():
            yield found.read_text()


class BySharing(LoadFileScheduling):
    """As ``--dist loadfile``, but what is shared by several files is started by one process only.

    What takes long is given out first, so that no process works alone at the end: pytest-xdist begins with the files of
    most tests, which are the quick ones. pytest-xdist 3.8 does not keep its own marks for groups (``xdist_group``)
    together with pytest 9.2.
    """

    _seconds: dict[str, int] | None = None

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return shared_by(self.config.rootpath / file) or file

    def _assign_work_unit(self, node: Any) -> None:
        if self._seconds is None:
            self._seconds = seconds_of(self._split_scope, SLOWEST.read_text().splitlines())
        took = self._seconds
        # Of those that are not on the list, the one of most tests: the order is xdist's own.
        slowest = max(self.workqueue, key=lambda piece: took.get(piece, 0))
        self.workqueue.move_to_end(slowest, last=False)
        super()._assign_work_unit(node)


def seconds_of(piece_of: Callable[[str], str], lines: Iterable[str]) -> dict[str, int]:
    """Give what each piece of work took, of lines of a number of seconds and a file."""
    made: dict[str, int] = {}
    for seconds, file in (line.split() for line in lines):
        piece = piece_of(f"{file}::")
        made[piece] = made.get(piece, 0) + int(seconds)
    return made
