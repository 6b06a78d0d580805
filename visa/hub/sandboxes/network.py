"""The sandbox's way out: to the network, and not to this machine.

The environment has a network namespace of its own. ``pasta`` carries its connections
out as ordinary connections of this machine; its loopback is not the machine's. Routes in the namespace
close what must not be reached: the machine's other addresses and the metadata services of clouds.
"""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Any, Literal

METADATA = ("169.254.169.254/32", "169.254.170.2/32", "100.100.100.200/32", "fd00:ec2::254/128")
_RESOLVER = "169.254.1.53"
# Holds the namespace until its input ends. A route that cannot be made ends it, unless there is no IPv6 at all.
_HOLD = """echo held
while read -r line && [ "$line" != end ]; do
  ip route add $line && continue
  case "$line" in *:*) [ -z "$(ip -6 route show default)" ] && continue ;; esac
  exit 1
done
echo routed
read -r end"""


@dataclass(frozen=True, slots=True)
class Network:
    """The helper that was found, or why there is none."""

    helper: Literal["pasta"] | None
    path: str = ""
    why_not: str = ""

    @property
    def sentence(self) -> str:
        """In words."""
        if self.helper is None:
            return f"none: instances cannot reach the network ({self.why_not})"
        return f"outgoing by {self.helper}; this machine's own services are out of reach"

    @property
    def resolver(self) -> str | None:
        """The name server's address inside."""
        return _RESOLVER if self.helper else None

    def plan(self, run: Path, privileged: bool, closed: tuple[str, ...]) -> dict[str, Any] | None:
        """What the supervisor runs. ``{pid}`` stands for the process that holds the namespace."""
        if self.helper is None:
            return None
        enter = ["nsenter", "--net=/proc/{pid}/ns/net"]
        if not privileged:
            enter = ["nsenter", "--target", "{pid}", "--user", "--net", "--preserve-credentials"]
        return {
            "name": self.helper,
            "holder": ["/usr/bin/unshare", "--user", "--map-root-user", "--net", "--", "/bin/sh", "-c", _HOLD],
            "attach": self._pasta(run, privileged),
            "enter": ["/usr/bin/" + enter[0], *enter[1:], "--"],
            "routes": "\n".join(f"unreachable {network}" for network in closed),
            "pid_file": str(run / "network.pid"),
        }

    def _pasta(self, run: Path, privileged: bool) -> list[str]:
        # As root it stays root, without capabilities: /dev/net/tun may be root's alone.
        account = ["--runas", "0"] if privileged else []
        spaces = ["--userns", "/proc/{pid}/ns/user", "--netns", "/proc/{pid}/ns/net"]
        ports = [piece for option in ("-t", "-u", "-T", "-U") for piece in (option, "none")]
        return [
            *(self.path, *account, "--quiet", "--config-net", "--no-map-gw", *ports),
            *("--dns-forward", _RESOLVER, "--pid", str(run / "network.pid"), *spaces),
        ]


def find() -> Network:
    """The helper to use on this machine."""
    path = shutil.which("pasta")
    if path is None:
        return Network(None, why_not="pasta is not installed; on Debian and Ubuntu it is in the package passt")
    for tool in ("/usr/bin/unshare", "/usr/bin/nsenter"):
        if not os.path.exists(tool):
            return Network(None, why_not=f"{tool} is missing; it is in the package util-linux")
    if shutil.which("ip") is None:
        return Network(None, why_not="ip is not installed; it is in the package iproute2")
    if not _tun_usable():
        return Network(None, why_not="/dev/net/tun cannot be opened by the hub's account")
    return Network("pasta", path)


def _tun_usable() -> bool:
    try:
        return stat.S_ISCHR(os.stat("/dev/net/tun").st_mode) and os.access("/dev/net/tun", os.R_OK | os.W_OK)
    except OSError:
        return False


def closed_networks(more: tuple[str, ...] = ()) -> tuple[str, ...]:
    """What the sandbox must not reach: this machine's addresses, clouds' metadata services, and ``more``."""
    listing = subprocess.run(["ip", "-json", "address"], capture_output=True, check=True, timeout=10).stdout
    own: list[IPv4Network | IPv6Network] = []
    for interface in json.loads(listing):
        for entry in interface.get("addr_info", ()):
            address = ip_address(entry["local"])
            if not address.is_loopback and not address.is_link_local:
                own.append(ip_network(address))
    wanted = [*own, *(ip_network(text) for text in (*METADATA, *more))]
    return tuple(dict.fromkeys(str(network) for network in wanted))
