"""Waiting for the nodes' images, with an API server in this process and on its own clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from kubernetes_asyncio import client, config
from looptime import LoopTimeProxy

from visa.hub.awaiter import awaited

pytestmark = pytest.mark.looptime
PATH = "/apis/apps/v1/namespaces/visa/daemonsets/images"


def daemon_set(wanted: int, ready: int, *, seen: int = 2) -> dict[str, Any]:
    """Of generation 2, of which the cluster has seen generation ``seen``."""
    counts = {"desiredNumberScheduled": wanted, "numberReady": ready}
    status = {**counts, "currentNumberScheduled": wanted, "numberMisscheduled": 0, "observedGeneration": seen}
    return {"metadata": {"name": "images", "generation": 2}, "status": status}


@asynccontextmanager
async def saying(monkeypatch: pytest.MonkeyPatch, *answers: dict[str, Any] | int) -> AsyncIterator[None]:
    """An API server that gives these answers, or statuses, one after the other, and the last one for ever."""
    left = list(answers)

    async def answer(request: web.Request) -> web.Response:
        given = left.pop(0) if len(left) > 1 else left[0]
        return web.json_response({}, status=given) if isinstance(given, int) else web.json_response(given)

    server = web.Application()
    server.router.add_get(PATH, answer)
    runner = web.AppRunner(server, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = client.Configuration(host=f"http://127.0.0.1:{runner.addresses[0][1]}")
    with monkeypatch.context() as patched:
        patched.setattr(config, "load_incluster_config", lambda: None)
        patched.setattr(client.Configuration, "get_default_copy", lambda: here)
        yield
    await runner.cleanup()


async def test_it_waits_for_every_node_and_says_how_far_it_is_when_that_changes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], looptime: LoopTimeProxy
) -> None:
    answers = (daemon_set(2, 0), daemon_set(2, 1), daemon_set(2, 1), 503, daemon_set(2, 2, seen=1), daemon_set(2, 2))
    async with saying(monkeypatch, *answers):
        assert await awaited("visa", "images", 60)
        assert looptime == 5, "a look a second"
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "0 of 2 nodes have the images",
        "1 of 2 nodes have the images",
        "The API server does not say: Service Unavailable",
        "2 of 2 nodes have the images",
    ]


async def test_it_gives_up_in_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], looptime: LoopTimeProxy
) -> None:
    async with saying(monkeypatch, daemon_set(2, 1)):
        assert not await awaited("visa", "images", 600)
        assert looptime == 600
    assert capsys.readouterr().out.splitlines() == ["1 of 2 nodes have the images"]
