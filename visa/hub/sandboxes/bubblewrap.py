"""Bubblewrap's arguments for an environment and for a gateway.

As root there is no user namespace: bubblewrap keeps three capabilities just long enough for ``setpriv``
to become the person for good. Otherwise a user namespace shows the hub's account as the person, and no
further one can be made inside.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from visa.hub.sandboxes.folders import Account, OpenFolder

_HOST_ETC = (
    "alternatives",
    "bash.bashrc",
    "ca-certificates",
    "crypto-policies",
    "fonts",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "ld.so.conf.d",
    "localtime",
    "mime.types",
    "pki/tls/certs",
    "pki/ca-trust/extracted",
    "profile",
    "protocols",
    "services",
    "ssl/certs",
    "ssl/openssl.cnf",
    "terminfo",
    "timezone",
    "xdg",
    "X11",
)
_GATEWAY_ETC = ("hosts", "resolv.conf", "nsswitch.conf", "passwd", "group")


@dataclass(frozen=True, slots=True)
class Inside:
    """What an environment sees, all of it decided already. Sizes in bytes."""

    hostname: str
    shared: Path
    scratch: Path
    etc: Path
    etc_files: tuple[str, ...]
    configuration: Path
    software: tuple[Path, ...]
    brought: Path
    home: OpenFolder
    data: tuple[OpenFolder, ...]
    memory: int
    devices: tuple[str, ...] = ()
    environ: Mapping[str, str] = field(default_factory=dict)


def environment_arguments(inside: Inside, account: Account | None, own_network: bool, outer: Account) -> list[str]:
    """For the environment. ``account`` None: not root. ``own_network``: none was made by the supervisor."""
    arguments = namespaces(inside.hostname, account, outer)
    if own_network:
        arguments.append("--unshare-net")
    arguments += _system()
    arguments += ["--size", str(max(64 << 20, inside.memory // 2)), "--perms", "1777", "--tmpfs", "/dev/shm"]
    for device in inside.devices:
        arguments += ["--dev-bind", device, device]
    arguments += _parents(["/etc/pki/tls/certs", "/etc/pki/ca-trust/x", "/etc/ssl/certs", "/var/tmp"])
    for name in _HOST_ETC:
        arguments += _bind(f"/etc/{name}")
    for name in inside.etc_files:
        arguments += ["--ro-bind", str(inside.etc / name), f"/etc/{name}"]
    arguments += ["--bind", str(inside.scratch), "/tmp", "--symlink", "../tmp", "/var/tmp"]
    mounts = (inside.home, *inside.data)
    arguments += _parents(
        ["/run/visa", "/opt/visa", "/data/any", *map(str, inside.software), *(m.target for m in mounts)]
    )
    for folder in inside.software:
        arguments += ["--ro-bind", str(folder), str(folder)]
    arguments += ["--bind", str(inside.shared), "/run/visa", "--ro-bind", str(inside.configuration), "/etc/visa"]
    arguments += ["--ro-bind-try", str(inside.brought), "/opt/visa"]
    for mount in mounts:
        option = "--ro-bind-fd" if mount.read_only else "--bind-fd"
        arguments += [option, str(mount.descriptor), mount.target]
    arguments += ["--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    return arguments + _variables(inside.environ)


def gateway_arguments(
    shared: Path, software: Sequence[Path], environ: Mapping[str, str], account: Account | None, outer: Account
) -> list[str]:
    """For the gateway: on the machine's network, and blind but for its own code and its run folder.

    The supervisor puts in the descriptors that it gives.
    """
    arguments = [*namespaces("gateway", account, outer), *_system()]
    # Before the folders in it: the software may lie below /tmp, as a clone for a trial does.
    arguments += ["--size", str(64 << 20), "--perms", "1777", "--tmpfs", "/tmp"]
    arguments += _parents(["/etc/ssl/certs", "/run/visa", *map(str, software)])
    for name in (*_GATEWAY_ETC, "ssl/certs", "ssl/openssl.cnf", "ca-certificates", "ld.so.cache", "localtime"):
        arguments += _bind(f"/etc/{name}")
    for folder in software:
        arguments += ["--ro-bind", str(folder), str(folder)]
    arguments += ["--bind", str(shared), "/run/visa", "--remount-ro", "/dev", "--remount-ro", "/", "--chdir", "/"]
    given = {"VISA_READY_FD": "{ready}", "VISA_LISTEN_FD": "{listen}", "VISA_KEPT": "{kept}"}
    return [*arguments, *_variables(environ), *_variables(given)]


def namespaces(hostname: str, account: Account | None, outer: Account) -> list[str]:
    """Namespaces and the loss of all capabilities. ``outer``: shown inside as the account when not root."""
    arguments = ["--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try", "--hostname", hostname]
    arguments += ["--die-with-parent", "--new-session", "--clearenv"]
    if account is None:
        return [
            *(*arguments, "--unshare-user", "--disable-userns", "--cap-drop", "ALL"),
            *("--uid", str(outer.uid), "--gid", str(outer.gid)),
        ]
    arguments += ["--cap-drop", "ALL"]
    for capability in ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"):
        arguments += ["--cap-add", capability]
    return arguments


def become(account: Account | None, gids: Iterable[int] = ()) -> list[str]:
    """What goes before a command inside so that it runs as ``account`` and never as more."""
    if account is None:
        return []
    groups = ",".join(str(gid) for gid in gids)
    return [
        *("/usr/bin/setpriv", "--reuid", str(account.uid), "--regid", str(account.gid)),
        *(["--groups", groups] if groups else ["--clear-groups"]),
        *("--bounding-set=-all", "--inh-caps=-all", "--ambient-caps=-all", "--no-new-privs", "--"),
    ]


def _system() -> list[str]:
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"):
        if os.path.islink(name):
            arguments += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            arguments += ["--ro-bind", name, name]
    return [*arguments, "--proc", "/proc", "--dev", "/dev"]


def _parents(targets: Iterable[str]) -> list[str]:
    """Folders that mounts lie in. Made by name: those that bubblewrap makes itself may be closed to others."""
    parents = {parent for target in targets for parent in Path(target).parents if parent != Path("/")}
    known = {Path("/tmp"), Path("/proc"), Path("/dev"), Path("/usr")}
    inner = (p for p in parents if p not in known and Path("/usr") not in p.parents)
    ordered = sorted(inner, key=lambda parent: (len(parent.parts), str(parent)))
    return [piece for parent in ordered for piece in ("--perms", "0755", "--dir", str(parent))]


def _bind(path: str) -> list[str]:
    """A file or folder of the machine, read-only; nothing when it is not there."""
    real = os.path.realpath(path)
    return ["--ro-bind", real, path] if os.path.exists(real) else []


def _variables(environ: Mapping[str, str]) -> list[str]:
    return [piece for name, value in environ.items() for piece in ("--setenv", name, value)]
