"""CPU, memory and process limits of an instance, by whatever this machine lets the hub use."""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from visa import clock
from visa.instances.model import Resources

log = logging.getLogger(__name__)

PIDS = 4096
GATEWAY_MEMORY = 256 << 20
_PERIOD = 100_000
Kind = Literal["cgroup2", "cgroup1", "scope", "rlimit"]


@dataclass(frozen=True, slots=True)
class Limits:
    """Where the environment and the gateway go; what the supervisor needs to know about it."""

    environment: tuple[str, ...] = ()
    gateway: tuple[str, ...] = ()
    oom_file: str | None = None
    data: int | None = None
    scope: tuple[str, ...] = ()

    @property
    def all(self) -> tuple[str, ...]:
        """Every group, innermost first."""
        return (*self.environment, *self.gateway)


@dataclass(frozen=True, slots=True)
class ControlGroups:
    """What this machine offers. ``parents``: controller to the folder under which groups are made.

    ``properties``: what systemd's scopes take here besides the limits.
    """

    kind: Kind
    parents: tuple[tuple[str, Path], ...] = ()
    properties: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """What is enforced, in words."""
        return {
            "cgroup2": "CPU, memory and number of processes by control groups (v2)",
            "cgroup1": "CPU, memory and number of processes by control groups (v1)",
            "scope": "CPU, memory and number of processes by systemd scopes",
            "rlimit": "CPU not enforced; memory only for each process, not for the instance as a whole",
        }[self.kind]

    def limits(self, identifier: str, resources: Resources) -> Limits:
        """Make the groups of an instance, or say what stands in for them. Raise OSError when they cannot be made."""
        if self.kind == "rlimit":
            return Limits(data=resources.memory)
        if self.kind == "scope":
            return Limits(scope=_scope(identifier, resources, self.properties))
        environment = self._make(f"{identifier}.environment", resources.cpu, resources.memory)
        gateway = self._make(f"{identifier}.gateway", None, GATEWAY_MEMORY)
        name = "memory.events" if self.kind == "cgroup2" else "memory.oom_control"
        memory = next(parent for controller, parent in self.parents if controller == "memory")
        return Limits(environment, gateway, str(memory / f"{identifier}.environment" / name))

    def _make(self, name: str, cpu: float | None, memory: int) -> tuple[str, ...]:
        made: dict[str, None] = {}
        for controller, parent in self.parents:
            folder = parent / name
            folder.mkdir(parents=True, exist_ok=True)
            made[str(folder)] = None
            for file, value in _settings(self.kind, controller, cpu, memory):
                if (folder / file).exists():
                    (folder / file).write_text(value)
        return tuple(made)

    def remove(self, identifier: str, *, kill: bool = False) -> None:
        """Remove the groups of an instance. ``kill``: end what is still in them (at most 2 s). Blocks."""
        folders = [
            parent / f"{identifier}.{part}" for _c, parent in self.parents for part in ("environment", "gateway")
        ]
        deadline = clock.elapsed() + (2.0 if kill else 0.0)
        while True:
            busy = [folder for folder in dict.fromkeys(folders) if not _removed(folder)]
            if not busy or clock.elapsed() >= deadline:
                break
            for folder in busy:
                _kill_all(folder)
            time.sleep(0.01)
        for folder in busy:
            log.warning("Control group %s stays: it has processes", folder)


def _removed(folder: Path) -> bool:
    try:
        folder.rmdir()
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def _kill_all(folder: Path) -> None:
    try:
        for pid in (folder / "cgroup.procs").read_text().split():
            os.kill(int(pid), signal.SIGKILL)
    except (FileNotFoundError, ProcessLookupError):
        return  # ended meanwhile; the next round looks again


def _settings(kind: Kind, controller: str, cpu: float | None, memory: int) -> list[tuple[str, str]]:
    quota = None if cpu is None else max(1000, int(cpu * _PERIOD))
    if kind == "cgroup2":
        return {
            "memory": [("memory.max", str(memory)), ("memory.swap.max", "0"), ("memory.oom.group", "0")],
            "cpu": [] if quota is None else [("cpu.max", f"{quota} {_PERIOD}")],
            "pids": [("pids.max", str(PIDS))],
        }[controller]
    return {
        "memory": [("memory.limit_in_bytes", str(memory)), ("memory.memsw.limit_in_bytes", str(memory))],
        "cpu": [] if quota is None else [("cpu.cfs_period_us", str(_PERIOD)), ("cpu.cfs_quota_us", str(quota))],
        "pids": [("pids.max", str(PIDS))],
    }[controller]


def _scope(identifier: str, resources: Resources, more: tuple[str, ...]) -> tuple[str, ...]:
    return (
        *("systemd-run", "--user", "--scope", "--quiet", "--collect", f"--unit=visa-{identifier}"),
        f"--property=MemoryMax={resources.memory}",
        "--property=MemorySwapMax=0",
        f"--property=CPUQuota={max(1, int(resources.cpu * 100))}%",
        f"--property=TasksMax={PIDS}",
        *(f"--property={one}" for one in more),
        "--",
    )


def find(state: Path, scope: tuple[str, ...] | None, root: Path = Path("/sys/fs/cgroup")) -> ControlGroups:
    """What can be used here, tried by making a group. ``scope``: properties for systemd's; None: there are none."""
    name = "visa-" + hashlib.sha256(str(state).encode()).hexdigest()[:12]
    for kind, find_parents in (("cgroup2", _second), ("cgroup1", _first)):
        try:
            parents = find_parents(root, name)
            for _controller, parent in parents:
                parent.mkdir(parents=True, exist_ok=True)
            if kind == "cgroup2" and parents:
                (parents[0][1] / "cgroup.subtree_control").write_text("+cpu +memory +pids")
        except OSError as error:
            log.info("%s cannot be used: %s", kind, error)
            continue
        if parents:
            return ControlGroups("cgroup2" if kind == "cgroup2" else "cgroup1", tuple(parents))
    return ControlGroups("rlimit") if scope is None else ControlGroups("scope", properties=scope)


def _own_groups() -> dict[str, str]:
    """Controller to the path of the hub's own group; v2 under the empty name."""
    lines = Path("/proc/self/cgroup").read_text().splitlines()
    return {name: path for _, names, path in (line.split(":", 2) for line in lines) for name in names.split(",")}


def _second(root: Path, name: str) -> list[tuple[str, Path]]:
    """v2: beside the hub's own group (a group with processes may not hand controllers down)."""
    controllers = root / "cgroup.controllers"
    if not controllers.exists():
        return []
    own = root / _own_groups().get("", "/").lstrip("/")
    for parent in (own, *(p for p in own.parents if p == root or root in p.parents)):
        available = (parent / "cgroup.controllers").read_text().split()
        handed = (parent / "cgroup.subtree_control").read_text().split()
        if not {"cpu", "memory", "pids"} <= set(available) or not os.access(parent, os.W_OK):
            continue
        if not {"cpu", "memory", "pids"} <= set(handed):
            try:
                (parent / "cgroup.subtree_control").write_text("+cpu +memory +pids")
            except OSError as error:
                log.info("%s does not hand controllers down: %s", parent, error)
                continue
        return [(controller, parent / name) for controller in ("memory", "cpu", "pids")]
    return []


def _first(root: Path, name: str) -> list[tuple[str, Path]]:
    own = _own_groups()
    found: list[tuple[str, Path]] = []
    for controller in ("memory", "cpu", "pids"):
        parent = root / controller / own.get(controller, "/").lstrip("/")
        if controller not in own or not os.access(parent, os.W_OK):
            return []
        found.append((controller, parent / name))
    return found
