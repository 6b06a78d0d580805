"""A full home for JupyterLab's files, on a file system of its own that is really full: words, and nothing torn."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.session import rig

_SCRIPT = """
import asyncio, base64, json, os, sys
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


def tried(tmp_path: Path) -> dict[str, object]:
    """What each attempt was answered, and what is there afterwards."""
    home = tmp_path / "home"
    home.mkdir()
    script = tmp_path / "script.py"
    values = {"FILES": str(rig.FILES), "HOME": str(home)}
    script.write_text("\n".join(f"{name} = {value!r}" for name, value in values.items()) + _SCRIPT)
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
