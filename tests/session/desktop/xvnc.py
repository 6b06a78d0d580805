"""A real X server with a window manager, as the launcher starts it, and programs in it."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.waiting import until
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
            done = subprocess.run(command, env=self.variables, input=given, capture_output=True, text=True, timeout=30)
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
            timeout=30,
            check=True,
        )

    def copied(self) -> str:
        """What a program of the desktop would paste."""
        return self.ask("xclip", "-selection", "clipboard", "-o")

    def paint(self) -> None:
        """A picture of many colours at the top left of the root window, pixel by pixel: `shade`.

        By the X protocol itself, since none of the programs that are there has more than a few colours.
        """
        with socket.socket(socket.AF_UNIX) as server:
            server.settimeout(60)
            server.connect(f"/tmp/.X11-unix/X{self.display[1:]}")
            server.sendall(struct.pack("<BxHHHH2x", ord("l"), 11, 0, 0, 0))
            (length,) = struct.unpack("<H", _exactly(server, 8)[6:])
            setup = _exactly(server, 4 * length)
            context, vendor, formats = (struct.unpack_from("<I", setup, 4)[0], *struct.unpack_from("<H3xB", setup, 16))
            (root,) = struct.unpack_from("<I", setup, 32 + (vendor + 3) // 4 * 4 + 8 * formats)
            server.sendall(struct.pack("<BxHIII", 55, 4, context, root, 0))
            width, height = PAINTED
            for y in range(height):
                row = b"".join(bytes([*reversed(shade(x, y)), 0]) for x in range(width))
                server.sendall(
                    struct.pack("<BBHIIHHHHBB2x", 72, 2, 6 + width, root, context, width, 1, 0, y, 0, 24) + row
                )
            server.sendall(struct.pack("<BxH", 43, 1))  # GetInputFocus: its answer comes when all of it is drawn
            assert _exactly(server, 32)[0] == 1

    def end(self) -> None:
        """Programs first."""
        for program in [*self.programs, self.server]:
            rig.end(program)


PAINTED = 320, 200


def shade(x: int, y: int) -> tuple[int, int, int]:
    """Red, green and blue of one pixel of what `Desktop.paint` paints; nothing that JPEG keeps as it is."""
    return (x * 7 + y * 3) & 255, (x * y) & 255, (x ^ y) & 255


def _exactly(server: socket.socket, count: int) -> bytes:
    return server.recv(count, socket.MSG_WAITALL)


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
        until(lambda: rig.answers(str(run / "desktop.sock")), 60, "Xvnc listens", server)
        desktop.start("openbox")
        # Windows that come while it takes over may be withdrawn and never shown again.
        ready = "_NET_SUPPORTING_WM_CHECK(WINDOW)"
        manager = desktop.programs[0]
        until(
            lambda: ready in desktop.ask("xprop", "-root", "_NET_SUPPORTING_WM_CHECK"), 60, "openbox is ready", manager
        )
        yield desktop
    finally:
        desktop.end()
        (run / "desktop.sock").unlink(missing_ok=True)
