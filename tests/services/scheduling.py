"""Which tests run one after the other in one process: a file's, and those of files that share what starts slowly."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

from xdist.scheduler import LoadFileScheduling

_SHARES = re.compile(r"\b(shared_hub)\b|\b(demo): tuple\[str, Path\]")


@cache
def shared_by(path: Path) -> str | None:
    """Name the fixture of a whole run that the tests in ``path`` share with other files, by what the file says.

    Those of tests/cluster have a hub of their own backend.
    """
    uses = _SHARES.search(path.read_text()) if path.is_file() and "cluster" not in path.parts else None
    return uses[1] or f"{path.parent} {uses[2]}" if uses else None


class BySharing(LoadFileScheduling):
    """As ``--dist loadfile``, but what is shared by several files is started by one process only.

    pytest-xdist 3.8 does not keep its own marks for that (``xdist_group``) together with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return shared_by(self.config.rootpath / file) or file
