"""What the demo says, and the signals by which a terminal or a service manager ends it."""

from __future__ import annotations

import os
import signal
import sys

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def say(text: str, *, error: bool = False) -> None:
    """Print now. A terminal that was closed must not keep the demo from ending in order."""
    name = "stderr" if error else "stdout"
    try:
        print(text, file=getattr(sys, name), flush=True)
    except OSError:  # nobody reads any more; say the rest to nobody
        setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115 (it lives as long as the process)


class Ending:
    """The first signal raises `KeyboardInterrupt`; what comes after it changes nothing."""

    def __init__(self) -> None:
        self.asked = False
        for number in _SIGNALS:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: object) -> None:
        if not self.asked:
            self.asked = True
            raise KeyboardInterrupt

    def begins(self) -> None:
        """From now on nothing interrupts."""
        self.asked = True
