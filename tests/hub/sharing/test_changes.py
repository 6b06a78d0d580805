"""Numbers that gateways wait for: nobody is forgotten, nobody waits for what is there."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from looptime import LoopTimeProxy

from visa.hub.sharing.changes import AHEAD, HELD, Changes


@pytest.mark.looptime
async def test_who_waits_is_woken_by_her_own_instance_only(looptime: LoopTimeProxy) -> None:
    changes = Changes()
    changes.looked({"a": 1, "b": 1})
    waiting = [asyncio.create_task(changes.other(one, 1, 5)) for one in ("a", "a", "b")]
    await asyncio.sleep(1)
    assert changes.looked({"a": 2, "b": 1}) == {"a"}
    assert await waiting[0]
    assert await waiting[1]
    assert looptime == 1, "at once"
    await asyncio.sleep(3)
    assert not waiting[2].done()
    changes.looked({"a": 2, "b": 3})
    assert await waiting[2]
    assert looptime == 4
    assert changes._waiting == {}


@pytest.mark.looptime
async def test_what_is_another_number_already_is_answered_at_once(looptime: LoopTimeProxy) -> None:
    changes = Changes()
    first = asyncio.create_task(changes.other("a", 0, 5))
    await asyncio.sleep(60)
    assert not first.done(), "before the first look nothing is known"
    changes.looked({"a": 4})
    assert await first
    assert await changes.other("a", 3, 5)
    assert looptime == 60


@pytest.mark.looptime
async def test_nothing_new_is_said_in_time_and_nobody_is_left(looptime: LoopTimeProxy) -> None:
    changes = Changes()
    changes.looked({"a": 4})
    assert not await changes.other("a", 4)
    assert looptime == HELD
    assert not await changes.other("nobody's", 0, 7)
    assert looptime == HELD + 7
    assert changes._waiting == {}


@pytest.mark.looptime
async def test_a_gateway_that_is_ahead_waits_for_the_next_look(looptime: LoopTimeProxy) -> None:
    changes = Changes()
    changes.looked({"a": 4})
    waiting = asyncio.create_task(changes.other("a", 5))
    await asyncio.sleep(1)
    changes.looked({"a": 5})
    assert not await waiting, "it had read that very number"
    assert looptime == AHEAD
    assert await changes.other("a", 9), "a database of yesterday: soon, and not at once over and over"
    assert looptime == 2 * AHEAD


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), max_size=6))
def test_a_look_names_exactly_what_moved(looks: list[dict[str, int]]) -> None:
    async def looked() -> None:
        changes, before = Changes(), dict[str, int]()
        for numbers in looks:
            assert changes.looked(numbers) == {i for i in numbers if before.get(i) != numbers[i]}
            before = numbers

    asyncio.run(looked())
