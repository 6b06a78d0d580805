"""At what pace a kernel's audience hears and asks. Time is virtual: the kernel and the watchers are played."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import cast

import pytest

from tests.session.notebook.messages import text
from visa.clock import elapsed
from visa.session.budget import Budget
from visa.session.frames import BINARY, TEXT, Jupyters, Part, frame
from visa.session.notebook.audience import GATHERED, LARGEST, PACE, PATIENCE, PAUSE, Audience
from visa.session.notebook.desks import Desk
from visa.session.notebook.seat import BEHIND, MOST_WAITING, framed

pytestmark = pytest.mark.looptime


class End:
    """Jupyter's end: tells what is put into ``news``, and notes when it is asked."""

    close_code, close_reason = 1001, ""

    def __init__(self) -> None:
        self.news: asyncio.Queue[str | bytes | Part | None] = asyncio.Queue()
        self.read: list[float] = []
        self.asked: list[tuple[str | bytes, float]] = []

    async def read_part(self) -> Part | None:
        message = await self.news.get()
        if message is None or isinstance(message, Part):
            return message
        self.read.append(elapsed())
        return Part(BINARY, message) if isinstance(message, bytes) else Part(TEXT, message.encode())

    async def write_message(self, question: str | bytes, binary: bool) -> None:
        self.asked.append((question, elapsed()))

    def close(self, code: int) -> None: ...


class Watcher:
    """Notes what she hears and when; has it ``after`` so many seconds, never when that is None."""

    def __init__(self, end: End, after: float | None = 0.0) -> None:
        self.jupyter, self.after = end, after
        self.heard: list[tuple[bytes, float]] = []
        self.told: list[tuple[int, str]] = []

    async def connect(self) -> Jupyters:
        return cast("Jupyters", self.jupyter)

    def send(self, frames: bytes) -> asyncio.Future[None]:
        self.heard.append((frames, elapsed()))
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.after is not None:
            asyncio.get_running_loop().call_later(self.after, written.set_result, None)
        return written

    def end(self, code: int, reason: str) -> None:
        self.told.append((code, reason))


@asynccontextmanager
async def attended(*after: float | None) -> AsyncIterator[tuple[Audience, End, list[Watcher]]]:
    """A kernel that somebody uses, and watchers."""
    desk, end = Desk(), End()
    desk.came(object())
    audience = Audience(desk, Budget(2**24, "marie"))
    watchers = [Watcher(end, one) for one in after]
    for one in watchers:
        audience.came(one)
    await asyncio.sleep(0)
    yield audience, end, watchers
    for one in watchers:
        audience.went(one)


async def test_what_comes_within_an_eyes_blink_is_handed_out_together_to_all() -> None:
    async with attended(0, 0) as (_, end, watchers):
        for message in (b"1", b"2", b"3"):
            end.news.put_nowait(message)
            await asyncio.sleep(GATHERED * 0.4)
        await asyncio.sleep(1)
        end.news.put_nowait(b"4")
        began = elapsed()
        await asyncio.sleep(1)
        for one in watchers:
            assert [frames for frames, _ in one.heard] == [framed(b"1") + framed(b"2") + framed(b"3"), framed(b"4")]
            assert [at for _, at in one.heard] == pytest.approx([GATHERED, began + GATHERED])


async def test_a_picture_is_handed_out_at_once() -> None:
    async with attended(0) as (_, end, (watcher,)):
        end.news.put_nowait(bytes(LARGEST))
        await asyncio.sleep(1)
        assert [at for _, at in watcher.heard] == [0]


@pytest.mark.parametrize(("after", "pace"), [((0.05, None), 0.05), ((None, None), PACE), ((1.0, 3.0), PACE)])
async def test_more_is_read_when_the_quickest_has_it_or_her_time_is_over(
    after: tuple[float | None, ...], pace: float
) -> None:
    async with attended(*after) as (_, end, watchers):
        for _ in range(4):
            end.news.put_nowait(bytes(LARGEST))
        await asyncio.sleep(5)
        for one in watchers:
            assert [at for _, at in one.heard] == pytest.approx([0, pace, 2 * pace, 3 * pace])


def question(number: int) -> str:
    return text("kernel_info_request", "shell", {"n": number})


async def test_questions_are_asked_in_turn_and_each_waits_for_an_answer_a_second_at_most() -> None:
    async with attended(0, 0) as (audience, end, (first, second)):
        hers = [question(number) for number in range(3)]
        for one in hers[:2]:
            audience.asks(first, one)
        audience.asks(second, hers[2])
        await asyncio.sleep(10)
        assert [asked for asked, _ in end.asked] == [hers[0], hers[2], hers[1]]
        step = PATIENCE + PAUSE
        assert [at for _, at in end.asked] == pytest.approx([0, step, 2 * step])


async def test_only_the_newest_questions_of_a_watcher_are_kept() -> None:
    async with attended(0) as (audience, end, (watcher,)):
        asked = [question(number) for number in range(MOST_WAITING + 3)]
        for one in asked:
            audience.asks(watcher, one)
        await asyncio.sleep(60)
        assert [one for one, _ in end.asked] == asked[3:]


async def test_who_left_is_not_asked_for() -> None:
    async with attended(0, 0) as (audience, end, (first, _)):
        audience.went(first)
        audience.asks(first, question(1))
        await asyncio.sleep(10)
        assert end.asked == []


async def test_a_long_message_passes_in_parts_and_who_comes_meanwhile_hears_the_next() -> None:
    async with attended(0) as (audience, end, (watcher,)):
        half = bytes(2**18)
        end.news.put_nowait(Part(BINARY, half, last=False))
        await asyncio.sleep(1)
        late = Watcher(end)
        audience.came(late)
        end.news.put_nowait(Part(BINARY, b"end", first=False))
        await asyncio.sleep(1)
        end.news.put_nowait(b"next")
        await asyncio.sleep(1)
        begun, rest = frame(Part(BINARY, half, last=False)), frame(Part(BINARY, b"end", first=False))
        assert b"".join(frames for frames, _ in watcher.heard) == begun + rest + framed(b"next")
        assert [frames for frames, _ in late.heard] == [framed(b"next")]
        audience.went(late)


async def test_who_does_not_take_it_is_sent_away_with_a_sentence_and_the_others_hear_on() -> None:
    async with attended(0, None) as (_, end, (quick, slow)):
        for _ in range(2 * BEHIND // LARGEST):
            end.news.put_nowait(bytes(LARGEST))
        await asyncio.sleep(60)
        assert len(quick.heard) == 2 * BEHIND // LARGEST
        assert sum(len(frames) for frames, _ in slow.heard) <= BEHIND + 2 * LARGEST
        assert set(slow.told) == {(1013, "Your page did not take what the kernel told.")}


async def test_what_all_watchers_hold_is_in_the_gateway_s_budget() -> None:
    desk, end = Desk(), End()
    desk.came(object())
    budget = Budget(8 * LARGEST, "marie")
    audience, slow = Audience(desk, budget), Watcher(end, None)
    audience.came(slow)
    for _ in range(4):
        end.news.put_nowait(bytes(LARGEST))
    await asyncio.sleep(60)
    assert slow.told
    assert budget.held <= budget.total // 4
    audience.went(slow)
    assert budget.held == 0


@pytest.mark.parametrize("after", [0.0, 5.0])
async def test_what_the_last_of_them_has_is_held_no_more_though_the_kernel_is_silent(after: float) -> None:
    """Else the audience of another kernel would find no room, and be sent away at each word."""
    desk, end = Desk(), End()
    desk.came(object())
    budget = Budget(2**24, "marie")
    audience, watchers = Audience(desk, budget), [Watcher(end, one) for one in (0.0, after)]
    for one in watchers:
        audience.came(one)
    for _ in range(4):
        end.news.put_nowait(bytes(LARGEST))
    await asyncio.sleep(3)
    assert bool(budget.held) == (after > 3)
    await asyncio.sleep(60)
    assert budget.held == 0
    for one in watchers:
        audience.went(one)


async def test_nothing_is_held_when_the_kernel_ended_before_somebody_took_what_it_told() -> None:
    desk, end = Desk(), End()
    desk.came(object())
    budget = Budget(2**24, "marie")
    audience, slow = Audience(desk, budget), Watcher(end, None)
    audience.came(slow)
    end.news.put_nowait(bytes(LARGEST))
    end.news.put_nowait(None)
    await asyncio.sleep(60)
    assert slow.told
    audience.went(slow)
    assert budget.held == 0
