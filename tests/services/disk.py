"""A disk of a test's own, so small that it is soon full."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def small(folder: Path, size: str) -> bool:
    """Mount one at ``folder``; False where this account may not. `gone` ends it."""
    folder.mkdir()
    options = f"size={size},mode=777"
    return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode == 0


def gone(folder: Path) -> None:
    """Unmount it, whoever has files open there."""
    subprocess.run(["umount", "-l", folder], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """No byte is free there for the length of the block."""
    filler = folder / "filler"
    with suppress(OSError), open(filler, "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    try:
        yield
    finally:
        filler.unlink()
