"""Ends what a demo's hub started and left: the hub itself, the proxy, supervisors, network helpers, the data script."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

from visa.clock import elapsed
from visa.processes import Process, all_pids, arguments

_PROGRAMS = ("traefik", "pasta")
_SCRIPTS = ("/visa/hub/sandboxes/supervisor.py", "/visa/cli/demo/facility/data.py")


def of(folder: Path) -> Iterator[Process]:
    """This account's processes of those kinds whose command line names something in ``folder``.

    An editor, or ``tail -f`` of a log there, is nobody's to end.
    """
    for pid in all_pids():
        words = arguments(pid)
        if _is_ours(words) and any(word.startswith(f"{folder}/") for word in words) and _account(pid) == os.getuid():
            process = Process.of(pid)
            if process is not None:
                yield process


def _is_ours(words: list[str]) -> bool:
    if os.path.basename(words[0] if words else "") in _PROGRAMS:
        return True
    return words[1:3] == ["-m", "jupyterhub"] or any(word.endswith(_SCRIPTS) for word in words)


def _account(pid: int) -> int | None:
    """Its real uid; the owner of /proc/PID is root for a process that hides its memory, as pasta does."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def end_all(folder: Path, patience: float = 15.0) -> None:
    """Ask each, wait, then insist; what was started meanwhile too."""
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        end, asked = elapsed() + seconds, set[Process]()
        while (left := set(of(folder))) and elapsed() < end:
            for process in left - asked:
                process.signal(number)
            asked |= left
            time.sleep(0.02)
