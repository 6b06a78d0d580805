"""h5web asks for more than there is memory, and for what takes long: it gets a sentence, and nothing else stops."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import h5py
import numpy
import psutil
import pytest

from tests.session.notebook.conftest import Place, Three, three_in
from tests.session.notebook.test_files import readers

ADDRESS = "h5web/{}?file=shared/e1/large.h5&path=/{}"
SENTENCE = "at once; the viewer reads at most 67.1 MB. Choose a part of it, or read it in a notebook."


@pytest.fixture
async def large(place: Place) -> AsyncIterator[Three]:
    """Data sets that are large in words alone: nothing of them is written, or it is packed."""
    async with three_in(place) as three:
        with h5py.File(place.opened / "large.h5", "w") as file:
            file.create_dataset("plane", (40_000, 40_000), "f8", chunks=(100, 100))
            file.create_dataset("events", (10**9,), "u4", chunks=(2**16,))
            file.create_dataset("chunk", (20_000, 20_000), "f8", chunks=(20_000, 20_000), compression="gzip")
            file["chunk"].id.write_direct_chunk((0, 0), b"no gzip at all")
            file["small"] = numpy.arange(10.0)
            file.create_dataset("texts", (20_000_000,), h5py.string_dtype())
        yield three
        (place.opened / "large.h5").unlink()


async def told(three: Three, who: Any, path: str) -> tuple[int, str]:
    """Status and sentence."""
    async with who.get(three.url + path) as answer:
        return answer.status, (await answer.json())["message"]


@pytest.mark.parametrize(
    ("path", "size"),
    [
        ("plane", "12.8 GB"),
        ("plane&format=bin", "12.8 GB"),
        ("plane&selection=0:4000,:", "1.28 GB"),
        ("events&flatten=true&dtype=safe", "4 GB"),
        ("texts", "1.28 GB"),
    ],
)
async def test_more_than_a_piece_is_refused_in_words_for_whoever_asks(large: Three, path: str, size: str) -> None:
    for who in (large.marie, large.pierre):
        assert await told(large, who, ADDRESS.format("data", path)) == (413, f"This is {size} {SENTENCE}")


async def test_a_piece_of_it_is_shown(large: Three) -> None:
    assert await large.json(large.marie, "GET", ADDRESS.format("data", "plane&selection=39999,0:3")) == [0, 0, 0]
    async with large.pierre.get(large.url + ADDRESS.format("data", "events&format=bin&selection=0:16000000")) as answer:
        assert len(await answer.read()) == 64_000_000
    assert (await large.json(large.marie, "GET", ADDRESS.format("meta", "events")))["shape"] == [10**9]


async def test_what_only_turns_out_to_be_large_ends_nothing(large: Three) -> None:
    status, sentence = await told(large, large.marie, ADDRESS.format("data", "chunk&selection=0,0:3"))
    assert status in (413, 422, 507), sentence
    assert await large.json(large.marie, "GET", ADDRESS.format("data", "small&selection=0:2")) == [0, 1]


async def test_a_reader_that_ends_is_followed_by_another(large: Three) -> None:
    assert await large.json(large.marie, "GET", ADDRESS.format("data", "small")) == list(range(10))
    found = there(large)
    for reader in found:
        os.kill(reader.pid, signal.SIGSTOP)
    asking = asyncio.create_task(told(large, large.marie, ADDRESS.format("data", "small")))
    await large.json(large.marie, "GET", "api/status")  # Jupyter waits for no reader
    for reader in found:
        os.kill(reader.pid, signal.SIGKILL)
    status, sentence = await asking
    assert status == 507
    assert sentence.startswith("Reading this takes more memory than the viewer has.")
    assert await large.json(large.marie, "GET", ADDRESS.format("data", "small")) == list(range(10))


async def test_readers_go_first_when_memory_ends_and_may_have_so_much(large: Three) -> None:
    await large.json(large.marie, "GET", ADDRESS.format("data", "small"))
    for reader in there(large):
        assert first_to_go(reader)
        assert reader.rlimit(psutil.RLIMIT_DATA)[0] < 2**30


def first_to_go(process: psutil.Process) -> bool:
    return Path(f"/proc/{process.pid}/oom_score_adj").read_text() == "1000\n"


def there(three: Three) -> list[psutil.Process]:
    found = readers(psutil.Process(three.place.jupyter.process.pid))
    assert found
    return found


async def test_wrong_questions_get_words(large: Three) -> None:
    for path in ("data?file=shared/e1/large.h5&path=/", "data?file=shared/e1/large.h5&path=/small&selection=9,9,9"):
        status, sentence = await told(large, large.marie, f"h5web/{path}")
        assert status == 422
        assert sentence.startswith("This ")
    assert (await told(large, large.marie, "h5web/data?file=shared/e1/none.h5&path=/"))[0] == 404
