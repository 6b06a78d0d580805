# ruff: noqa: SIM115
"""Run inside a sandbox by the tests: tries what must not work, and writes what it found to /run/visa/told.

Only the standard library. Arguments: files of the machine whose content must not be found, and
``host:port`` of a service of the machine that must not be reached.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import glob
import json
import os
import socket
import subprocess
import sys


def refusal(action: object) -> str:
    """Name of the error of ``action``, or ``allowed``."""
    try:
        action()  # type: ignore[operator]
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))
    return "allowed"


def write_under_data() -> dict[str, str]:
    """Every way to change what lies under /data."""
    file = "/data/E1/run.txt"
    return {
        "write": refusal(lambda: open(file, "w")),
        "append": refusal(lambda: open(file, "a")),
        "create": refusal(lambda: open("/data/E1/new", "w")),
        "rename": refusal(lambda: os.rename(file, "/data/E1/other")),
        "delete": refusal(lambda: os.unlink(file)),
        "chmod": refusal(lambda: os.chmod(file, 0o777)),
        "utime": refusal(lambda: os.utime(file)),
        "chmod folder": refusal(lambda: os.chmod("/data/E1", 0o777)),
        "link": refusal(lambda: os.link(file, "/data/E1/link")),
        "xattr": refusal(lambda: os.setxattr(file, "user.x", b"1")),
        "mkdir": refusal(lambda: os.mkdir("/data/E9")),
        "mkdir /": refusal(lambda: os.mkdir("/x")),
    }


def tricks() -> str:
    """Try to make /data writable with mounts, also in a user namespace of one's own; what changed."""
    script = """
    mount -o remount,rw /data/E1; mount -o remount,rw,bind /data/E1; umount -l /data/E1
    mount --bind /data/E1 /tmp/b; mount -o remount,rw,bind /tmp/b; touch /tmp/b/changed
    mount -o bind,rw / /tmp/b; mount -t tmpfs none /tmp/b; mkdir /tmp/b/o; umount /data
    mount -t proc proc /tmp/b; mount -t sysfs sys /tmp/b; touch /data/E1/changed; echo x > /data/E1/run.txt
    nsenter -t 1 -m -- touch /data/E1/changed; mknod /tmp/disk b 254 0
    """
    os.makedirs("/tmp/b", exist_ok=True)
    for prefix in ([], ["unshare", "-Urm"], ["unshare", "-Urmpf", "--mount-proc"], ["unshare", "-UrmnC"]):
        subprocess.run([*prefix, "sh", "-c", script], capture_output=True)
    return ",".join(sorted(os.listdir("/data/E1"))) + ":" + open("/data/E1/run.txt").read()


def find_text(needles: list[bytes]) -> list[str]:
    """Where a secret can be read: environments, command lines, open files and memory of all processes; keyrings."""
    found = []
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline") + ["/proc/keys"]:
        try:
            with open(path, "rb") as file:
                data = file.read()
        except OSError:
            continue  # closed to us, which is what the test wants
        found += [f"{path}: {n.decode()}" for n in needles if n in data]
    for top in ("/home", "/run", "/tmp", "/etc", "/opt", "/var", "/dev", "/data"):
        for folder, _folders, files in os.walk(top):
            for name in files:
                path = os.path.join(folder, name)
                if os.path.isfile(path) and os.path.getsize(path) < 1_000_000 and os.access(path, os.R_OK):
                    with open(path, "rb") as file:
                        data = file.read()
                    found += [f"{path}: {n.decode()}" for n in needles if n in data]
    return found


def descriptors() -> dict[str, list[str]]:
    """What every process here has open, as far as it can be seen."""
    seen = {}
    for folder in glob.glob("/proc/[0-9]*/fd"):
        if folder.split("/")[2] == str(os.getpid()):
            continue
        try:
            seen[folder] = [os.readlink(os.path.join(folder, fd)) for fd in os.listdir(folder)]
        except OSError:
            continue  # closed to us
    seen["self"] = [t for fd in range(3, 1024) if (t := _target(fd)) is not None]
    return seen


def _target(descriptor: int) -> str | None:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return None


def reach(addresses: list[str]) -> dict[str, str]:
    """What connecting to each address gives."""
    told = {}
    for address in addresses:
        host, _, port = address.rpartition(":")
        told[address] = refusal(lambda host=host, port=port: socket.create_connection((host, int(port)), 3).close())
    return told


def main() -> None:
    files, addresses = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    libc = ctypes.CDLL(None, use_errno=True)
    status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
    told = {
        "uid": os.getuid(),
        "gid": os.getgid(),
        "groups": sorted(os.getgroups()),
        "capabilities": {k: status[k].strip() for k in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")},
        "no_new_privs": status["NoNewPrivs"].strip(),
        "read": open("/data/E1/run.txt").read(),
        "refused": write_under_data(),
        "tricks": tricks(),
        "there": [path for path in files if os.path.lexists(path)],
        "secrets": find_text([b"token-of-the-" + b"hub", b"word-of-the-" + b"database"]),
        "processes": sorted(int(p) for p in os.listdir("/proc") if p.isdigit()),
        "descriptors": descriptors(),
        "reached": reach(addresses),
        "abstract": [line.split()[-1] for line in open("/proc/net/unix") if "@" in line],
        "way out": any(line.split()[1] == "00000000" for line in open("/proc/net/route").read().splitlines()[1:]),
        "terminal": refusal(lambda: fcntl.ioctl(0, 0x5412, b"x")),
        "setuid": refusal(lambda: os.setuid(0)),
        "key": libc.syscall(250, 10, 0, b"user", b"visa-test-key", 0) if os.uname().machine == "x86_64" else -1,
        "environment": dict(os.environ),
        "home": os.getcwd(),
        "writable": refusal(lambda: open("kept", "w").write("mine")),
        "listing": {path: sorted(os.listdir(path)) for path in ("/", "/data", "/home", "/dev", "/run")},
    }
    with open("/run/visa/.told", "w") as file:
        json.dump(told, file)
    os.rename("/run/visa/.told", "/run/visa/told")


main()
