"""A full home for JupyterLab's files, on a file system of its own that is really full: words, and nothing torn."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.session import rig

_SCRIPT = """
import asyncio, base64, json, os, sys
from unittest import mock
sys.path.insert(0, FILES)
import space
space.bound()
from jupyter_server.services.contents.largefilemanager import AsyncLargeFileManager
from tornado import web

home = HOME
manager = AsyncLargeFileManager(root_dir=home)
book = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
cell = {"cell_type": "markdown", "id": "a", "metadata": {}, "source": "kept " * 20}
old = {**book, "cells": [cell]}
large = {**book, "cells": [{**cell, "source": "new " * 60_000}]}
a_little = {**book, "cells": [{**cell, "source": "new " * 1500}]}
mega = base64.b64encode(os.urandom(200_000)).decode()

def save(path, content, kind="notebook", **more):
    form = None if kind == "notebook" else "text"
    return manager.save({"type": kind, "content": content, "format": form, **more}, path)

def room(pages):
    # So many are free.
    with open(home + "/full", "ab", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass
    os.truncate(home + "/full", os.path.getsize(home + "/full") // 4096 * 4096 - pages * 4096)

async def main():
    told = {}
    async def attempt(name, doing):
        try:
            await doing
            told[name] = 200
        except web.HTTPError as error:
            told[name] = error.status_code
            told.setdefault("sentence", error.reason)
    await save("old.ipynb", old)
    await save("small.ipynb", old)
    await save("old.txt", "kept", "file")
    await save("up.bin", "kept", "file")
    room(0)
    await attempt("new notebook", save("new.ipynb", large))
    await attempt("new text", save("new.txt", "x" * 5000, "file"))
    await attempt("over notebook", save("old.ipynb", large))
    await attempt("over text", save("old.txt", "y" * 300_000, "file"))
    await attempt("copy", manager.copy("full"))
    # Room for what was there, as a backup, and not for what is new.
    room(8)
    await attempt("over notebook with some room", save("old.ipynb", large))
    room(1)
    await attempt("over small notebook with a page", save("small.ipynb", a_little))
    room(80)
    await attempt("first part", save("up.bin", mega, "file", chunk=1, format="base64"))
    await attempt("second part", save("up.bin", mega, "file", chunk=2, format="base64"))
    await attempt("first part of new", save("up.new", mega, "file", chunk=1, format="base64"))
    await attempt("second part of new", save("up.new", mega, "file", chunk=-1, format="base64"))
    room(0)
    await attempt("rename", manager.rename_file("old.txt", "renamed.txt"))
    told["files"] = sorted(name for name in os.listdir(home) if name != "full")
    told["kept"] = {}
    for name in ("old.ipynb", "small.ipynb", "renamed.txt", "up.bin", ".ipynb_checkpoints/old-checkpoint.ipynb"):
        try:
            told["kept"][name] = b"kept" in open(f"{home}/{name}", "rb").read()
        except OSError as error:
            told["kept"][name] = str(error)
    print(json.dumps(told))

asyncio.run(main())
"""

_UPLOADS = (
    _SCRIPT[: _SCRIPT.index("async def main")]
    + """
def part(name, number, content="new", **more):
    return manager.save({"type": "file", "content": content, "format": "text", "chunk": number, **more}, name)

def read(name):
    try:
        with open(f"{home}/{name}") as file:
            return file.read()
    except FileNotFoundError:
        return ""

async def attempt(doing):
    try:
        await doing
        return 200
    except web.HTTPError as error:
        return error.status_code

def denied(*paths):
    raise PermissionError(13, "Permission denied")

async def main():
    told = {}
    def note(name, status, path):
        told[name] = [status, read(path)]
    for name in ("a", "b", "c", "d", "e"):
        await save(name, "kept", "file")
    note("no text", await attempt(part("a", 1, None)), "a")
    with mock.patch.object(AsyncLargeFileManager, "run_pre_save_hooks", side_effect=web.HTTPError(403)):
        note("hook", await attempt(part("a", 1)), "a")
    note("torn", await attempt(part("b", 1)), "b")
    note("again", await attempt(part("b", 1, None)), "b")
    await part("b", 1)
    await save("b", "saved", "file")
    note("after a save", await attempt(part("b", 1, None)), "b")
    os.chmod(home + "/c", 0o750)
    await part("c", 1)
    note("whole", await attempt(part("c", -1)), "c")
    told["mode"] = oct(os.stat(home + "/c").st_mode & 0o777)
    with mock.patch("os.replace", denied):
        note("moved", await attempt(part("d", 1)), "d")
    access = os.access
    with mock.patch("os.access", lambda path, mode: os.fspath(path) != home and access(path, mode)):
        note("no place beside it", await attempt(part("e", 1)), "e")
    told["files"] = sorted(os.listdir(home))
    print(json.dumps(told))

asyncio.run(main())
"""
)


def tried(tmp_path: Path, tries: str = _SCRIPT) -> dict[str, object]:
    """What each attempt was answered, and what is there afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    script = tmp_path / "script.py"
    values = {"FILES": str(rig.FILES), "HOME": str(home)}
    script.write_text("\n".join(f"{name} = {value!r}" for name, value in values.items()) + tries)
    python = rig.ENVIRONMENT / "bin/python"
    mounted = f"mount -t tmpfs -o size=1m tmpfs {home} && exec {python} {script}"
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "/bin/sh", "-c", mounted],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)},
    )
    if "unshare" in done.stderr and done.returncode:
        pytest.skip("no mount namespaces here")
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_full_home_is_said_and_nothing_is_torn(tmp_path: Path) -> None:
    told = tried(tmp_path)
    assert told.pop("files") == [".ipynb_checkpoints", "old.ipynb", "renamed.txt", "small.ipynb", "up.bin"]
    kept = told.pop("kept")
    assert isinstance(kept, dict)
    assert set(kept.values()) == {True}, kept
    sentence = told.pop("sentence")
    assert isinstance(sentence, str)
    assert "home folder is full" in sentence
    assert "Remove what is not needed" in sentence
    works = ("first part", "first part of new", "rename")
    assert told == {name: 200 if name in works else 507 for name in told}


def test_an_upload_by_the_part_loses_nothing_of_the_old_file(tmp_path: Path) -> None:
    assert tried(tmp_path, _UPLOADS) == {
        "no text": [400, "kept"],
        "hook": [403, "kept"],
        "torn": [200, "new"],
        "again": [400, "kept"],
        "after a save": [400, "saved"],
        "whole": [200, "newnew"],
        "mode": "0o750",
        "moved": [403, "kept"],
        "no place beside it": [200, "new"],
        "files": ["a", "b", "c", "d", "e"],
    }
