"""The watch of all instances, against an API server that has its faults."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from kubernetes_asyncio.client import CoreV1Api
from looptime import LoopTimeProxy

from tests.hub.pods.api_server import ApiServer, pod
from visa.hub.pods.watch import PodWatch, slim

SELECTOR = "app.kubernetes.io/name=visa"

# Its pauses cost nothing: the API server is in the same process, and time jumps to what is waited for.
pytestmark = pytest.mark.looptime
GROWN = 0.2 + 0.4 + 0.8 + 1.6 + 3.2
"""Seconds after which its pause is the longest, five seconds."""


@pytest.fixture
async def server() -> ApiServer:
    return ApiServer()


@pytest.fixture
async def api(server: ApiServer) -> AsyncIterator[CoreV1Api]:
    async with server.served() as client:
        yield client


@pytest.fixture
async def watch(api: CoreV1Api) -> AsyncIterator[PodWatch]:
    made = PodWatch(api, "visa", SELECTOR)
    yield made
    await made.stop()


async def until(condition: Callable[[], Any], seconds: float = 300.0) -> None:
    """Wait in steps small enough to see the moment at which it happens; ``seconds`` of virtual time cost little."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


async def follows(server: ApiServer, watch: PodWatch) -> None:
    """It listed and now follows."""
    watch.start()
    assert await watch.loaded(5)
    await until(lambda: server._streams)


async def test_everything_is_listed_by_pages_and_then_followed(server: ApiServer, watch: PodWatch) -> None:
    for number in range(250):
        server.put(pod(f"p{number}"))
    await follows(server, watch)
    assert set(watch.pods) == {f"p{number}" for number in range(250)}
    assert [query.get("continue") for query in server.lists] == [None, "100", "200"]
    assert {query["labelSelector"] for query in server.lists + server.watches} == {SELECTOR}
    assert server.watches[0]["resourceVersion"] == str(server.version)
    assert server.watches[0]["allowWatchBookmarks"] == "True"


async def test_what_is_added_changed_and_deleted_is_known_and_told(server: ApiServer, watch: PodWatch) -> None:
    told: list[tuple[str, Any]] = []
    watch.on_change.append(lambda name, seen: told.append((name, seen and seen["status"]["phase"])))
    await follows(server, watch)
    server.put(pod("a", phase="Pending"))
    server.put(pod("a", phase="Running"))
    server.put(pod("a", phase="Running"))
    server.remove("a")
    await until(lambda: ("a", None) in told)
    assert told == [("a", "Pending"), ("a", "Running"), ("a", None)], "what did not change is not told"
    assert watch.pods == {}


async def test_a_bookmark_moves_the_place_from_which_it_goes_on(server: ApiServer, watch: PodWatch) -> None:
    await follows(server, watch)
    server.say("BOOKMARK", {"kind": "Pod", "metadata": {"resourceVersion": "777"}})
    server.end_watches()
    await until(lambda: len(server.watches) == 2)
    assert watch.pods == {}
    assert server.watches[1]["resourceVersion"] == "777"
    assert len(server.lists) == 1


async def test_a_watch_that_ends_in_order_goes_on_where_it_was(server: ApiServer, watch: PodWatch) -> None:
    server.ends_at_once = True
    server.put(pod("a"))
    watch.start()
    assert await watch.loaded(5)
    await until(lambda: len(server.watches) >= 3)
    assert len(server.lists) == 1, "nothing is listed again"
    assert len({query["resourceVersion"] for query in server.watches}) == 1


async def test_a_server_that_ends_every_watch_at_once_is_not_flooded(server: ApiServer, watch: PodWatch) -> None:
    server.ends_at_once = True
    watch.start()
    assert await watch.loaded(5)
    await asyncio.sleep(GROWN + 0.1)
    before = len(server.watches)
    await asyncio.sleep(60)
    assert len(server.watches) - before == 12, "every five seconds"
    assert len(server.lists) == 1


@pytest.mark.parametrize("how", ["status", "event"])
async def test_a_version_that_is_too_old_is_listed_again_and_what_is_gone_is_dropped(
    server: ApiServer, watch: PodWatch, how: str
) -> None:
    server.put(pod("stays"))
    server.put(pod("goes"))
    told: list[tuple[str, bool]] = []
    watch.on_change.append(lambda name, seen: told.append((name, seen is None)))
    await follows(server, watch)
    server.forget("goes")
    if how == "event":
        server.say("ERROR", {"code": 410, "message": "too old resource version"})
    else:
        server.answers = [410]
        server.cut()
    await until(lambda: ("goes", True) in told)
    assert set(watch.pods) == {"stays"}


async def test_a_page_that_is_too_old_begins_the_list_anew(server: ApiServer, watch: PodWatch) -> None:
    for number in range(150):
        server.put(pod(f"p{number}"))
    server.too_old_pages = 1
    await follows(server, watch)
    assert len(watch.pods) == 150
    assert [query.get("continue") for query in server.lists] == [None, "100", None, "100"]


async def test_a_server_that_calls_everything_too_old_is_not_flooded(server: ApiServer, watch: PodWatch) -> None:
    server.answers = [410] * 100
    watch.start()
    await asyncio.sleep(GROWN + 0.1)
    before = len(server.lists)
    await asyncio.sleep(60)
    assert len(server.lists) - before == 12, "every five seconds"
    assert server.watches == []


async def test_a_cut_connection_is_made_again(server: ApiServer, watch: PodWatch) -> None:
    await follows(server, watch)
    for number in range(3):
        server.cut()
        await until(lambda: not server._streams)
        await until(lambda: server._streams)
        server.put(pod(f"after-{number}"))
        await until(lambda number=number: f"after-{number}" in watch.pods)


async def test_half_a_line_is_no_pod(server: ApiServer, watch: PodWatch) -> None:
    server.put(pod("a"))
    await follows(server, watch)
    server.write(b'{"type": "MODIFIED", "object": {"meta')
    server.cut()
    await until(lambda: len(server.lists) == 2)
    assert set(watch.pods) == {"a"}


@pytest.mark.parametrize("status", [500, 403, 401, 429, 503])
async def test_errors_are_waited_out(
    server: ApiServer, watch: PodWatch, status: int, caplog: pytest.LogCaptureFixture, looptime: LoopTimeProxy
) -> None:
    server.answers = [status] * 4
    server.put(pod("a"))
    watch.start()
    assert await watch.loaded(5)
    assert looptime == pytest.approx(0.2 + 0.4 + 0.8 + 1.6), "the pauses grow"
    assert set(watch.pods) == {"a"}
    assert f"({status} no)" in caplog.text


@pytest.mark.parametrize("garbage", ["<html>", "[]", "{}", '{"items": null, "metadata": {}}', "", '{"items": [1]}'])
async def test_garbage_is_waited_out(server: ApiServer, watch: PodWatch, garbage: str) -> None:
    server.answers = [garbage] * 2
    server.put(pod("a"))
    watch.start()
    assert await watch.loaded(5)
    assert set(watch.pods) == {"a"}


@pytest.mark.parametrize("garbage", [b"<html>\n", b"[]\n", b'{"type": "ADDED"}\n', b'{"type": "ADDED", "object": 1}\n'])
async def test_garbage_among_events_is_waited_out(server: ApiServer, watch: PodWatch, garbage: bytes) -> None:
    await follows(server, watch)
    server.write(garbage)
    await until(lambda: len(server.lists) == 2)
    await until(lambda: server._streams)
    server.put(pod("a"))
    await until(lambda: "a" in watch.pods)


async def test_a_pod_of_a_megabyte_is_followed(server: ApiServer, watch: PodWatch) -> None:
    await follows(server, watch)
    large = pod("large")
    large["metadata"]["annotations"] = {"x": "y" * 1_000_000}
    server.put(large)
    await until(lambda: "large" in watch.pods)
    assert len(server.lists) == 1, "without a fault"
    assert len(json.dumps(watch.pods["large"])) < 1000


async def test_a_server_that_accepts_and_never_answers_is_left_and_blindness_grows(
    server: ApiServer, watch: PodWatch, looptime: LoopTimeProxy
) -> None:
    await follows(server, watch)
    heard = float(looptime)
    server.silent = True
    before = len(server.lists) + len(server.watches)
    await asyncio.sleep(99)
    assert watch.blind == 0, "a watch without news is usual"
    await asyncio.sleep(201)
    assert watch.blind == pytest.approx(looptime - heard, abs=0.1)
    assert len(server.lists) + len(server.watches) == before + 3, "each question is given a minute and a half"
    await asyncio.sleep(59)
    assert watch.blind == pytest.approx(looptime - heard, abs=0.1)
    server.silent = False
    server.put(pod("a"))
    await until(lambda: "a" in watch.pods)
    assert watch.blind == 0


async def test_a_listener_that_fails_stops_nobody(
    server: ApiServer, watch: PodWatch, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[str] = []

    def fails(name: str, seen: Any) -> None:
        raise RuntimeError("a fault of ours")

    watch.on_change += [fails, lambda name, seen: told.append(name)]
    server.put(pod("a"))
    await follows(server, watch)
    server.put(pod("b"))
    await until(lambda: told == ["a", "b"])
    assert len(server.lists) == 1
    assert "a fault of ours" in caplog.text


async def test_a_watch_that_ended_begins_anew(
    server: ApiServer, watch: PodWatch, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(_: Any) -> None:
        raise SystemError("deep inside")

    with monkeypatch.context() as patched:
        patched.setattr(PodWatch, "_run", fails)
        watch.start()
        await asyncio.sleep(1)
    assert not await watch.loaded(60)
    await follows(server, watch)
    assert "deep inside" in caplog.text
    task = watch._task
    watch.start()
    assert watch._task is task, "one is enough"


async def test_changed_wakes_who_waits_for_that_pod_only(
    server: ApiServer, watch: PodWatch, looptime: LoopTimeProxy
) -> None:
    await follows(server, watch)
    both = [asyncio.create_task(watch.changed("a", 60)) for _ in range(2)]
    other = asyncio.create_task(watch.changed("b", 60))
    await asyncio.sleep(30)
    at = float(looptime)
    server.put(pod("a"))
    await asyncio.gather(*both)
    assert looptime == at, "at once"
    assert not other.done()
    await other
    assert looptime == pytest.approx(at + 30)
    assert watch._waiting == {}, "nothing is left of those who waited"


async def test_waiting_has_an_end(watch: PodWatch, server: ApiServer, looptime: LoopTimeProxy) -> None:
    server.silent = True
    watch.start()
    assert not await watch.loaded(10)
    assert looptime == 10
    await watch.changed("a", 20)
    assert looptime == 30


async def test_a_thousand_pods_come_by_pages_between_which_others_work(server: ApiServer, watch: PodWatch) -> None:
    """A page of a hundred holds up the hub for 20 ms, all of them at once for 200 (measured)."""
    for number in range(1000):
        server.pods[f"p{number}"] = pod(f"p{number}")
    turns, done = [0], asyncio.Event()

    async def tick() -> None:
        while not done.is_set():
            turns[0] += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(tick())
    watch.start()  # and no timer: while somebody always has a turn, virtual time stands still
    assert await watch.loaded(5)
    done.set()
    await ticking
    assert len(watch.pods) == 1000
    assert server.limits == [100] * 10
    assert turns[0] > 10, "others had their turn between pages"


def test_slim_keeps_what_is_used_of_a_pod() -> None:
    whole = pod("a", containerStatuses=[{"name": "environment"}], hostIP="1.2.3.4", podIP="10.0.0.1")
    whole["metadata"] |= {"managedFields": [{}], "annotations": {"a": "b"}, "deletionTimestamp": "2026"}
    kept = slim(whole)
    assert set(kept["metadata"]) == {"name", "uid", "creationTimestamp", "deletionTimestamp", "labels"}
    assert set(kept["status"]) == {"phase", "podIP", "containerStatuses"}
    assert slim({"metadata": {"name": "a"}})["status"] == {}
