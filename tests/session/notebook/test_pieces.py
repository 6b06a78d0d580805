"""Long files in JupyterLab's editors: Jupyter's own answers, but by the part, and a sentence for too long ones."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import json
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.notebook.conftest import NOTEBOOK, Place, Three, three_in

MEGABYTE = 10**6
TEXT = 'a "b" \\ \t ä€😀\r\n' * 200_000
BYTES = bytes(range(256)) * 20_000


@pytest.fixture
async def long(place: Place) -> AsyncIterator[Three]:
    async with three_in(place) as three:
        (place.opened / "long.txt").write_bytes(TEXT.encode())
        (place.opened / "long.bin").write_bytes(BYTES)
        (place.opened / "short.txt").write_text("short")
        for name in ("huge.txt", "huge.ipynb", "huge.bin"):
            empty(place.opened / name, 400 * MEGABYTE)
        yield three
        for one in (*place.opened.glob("long*"), *place.opened.glob("huge*"), *place.opened.glob("near*")):
            one.unlink()
        (place.opened / "short.txt").unlink()


def empty(path: Path, size: int) -> None:
    """A file of zeros that takes no room."""
    path.touch()
    os.truncate(path, size)


async def model(three: Three, who: Any, query: str) -> dict[str, Any]:
    found: dict[str, Any] = await three.json(who, "GET", f"api/contents/shared/e1/{query}")
    return found


async def test_a_long_text_and_long_bytes_are_what_jupyter_itself_would_say(long: Three) -> None:
    text, short = await model(long, long.marie, "long.txt?hash=1"), await model(long, long.marie, "short.txt?hash=1")
    assert text["content"] == TEXT
    assert text.keys() == short.keys()
    same = ("format", "mimetype", "type", "writable", "hash_algorithm")
    assert {name: text[name] for name in same} == {name: short[name] for name in same}
    assert text["hash"] == hashlib.new(text["hash_algorithm"], TEXT.encode()).hexdigest()
    packed = await model(long, long.pierre, "long.bin?type=file")
    assert (packed["format"], packed["mimetype"]) == ("base64", "application/octet-stream")
    assert base64.b64decode(packed["content"]) == BYTES
    assert base64.b64decode((await model(long, long.marie, "long.txt?format=base64"))["content"]) == TEXT.encode()
    assert await long.status(long.marie, "GET", "api/contents/shared/e1/long.bin?format=text") == 400


@pytest.mark.parametrize("query", ["huge.txt?content=1", "huge.ipynb?type=notebook", "huge.bin", "huge.bin?hash=1"])
async def test_a_file_that_is_too_long_is_refused_in_words(long: Three, query: str) -> None:
    jupyter = psutil.Process(long.place.jupyter.process.pid)
    before = jupyter.memory_info().rss
    for who in (long.marie, long.pierre):
        async with who.get(f"{long.url}api/contents/shared/e1/{query}") as answer:
            assert answer.status == 413
            told = json.loads(await answer.text())
        assert "400 MB" in told["message"]
        assert "an editor is given at most 67.1 MB at once. Download it" in told["message"]
    assert jupyter.memory_info().rss - before < 50 * MEGABYTE


async def test_what_is_not_its_content_is_told_and_it_may_be_downloaded(long: Three) -> None:
    assert (await model(long, long.marie, "huge.txt?content=0"))["size"] == 400 * MEGABYTE
    async with long.marie.get(f"{long.url}files/shared/e1/huge.txt", headers={"Range": "bytes=0-9"}) as answer:
        assert await answer.read() == bytes(10)


async def test_pages_that_do_not_take_a_long_file_hold_a_part_of_it(long: Three) -> None:
    empty(long.place.opened / "near.txt", 60 * MEGABYTE)
    jupyter = psutil.Process(long.place.jupyter.process.pid)
    before = jupyter.memory_info().rss
    async with rig.narrow() as client:
        url, headers = f"{long.url}api/contents/shared/e1/near.txt", {"Authorization": "token pierre's"}
        slow = await asyncio.gather(*(client.get(url, headers=headers) for _ in range(8)))
        async with long.marie.get(f"{long.url}api/contents/shared/e1/near.txt?format=base64") as answer:
            assert len(await answer.read()) > 80 * MEGABYTE
        assert jupyter.memory_info().rss - before < 60 * MEGABYTE
        for one in slow:
            one.close()


def notebook(path: Path, size: int) -> dict[str, Any]:
    """A notebook of so many bytes and a little more: what is in it."""
    code = {"cell_type": "code", "id": "b", "metadata": {}, "source": ["1 +\n", "1"], "execution_count": 1}
    output = {"output_type": "stream", "name": "stdout", "text": ["x" * 1000 + "\n"] * (size // 1001)}
    told = {**NOTEBOOK, "cells": [*NOTEBOOK["cells"], {**code, "outputs": [output]}]}
    path.write_text(json.dumps(told))
    return told


def readers(three: Three) -> list[psutil.Process]:
    """Processes that read notebooks now."""
    jupyter = psutil.Process(three.place.jupyter.process.pid)
    found = []
    for one in jupyter.children():
        with contextlib.suppress(psutil.Error):
            found += [one] if any(word.endswith("notebook_reader.py") for word in one.cmdline()) else []
    return found


async def test_a_long_notebook_is_what_jupyter_itself_would_say_and_read_elsewhere(long: Three) -> None:
    notebook(long.place.opened / "long.ipynb", 5 * MEGABYTE)
    notebook(long.place.opened / "short.txt", 100)
    short = await model(long, long.marie, "short.txt?type=notebook&hash=1")
    for who, query in ((long.marie, "long.ipynb?hash=1"), (long.pierre, "long.ipynb?type=notebook&content=1&hash=1")):
        found = await model(long, who, query)
        assert found.keys() == short.keys()
        assert {one: found[one] for one in ("format", "mimetype", "type")} == {
            one: short[one] for one in ("format", "mimetype", "type")
        }
        first, second = found["content"]["cells"]
        assert first == short["content"]["cells"][0]
        assert second["source"] == "1 +\n1"
        assert len(second["outputs"][0]["text"]) > 4.9 * MEGABYTE
        assert second["metadata"] == short["content"]["cells"][1]["metadata"]
        assert (
            found["hash"]
            == hashlib.new(found["hash_algorithm"], (long.place.opened / "long.ipynb").read_bytes()).hexdigest()
        )
    assert not readers(long)


async def test_a_long_file_that_is_no_notebook_gets_jupyter_s_own_words(long: Three) -> None:
    (long.place.opened / "long.ipynb").write_text("{" + "x" * 2 * MEGABYTE)
    async with long.marie.get(f"{long.url}api/contents/shared/e1/long.ipynb") as answer:
        assert answer.status == 400
        assert "Unreadable Notebook" in (await answer.json())["message"]


async def test_sixty_four_who_ask_for_a_long_notebook_take_what_one_takes_and_others_are_answered(long: Three) -> None:
    notebook(long.place.opened / "near.ipynb", 30 * MEGABYTE)
    jupyter = psutil.Process(long.place.jupyter.process.pid)
    before, most = jupyter.memory_info().rss, 0
    async with rig.narrow() as client:
        url, headers = f"{long.url}api/contents/shared/e1/near.ipynb", {"Authorization": "token pierre's"}
        asking = [asyncio.create_task(client.get(url, headers=headers)) for _ in range(64)]
        done: set[Any] = set()
        while not done:
            done, _ = await asyncio.wait(asking, timeout=0.2, return_when=asyncio.FIRST_COMPLETED)
            most = max(most, len(readers(long)))
            assert await long.status(long.marie, "GET", "api/status") == 200
        assert most == 1
        assert (await model(long, long.marie, "near.ipynb"))["type"] == "notebook"
        assert jupyter.memory_info().rss - before < 60 * MEGABYTE
        for one in asking:
            one.cancel()
        await asyncio.gather(*asking, return_exceptions=True)
    await eventually(lambda: not readers(long), "the end of what reads for nobody")


async def test_a_copy_of_a_long_file_is_made_by_the_part(long: Three) -> None:
    opened = long.place.opened
    (opened / "long.bin").write_bytes(BYTES * 16)
    jupyter = psutil.Process(long.place.jupyter.process.pid)
    before = jupyter.memory_info().rss
    for who, name in ((long.marie, "long-Copy1.bin"), (long.claude, "long-Copy2.bin")):
        body = {"copy_from": "shared/e1/long.bin"}
        made = await long.json(who, "POST", "api/contents/shared/e1", json=body)
        assert (made["name"], made["type"], made["content"]) == (name, "file", None)
        assert (opened / name).read_bytes() == BYTES * 16
    assert jupyter.memory_info().rss - before < 60 * MEGABYTE
    assert not list(opened.glob(".*~copy"))
    for folder, status in (("shared/none/below", 404), ("shared/e1/.hidden", 400)):
        assert await long.status(long.marie, "POST", f"api/contents/{folder}", json=body) == status


FULL = """
import errno, os, sys
import pieces
def full(original, copy, length):
    copy.write(b"some")
    raise OSError(errno.ENOSPC, "No space left on device")
pieces.shutil.copyfileobj = full
try:
    pieces._copied(sys.argv[1], sys.argv[1] + ".copy")
except pieces.web.HTTPError as error:
    print(error.status_code, error.reason, os.listdir(os.path.dirname(sys.argv[1])))
"""


def test_a_copy_for_which_there_is_no_room_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    command = [rig.ENVIRONMENT / "bin/python", "-c", FULL, tmp_path / "file"]
    said = subprocess.run(command, capture_output=True, text=True, cwd=rig.FILES, check=True).stdout
    assert said.startswith("507 There is no space left here")
    assert said.strip().endswith("['file']")
