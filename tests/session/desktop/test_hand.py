"""How the gateway comes to Selkies, which refuses who comes too soon. Time is virtual; a real one is in test_stream."""

from __future__ import annotations

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from visa.clock import elapsed
from visa.session import run, upstream
from visa.session.desktop import hand
from visa.session.desktop.hand import GAP, Hand

pytestmark = pytest.mark.looptime

SOON = 4029
GREETED = 0


class End:
    """One connection, which Selkies greets or closes with a code."""

    def __init__(self, code: int, greets_after: float = 0.0) -> None:
        self.close_code, self._after = code or None, greets_after
        self.sent: list[str] = []
        self._greeted, self._closed = False, asyncio.Event()

    async def read_message(self) -> str | None:
        await asyncio.sleep(self._after)
        if self.close_code:
            return None
        if self._greeted:
            await self._closed.wait()
            return None
        self._greeted = True
        return "MODE websockets"

    async def write_message(self, message: str) -> None:
        self.sent.append(message)

    def close(self, code: int) -> None:
        self._closed.set()


class Selkies:
    """Closes the first connections with ``codes``, and greets the others."""

    def __init__(self, *codes: int) -> None:
        self.codes, self.late = list(codes), 0.0
        self.opened: list[tuple[str, float]] = []
        self.ends: list[End] = []

    async def websocket(self, path: str, address: str, largest: int) -> Any:
        self.opened.append((address.partition("?")[2], elapsed()))
        self.ends.append(End(self.codes.pop(0) if self.codes else GREETED, self.late))
        return self.ends[-1]


@pytest.fixture
def selkies(monkeypatch: pytest.MonkeyPatch) -> Selkies:
    """Instead of one that listens."""
    made = Selkies()
    monkeypatch.setattr(run, "websocket", made.websocket)

    async def connect(path: str) -> Any:
        return SimpleNamespace(close=lambda: None)

    async def shake_hands(stream: Any) -> Any:
        return SimpleNamespace(width=1280, height=800)

    monkeypatch.setattr(run, "connect", connect)
    monkeypatch.setattr(hand, "shake_hands", shake_hands)
    return made


class Looker:
    """Notes when she lost the desktop."""

    def __init__(self) -> None:
        self.lost_at: list[float] = []

    def copied(self, plain: bytes) -> None: ...

    def lost(self) -> None:
        self.lost_at.append(elapsed())


async def test_who_come_at_once_come_one_after_the_other(selkies: Selkies) -> None:
    one = Hand("/run", 100)
    await asyncio.gather(*(one.look() for _ in range(3)))
    assert [at for _, at in selkies.opened] == pytest.approx([0, GAP, 2 * GAP])
    assert {query for query, _ in selkies.opened} == {"role=viewer"}
    assert [end.sent for end in selkies.ends] == [["SETTINGS,{}"]] * 3


async def test_nobody_waits_when_the_last_one_came_long_ago(selkies: Selkies) -> None:
    one = Hand("/run", 100)
    await one.look()
    await asyncio.sleep(GAP)
    began = elapsed()
    await one.look()
    assert elapsed() == began


async def test_who_came_too_soon_after_another_gateway_comes_again(selkies: Selkies) -> None:
    selkies.codes = [SOON, SOON]
    await Hand("/run", 100).look()
    assert [at for _, at in selkies.opened] == pytest.approx([0, GAP, 2 * GAP])


async def test_any_other_end_is_final(selkies: Selkies) -> None:
    selkies.codes = [1008]
    with pytest.raises(upstream.NotListening):
        await Hand("/run", 100).look()
    assert len(selkies.opened) == 1


async def test_the_first_who_looks_brings_the_size_and_the_last_ends_it(selkies: Selkies) -> None:
    one, first, second = Hand("/run", 100), Looker(), Looker()
    for looker in (first, second):
        one.join(looker)
    await asyncio.sleep(1)
    assert [query for query, _ in selkies.opened] == [""], "one connection for all"
    size = json.loads(selkies.ends[0].sent[0].removeprefix("SETTINGS,"))
    assert (size["initialClientWidth"], size["initialClientHeight"]) == (1280, 800)
    await one.do(["kd,97"])
    one.leave(first, ())
    await asyncio.sleep(1)
    await one.do(["ku,97"])
    one.leave(second, ("kr",))
    await asyncio.sleep(1)
    await one.do(["kd,98"])
    assert selkies.ends[0].sent[1:] == ["kd,97", "ku,97", "kr"]
    assert first.lost_at == second.lost_at == []


async def test_a_selkies_that_does_not_greet_is_lost_after_fifteen_seconds(selkies: Selkies) -> None:
    selkies.late = 60
    one, looker = Hand("/run", 100), Looker()
    one.join(looker)
    await asyncio.sleep(14.9)
    assert looker.lost_at == []
    await asyncio.sleep(1)
    assert looker.lost_at == [15]
