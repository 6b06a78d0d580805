"""The launcher of environments with a desktop: a real ``sh``, a real Xvnc, a made-up X session and ``jupyter``."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services.waiting import until
from tests.session import rig

SESSION = """#!/bin/sh
grep SigIgn /proc/self/status >"$HOME/signals"
cat /proc/self/oom_score_adj >"$HOME/value"
echo "session on $DISPLAY" >"$HOME/began"
while [ ! -e "$HOME/leave" ]; do sleep 0.05; done
"""
JUPYTER = """#!/bin/sh
grep SigIgn /proc/self/status >"$HOME/jupyter-signals"
echo "$*" >"$HOME/jupyter-began"
while [ ! -e "$HOME/end-jupyter" ]; do sleep 0.05; done
exit 7
"""


class Launched:
    """A launcher that runs."""

    def __init__(self, place: Path, session: str, sessions: str) -> None:
        self.place, self.run = place, place / "run"
        environ = {
            "PATH": f"{place}/bin:/usr/bin:/bin",
            "HOME": str(place / "home"),
            "TMPDIR": str(place / "tmp"),
            "VISA_RUN": str(self.run),
            "VISA_SESSION": session,
            "VISA_SESSIONS": sessions,
            "VISA_EXPERIMENTS": "e1",
        }
        self.process = subprocess.Popen(
            ["/bin/sh", str(rig.FILES / "launch")], env=environ, start_new_session=True, stderr=subprocess.PIPE
        )

    def home(self, name: str) -> Path:
        """A file there."""
        return self.place / "home" / name

    def until(self, what: str, name: str) -> None:
        """Wait for a file."""
        until((self.place / name).exists, 60, what, self.process)

    def ask(self, kind: str) -> None:
        """As the gateway does."""
        descriptor = os.open(self.run / "ask", os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
        try:
            os.write(descriptor, f"{kind}\n".encode())
        finally:
            os.close(descriptor)

    def word(self) -> str:
        """How the desktop ended."""
        self.until("how the desktop ended", "run/desktop-ended")
        return (self.run / "desktop-ended").read_text().strip()

    def servers(self) -> list[int]:
        """Xvnc processes of this launcher."""
        told = subprocess.run(["pgrep", "-f", f"Xvnc.*{self.run}/desktop.sock"], capture_output=True, text=True)
        return [int(line) for line in told.stdout.split()]

    def end(self) -> int:
        """As the cluster or the supervisor does."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)


@pytest.fixture
def place() -> Iterator[Path]:
    """Folders for a person; short, because a socket's path has at most 107 characters."""
    folder = Path(tempfile.mkdtemp(prefix="visa-l-"))
    for name in ("bin", "home", "run", "tmp"):
        (folder / name).mkdir()
    for name, text in (("openbox-session", SESSION), ("jupyter", JUPYTER)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    # An X session of the machine must not be taken for ours.
    for name in ("startxfce4", "mate-session", "startlxqt"):
        if shutil.which(name):
            (folder / "bin" / name).symlink_to(folder / "bin/openbox-session")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def desktop(place: Path) -> Iterator[Launched]:
    """A desktop instance whose session runs."""
    launched = Launched(place, "desktop", "notebook desktop")
    try:
        launched.until("the session", "home/began")
        yield launched
    finally:
        launched.process.kill() if launched.process.poll() is None and launched.end() is None else None
        for pid in launched.servers():
            os.kill(pid, signal.SIGKILL)


def test_a_desktop_has_a_socket_and_no_port(desktop: Launched) -> None:
    status = os.stat(desktop.run / "desktop.sock")
    assert stat.S_ISSOCK(status.st_mode)
    assert stat.S_IMODE(status.st_mode) == 0o660
    assert stat.S_IMODE(os.stat(desktop.run / "ask").st_mode) == 0o660
    assert desktop.home("began").read_text().startswith("session on :")
    (server,) = desktop.servers()
    listening = subprocess.run(["ss", "-Hltnp"], capture_output=True, text=True, check=True).stdout
    assert f"pid={server}," not in listening
    assert not desktop.home("jupyter-began").exists()


def test_when_memory_ends_programs_of_the_desktop_go_before_its_screen(desktop: Launched) -> None:
    (server,) = desktop.servers()
    assert desktop.home("value").read_text() == "1000\n"
    assert 300 <= int(Path(f"/proc/{server}/oom_score_adj").read_text()) < 1000


def test_interrupts_are_not_ignored(desktop: Launched) -> None:
    """A shell's background processes ignore them; Ctrl-C in a terminal must work."""
    desktop.ask("notebook")
    desktop.until("jupyter", "home/jupyter-began")
    for name in ("signals", "jupyter-signals"):
        ignored = int(desktop.home(name).read_text().split()[1], 16)
        assert not ignored & (1 << signal.SIGINT - 1 | 1 << signal.SIGQUIT - 1), name


def test_who_logs_out_can_start_it_again(desktop: Launched) -> None:
    desktop.home("leave").touch()
    assert desktop.word() == "logged-out"
    assert desktop.process.poll() is None
    assert not desktop.servers()
    desktop.home("leave").unlink()
    desktop.home("began").unlink()
    desktop.ask("desktop")
    desktop.until("the session again", "home/began")
    assert not (desktop.run / "desktop-ended").exists()
    desktop.ask("desktop")  # it runs: nothing happens
    (server,) = desktop.servers()
    assert server


def test_a_killed_x_server_is_told_and_takes_its_session_along(desktop: Launched) -> None:
    (server,) = desktop.servers()
    os.kill(server, signal.SIGKILL)
    assert desktop.word() == "killed"
    assert desktop.process.poll() is None
    sessions = subprocess.run(["pgrep", "-f", f"{desktop.place}/bin/openbox-session"], capture_output=True, text=True)
    assert sessions.stdout == ""


def test_a_killed_x_server_is_told_though_its_session_says_first_that_it_ended(desktop: Launched) -> None:
    (server,) = desktop.servers()
    # The launcher has heard of the session and waits a second for the server: it ends then, and has time to say so.
    waits = f'#!/bin/sh\nif [ "$1" = 1 ]; then kill -KILL {server}; set -- 30; fi\nexec {shutil.which("sleep")} "$@"\n'
    (desktop.place / "bin/sleep").write_text(waits)
    (desktop.place / "bin/sleep").chmod(0o755)
    desktop.home("leave").touch()
    assert desktop.word() == "killed"
    assert not desktop.servers()


def test_the_notebook_starts_when_it_is_asked_for_and_may_end(desktop: Launched) -> None:
    desktop.ask("notebook")
    desktop.until("jupyter", "home/jupyter-began")
    desktop.home("end-jupyter").touch()
    desktop.home("jupyter-began").unlink()
    until(lambda: not _running(desktop.place / "bin/jupyter"), 60, "jupyter's end", desktop.process)
    desktop.home("end-jupyter").unlink()
    until(lambda: _asked(desktop), 60, "jupyter again", desktop.process)
    assert desktop.servers()


def test_terminate_ends_everything(desktop: Launched) -> None:
    desktop.ask("notebook")
    desktop.until("jupyter", "home/jupyter-began")
    desktop.end()
    until(lambda: not desktop.servers(), 60, "the X server's end")
    assert not _running(desktop.place / "bin/jupyter")


def test_a_notebook_instance_ends_with_jupyter_and_has_a_desktop_when_asked(place: Path) -> None:
    launched = Launched(place, "notebook", "notebook desktop")
    try:
        launched.until("jupyter", "home/jupyter-began")
        assert not launched.servers()
        launched.ask("desktop")
        launched.until("the session", "home/began")
        launched.home("end-jupyter").touch()
        assert launched.process.wait(60) == 7
        until(lambda: not launched.servers(), 60, "the X server's end")
    finally:
        if launched.process.poll() is None:
            launched.end()


@pytest.mark.parametrize(("missing", "word"), [("Xvnc", "missing"), ("session", "no-session")])
def test_what_an_image_lacks_is_told(place: Path, missing: str, word: str) -> None:
    (place / "bin/openbox-session").unlink()
    for name in ("sh", "mkfifo", "chmod", "rm", "mv", "mkdir", "dirname", "setsid", "sleep", "ln", "cat", "python3"):
        (place / "bin" / name).symlink_to(shutil.which(name) or "")
    if missing == "session":
        (place / "bin/Xvnc").symlink_to(shutil.which("Xvnc") or "")
    launched = Launched.__new__(Launched)
    launched.place, launched.run = place, place / "run"
    environ = {"PATH": f"{place}/bin", "HOME": str(place / "home"), "TMPDIR": str(place / "tmp")}
    environ |= {"VISA_RUN": str(place / "run"), "VISA_SESSION": "desktop", "VISA_SESSIONS": "desktop"}
    launched.process = subprocess.Popen(["/bin/sh", str(rig.FILES / "launch")], env=environ, start_new_session=True)
    try:
        assert launched.word() == word
        assert launched.process.poll() is None
    finally:
        launched.end()


def _running(program: Path) -> bool:
    return bool(subprocess.run(["pgrep", "-f", f"{program} lab"], capture_output=True).stdout)


def _asked(launched: Launched) -> bool:
    launched.ask("notebook")
    return launched.home("jupyter-began").exists()


def test_files_are_served_beside_a_notebook_too(place: Path) -> None:
    """What members may see is decided by where files lead, which files.py says."""
    launched = Launched(place, "notebook", "notebook desktop")
    launched.until("Jupyter", "home/jupyter-began")
    assert not (launched.run / "files.sock").exists(), "not while Jupyter starts"
    with socket.socket(socket.AF_UNIX) as jupyter:
        jupyter.bind(str(launched.run / "jupyter.sock"))
        launched.until("files.py", "run/files.sock")
    launched.end()
