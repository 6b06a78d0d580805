"""What the gateway asks the environment: kept for a moment, once for all who ask, and no answer is not waited for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.session.test_pieces import GIVEN
from visa.session.notebook import places
from visa.session.notebook.places import FRESH, PATIENCE, Places
from visa.session.settings import GatewaySettings

pytestmark = pytest.mark.looptime


class Asked(Places):
    """Whose environment takes ``seconds`` for an answer, which is the number of the question."""

    def __init__(self, seconds: float) -> None:
        super().__init__(GatewaySettings.read(GIVEN), lambda: ())
        self.seconds, self.questions = seconds, 0

    async def ask(self) -> int:
        self.questions += 1
        number = self.questions
        await asyncio.sleep(self.seconds)
        return number

    async def told(self, key: str = "one") -> Any:
        return await self._fresh(key, self.ask)


async def test_sixty_who_ask_at_once_ask_once_and_again_when_it_is_old() -> None:
    asked = Asked(0.5)
    assert await asyncio.gather(*(asked.told() for _ in range(60))) == [1] * 60
    await asyncio.sleep(FRESH - 0.501)
    assert await asked.told() == 1
    await asyncio.sleep(0.002)
    assert await asked.told() == 2
    assert await asked.told("another") == 3


async def test_who_leaves_does_not_take_the_answer_from_the_others() -> None:
    asked = Asked(0.5)
    leaves, stays = (asyncio.create_task(asked.told()) for _ in range(2))
    await asyncio.sleep(0.1)
    leaves.cancel()
    assert await stays == 1


async def test_no_answer_is_nothing_after_a_while() -> None:
    asked, loop = Asked(PATIENCE + 1), asyncio.get_running_loop()
    begin = loop.time()
    assert await asked.told() is None
    assert loop.time() - begin == pytest.approx(PATIENCE)


async def test_only_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "_KEPT", 2)
    asked = Asked(0)
    for key in ("a", "b", "c"):
        await asked.told(key)
    assert [await asked.told(key) for key in ("c", "b", "a")] == [3, 2, 4]
