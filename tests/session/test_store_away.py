"""The hub says that its database is away: what it said before holds longer than a hub's silence, and not for ever."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado.httpclient import HTTPError, HTTPResponse

from tests.session.test_people import following, word
from visa import clock
from visa.instances.access import Role
from visa.session.hub import AWAY_REASON, HubUnavailable, StoreAway, _says_away
from visa.session.people import AWAY, STALE
from visa.store.faults import REASON

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(("fault", "lasts"), [(StoreAway, AWAY), (HubUnavailable, STALE)])
async def test_members_stay_for_a_bounded_time(fault: type[Exception], lasts: float) -> None:
    async with following() as (people, hub):
        hub.follows.put_nowait(word(1, "lise"))
        await asyncio.sleep(0.01)
        said = clock.elapsed()
        assert people.role("lise") is Role.OBSERVER
        for _ in range(200):
            hub.follows.put_nowait(fault("503"))
        await asyncio.sleep(lasts - 1)
        assert people.role("lise") is Role.OBSERVER
        while people.role("lise") is Role.OBSERVER:
            await asyncio.sleep(0.1)
        assert clock.elapsed() - said == pytest.approx(lasts, abs=0.2)
        assert people.role("marie") is Role.OWNER


@pytest.mark.parametrize(
    ("status", "body", "away"),
    [
        (503, json.dumps({"reason": REASON}), True),
        (503, json.dumps({"reason": "other"}), False),
        (503, "[]", False),
        (503, "Service Unavailable", False),
        (500, json.dumps({"reason": REASON}), False),
    ],
)
async def test_only_the_hubs_own_word_counts(status: int, body: str, *, away: bool) -> None:
    class Answer:
        def __init__(self) -> None:
            self.body = body.encode()

    answer: HTTPResponse = Answer()  # type: ignore[assignment]
    assert _says_away(HTTPError(status, response=answer)) is away
    assert REASON == AWAY_REASON


async def test_a_hub_that_gave_no_answer_says_nothing() -> None:
    assert not _says_away(HTTPError(503))
