"""What programs say about an end, in words for people."""

from __future__ import annotations

import signal

LONGEST = 300


def how_ended(code: int) -> str:
    """An exit code in words: a signal's number, negative or with 128 added, is its name."""
    number = -code if code < 0 else code - 128
    try:
        return f"by signal {signal.Signals(number).name}"
    except ValueError:
        return f"exit code {code}"


def shown(text: object) -> str:
    """A program's words, safe and short enough for a page."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text or "")).split())
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"
