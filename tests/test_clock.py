"""The one place that reads the time."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta

import pytest

from visa import clock

NOON = datetime(2026, 3, 29, 12, tzinfo=UTC)


@pytest.mark.looptime
async def test_spans_are_the_event_loops() -> None:
    began = clock.elapsed()
    await asyncio.sleep(3600)
    assert clock.elapsed() - began == 3600


def test_without_a_loop_spans_are_the_systems() -> None:
    began = clock.elapsed()
    assert clock.elapsed() >= began


def test_moments_are_in_utc() -> None:
    assert clock.now().utcoffset() == timedelta(0)


def test_a_given_wall_clock_holds_in_every_thread_and_only_in_its_block() -> None:
    seen: list[datetime] = []
    with clock.wall(lambda: NOON):
        thread = threading.Thread(target=lambda: seen.append(clock.now()))
        thread.start()
        thread.join()
        assert clock.now() == NOON
    assert seen == [NOON]
    assert clock.now() != NOON


@pytest.mark.looptime
async def test_on_virtual_time_moments_follow_the_loop(virtual_wall: datetime) -> None:
    assert clock.now() == virtual_wall
    await asyncio.sleep(90)
    assert clock.now() == virtual_wall + timedelta(seconds=90)
