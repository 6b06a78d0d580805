"""How many websockets a person may have, and what one more costs."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.services.waiting import eventually
from tests.session.site import Site, running, still
from visa.instances.access import Role
from visa.session.crowd import Crowd, TooMany
from visa.session.hub import Visitor
from visa.session.watched import Watched

EVENTS = "api/events/subscribe"
FEW: dict[str, Any] = {"VISA_SOCKETS_EACH": "10", "VISA_SOCKETS_OTHERS": "15"}


async def refused(site: Site, who: str, path: str = EVENTS) -> tuple[int, str]:
    """Status and sentence with which a websocket of ``who``'s is refused."""
    key = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": "eA=="}
    headers = {**key, "Authorization": f"token {who}'s"}
    async with site.client.get(site.url + path, headers=headers) as answer:
        return answer.status, (await answer.json(content_type=None))["detail"]


async def opened(site: Site, stack: contextlib.AsyncExitStack, who: str, count: int) -> list[Any]:
    return [await stack.enter_async_context(site.open(who, EVENTS)) for _ in range(count)]


async def test_a_person_has_so_many_websockets_and_no_more_and_the_owner_gets_in(tmp_path: Path) -> None:
    async with still(tmp_path, **FEW) as site, contextlib.AsyncExitStack() as stack:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        first, *_ = await opened(site, stack, "lise", 10)
        status, sentence = await refused(site, "lise")
        assert status == 429
        assert sentence.startswith("You have 10 connections open here, which is as many as one person may have. Close")
        assert (await refused(site, "lise", "desktop/websocket"))[0] == 429
        await opened(site, stack, "marie", 10)
        assert (await site.ask("marie"))[0] == 200
        await first.close()
        await eventually(lambda: len(site.gateway.sockets) == 19)
        await opened(site, stack, "lise", 1)


@pytest.mark.looptime
@pytest.mark.parametrize("path", ["_visa/ready", "_visa/people?after={number}", "desktop/state?wait=1"])
async def test_so_many_questions_of_a_person_are_held_open(tmp_path: Path, path: str) -> None:
    async with running(tmp_path, **FEW) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 503)
        path = path.format(number=site.gateway.people.number)
        held = [asyncio.create_task(site.ask("lise", path)) for _ in range(10)]
        await asyncio.sleep(1)
        assert (await site.ask("lise", path))[0] == 429
        assert not any(one.done() for one in held)
        hers = asyncio.create_task(site.ask("marie", path))
        assert [status for status, _ in await asyncio.gather(*held, hers)] == [200] * 11
        assert (await site.ask("lise", path))[0] == 200


async def test_all_others_together_leave_the_owner_her_place(tmp_path: Path) -> None:
    async with still(tmp_path, **FEW) as site, contextlib.AsyncExitStack() as stack:
        for name in ("lise", "pierre"):
            site.hub.share(name, "observer")
            await site.until(name, 200)
        await opened(site, stack, "lise", 10)
        await opened(site, stack, "pierre", 5)
        assert await refused(site, "pierre") == (
            429,
            "Too many people are connected to this instance. Try again later.",
        )
        await opened(site, stack, "marie", 10)


async def test_what_never_became_a_websocket_is_not_counted(tmp_path: Path) -> None:
    async with still(tmp_path, **FEW) as site, contextlib.AsyncExitStack() as stack:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        for _ in range(20):
            with pytest.raises(aiohttp.WSServerHandshakeError):
                await site.open("lise", "api/kernels/unknown/channels")  # in no folder that is opened to her
            headers = {"Authorization": "token lise's", "Upgrade": "websocket"}
            async with site.client.get(site.url + EVENTS, headers=headers) as answer:
                assert answer.status == 400
        await opened(site, stack, "lise", 10)


async def test_one_more_is_looked_at_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[str] = []
    reconsider = Watched.reconsider

    def counted(self: Watched, visitor: Visitor) -> None:
        looked.append(visitor.name)
        reconsider(self, visitor)

    async with still(tmp_path) as site, contextlib.AsyncExitStack() as stack:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        await opened(site, stack, "marie", 30)
        monkeypatch.setattr(Watched, "reconsider", counted)
        sockets = await opened(site, stack, "lise", 30)
        await asyncio.gather(*(one.close() for one in sockets))
        await eventually(lambda: len(site.gateway.sockets) == 30)
        assert looked == ["lise"] * 30
        assert [(one.username, one.role) for one in site.gateway.people.here()] == [("marie", Role.OWNER)]


def test_who_left_may_come_again() -> None:
    crowd = Crowd(1, 1, "marie")
    for _ in range(3):
        crowd.enter("lise")
        with pytest.raises(TooMany):
            crowd.enter("lise")
        with pytest.raises(TooMany):
            crowd.enter("pierre")
        crowd.enter("marie")
        crowd.leave("marie")
        crowd.leave("lise")


async def test_a_flood_of_what_does_not_pass_is_no_flood_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "visa.session.sockets")
    async with still(tmp_path) as site:
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        async with site.open("lise", EVENTS) as socket:
            for _ in range(200):
                await socket.send_bytes(b"x")
            await socket.close()
    assert 0 < sum("not passed on" in said for said in caplog.messages) <= 20
