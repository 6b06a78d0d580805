"""Images by buildah: small ones made for a test, and a look into those that `images/build` made."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

REGISTRY = "localhost/visa"
TAG = os.environ.get("VISA_IMAGE_TAG", "dev")
LOAD = os.environ.get("LOAD", "../shared/cluster/cluster load")
"""Gives an image to the cluster; its name is added."""


def image(name: str) -> str:
    """Of this repository, as `images/build` names it."""
    return f"{REGISTRY}/{name}:{TAG}"


def run(*command: str | Path) -> str:
    """What a command printed; what it complained of is the error."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if done.returncode:
        raise AssertionError(f"{' '.join(map(str, command))}: {done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


@contextmanager
def opened(name: str) -> Iterator[Path]:
    """The files of an image, as a folder."""
    container = run("buildah", "from", "--pull-never", name).split()[-1]
    try:
        yield Path(run("buildah", "mount", container).strip())
    finally:
        run("buildah", "rm", container)


def inside(name: str, *command: str) -> str:
    """What a command in an image prints, run as the image's own account with its variables."""
    container = run("buildah", "from", "--pull-never", name).split()[-1]
    try:
        return run("buildah", "run", container, "--", *command)
    finally:
        run("buildah", "rm", container)


class Images:
    """Made in a folder, forgotten at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: list[str] = []

    def __enter__(self) -> Images:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in self._made:
            subprocess.run(["buildah", "rmi", "--force", name], capture_output=True)

    def make(self, name: str, containerfile: str) -> str:
        """Build an image; its name."""
        folder = self._folder / name
        folder.mkdir()
        (folder / "Containerfile").write_text(containerfile + "\n")
        tag = f"{REGISTRY}/test-{name}:test"
        run("buildah", "build", "--network", "host", "-t", tag, "-f", folder / "Containerfile", folder)
        self._made.append(tag)
        return tag

    def load(self, name: str) -> None:
        """Give it to the cluster."""
        run(*shlex.split(LOAD), name)
