"""What is kept of a source's answers, for how long, and what an outage makes of it. Time is virtual."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from visa.catalogue.base import CatalogueUnavailable
from visa.catalogue.cache import Cache, Outage, SourceDown
from visa.clock import elapsed

pytestmark = pytest.mark.looptime

AGE, PAUSE, LATE = 60.0, 5.0, 2.0


class Source:
    """Answers with how often it was asked for a key, ``late`` seconds later; unless it is down."""

    def __init__(self, late: float = LATE) -> None:
        self.down, self.late = False, late
        self.asked: list[tuple[str, float]] = []
        self.outage = Outage(PAUSE)
        self.cache: Cache[str, str] = Cache(self.ask, size=2, age=AGE, outage=self.outage)

    async def ask(self, key: str) -> str:
        self.asked.append((key, elapsed()))
        await asyncio.sleep(self.late)
        if self.down:
            raise SourceDown("no route")
        return f"{key}{sum(one == key for one, _ in self.asked)}"


async def test_an_answer_is_given_again_until_it_is_too_old(virtual_wall: datetime) -> None:
    source = Source()
    first = await source.cache.get("a")
    assert (first.value, first.stale, first.as_of) == ("a1", False, virtual_wall + timedelta(seconds=LATE))
    await asyncio.sleep(AGE - LATE)  # it is as old as its question
    assert (await source.cache.get("a")).value == "a1"
    await asyncio.sleep(0.001)
    assert (await source.cache.get("a")).value == "a2"


async def test_who_needs_a_fresher_answer_says_so() -> None:
    source = Source()
    await source.cache.get("a")
    assert (await source.cache.get("a", age=LATE)).value == "a1"
    await asyncio.sleep(0.001)
    assert (await source.cache.get("a", age=LATE)).value == "a2"
    assert (await source.cache.get("a")).value == "a2", "and all have it"


async def test_a_hundred_who_ask_at_once_ask_once_for_each_key() -> None:
    source = Source()
    answers = await asyncio.gather(*(source.cache.get(key) for key in "ab" * 50))
    assert [one.value for one in answers] == ["a1", "b1"] * 50
    assert (source.asked, elapsed()) == ([("a", 0.0), ("b", 0.0)], LATE)


async def test_who_goes_away_ends_nobody_s_question() -> None:
    source = Source()
    first, second = (asyncio.create_task(source.cache.get("a")) for _ in range(2))
    await asyncio.sleep(1)
    first.cancel()
    assert (await second).value == "a1"
    assert len(source.asked) == 1


async def test_an_outage_gives_what_was_known_as_stale_and_asks_again_after_the_pause() -> None:
    source = Source()
    await source.cache.get("a")
    source.down = True
    await asyncio.sleep(AGE)
    began = elapsed()
    assert (await source.cache.get("a")).stale
    assert (await source.cache.get("a")).value == "a1"
    with pytest.raises(CatalogueUnavailable, match="no route"):
        await source.cache.get("b")
    assert [at for _, at in source.asked[1:]] == [began], "nobody else asks meanwhile"
    source.down = False
    await asyncio.sleep(PAUSE - 0.001)
    assert source.outage.pausing
    assert (await source.cache.get("a")).stale
    await asyncio.sleep(0.001)
    answer = await source.cache.get("a")
    assert (answer.value, answer.stale, source.outage.fault) == ("a3", False, None)


async def test_an_answer_of_a_moment_ago_is_not_stale_though_the_source_failed_since() -> None:
    source = Source(late=0)
    await source.cache.get("a")
    source.down = True
    with pytest.raises(CatalogueUnavailable):
        await source.cache.get("b")
    await asyncio.sleep(1)
    assert not (await source.cache.get("a")).stale
    await asyncio.sleep(0.001)
    assert (await source.cache.get("a")).stale


async def test_only_the_newest_are_kept() -> None:
    source = Source()
    for key in ("a", "b", "a", "c"):
        await source.cache.get(key)
    assert [key for key, _ in source.asked] == ["a", "b", "c"]
    await source.cache.get("a")
    await source.cache.get("b")
    assert [key for key, _ in source.asked] == ["a", "b", "c", "b"], "the one that nobody asked for longest went"
