"""A real X server with a window manager, as the launcher starts it, and programs in it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.session import rig


@dataclass
class Desktop:
    """One X server on ``run/desktop.sock``."""

    run: Path
    display: str
    server: subprocess.Popen[bytes]
    programs: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def variables(self) -> dict[str, str]:
        """Of programs in it."""
        return {**os.environ, "DISPLAY": self.display, "HOME": str(self.run), "LC_ALL": "C.UTF-8"}

    def start(self, *command: str) -> None:
        """A program that stays."""
        quiet = subprocess.DEVNULL
        self.programs.append(
            subprocess.Popen(command, env=self.variables, stdout=quiet, stderr=quiet, start_new_session=True)
        )

    def ask(self, *command: str, given: str | None = None) -> str:
        """What a program says; empty when it fails or says nothing in time."""
        try:
            done = subprocess.run(command, env=self.variables, input=given, capture_output=True, text=True, timeout=5)
        except subprocess.TimeoutExpired:
            return ""
        return done.stdout

    def size(self) -> tuple[int, int]:
        """Of the screen."""
        line = next(line for line in self.ask("xdpyinfo").splitlines() if "dimensions:" in line)
        width, height = line.split()[1].split("x")
        return int(width), int(height)

    def copy(self, text: str) -> None:
        """As a program of the desktop would: until somebody else copies."""
        subprocess.run(
            ["xclip", "-selection", "clipboard"],
            input=text,
            text=True,
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=5,
            check=True,
        )

    def copied(self) -> str:
        """What a program of the desktop would paste."""
        return self.ask("xclip", "-selection", "clipboard", "-o")

    def end(self) -> None:
        """Programs first."""
        for program in [*self.programs, self.server]:
            rig.end(program)


@contextlib.contextmanager
def running(run: Path, *options: str) -> Iterator[Desktop]:
    """Until the end of the block."""
    reading, writing = os.pipe()
    command = ["Xvnc", "-displayfd", str(writing), "-rfbunixpath", str(run / "desktop.sock"), "-rfbport", "-1"]
    command += [
        "-SecurityTypes",
        "None",
        "-UseBlacklist=0",
        "-AlwaysShared",
        "-MaxCutText",
        "67109888",
        "-geometry",
        "1280x800",
        "-nolisten",
        "tcp",
        "-noreset",
        *options,
    ]
    with open(run / "xvnc.log", "wb") as log:
        server = subprocess.Popen(command, pass_fds=[writing], stdout=log, stderr=log, start_new_session=True)
    os.close(writing)
    with os.fdopen(reading) as said:
        display = f":{said.readline().strip()}"
    desktop = Desktop(run, display, server)
    try:
        rig.wait_until(lambda: rig.answers(str(run / "desktop.sock")), 20, "Xvnc listens", server)
        desktop.start("openbox")
        # Windows that come while it takes over may be withdrawn and never shown again.
        ready = "_NET_SUPPORTING_WM_CHECK(WINDOW)"
        manager = desktop.programs[0]
        rig.wait_until(
            lambda: ready in desktop.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), 30, "openbox is ready", manager
        )
        yield desktop
    finally:
        desktop.end()
        (run / "desktop.sock").unlink(missing_ok=True)
