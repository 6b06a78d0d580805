"""A desktop in a real sandbox: closed to the network, open to the gateway, and silx view on the experiment's file."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.hub.sandboxing import GID, UID, Place, made_place, told
from tests.services.waiting import until
from visa.facility.model import Facility
from visa.hub import inside
from visa.hub.sandboxes import instance
from visa.identifiers import EnvironmentId, Username
from visa.instances.model import Identity, Resources

NEXUS = """
import sys, h5py, numpy
with h5py.File(sys.argv[1], "w") as file:
    entry = file.create_group("entry")
    entry.attrs["NX_class"] = "NXentry"
    entry["counts"] = numpy.arange(100.0).reshape(10, 10)
"""
LISTENING = "0A"
REACH = (Path(__file__).parents[1] / "services" / "reach.py").read_text()

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can enter the sandbox to look around")


@dataclass
class Desktop:
    """A running desktop instance."""

    run: Path
    supervisor: int

    @property
    def socket(self) -> Path:
        """Of Xvnc, seen from outside."""
        return self.run / "shared" / "desktop.sock"

    def process(self, name: str) -> psutil.Process | None:
        """One of the sandbox."""
        for one in psutil.Process(self.supervisor).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):  # it ended while it was looked at
                if one.name() == name and one.status() != psutil.STATUS_ZOMBIE:
                    return one
        return None

    def inside(self, *command: str) -> str:
        """What a command of the person's says on the desktop, or that it ran."""
        session = self.process("openbox")
        assert session is not None
        names = ("DISPLAY", "HOME", "XDG_DATA_DIRS", "XDG_RUNTIME_DIR", "PATH", "VISA_DATA", "LANG")
        environ = [f"{name}={value}" for name, value in session.environ().items() if name in names]
        enter = ["nsenter", "-t", str(session.pid), "-m", "-n", "-i", "-p", "-S", str(UID), "-G", str(GID)]
        done = subprocess.run([*enter, "env", "-i", *environ, *command], capture_output=True, text=True, timeout=30)
        return done.stdout + done.stderr


def facility(place: Place, prefix: Path) -> Facility:
    """The place's, with an environment that has a desktop."""
    made = place.facility().model_dump(mode="json", exclude_none=True)
    made["environments"]["seen"] = {
        "title": "Seen",
        "sessions": ["desktop", "notebook"],
        "local": {"prefix": str(prefix)},
    }
    return Facility.model_validate(made)


def write_nexus(file: Path, prefix: Path) -> None:
    """A small file, readable by everybody."""
    subprocess.run([prefix / "bin/python", "-c", NEXUS, file], check=True)
    file.chmod(0o644)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with made_place(tmp_path) as place:
        yield place


@pytest.fixture
async def desktop(place: Place, environment_prefix: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    """Marie's, on E1, where there is a NeXus file."""
    write_nexus(place.folder / "data/E1/run.nxs", environment_prefix)
    known = facility(place, environment_prefix)
    monkeypatch.setattr(place, "facility", lambda: known)
    wanted: dict[str, Any] = {"environment": EnvironmentId("seen"), "session": "desktop"}
    spec = place.spec(**wanted, resources=Resources(cpu=1, memory=1 << 30, gpu=0, scratch=1 << 30))
    run, running = await place.run(inside.LAUNCH, spec, configuration=instance.CONFIGURATION)
    made = Desktop(run, running.supervisor.pid)
    until(lambda: made.process("openbox"), 60, "the session")
    return made


async def test_only_the_gateway_reaches_the_x_server(desktop: Desktop) -> None:
    server = desktop.process("Xvnc")
    assert server is not None
    assert _listening(server.pid) == []
    status = desktop.socket.stat()
    assert stat.S_IMODE(status.st_mode) == 0o660
    if os.geteuid() == 0:
        assert (status.st_uid, status.st_gid) == (UID, 65500), "hers, and the gateway's group"
        assert _greeting(desktop.socket, 65500).startswith("RFB 003.008")
        assert "PermissionError" in _greeting(desktop.socket, 65501)


@as_root
async def test_another_persons_sandbox_reaches_no_x_server(
    desktop: Desktop, place: Place, environment_prefix: Path
) -> None:
    own = json.loads(desktop.inside(str(environment_prefix / "bin/python"), "-c", REACH))
    assert "/run/visa/desktop.sock" in own, "it finds what there is"
    assert not [one for one in own if ":" in one], "no TCP port"
    lise = Identity(Username("lise"), "Lise", UID + 1, GID + 1, ())
    script = f"{REACH.partition('if __name__')[0]}\nwith open('/run/visa/new', 'w') as sys.stdout:\n    main()\n"
    script += "import os\nos.rename('/run/visa/new', '/run/visa/told')"
    theirs = place.spec(identity=lise, experiments=(), mounts=())
    run, _ = await place.run((sys.executable, "-c", script, str(desktop.socket)), theirs)
    assert told(run) == []


def _listening(pid: int) -> list[str]:
    """TCP sockets that wait for somebody, where process ``pid`` is."""
    tables = [Path(f"/proc/{pid}/net/{name}").read_text().splitlines()[1:] for name in ("tcp", "tcp6")]
    return [line for table in tables for line in table if line.split()[3] == LISTENING]


def _greeting(path: Path, account: int) -> str:
    """What the X server says to another account of the machine, or why nothing."""
    script = (
        "import os, socket, sys; account = int(sys.argv[2]); os.setgroups([]); os.setgid(account); os.setuid(account);"
        "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); print(s.recv(12).decode())"
    )
    command = [sys.executable, "-c", script, path.name, str(account)]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, timeout=60)
    return done.stdout + done.stderr


@as_root
async def test_a_file_opened_in_the_file_manager_is_shown_by_silx_view(desktop: Desktop) -> None:
    until(lambda: desktop.process("pcmanfm"), 60, "the file manager")
    until(lambda: "E1" in desktop.inside("xwininfo", "-root", "-tree"), 60, "its window on the experiment")
    desktop.inside("pcmanfm", "/data/E1/run.nxs")
    until(lambda: "Silx viewer" in desktop.inside("xwininfo", "-root", "-tree"), 60, "silx view's window")


@as_root
async def test_a_killed_x_server_leaves_the_instance_and_is_started_again(desktop: Desktop) -> None:
    server = desktop.process("Xvnc")
    assert server is not None
    server.kill()
    ended = desktop.run / "shared" / "desktop-ended"
    until(ended.exists, 60, "the word")
    assert ended.read_text() == "killed\n"
    ask = os.open(desktop.run / "shared" / "ask", os.O_WRONLY | os.O_NONBLOCK)
    os.write(ask, b"desktop\n")
    os.close(ask)
    # A socket, and not the former session's last moments.
    until(lambda: _greeting(desktop.socket, UID) == "RFB 003.008\n\n", 60, "the X server again")
    until(lambda: desktop.process("openbox"), 60, "the session again")
