"""CPU, memory and number of processes of one instance, by cgroup v2 or v1. Standard library only."""

from __future__ import annotations

import os
import time
from pathlib import Path

PROCESSES = 4096
_PERIOD = 100_000  # microseconds


class Limits:
    """The cgroups of one instance under ``folders`` (as `visa.hub.sandboxes.machine.Machine.limits`)."""

    def __init__(self, folders: dict[str, str], name: str) -> None:
        self._v2 = "v2" in folders
        self._groups = {kind: Path(folder) / f"visa-{name}" for kind, folder in folders.items()}

    def make(self, cpu: float, memory: int) -> None:
        """Make the cgroups with these limits. ``OSError`` when the machine refuses."""
        for group in self._groups.values():
            group.mkdir(exist_ok=True)
        quota = max(1000, int(cpu * _PERIOD))
        if self._v2:
            self._write("v2", "cpu.max", f"{quota} {_PERIOD}")
            self._write("v2", "memory.max", memory)
            self._write_if_there("v2", "memory.swap.max", 0)
            self._write_if_there("v2", "pids.max", PROCESSES)
            return
        if "cpu" in self._groups:
            self._write("cpu", "cpu.cfs_period_us", _PERIOD)
            self._write("cpu", "cpu.cfs_quota_us", quota)
        if "memory" in self._groups:
            self._write("memory", "memory.limit_in_bytes", memory)
            self._write_if_there("memory", "memory.memsw.limit_in_bytes", memory)
        if "pids" in self._groups:
            self._write_if_there("pids", "pids.max", PROCESSES)

    def enter(self) -> None:
        """Put the calling process in; what it starts follows."""
        for kind in self._groups:
            self._write(kind, "cgroup.procs", os.getpid())

    def oom_kills(self) -> int:
        """How many processes the kernel killed for memory in here."""
        kind, file = ("v2", "memory.events") if self._v2 else ("memory", "memory.oom_control")
        if kind not in self._groups:
            return 0
        try:
            lines = (self._groups[kind] / file).read_text().splitlines()
        except OSError:
            return 0
        return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)

    def processes(self) -> list[int]:
        """Who is inside."""
        for group in self._groups.values():
            try:
                return [int(line) for line in (group / "cgroup.procs").read_text().split()]
            except OSError:
                continue
        return []

    def remove(self) -> None:
        """Take the cgroups away once they are empty; a last process may need a moment to go."""
        for group in self._groups.values():
            for _ in range(50):
                try:
                    group.rmdir()
                except FileNotFoundError:
                    break
                except OSError:
                    time.sleep(0.02)
                else:
                    break

    def _write(self, kind: str, file: str, value: object) -> None:
        (self._groups[kind] / file).write_text(str(value))

    def _write_if_there(self, kind: str, file: str, value: object) -> None:
        if (self._groups[kind] / file).exists():
            self._write(kind, file, value)
