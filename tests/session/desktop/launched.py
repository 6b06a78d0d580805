"""A desktop with Selkies, started by the environment's own script: the very options that instances run with."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.services.waiting import until
from tests.session import rig
from tests.session.desktop.xvnc import Desktop

PROGRAMS = rig.ROOT / ".cache/selkies/bin"
NEEDED = pytest.mark.skipif(
    not (PROGRAMS / "selkies").exists(), reason="needs Selkies: tools/selkies .venv/bin/uv python3 .cache/selkies"
)
SESSION = '#!/bin/sh\necho "$DISPLAY" >"$HOME/display"\nexec openbox\n'


@contextlib.contextmanager
def running(programs: Path = PROGRAMS) -> Iterator[Desktop]:
    """Until the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="visa-v-"))
    for name in ("bin", "home", "run", "tmp"):
        (folder / name).mkdir()
    for name in ("startxfce4", "mate-session", "startlxqt", "openbox-session"):
        (folder / "bin" / name).write_text(SESSION)
        (folder / "bin" / name).chmod(0o755)
    environ = {
        "PATH": f"{folder}/bin:{programs}:/usr/bin:/bin",
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "VISA_RUN": str(folder / "run"),
        "VISA_DESKTOP_SERVER": "selkies",
    }
    with open(folder / "log", "wb") as log:
        command = ["/bin/sh", str(rig.FILES / "desktop")]
        process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
    desktop = Desktop(folder / "run", "", process)
    try:
        until((folder / "home/display").exists, 60, "the X session", process)
        until(lambda: (folder / "home/display").read_text().strip(), 60, "its display", process)
        desktop.display = (folder / "home/display").read_text().strip()
        ready = "_NET_SUPPORTING_WM_CHECK(WINDOW)"
        until(lambda: ready in desktop.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), 60, "openbox")
        yield desktop
    except BaseException:
        print((folder / "log").read_text(errors="replace")[-6000:])
        raise
    finally:
        desktop.end()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def with_video() -> Iterator[Desktop]:
    """As soon as Selkies takes connections."""
    with running() as desktop:
        until(lambda: rig.answers(str(desktop.run / "selkies.sock")), 60, "Selkies", desktop.server)
        yield desktop


def processes(desktop: Desktop) -> list[psutil.Process]:
    """All of a desktop that the launcher started."""
    return psutil.Process(desktop.server.pid).children(recursive=True)


def called(process: psutil.Process) -> list[str]:
    """The program, and what it runs."""
    try:
        return [Path(word).name for word in process.cmdline()[:2]]
    except psutil.Error:
        return []
