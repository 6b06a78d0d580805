"""Numbers that gateways wait for: nobody is forgotten, nobody waits for what is there."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.hub.sharing import changes as module
from visa.hub.sharing.changes import Changes


async def test_who_waits_is_woken_by_her_own_instance_only() -> None:
    changes = Changes()
    changes.looked({"a": 1, "b": 1})
    waiting = [asyncio.create_task(changes.other(one, 1, 5)) for one in ("a", "a", "b")]
    await asyncio.sleep(0)
    assert changes.looked({"a": 2, "b": 1}) == {"a"}
    assert await waiting[0]
    assert await waiting[1]
    await asyncio.sleep(0.05)
    assert not waiting[2].done()
    changes.looked({"a": 2, "b": 3})
    assert await waiting[2]
    assert changes._waiting == {}


async def test_what_is_another_number_already_is_answered_at_once() -> None:
    changes = Changes()
    first = asyncio.create_task(changes.other("a", 0, 5))
    await asyncio.sleep(0.02)
    assert not first.done(), "before the first look nothing is known"
    changes.looked({"a": 4})
    assert await first
    assert await asyncio.wait_for(changes.other("a", 3, 5), 0.1)


async def test_nothing_new_is_said_in_time_and_nobody_is_left() -> None:
    changes = Changes()
    changes.looked({"a": 4})
    began = time.monotonic()
    assert not await changes.other("a", 4, 0.1)
    assert not await changes.other("nobody's", 0, 0.1)
    assert time.monotonic() - began < 1
    assert changes._waiting == {}


async def test_a_gateway_that_is_ahead_waits_for_the_next_look(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AHEAD", 0.2)
    changes = Changes()
    changes.looked({"a": 4})
    waiting = asyncio.create_task(changes.other("a", 5, 0.6))
    await asyncio.sleep(0.05)
    changes.looked({"a": 5})
    assert not await waiting, "it had read that very number"
    assert await changes.other("a", 9, 5), "a database of yesterday: soon, and not at once over and over"


@given(st.lists(st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)), max_size=6))
def test_a_look_names_exactly_what_moved(looks: list[dict[str, int]]) -> None:
    async def looked() -> None:
        changes, before = Changes(), dict[str, int]()
        for numbers in looks:
            assert changes.looked(numbers) == {i for i in numbers if before.get(i) != numbers[i]}
            before = numbers

    asyncio.run(looked())
