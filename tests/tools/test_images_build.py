"""`images/build`: an image is made anew when what it is made from changed, and only then."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

DOCKER = r"""#!/bin/sh
# What it builds is a file with the label; an image's id is a hash of it.
cd "$STORE" || exit
last() { for last; do :; done; echo "$last" | tr '/:' '__'; }
case "$1 $2" in
    "image inspect")
        file=$(last "$@")
        [ -e "$file" ] || exit 1
        case $4 in *Labels*) cat "$file" ;; *) sha256sum <"$file" ;; esac ;;
    "pull "*) echo pulled >"$(last "$@")" ;;
    "build "*)
        while [ $# -gt 0 ]; do
            case $1 in --label) label=$2 ;; -t) name=$2 ;; esac
            shift
        done
        echo "${label#visa.state=}" >"$(echo "$name" | tr '/:' '__')"
        echo "$name" >>built ;;
esac
"""
SOURCES = ("images", "visa", "environments", "requirements", "tools", "pyproject.toml", "README.md", ".dockerignore")
ALL = ["base", "python", "builder", "hub", "gateway", "proxy", "notebook", "scattering", "desktop"]


class Clone:
    """What images are built from, and an engine that only notes what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.store = folder / "clone", folder / "store"
        self.store.mkdir()
        for name in SOURCES:
            source, target = REPOSITORY / name, self.folder / name
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "package"))
            else:
                shutil.copy(source, target)
        (folder / "docker").write_text(DOCKER)
        (folder / "docker").chmod(0o755)
        self.variables = {**os.environ, "STORE": str(self.store), "PATH": f"{folder}:{os.environ['PATH']}"}

    def build(self, *arguments: str) -> list[str]:
        """Names of the images that were built, in order."""
        (self.store / "built").write_text("")
        command = ["images/build", "-e", "docker", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.variables, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        lines = (self.store / "built").read_text().splitlines()
        return [line.rpartition("/")[2].partition(":")[0] for line in lines]

    def change(self, name: str) -> None:
        with (self.folder / name).open("a") as file:
            file.write("\n# changed\n")


@pytest.fixture
def clone(tmp_path: Path) -> Clone:
    made = Clone(tmp_path)
    assert made.build() == ALL
    return made


def test_nothing_is_built_twice(clone: Clone) -> None:
    assert clone.build() == []


def test_code_is_in_two_images(clone: Clone) -> None:
    clone.change("visa/identifiers.py")
    assert clone.build() == ["hub", "gateway"]


def test_what_stands_on_a_changed_image_is_built_too(clone: Clone) -> None:
    clone.change("environments/scattering/requirements.txt")
    assert clone.build() == ["scattering", "desktop"]
    clone.change("images/builder/environment")
    assert clone.build() == [name for name in ALL if name not in ("base", "python")]
    clone.change("images/base/Containerfile")
    assert clone.build() == ALL


def test_another_base_image_is_seen(clone: Clone) -> None:
    (clone.store / "docker.io_library_debian_trixie-slim").write_text("newer")
    assert clone.build() == ALL


def test_what_the_build_does_not_see_changes_nothing(clone: Clone) -> None:
    cache = clone.folder / "visa" / "__pycache__"
    cache.mkdir()
    (cache / "identifiers.cpython-311.pyc").touch()
    clone.change("environments/scattering/requirements.in")
    assert clone.build() == []


def test_a_program_that_is_none_any_more_is_seen(clone: Clone) -> None:
    (clone.folder / "images/desktop/visa/desktop").chmod(0o644)
    assert clone.build() == ["desktop"]


def test_another_tag_and_a_wish_for_the_newest_build(clone: Clone) -> None:
    assert clone.build("-t", "0.1.0", "hub") == ["base", "python", "builder", "hub"]
    assert clone.build("-n", "hub") == ["base", "python", "builder", "hub"]
