"""One demo per folder. The lock is the kernel's: free when the demo and its keeper are gone, however they went."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

from visa.cli.demo.trouble import DemoTrouble
from visa.clock import elapsed
from visa.processes import Process

_PATIENCE = 25.0  # seconds that the keeper of a killed demo may need to end everything


@contextlib.contextmanager
def only_one(folder: Path, url: str) -> Iterator[int]:
    """Hold ``folder``; the lock's descriptor. Raise `DemoTrouble` when another demo holds it."""
    descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        _take(descriptor, folder)
        own = Process.of(os.getpid())
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{own.pid} {own.started} {url}".encode() if own else b"", 0)
        yield descriptor
    finally:
        os.close(descriptor)


def _take(descriptor: int, folder: Path) -> None:
    end = elapsed() + _PATIENCE
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            holder, url = _holder(descriptor)
            if holder is None or holder.is_alive() or elapsed() > end:
                where = f"{url}, process {holder.pid}" if holder else "it is just starting"
                raise DemoTrouble(
                    f"A demo runs in {folder} already ({where}); end it with Ctrl-C, or give another --dir and --port."
                ) from None
        time.sleep(0.05)  # that demo was killed, and its keeper still ends what it had started


def _holder(descriptor: int) -> tuple[Process | None, str]:
    try:
        pid, started, url = os.pread(descriptor, 500, 0).decode(errors="replace").split()
        return Process(int(pid), int(started)), url
    except ValueError:
        return None, ""
