"""How long the cluster is asked, and what people are told when it does not answer. Time is virtual.

The API server's faults are played: none can be made to answer late to the second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from kubernetes_asyncio.client.exceptions import ApiException

from visa.clock import elapsed
from visa.hub.admitted import StartFailed
from visa.hub.pods.cluster import Cluster
from visa.hub.pods.watch import PodWatch

pytestmark = pytest.mark.looptime

TIMEOUT, PATIENCE = 10.0, 30.0
POD = {"metadata": {"name": "visa-1", "uid": "u"}}
CLAIM = {"metadata": {"name": "scratch"}}

Answer = Callable[[], Awaitable[Any]]


class Watch:
    """What a watch that works knows of pods, from the moments at which they are ``gone``."""

    def __init__(self, gone: float = float("inf"), blind: bool = False) -> None:
        self.gone, self.blind = gone, blind

    @property
    def pods(self) -> dict[str, Any]:
        return {} if elapsed() >= self.gone else {"visa-1": POD}

    async def changed(self, name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)


class Api:
    """Answers each call by the next of what is given for it, and by the last of them from then on."""

    def __init__(self, **answers: list[Answer]) -> None:
        self.answers = answers
        self.asked: list[tuple[str, float]] = []

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        async def call(*arguments: Any, **named: Any) -> Any:
            self.asked.append((name.partition("_")[0], elapsed()))
            left = self.answers[name.partition("_")[0]]
            return await (left.pop(0) if len(left) > 1 else left[0])()

        return call


def says(status: int, text: str = "") -> Answer:
    """An answer of the API server."""

    async def answer() -> Any:
        async def read() -> bytes:
            return text.encode()

        return SimpleNamespace(status=status, reason="", read=read)

    return answer


async def silence() -> None:
    """None ever."""
    await asyncio.Event().wait()


async def refused() -> None:
    """No connection."""
    raise ConnectionRefusedError("nobody listens")


def cluster(api: Api, watch: Watch | None = None) -> Cluster:
    return Cluster(api, "visa", cast("PodWatch", watch or Watch()), TIMEOUT, PATIENCE, "it@example.org")


async def test_a_start_gives_up_after_five_tries_of_ten_seconds_each_later_than_the_one_before() -> None:
    api = Api(create=[silence])
    with pytest.raises(StartFailed, match=r"The cluster does not answer\."):
        await cluster(api).create(POD)
    assert [at for _, at in api.asked] == pytest.approx([0, 10.2, 20.6, 31.4, 43])
    assert elapsed() == pytest.approx(5 * TIMEOUT + 0.2 * 31)


async def test_a_pod_that_was_made_though_no_answer_came_is_made_anew() -> None:
    api = Api(create=[silence, says(409), says(201)], delete=[says(200)])
    await cluster(api, Watch(gone=14)).create(POD)
    assert [name for name, _ in api.asked] == ["create", "create", "delete", "create"]
    assert api.asked[-1][1] == pytest.approx(14.2), "when the former one is gone"


async def test_what_the_api_server_refuses_is_not_tried_again() -> None:
    api = Api(create=[says(403, "exceeded quota: team")])
    with pytest.raises(StartFailed):
        await cluster(api).create(POD)
    assert api.asked == [("create", 0.0)]


@pytest.mark.parametrize("blind", [False, True])
async def test_the_end_of_a_pod_is_waited_for_with_its_grace_and_no_longer(blind: bool) -> None:
    api = Api(delete=[says(200)], read=[says(200)])
    with pytest.raises(TimeoutError, match="visa-1 did not go within 37 s"):
        await cluster(api, Watch(blind=blind)).delete("visa-1", grace=7)
    assert elapsed() == PATIENCE + 7
    assert [name for name, _ in api.asked].count("delete") == 1, "asked for once"


async def test_a_blind_watch_does_not_keep_an_end_from_being_seen() -> None:
    api = Api(delete=[says(200)], read=[says(200), says(200), says(404)])
    await cluster(api, Watch(blind=True)).delete("visa-1", grace=0)
    assert elapsed() == 3


async def test_an_end_is_asked_for_again_while_nobody_answers() -> None:
    api = Api(delete=[refused, refused, says(404)])
    await cluster(api).delete("visa-1", grace=0)
    assert api.asked == [("delete", 0.0), ("delete", 0.5), ("delete", 1.0)]


async def test_an_end_that_is_refused_is_no_end() -> None:
    with pytest.raises(ApiException):
        await cluster(Api(delete=[says(403)])).delete("visa-1", grace=0)


async def test_a_claim_is_asked_for_once() -> None:
    with pytest.raises(StartFailed, match=r"The cluster does not answer\."):
        await cluster(Api(read=[silence])).have_claim(CLAIM)
    assert elapsed() == TIMEOUT
    api = Api(read=[says(404)], create=[says(409)])
    await cluster(api).have_claim(CLAIM)
    assert [name for name, _ in api.asked] == ["read", "create"]


async def test_events_that_cannot_be_read_are_none() -> None:
    assert await cluster(Api(list=[silence])).events(POD) == []
    assert elapsed() == TIMEOUT
    found = '{"items": [{"lastTimestamp": "1"}, {"lastTimestamp": "2"}, {}]}'
    stamps = [one.get("lastTimestamp") for one in await cluster(Api(list=[says(200, found)])).events(POD)]
    assert stamps == ["2", "1", None]
