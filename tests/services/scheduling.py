"""Which tests run one after the other in one process: a file's, and those of files that share what starts slowly."""

from __future__ import annotations

from xdist.scheduler import LoadFileScheduling

DEMO = (
    "tests/end_to_end/test_desktop.py",
    "tests/end_to_end/test_notebook.py",
    "tests/end_to_end/test_together.py",
)
HUB = (
    "tests/cli/api/test_command.py",
    "tests/hub/sharing/test_reports.py",
    "tests/hub/test_demo_login.py",
    "tests/hub/test_entrances.py",
    "tests/hub/test_reports.py",
    "tests/hub/test_restart.py",
    "tests/hub/test_rights.py",
    "tests/portal/test_hub.py",
    "tests/portal/test_same_origin.py",
    "tests/portal/test_with_a_hub.py",
)
SHARED = {path: name for name, paths in {"demo": DEMO, "shared_hub": HUB}.items() for path in paths}
"""The fixture that a file shares with others."""


class BySharing(LoadFileScheduling):
    """As ``--dist loadfile``, but what is shared by several files is started by one process only.

    pytest-xdist 3.8 does not keep its own marks for that (``xdist_group``) together with pytest 9.2.
    """

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return SHARED.get(file, file)
