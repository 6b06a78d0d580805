"""Long files in JupyterLab's editors: Jupyter's own answers, but by the part, and a sentence for too long ones."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.session import rig
from tests.session.notebook.conftest import Place, Three, three_in

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
        for one in ("long.txt", "long.bin", "short.txt", "huge.txt", "huge.ipynb", "huge.bin", "near.txt"):
            (place.opened / one).unlink(missing_ok=True)


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
