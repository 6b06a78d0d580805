"""An environment's folder of Python, and what it leans on elsewhere: what must be seen, and nothing beside."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from visa.hub.admitted import StartFailed

_SYSTEM = ("/usr", "/lib", "/lib64", "/bin", "/sbin")


def check_prefix(prefix: Path, title: str) -> None:
    """Raise `StartFailed` unless ``prefix`` holds an executable ``bin/jupyter-lab``."""
    remedy = "An operator has to install it: see docs/operators/one-machine."
    if not prefix.is_dir():
        raise StartFailed(f"The environment {title!r} is not installed: {prefix} is not there.", remedy)
    program = prefix / "bin" / "jupyter-lab"
    if not program.exists():
        raise StartFailed(f"The environment {title!r} has no JupyterLab: {program} is not there.", remedy)
    if not os.access(program, os.X_OK):
        raise StartFailed(f"The environment {title!r} cannot be used: {program} is not executable.", remedy)


def needed_folders(prefix: Path) -> list[Path]:
    """``prefix``, and the installations that its ``bin/python`` leads to, by every name that is used for them.

    Such an installation may lie in a home folder (pyenv, uv): only it is seen, not the home.
    """
    found = [prefix, Path(os.path.realpath(prefix))]
    link = prefix / "bin" / "python"
    for _ in range(40):  # the kernel's own limit on links
        if not link.is_symlink():
            break
        link = link.parent / os.readlink(link)
        link = Path(os.path.normpath(link))
        base = link.parent.parent
        found += [base, Path(os.path.realpath(base))]
    home = _configured_home(prefix)
    if home is not None:
        found += [home.parent, Path(os.path.realpath(home)).parent]
    return _outermost(folder for folder in found if not _is_system(folder))


def _configured_home(prefix: Path) -> Path | None:
    try:
        lines = (prefix / "pyvenv.cfg").read_text().splitlines()
    except OSError:
        return None  # no virtual environment: conda's prefixes need nothing else
    for line in lines:
        key, _, value = line.partition("=")
        if key.strip() == "home":
            return Path(value.strip())
    return None


def _is_system(folder: Path) -> bool:
    return any(folder == Path(top) or Path(top) in folder.parents for top in _SYSTEM)


def _outermost(folders: Iterable[Path]) -> list[Path]:
    kept: list[Path] = []
    for folder in sorted(set(folders), key=lambda f: len(f.parts)):
        if not any(other in folder.parents for other in kept):
            kept.append(folder)
    return kept


def check_apart(seen: Iterable[Path], secret: Iterable[Path]) -> None:
    """Raise `StartFailed` when a folder that must not be seen lies inside one that will be."""
    places = [Path(os.path.realpath(s)) for s in secret]
    for folder in [Path("/usr"), *seen]:
        real = Path(os.path.realpath(folder))
        for place in places:
            if place == real or real in place.parents:
                raise StartFailed(
                    f"{place} lies inside {folder}, which every instance can see.",
                    "An operator has to move one of them: state folder and data must lie elsewhere.",
                )
