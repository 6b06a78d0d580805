"""Ends what a demo's hub started and left: the proxy, and the instances' supervisors."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

from visa.processes import Process, all_pids, arguments


def of(state: Path) -> Iterator[Process]:
    """Processes whose command line names a file or folder in ``state``."""
    for pid in all_pids():
        if any(argument.startswith(f"{state}/") for argument in arguments(pid)):
            process = Process.of(pid)
            if process is not None:
                yield process


def end_all(state: Path, patience: float = 15.0) -> None:
    """Ask each, wait, then insist."""
    left = list(of(state))
    for number, seconds in ((signal.SIGTERM, patience), (signal.SIGKILL, 5.0)):
        for process in left:
            process.signal(number)
        end = time.monotonic() + seconds
        while left and time.monotonic() < end:
            left = [process for process in left if process.is_alive()]
            time.sleep(0.02)
