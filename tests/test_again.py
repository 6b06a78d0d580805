"""What could not be done is tried again, and not for ever."""

from __future__ import annotations

import asyncio

import pytest

from visa.again import Again


class Away:
    """Somebody who is there from a moment on, and notes when they are asked."""

    def __init__(self, until: float) -> None:
        self._until, self.asked = until, list[float]()

    async def once(self) -> bool:
        now = asyncio.get_running_loop().time()
        self.asked.append(now)
        return now >= self._until


@pytest.mark.looptime
async def test_it_is_done_as_soon_as_it_can_be_and_then_no_more() -> None:
    away = Away(5)
    await Again(pause=2).until_done(away.once)
    assert away.asked == [0]
    await asyncio.sleep(100)
    assert away.asked == [0, 2, 4, 6]


@pytest.mark.looptime
async def test_it_is_given_up_in_the_end_and_at_most_so_many_at_once() -> None:
    again, away = Again(most=2, seconds=10, pause=2), [Away(10**6) for _ in range(3)]
    for one in away:
        await again.until_done(one.once)
    await asyncio.sleep(100)
    assert [len(one.asked) for one in away] == [6, 6, 1]
    await again.until_done(away[2].once)
    again.stop()
    await asyncio.sleep(100)
    assert len(away[2].asked) == 2
