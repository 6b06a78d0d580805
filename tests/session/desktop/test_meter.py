"""How well the pictures reach one viewer, on a clock of the tests' own."""

from __future__ import annotations

import asyncio

import pytest

from visa.session.desktop.meter import Meter

pytestmark = pytest.mark.looptime


async def test_bytes_and_frames_are_those_of_the_last_interval() -> None:
    meter = Meter()
    for interval, (count, frames, bytes_per_s, frames_per_s) in enumerate([(8000, 20, 4000, 10), (100, 21, 50, 0.5)]):
        meter.passed(count, frames)
        await asyncio.sleep(2)
        assert (meter.tick() is None) == (interval > 0), "one ping at a time"
        measure = meter.measure
        assert measure == {"round_trip_ms": None, "bytes_per_s": bytes_per_s, "frames_per_s": frames_per_s}


async def test_a_round_trip_is_from_the_ping_to_its_own_answer() -> None:
    meter = Meter()
    await asyncio.sleep(1)
    asked = meter.tick()
    assert asked is not None
    await asyncio.sleep(0.0375)
    meter.pong(bytes(len(asked)))
    assert meter.round_trip_ms is None
    meter.pong(asked)
    assert meter.round_trip_ms == pytest.approx(37.5)
    await asyncio.sleep(1)
    meter.pong(asked)
    assert meter.measure["round_trip_ms"] == 37.5, "it was answered already"
    assert meter.tick() not in (None, asked)
