"""Ends everything when the demo is killed and cannot do it itself.

``python -m visa.cli.demo.keeper STATE`` reads from its input, whose other end only the demo holds: its end is the
demo's end. It holds the demo's lock too, so that the next demo waits until everything is gone.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

from visa.cli.demo.leftovers import end_all


def start(state: Path, lock: int) -> subprocess.Popen[bytes]:
    """The keeper of this process."""
    return subprocess.Popen(
        [sys.executable, "-m", "visa.cli.demo.keeper", str(state)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        pass_fds=(lock,),
    )


def dismiss(keeper: subprocess.Popen[bytes]) -> None:
    """Everything is ended already."""
    if keeper.stdin is not None:
        keeper.stdin.close()
    keeper.wait()


def main() -> None:
    """Wait for the demo's end."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_all(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
