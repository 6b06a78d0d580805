"""An `InstanceSpec` as bwrap's arguments. What is not named here does not exist inside."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import visa
from visa.hub.admitted import StartFailed
from visa.hub.sandboxes.folders import Folders
from visa.hub.sandboxes.machine import Machine
from visa.instances.model import Identity

_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
_ETC = (
    "alternatives",
    "ca-certificates",
    "fonts",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "magic",
    "mime.types",
    "pki",
    "ssl",
    "timezone",
)


@dataclass(frozen=True, slots=True)
class Bind:
    """One folder of this machine inside."""

    source: Path
    target: str
    read_only: bool


def environment_command(
    machine: Machine,
    folders: Folders,
    identity: Identity,
    prefix: Path,
    data: Iterable[Bind],
    variables: dict[str, str],
    hidden: Iterable[Path],
) -> list[str]:
    """The whole command of the environment. ``hidden``: folders that no bind may bring in."""
    pythons = list(_python_folders(prefix))
    for python in pythons:
        _refuse_around(python, hidden)
    home = f"/home/{identity.username}"
    # fmt: off
    command = [
        str(machine.bwrap), *_namespaces(machine, identity), "--unshare-net",
        "--info-fd", "{info}", *_system(), *_dev_and_proc(),
        "--bind", str(folders.scratch), "/tmp",
        *_etc(folders.etc),
        *_ro_folders(pythons),
        "--perms", "0755", "--dir", "/home", "--bind", str(folders.home), home,
        "--perms", "0755", "--dir", "/run", "--bind", str(folders.run), "/run/visa",
        *_data(data),
    ]
    # fmt: on
    software = prefix / "share" / "visa"
    if software.is_dir():
        command += ["--ro-bind", str(software), "/opt/visa"]
    command += ["--remount-ro", "/", "--chdir", home, "--clearenv"]
    for name, value in variables.items():
        command += ["--setenv", name, value]
    return [*command, "--", *_drop(machine, identity.uid, identity.gid, identity.gids), "/bin/sh", "/etc/visa/launch"]


def gateway_command(machine: Machine, folders: Folders, uid: int, gid: int) -> list[str]:
    """The gateway's command: as root in its own view of the machine and as an account of its own."""
    python = [sys.executable, "-m", "visa.session"]
    if not machine.root:
        return python
    package = Path(visa.__file__).parent
    # fmt: off
    return [
        str(machine.bwrap), "--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts",
        *_system(), *_dev_and_proc(), "--perms", "1777", "--tmpfs", "/tmp",
        "--ro-bind-try", "/etc/ssl", "/etc/ssl", "--ro-bind-try", "/etc/resolv.conf", "/etc/resolv.conf",
        "--ro-bind-try", "/etc/hosts", "/etc/hosts", "--ro-bind-try", "/etc/nsswitch.conf", "/etc/nsswitch.conf",
        "--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache",
        *_ro_folders([*_python_folders(Path(sys.prefix)), package]),
        "--perms", "0755", "--dir", "/run", "--bind", str(folders.run), "/run/visa",
        "--remount-ro", "/", "--chdir", "/", "--", *_drop(machine, uid, gid, ()), *python,
    ]
    # fmt: on


def _namespaces(machine: Machine, identity: Identity) -> list[str]:
    common = ["--die-with-parent", "--new-session", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    common += ["--unshare-cgroup-try", "--hostname", "visa"]
    if machine.root:
        return common
    return [*common, "--unshare-user", "--uid", str(identity.uid), "--gid", str(identity.gid), "--cap-drop", "ALL"]


def _drop(machine: Machine, uid: int, gid: int, gids: Iterable[int]) -> list[str]:
    """Started by root bwrap keeps every capability, and a remount of /data would succeed: give all up."""
    if not machine.root:
        return []
    others = ",".join(map(str, gids))
    groups = ["--groups", others] if others else ["--clear-groups"]
    ids = ["--reuid", str(uid), "--regid", str(gid), *groups]
    return ["/usr/bin/setpriv", *ids, "--inh-caps=-all", "--ambient-caps=-all", "--bounding-set=-all", "--no-new-privs"]


def _system() -> Iterator[str]:
    """The machine's programs, read-only, with its links as links."""
    for name in _SYSTEM:
        path = Path("/") / name
        if path.is_symlink():
            yield from ("--symlink", os.readlink(path), str(path))
        elif path.is_dir():
            yield from ("--ro-bind", str(path), str(path))


def _dev_and_proc() -> list[str]:
    return ["--proc", "/proc", "--dev", "/dev", "--perms", "1777", "--tmpfs", "/dev/shm"]


def _etc(etc: Path) -> Iterator[str]:
    yield from ("--perms", "0755", "--dir", "/etc")
    for name in _ETC:
        if (Path("/etc") / name).exists():
            yield from ("--ro-bind", f"/etc/{name}", f"/etc/{name}")
    for path in sorted(etc.iterdir()):
        yield from ("--ro-bind", str(path), f"/etc/{path.name}")


def _data(data: Iterable[Bind]) -> Iterator[str]:
    for top in ("/data", "/shared"):
        yield from ("--perms", "0755", "--tmpfs", top)
    for bind in data:
        yield from ("--ro-bind" if bind.read_only else "--bind", str(bind.source), bind.target)
    for top in ("/data", "/shared"):
        yield from ("--remount-ro", top)


def _python_folders(prefix: Path) -> Iterator[Path]:
    """A Python environment and the installation it was made from, which may lie in somebody's home."""
    prefix = Path(os.path.realpath(prefix))
    yield prefix
    python = Path(os.path.realpath(prefix / "bin" / "python"))
    base = python.parent.parent
    if base != prefix:
        yield base
    # venvs name the Python they were made with as a link; every link on the way has to be there too
    link = prefix / "bin" / "python"
    for _ in range(8):
        if not link.is_symlink():
            break
        link = link.parent / os.readlink(link)
        yield Path(os.path.normpath(link)).parent.parent


def _ro_folders(paths: Iterable[Path]) -> Iterator[str]:
    """Read-only binds, but for what the system's folders hold already."""
    seen: set[Path] = set()
    for path in paths:
        inside = any(path.is_relative_to(f"/{name}") for name in _SYSTEM)
        if path in seen or inside or path == Path("/"):
            continue
        seen.add(path)
        for parent in reversed(path.parents[:-1]):
            yield from ("--perms", "0755", "--dir", str(parent))
        yield from ("--ro-bind", str(path), str(path))


def _refuse_around(bound: Path, hidden: Iterable[Path]) -> None:
    for secret in hidden:
        if Path(os.path.realpath(secret)).is_relative_to(bound) and not bound.is_relative_to("/usr"):
            raise StartFailed(
                f"{secret} lies inside {bound}, which instances can read.",
                "The operators have to move the service's state or the data out of the Python environment.",
            )
