"""The demo's hub: a child that dies with the demo, and writes to a log of its own."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from visa.cli.demo.trouble import DemoTrouble
from visa.clock import elapsed

_PR_SET_PDEATHSIG = 1
_BOOT = 90.0  # seconds that the hub may take to answer
_DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # http_proxy does not know this machine
_LOG = 20 * 2**20  # bytes; a longer log is put aside at the next start


class Hub:
    """May be started again after its end."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url, self.log = folder, url, folder / "hub.log"
        self._process: subprocess.Popen[bytes] | None = None
        self._log_from = 0

    def start(self) -> None:
        """Start it; it writes to the end of the log."""
        parent, libc = os.getpid(), ctypes.CDLL(None)

        def die_with_the_demo() -> None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:  # it went before the kernel knew what we want
                os._exit(1)

        if self.log.exists() and self.log.stat().st_size > _LOG:
            self.log.replace(self.log.with_suffix(".log.1"))
        variables = {name: value for name, value in os.environ.items() if not name.startswith("JUPYTERHUB_")}
        command = [sys.executable, "-m", "jupyterhub", "-f", str(self.folder / "jupyterhub_config.py")]
        with open(self.log, "ab", opener=_own) as log:
            os.fchmod(log.fileno(), 0o600)
            self._log_from = log.seek(0, os.SEEK_END)
            self._process = subprocess.Popen(
                command,
                cwd=self.folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_the_demo,
            )

    def wait_until_it_answers(self) -> None:
        """Raise `DemoTrouble` when it ends instead, or takes too long."""
        end = elapsed() + _BOOT
        while elapsed() < end:
            if self._process is not None and self._process.poll() is not None:
                raise DemoTrouble(f"The hub does not start: {self.last_words()} (all of it in {self.log}).")
            try:
                with _DIRECT.open(f"{self.url}/hub/login", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise DemoTrouble(f"The hub did not answer within {_BOOT:.0f} seconds; see {self.log}.")

    def wait(self) -> int:
        """Its exit code, when it ends."""
        return self._process.wait() if self._process is not None else 0

    def end(self) -> None:
        """In order if it can, else at once."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def last_words(self) -> str:
        """The last line that the newest hub wrote."""
        with open(self.log, "rb") as log:
            log.seek(self._log_from)
            return last_line(log.read().decode(errors="replace"))


def _own(path: str, flags: int) -> int:
    """Opened, and made for its owner only: a log is nobody else's to read."""
    return os.open(path, flags, 0o600)


def last_line(text: str) -> str:
    """The last line that says something."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "it said nothing"
