"""The probe by podman, docker or buildah, whichever is there."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from visa.cli.check_image.running import (
    HOME,
    PASSWD,
    PATIENCE,
    RUN,
    TMP,
    UID,
    VARIABLES,
    CannotRun,
    NoShell,
    Ran,
    arguments,
    is_about_the_shell,
    last_words,
)

ENGINES = ("podman", "docker", "buildah")
_NO_ENGINE = (
    "no engine to run the image with: none of podman, docker and buildah works here; "
    "install one, or use --kubernetes to run it in a pod"
)


def run_with_any(image: str, wanted: str | None) -> Ran:
    """By the engine that was asked for, or by the first that can; raise `CannotRun` or `NoShell`."""
    if wanted is not None:
        if not _works(wanted):
            raise CannotRun(f"{wanted} does not work here: {_why_not(wanted)}")
        return run(wanted, image)
    troubles = []
    for engine in ENGINES:
        if _works(engine):
            try:
                return run(engine, image)
            except CannotRun as error:
                troubles.append(str(error))
    raise CannotRun("; ".join(troubles) or _NO_ENGINE)


def run(engine: str, image: str) -> Ran:
    """The probe in the image; raise `CannotRun` or `NoShell`."""
    if subprocess.run(_inspect(engine, image), capture_output=True, text=True).returncode:
        pulled = subprocess.run([engine, "pull", image], capture_output=True, text=True)
        if pulled.returncode:
            wrong = f"{image} is not here and {engine} cannot pull it: {last_words(pulled.stderr)}"
            raise CannotRun(f"{wrong}; check the name and `{engine} login`")
    return _by_buildah(image) if engine == "buildah" else _by_podman(engine, image)


def _works(engine: str) -> bool:
    # A docker command without its daemon is there, and of no use.
    return shutil.which(engine) is not None and not subprocess.run([engine, "info"], capture_output=True).returncode


def _why_not(engine: str) -> str:
    if shutil.which(engine) is None:
        return "there is no such command; install it, or use --kubernetes"
    return last_words(subprocess.run([engine, "info"], capture_output=True, text=True).stderr)


def _inspect(engine: str, image: str) -> list[str]:
    return (
        ["buildah", "inspect", "--type", "image", image] if engine == "buildah" else [engine, "image", "inspect", image]
    )


def _by_podman(engine: str, image: str) -> Ran:
    name = f"visa-check-{secrets.token_hex(4)}"
    folders = [option for place in (TMP, RUN, HOME) for option in ("--tmpfs", f"{place}:rw,exec,mode=1777")]
    variables = [option for key, value in VARIABLES.items() for option in ("--env", f"{key}={value}")]
    closed = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "none"]
    if engine == "podman":
        closed.append("--read-only-tmpfs=false")
    started = [engine, "run", "--rm", "--name", name, "--user", f"{UID}:{UID}", *closed, *folders, *variables]
    with tempfile.TemporaryDirectory(prefix="visa-check-") as folder:
        started += ["--volume", f"{_passwd(Path(folder))}:/etc/passwd:ro"]
        try:
            return Ran(_output(engine, image, [*started, "--entrypoint", "/bin/sh", image, *arguments()]), True)
        finally:
            subprocess.run([engine, "rm", "--force", name], capture_output=True)


def _passwd(folder: Path) -> Path:
    """The account's name, for the container to mount."""
    folder.chmod(0o755)
    file = folder / "passwd"
    file.write_text(PASSWD)
    file.chmod(0o644)
    return file


def _by_buildah(image: str) -> Ran:
    """buildah has no read-only root: what it finds is not the whole truth."""
    made = subprocess.run(["buildah", "from", "--pull-never", image], capture_output=True, text=True)
    if made.returncode:
        raise CannotRun(f"buildah cannot use {image}: {last_words(made.stderr)}")
    container = made.stdout.split()[-1]
    try:
        with tempfile.TemporaryDirectory(prefix="visa-check-") as folder:
            return Ran(_in_buildah(image, container, Path(folder)), False)
    finally:
        subprocess.run(["buildah", "rm", container], capture_output=True)


def _in_buildah(image: str, container: str, folder: Path) -> str:
    volumes = ["--volume", f"{_passwd(folder)}:/etc/passwd:ro"]
    for number, place in enumerate((TMP, RUN, HOME)):
        source = folder / str(number)
        source.mkdir()
        source.chmod(0o1777)
        volumes += ["--volume", f"{source}:{place}:rw"]
    variables = [option for key, value in VARIABLES.items() for option in ("--env", f"{key}={value}")]
    command = [
        "buildah",
        "run",
        "--user",
        f"{UID}:{UID}",
        *volumes,
        *variables,
        container,
        "--",
        "/bin/sh",
        *arguments(),
    ]
    return _output("buildah", image, command)


def _output(engine: str, image: str, command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    except subprocess.TimeoutExpired as error:
        raise CannotRun(f"{image} did not come to an end within {PATIENCE:.0f} s under {engine}") from error
    if "fact begin" in done.stdout:
        return done.stdout
    if is_about_the_shell(done.stderr):
        raise NoShell
    raise CannotRun(f"{engine} cannot run {image}: {last_words(done.stderr)}")
