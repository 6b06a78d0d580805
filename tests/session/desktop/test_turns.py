"""Who only looks has her pictures in turn: few at once, each in the end, and nobody keeps the others waiting."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import struct
from collections.abc import AsyncIterator, Callable

import looptime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.session.rfb import messages as m
from visa import clock
from visa.session.desktop.turns import AT_LAST, AT_MOST, BETWEEN, LOOKOUT, REFINED, Look, Turns
from visa.session.rfb import names
from visa.session.rfb.names import Agreed, Allowed
from visa.session.rfb.viewer import FromViewer

pytestmark = pytest.mark.looptime

DAY = 86_400.0
PIECE = struct.pack(">BBHHHH", 3, 1, 0, 0, 64, 64)
DRAWING = 0.004
"""Seconds that drawing takes at most."""


class Screen:
    """Draws as Xvnc does: at once for who is behind, else when something changes. What is drawn is rough at first, and
    who asks for better while another is on the lookout gets it with every second request."""

    def __init__(self) -> None:
        self.state = 0
        self.asked: list[float] = []
        self.waiting: dict[Looker, None] = {}

    def ask(self, one: Looker, whole: bool) -> None:
        self.asked.append(clock.elapsed())
        self.waiting[one] = None
        loop = asyncio.get_running_loop()
        if whole or one.sees < self.state:
            loop.call_later(one.hasty.uniform(0, DRAWING), self.draw, one)
        elif one.rough and one.luck():
            loop.call_at(max(loop.time(), one.drawn + REFINED / 2), self.draw, one)

    def draw(self, one: Looker) -> None:
        if self.waiting.pop(one, one) is None:
            one.take(self.state)

    def end(self, one: Looker) -> None:
        """By one pixel."""
        if one.sees < self.state:
            self.draw(one)
        elif one in self.waiting:
            del self.waiting[one]
            one.came.set()

    def change(self) -> None:
        self.state += 1
        for one in list(self.waiting):
            self.draw(one)


class Looker:
    """Takes turns as a viewer does; her browser takes up to ``slow`` seconds until it asks again."""

    def __init__(self, screen: Screen, turns: Turns, slow: float, seed: int) -> None:
        self.screen, self.turns, self.slow, self.hasty = screen, turns, slow, random.Random(seed)
        self.look, self.came = Look(whole=True), asyncio.Event()
        self.seen: list[int] = [-1]
        self.rough, self.drawn, self.lucky = False, 0.0, True

    @property
    def sees(self) -> int:
        return self.seen[-1]

    def luck(self) -> bool:
        self.lucky = not self.lucky
        return self.lucky or self.turns.on_the_lookout(self.look)

    def take(self, state: int) -> None:
        self.rough = state != self.sees
        self.seen.append(state)
        self.drawn = clock.elapsed()
        self.look.drawn()
        self.came.set()
        self.turns.pictured(self.look)

    async def run(self) -> None:
        while True:
            async with self.turns.turn(self.look) as seconds:
                self.came.clear()
                whole = self.look.whole
                self.look.asks()
                self.screen.ask(self, whole)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.came.wait(), seconds)
                if not self.came.is_set():
                    self.screen.end(self)
            await asyncio.sleep(self.hasty.uniform(0, self.slow))


async def within(seconds: float, there: Callable[[], bool], what: str) -> None:
    """Of the loop's time."""
    end = clock.elapsed() + seconds
    while not there():
        assert clock.elapsed() < end, what
        await asyncio.sleep(0.01)


async def still(screen: Screen) -> None:
    """Nobody asks any more, ever."""
    await asyncio.sleep(60)
    asked = len(screen.asked)
    await asyncio.sleep(DAY)
    assert len(screen.asked) == asked


@contextlib.asynccontextmanager
async def running(looking: list[Looker]) -> AsyncIterator[dict[Looker, asyncio.Task[None]]]:
    tasks = {one: asyncio.create_task(one.run()) for one in looking}
    try:
        yield tasks
    finally:
        for task in tasks.values():
            task.cancel()
        await asyncio.gather(*tasks.values(), return_exceptions=True)


def round_of(looking: list[Looker]) -> float:
    """Seconds in which each of them has a turn, however slow the others' browsers are."""
    return len(looking) * (BETWEEN + AT_MOST + DRAWING) + max(one.slow for one in looking)


def all_see(screen: Screen, looking: list[Looker]) -> bool:
    return {one.sees for one in looking} == {screen.state}


async def all_see_the_last_change(looking: list[Looker], screen: Screen, pauses: list[float]) -> None:
    """As it is, and one waits for the next: it is drawn for one at once."""
    async with running(looking):
        for pause in pauses:
            await asyncio.sleep(pause)
            screen.change()
        await within(2 * round_of(looking), lambda: all_see(screen, looking), "all see it")
        await still(screen)
        assert all_see(screen, looking)
        assert not [one for one in looking if one.rough], "none has a rough one"
        assert len(screen.waiting) == 1


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("slow", [0, 0.02, 0.3])
async def test_all_see_the_last_change_as_it_is_and_one_waits_for_the_next(slow: float, seed: int) -> None:
    screen, turns, chance = Screen(), Turns(), random.Random(seed)
    looking = [Looker(screen, turns, slow if number % 2 else 0, seed + number) for number in range(8)]
    await all_see_the_last_change(looking, screen, [chance.choice([0, 0.001, 0.02, 0.1]) for _ in range(30)])


@settings(max_examples=max(settings().max_examples // 10, 5))
@given(
    slow=st.lists(st.sampled_from([0, 0.02, 0.3, 2.0]), min_size=1, max_size=12),
    pauses=st.lists(st.floats(0, 5), min_size=1, max_size=12),
    seed=st.integers(0, 2**16),
)
def test_whoever_looks_and_whenever_it_changes_all_see_the_last_change(
    slow: list[float], pauses: list[float], seed: int
) -> None:
    async def look() -> None:
        screen, turns = Screen(), Turns()
        looking = [Looker(screen, turns, one, seed + number) for number, one in enumerate(slow)]
        await all_see_the_last_change(looking, screen, pauses)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(look())


async def test_a_change_is_drawn_once_for_each_and_once_more_to_be_better() -> None:
    screen, turns = Screen(), Turns()
    looking = [Looker(screen, turns, 0, number) for number in range(8)]
    async with running(looking):
        for _ in range(3):
            await still(screen)
            screen.change()
        await still(screen)
    assert [one.seen[1:] for one in looking] == [[0, 0, 1, 1, 2, 2, 3, 3]] * 8


async def turn_of(turns: Turns, look: Look) -> tuple[float | None, float]:
    """How long the next turn may last, and how long it is until then, in seconds; raise `TimeoutError` when never."""
    begin = clock.elapsed()
    async with asyncio.timeout(DAY), turns.turn(look) as seconds:
        return seconds, clock.elapsed() - begin


def after(wait: float) -> object:
    """A turn of one in the queue."""
    return AT_MOST, pytest.approx(wait, abs=1e-5)


async def test_who_may_have_missed_something_has_a_short_turn_while_another_is_on_the_lookout() -> None:
    turns, now = Turns(), clock.elapsed()
    early, late = Look(now - 3, now - 2.9), Look(now - 1, now - 0.9)
    async with turns.turn(Look(now - 2.1, now - 2)) as seconds:
        assert seconds is None, "nothing is known to have changed"
        assert await turn_of(turns, early) == after(0), "the other's picture is a later one"
        with pytest.raises(TimeoutError):
            await turn_of(turns, late)
        late.drawn()
        assert await turn_of(turns, late) == after(REFINED), "there may be a better one by now"
        for doubled in range(5):
            late.asks()
            assert await turn_of(turns, late) == after(REFINED * 2**doubled), "Xvnc may have been late"
        assert REFINED * 2**doubled == AT_LAST
        late.asks()
        with pytest.raises(TimeoutError):
            await turn_of(turns, late)
    lookout = Look(clock.elapsed() - 0.8, clock.elapsed() - 0.7)
    async with turns.turn(lookout):
        turns.pictured(lookout)
        assert await turn_of(turns, late) == after(0), "something changed"
    assert await turn_of(turns, lookout) == (None, pytest.approx(0, abs=1e-5)), "she saw it"


async def test_a_lookout_who_leaves_is_followed_by_another() -> None:
    screen, turns = Screen(), Turns()
    async with running([Looker(screen, turns, 0, number) for number in range(4)]) as tasks:
        for _ in range(3):
            await still(screen)
            (lookout,) = screen.waiting
            tasks.pop(lookout).cancel()
            del screen.waiting[lookout]
            await within(2 * LOOKOUT, lambda: len(screen.waiting) == 1, "another is on the lookout")
            screen.change()
            await within(round_of([*tasks]), lambda: all_see(screen, [*tasks]), "all who are left see it")


async def test_who_looks_alone_does_not_wait_as_those_in_the_queue_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("visa.session.desktop.turns.BETWEEN", DAY)
    screen, turns = Screen(), Turns()
    looker = Looker(screen, turns, 0, 1)
    async with running([looker]):
        while len(looker.seen) < 31:
            await asyncio.sleep(0.001)
            screen.change()
    gaps = [later - earlier for earlier, later in zip(screen.asked, screen.asked[1:], strict=False)]
    assert gaps == [pytest.approx(LOOKOUT, abs=1e-5)] * 29


async def test_turns_are_not_closer_than_pictures() -> None:
    turns, begin = Turns(), clock.elapsed()
    for number in range(21):
        async with turns.turn(Look(whole=number % 2 == 0)):
            assert clock.elapsed() - begin == pytest.approx(number * BETWEEN, abs=1e-4)


async def test_who_never_takes_her_picture_keeps_nobody_waiting_for_longer_than_her_turn() -> None:
    turns, begins, loop = Turns(), list[float](), asyncio.get_running_loop()

    async def holds() -> None:
        while True:
            async with turns.turn(Look(whole=True)) as seconds:
                await asyncio.sleep(seconds or math.inf)

    holding = asyncio.create_task(holds())
    for _ in range(10):
        async with turns.turn(Look(whole=True)):
            begins.append(loop.time())
    holding.cancel()
    assert max(later - earlier for earlier, later in itertools.pairwise(begins)) == pytest.approx(
        AT_MOST + BETWEEN, abs=1e-4
    )


def test_her_requests_become_one_of_the_whole_desktop_and_none_is_pushed() -> None:
    agreed = Agreed(size=(1280, 800))
    viewer = FromViewer(Allowed(in_turn=True), agreed)
    assert viewer.feed(m.encodings(names.RAW, names.CONTINUOUS_UPDATES)) == m.encodings(names.RAW, names.FENCE)
    assert viewer.feed(m.fence()) == b"", "it is between the gateway and the server"
    assert not viewer.wants()
    assert viewer.feed(PIECE + PIECE) == b""
    assert viewer.wants()
    assert not viewer.wants_whole()
    assert viewer.asked() == struct.pack(">BBHHHH", 3, 1, 0, 0, 1280, 800)
    assert not viewer.wants()
    viewer.feed(struct.pack(">BBHHHH", 3, 0, 5, 5, 1, 1) + PIECE)
    assert viewer.wants_whole()
    assert viewer.asked() == struct.pack(">BBHHHH", 3, 0, 0, 0, 1280, 800), "who asked for all gets all"
