"""A proxy that is killed comes back by itself, with all routes: sessions behind it did not notice."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from aiohttp import ClientError, ClientSession

from tests.hub.test_proxy import traefik_of
from tests.hub.test_restart import start
from tests.hub.test_routes import targets, traefik
from tests.services import chp
from tests.services.hub import Backend, RunningHub, started, until
from tests.services.kernel import Kernel
from tests.services.waiting import eventually
from visa.hub import proxy as module

pytestmark = pytest.mark.timeout(300)
Killed = tuple[RunningHub, Callable[[], object]]


@pytest.fixture(params=["traefik", "configurable-http-proxy"])
def killed(request: pytest.FixtureRequest, tmp_path: Path, backend: Backend) -> Iterator[Killed]:
    """A hub behind each proxy, and what kills that."""
    hub = backend.hub(tmp_path, backend.facility(tmp_path))
    with ExitStack() as stack:
        if request.param == "traefik":
            yield stack.enter_context(started(hub)), lambda: traefik_of(hub).signal(signal.SIGKILL)
            return
        proxy = stack.enter_context(chp.running(tmp_path, int(hub.url.rpartition(":")[2])))
        hub.config.write_text(hub.config.read_text() + proxy.extra())
        yield stack.enter_context(started(hub)), proxy.kill


def test_it_comes_back_with_all_routes_and_sessions_go_on(killed: Killed) -> None:
    hub, kill = killed
    token = hub.token("marie")
    start(hub, token, "steady")
    kernel = Kernel.begin(f"{hub.url}/user/marie/steady/", {"Authorization": f"token {token}"})
    kernel.run("kept = 6 * 7")
    for _ in range(2):
        kill()
        assert kernel.run_once_back("print(kept)") == "42\n"
        with hub.rest(token) as rest:
            until(lambda: rest.get("me").status_code == 200, 60, "the portal's route")
    assert hub.process is not None
    assert hub.process.poll() is None


async def test_one_that_was_taken_over_is_watched_too(tmp_path: Path) -> None:
    async with traefik(tmp_path) as (first, url), targets(1) as (target,), ClientSession() as client:
        await first.add_route("/", target, {"hub": True})
        first._watching.cancel()  # as a hub that is killed leaves it
        next_ = module.VisaTraefikProxy(
            public_url=url, log=first.log, **module.settings_for(tmp_path, int(api_port(first)), "secret")
        )
        await next_.start()
        assert isinstance(next_.traefik_process, module._Adopted)
        former = next_.traefik_process.pid
        os.kill(former, signal.SIGKILL)
        first.traefik_process.wait()
        await eventually(lambda: reached(client, url), "the next traefik")
        assert next_.traefik_process.pid != former
        first.traefik_process = next_.traefik_process
        next_._watching.cancel()


async def test_one_that_dies_again_and_again_is_tried_less_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[float] = []
    enough = asyncio.Event()

    async def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 8:
            enough.set()
            await asyncio.Event().wait()

    async with traefik(tmp_path) as (proxy, _url):
        program = tmp_path / "dies"
        program.write_text("#!/bin/sh\nexit 1\n")
        program.chmod(0o755)
        monkeypatch.setattr(module, "traefik", lambda: str(program))
        monkeypatch.setattr(module, "_sleep", pause)
        proxy.traefik_process.kill()
        async with asyncio.timeout(60):
            await enough.wait()
    assert pauses == [0.25, 0.5, 1, 2, 4, 8, 10, 10], "the first had not lived for long either"


def api_port(proxy: module.VisaTraefikProxy) -> str:
    return str(proxy.traefik_api_url).rpartition(":")[2]


async def reached(client: ClientSession, url: str) -> bool:
    try:
        async with client.get(url + "/anything") as answer:
            return answer.status == 200
    except ClientError:
        return False
