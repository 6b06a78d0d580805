"""The last picture of the desktop: taken when somebody asks, kept for a moment, one at a time."""

from __future__ import annotations

import asyncio

import pytest

from visa.session.desktop import preview
from visa.session.desktop.preview import FRESH, Kept, NoPicture

pytestmark = pytest.mark.looptime


async def test_a_picture_is_kept_for_a_moment_and_taken_once_for_all_who_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    taken: list[bytes] = []

    async def take(path: str) -> bytes:
        await asyncio.sleep(2)
        taken.append(b"%d" % len(taken))
        return taken[-1]

    monkeypatch.setattr(preview, "take", take)
    kept = Kept()
    assert await asyncio.gather(*(kept.picture("") for _ in range(60))) == [b"0"] * 60
    await asyncio.sleep(FRESH - 0.001)
    assert await kept.picture("") == b"0"
    await asyncio.sleep(0.002)
    assert await kept.picture("") == b"1"


async def test_an_old_picture_is_not_shown_when_there_is_no_new_one(monkeypatch: pytest.MonkeyPatch) -> None:
    there = [b"first"]

    async def take(path: str) -> bytes:
        if not there:
            raise NoPicture
        return there.pop()

    monkeypatch.setattr(preview, "take", take)
    kept = Kept()
    assert await kept.picture("") == b"first"
    await asyncio.sleep(FRESH + 0.001)
    for _ in range(2):
        with pytest.raises(NoPicture):
            await kept.picture("")
