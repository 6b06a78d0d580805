"""The small picture of a real X server, for its owner alone."""

from __future__ import annotations

import asyncio
import json
import math
import struct
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import aiohttp
import pytest

from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.site import running
from visa.session.desktop import preview


@pytest.fixture(scope="module")
def desktop() -> Iterator[xvnc.Desktop]:
    """An X server."""
    with tempfile.TemporaryDirectory(prefix="visa-p-") as folder, xvnc.running(Path(folder)) as one:
        yield one


def _pixels(png: bytes) -> tuple[int, int, bytes]:
    width, height = struct.unpack(">II", png[16:24])
    size = struct.unpack(">I", png[33:37])[0]
    return width, height, zlib.decompress(png[41 : 41 + size])


async def test_it_shows_what_the_desktop_shows(desktop: xvnc.Desktop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preview, "FRESH", math.inf)
    await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "#4080c0")
    async with running(desktop.run) as site:
        url = f"{site.url}desktop/preview.png"
        async with site.client.get(url, headers=rig.MARIE) as answer:
            assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
            first = await answer.read()
        width, height, pixels = _pixels(first)
        assert (width, height) == (640, 400)
        assert pixels[1 + 3 * 5 : 4 + 3 * 5] == bytes.fromhex("4080c0")
        await asyncio.to_thread(desktop.ask, "xsetroot", "-solid", "#000000")
        async with site.client.get(url, headers=rig.MARIE) as answer:
            assert await answer.read() == first, "it is fresh"
        assert (await site.ask("pierre", "desktop/preview.png"))[0] == 403
        async with site.client.get(url) as answer:
            assert answer.status == 401
    async with running(desktop.run, VISA_DESKTOP=json.dumps({"preview": False})) as site:
        assert (await site.ask("marie", "desktop/preview.png"))[0] == 404


async def test_it_costs_little_memory(desktop: xvnc.Desktop) -> None:
    fake = rig.FakeHub()
    async with fake.served() as api, aiohttp.ClientSession(headers=rig.MARIE) as client:
        with rig.gateway(desktop.run, api) as gateway:
            async with client.get(f"{gateway.url}desktop/preview.png") as answer:
                assert (answer.status, len(await answer.read()) > 100) == (200, True)
            assert gateway.memory() < 70


SHOWN = {"Sec-Fetch-Dest": "image", "Sec-Fetch-Mode": "no-cors"}


@pytest.mark.parametrize(
    "given",
    [
        {**SHOWN, "Sec-Fetch-Site": "same-origin"},
        {**SHOWN, "Sec-Fetch-Site": "same-site"},
        {**SHOWN, "Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Dest": "empty", "Sec-Fetch-Site": "same-origin"},
        {**SHOWN, "Sec-Fetch-Site": "same-origin", "Authorization": "token nonsense"},
        {},
    ],
)
async def test_a_picture_logs_no_browser_in(tmp_path: Path, given: dict[str, str]) -> None:
    async with running(tmp_path) as site:
        url = f"{site.url}desktop/preview.png"
        async with site.client.get(url, headers=given, allow_redirects=False) as answer:
            assert (answer.status, "Location" in answer.headers) == (401, False)


async def test_no_desktop_no_picture(tmp_path: Path) -> None:
    with pytest.raises(preview.NoPicture):
        await preview.take(str(tmp_path / "desktop.sock"))


@pytest.mark.parametrize("step", [1, 2, 3, 7])
def test_shrinking_takes_the_middle(step: int) -> None:
    strip = bytearray(struct.pack("<I", 0x00FF8040) * (21 * 14))
    lines = preview.shrunk(strip, 21, step)
    assert (len(lines), len(lines[0])) == (14 // step, 21 // step * 3)
    assert {tuple(line[i : i + 3]) for line in lines for i in range(0, len(line), 3)} == {(0xFF, 0x80, 0x40)}
