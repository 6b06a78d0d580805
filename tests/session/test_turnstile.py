"""Requests of one person do not hold up another's, and what is not read costs little."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import aiohttp
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.test_bounds import LIGHT, until_let_in
from visa.session.crowd import TooMany
from visa.session.turnstile import (
    AGAIN,
    EACH,
    LASTING,
    OTHERS,
    PATIENCE,
    SOON,
    STILL,
    UNANSWERED,
    WAITING,
    Turn,
    Turnstile,
)


class Requests:
    """Of several people at one turnstile; it notes which were cut, in order."""

    def __init__(self) -> None:
        self.turnstile = Turnstile("marie")
        self.cut: list[str] = []

    async def enter(self, name: str, called: str = "", answered: bool = True) -> Turn:
        """One that has its turn, and perhaps its answer's beginning; when it is cut it ends."""

        def cut() -> None:
            self.cut.append(called or name)
            turn.leave()

        turn = await self.turnstile.enter(name, cut)
        if answered:
            turn.answers()
        return turn

    async def waits(self, name: str) -> asyncio.Task[Turn]:
        """Somebody who has to wait."""
        entering = asyncio.create_task(self.enter(name))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not entering.done()
        return entering


async def test_so_many_of_a_person_go_and_the_next_waits() -> None:
    at = Requests()
    first, *_ = [await at.enter("lise") for _ in range(EACH)]
    late = await at.waits("lise")
    await at.enter("pierre")
    first.leave()
    await late


async def test_others_together_leave_the_owner_her_place_and_who_gives_up_waiting_holds_nothing() -> None:
    at = Requests()
    first, *_ = [await at.enter(f"guest{number}") for number in range(OTHERS)]
    late = await at.waits("lise")
    for _ in range(EACH):
        await at.enter("marie")
    late.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await late
    first.leave()
    await at.enter("lise")
    await at.waits("pierre")


async def test_who_has_too_many_that_wait_is_refused() -> None:
    at = Requests()
    turns = [await at.enter("lise") for _ in range(EACH)]
    waiting = [await at.waits("lise") for _ in range(WAITING)]
    with pytest.raises(TooMany):
        await at.enter("lise")
    await at.enter("marie")
    for one in turns:
        one.leave()
    await asyncio.gather(*waiting[:EACH])
    for one in waiting[EACH:]:
        one.cancel()


@pytest.mark.looptime
@pytest.mark.parametrize("name", ["marie", "lise"])
async def test_what_lasts_keeps_no_small_request_waiting(name: str) -> None:
    at = Requests()
    for _ in range(EACH):
        await at.enter(name)
    (await at.enter(name)).leave()
    assert asyncio.get_running_loop().time() == SOON
    assert not at.cut


@pytest.mark.looptime
async def test_of_too_many_that_last_the_stillest_is_cut() -> None:
    at, loop = Requests(), asyncio.get_running_loop()
    turns = [await at.enter("lise", str(number)) for number in range(LASTING)]
    await asyncio.sleep(SOON + 0.5)
    for one in (*turns[:7], *turns[8:]):
        one.moves()
    more = [await at.enter("lise", "more") for _ in range(EACH)]
    last = await at.enter("lise")  # waits for a turn
    assert at.cut == ["7"]
    assert STILL <= loop.time() <= STILL + AGAIN
    for one in (*turns, *more, last):
        one.leave()
    assert at.turnstile.lasting == 0


@pytest.mark.looptime
async def test_when_all_move_the_one_too_many_is_cut_and_nobody_else_s() -> None:
    at, loop = Requests(), asyncio.get_running_loop()
    others = [await at.enter("pierre", "pierre's") for _ in range(LASTING)]
    turns = [await at.enter("lise", "old") for _ in range(LASTING)]

    async def moving() -> None:
        while True:
            await asyncio.sleep(1)
            for one in (*turns, *others):
                one.moves()

    busy = asyncio.create_task(moving())
    await asyncio.sleep(SOON + 0.5)
    many = [await at.enter("lise", "new") for _ in range(EACH)]
    await at.enter("lise")
    assert set(at.cut) == {"new"}
    assert PATIENCE <= loop.time() < PATIENCE + 4 * AGAIN
    await at.enter("marie")
    busy.cancel()
    for one in (*turns, *many, *others):
        one.leave()


@pytest.mark.looptime
async def test_what_jupyter_did_not_begin_to_answer_is_cut_late_and_last() -> None:
    at, loop = Requests(), asyncio.get_running_loop()
    saves = [await at.enter("marie", "save", answered=False) for _ in range(LASTING - 1)]
    await at.enter("marie", "download")
    await asyncio.sleep(SOON + 0.5)
    more = [await at.enter("marie", "save", answered=False) for _ in range(EACH)]
    await asyncio.sleep(UNANSWERED - 10)
    assert at.cut == ["download"]
    more.append(await at.enter("marie", "save", answered=False))  # the download's place
    await at.enter("marie")
    assert at.cut[:2] == ["download", "save"]
    assert UNANSWERED <= loop.time() < UNANSWERED + 4 * AGAIN
    for one in (*saves, *more):
        one.leave()


@pytest.mark.looptime
async def test_who_has_most_of_what_lasts_pays_and_not_who_comes_with_one() -> None:
    at = Requests()
    dripping = [await at.enter(name, name) for name in ("lise", "pierre") for _ in range(LASTING)]

    async def moving() -> None:
        while True:
            await asyncio.sleep(1)
            for one in dripping:
                one.moves()

    busy = asyncio.create_task(moving())
    await asyncio.sleep(SOON + 0.5)
    one = await at.enter("claude", "claude")
    await asyncio.sleep(2 * PATIENCE)
    assert one.lasts
    assert len(at.cut) == 1
    assert "claude" not in at.cut
    busy.cancel()
    for turn in (*dripping, one):
        turn.leave()


class Large(web.RequestHandler):
    """A file of zeros that does not end soon, or an answer of which nothing comes but its head."""

    asked = 0

    async def get(self) -> None:
        if "large" not in self.request.path:
            self.finish({})
            return
        Large.asked += 1
        if self.request.path.endswith("silent"):
            await self.flush()
            await asyncio.Event().wait()
        if self.request.path.endswith("/known"):
            self.set_header("Content-Length", str(2**30))
        for _ in range(2**12):
            self.write(bytes(2**18))
            await self.flush()


@pytest.mark.parametrize("what", ["known", "unknown", "silent"])
async def test_answers_that_nobody_reads_cost_little_and_small_requests_are_answered(tmp_path: Path, what: str) -> None:
    hub = rig.FakeHub()
    hub.let_in("lise's", "lise")
    hub.share("lise", "collaborator")
    Large.asked = 0
    server = HTTPServer(web.Application([(r".*", Large)]))
    server.add_socket(bind_unix_socket(str(tmp_path / "jupyter.sock")))
    async with hub.served() as api, rig.narrow() as hers, rig.narrow() as guests, aiohttp.ClientSession() as other:
        with rig.gateway(tmp_path, api) as gateway:
            await until_let_in(other, gateway.url, "lise's")
            asking = [
                asyncio.create_task(client.get(f"{gateway.url}static/large/{what}", headers=headers))
                for _ in range(60)
                for client, headers in ((hers, rig.MARIE), (guests, {"Authorization": "token lise's"}))
            ]
            await eventually(lambda: Large.asked >= 2 * EACH, "the downloads")
            for name in ("marie", "lise"):
                async with other.get(
                    gateway.url + "api/status", headers={"Authorization": f"token {name}'s"}
                ) as answer:
                    assert answer.status == 200
            assert gateway.most_memory() < LIGHT
            for one in asking:
                one.cancel()
    server.stop()
    await server.close_all_connections()
