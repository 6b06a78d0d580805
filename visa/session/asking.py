"""Asks the launcher in the environment for a session that does not run (docs/developers/desktop.md)."""

from __future__ import annotations

import os
import stat

_ASK = "ask"


def ask(run: str, what: str) -> bool:
    """Tell the launcher to start ``what``; False when nobody is there to be told.

    Links are not followed and nothing is waited for: the environment may put anything there.
    """
    try:
        descriptor = os.open(f"{run}/{_ASK}", os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return stat.S_ISFIFO(os.fstat(descriptor).st_mode) and os.write(descriptor, f"{what}\n".encode()) > 0
    except OSError:
        return False
    finally:
        os.close(descriptor)
