"""For `tools/fuzz`: ``python -m tests.session.rfb.libfuzzer from_viewer|to_viewer FOLDER [options of libFuzzer]``."""

from __future__ import annotations

import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["visa.session.rfb"]):
    from tests.session.rfb import fuzzing
from tests.session.rfb import messages as m

VIEWER = [m.REQUEST, m.KEY, m.POINTER, m.QEMU, m.CONTINUOUS, m.PIXELS, m.encodings(*m.ALL), m.fence(), m.size()]
CLIPBOARD = [m.cut, m.provide]
ALL_RIGHTS, NO_RIGHTS = b"\x0f\xff\x06\x00\x30", b"\x00\xff\x02\x09\x01"


def seeds(target: str) -> list[bytes]:
    """Streams of one message, and of all."""
    if target == "to_viewer":
        messages = [*m.SERVER, *(make(b"text", 3) for make in CLIPBOARD), m.extended(1 << 27 | 1, kind=3)]
    else:
        messages = [*VIEWER, *(make(b"text") for make in CLIPBOARD), m.extended(1 << 27 | 1)]
    short = [message for message in messages if len(message) < 1000]
    return [choice + stream for choice in (ALL_RIGHTS, NO_RIGHTS) for stream in [*short, b"".join(short)]]


def main() -> None:
    """Until the time is over or something is found."""
    target, folder = sys.argv[1], Path(sys.argv[2])
    for number, seed in enumerate(seeds(target)):
        (folder / f"seed-{number}").write_bytes(seed)
    atheris.Setup([sys.argv[0], *sys.argv[2:]], getattr(fuzzing, target))
    atheris.Fuzz()


if __name__ == "__main__":
    main()
