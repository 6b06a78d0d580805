"""Requests of one person do not hold up another's, and what is not read costs little."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

from tests.session import rig
from tests.session.test_bounds import LIGHT, until_let_in
from visa.session.turnstile import EACH, OTHERS, Turnstile


async def waits(turnstile: Turnstile, name: str) -> asyncio.Task[None]:
    """Somebody who has to wait."""
    entering = asyncio.create_task(turnstile.enter(name))
    for _ in range(5):
        await asyncio.sleep(0)
    assert not entering.done()
    return entering


async def test_so_many_of_a_person_go_and_the_next_waits() -> None:
    turnstile = Turnstile("marie")
    for _ in range(EACH):
        await turnstile.enter("lise")
    late = await waits(turnstile, "lise")
    await turnstile.enter("pierre")
    turnstile.leave("lise")
    await late


async def test_others_together_leave_the_owner_her_place_and_who_gives_up_waiting_holds_nothing() -> None:
    turnstile = Turnstile("marie")
    for number in range(OTHERS):
        await turnstile.enter(f"guest{number}")
    late = await waits(turnstile, "lise")
    for _ in range(EACH):
        await turnstile.enter("marie")
    late.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await late
    turnstile.leave("guest0")
    await turnstile.enter("lise")
    await waits(turnstile, "pierre")


class Large(web.RequestHandler):
    """A file of zeros that does not end soon."""

    async def get(self) -> None:
        if not self.request.path.endswith("large"):
            self.finish({})
            return
        self.set_header("Content-Length", str(2**30))
        for _ in range(2**12):
            self.write(bytes(2**18))
            await self.flush()


@pytest.mark.parametrize("path", ["large", "api/large"])
async def test_an_observer_s_downloads_that_she_does_not_read_cost_little_and_the_owner_is_answered(
    tmp_path: Path, path: str
) -> None:
    hub = rig.FakeHub()
    hub.let_in("lise's", "lise")
    hub.share("lise", "collaborator")
    server = HTTPServer(web.Application([(r".*", Large)]))
    server.add_socket(bind_unix_socket(str(tmp_path / "jupyter.sock")))
    async with hub.served() as api, rig.narrow() as client:
        with rig.gateway(tmp_path, api) as gateway:
            await until_let_in(client, gateway.url, "lise's")
            headers = {"Authorization": "token lise's"}
            asking = [asyncio.create_task(client.get(gateway.url + path, headers=headers)) for _ in range(90)]
            await asyncio.wait(asking, timeout=30, return_when=asyncio.FIRST_COMPLETED)
            async with client.get(gateway.url + "api/status", headers=rig.MARIE) as answer:
                assert answer.status == 200
            assert gateway.most_memory() < LIGHT
            for one in asking:
                one.cancel()
    server.stop()
    await server.close_all_connections()
