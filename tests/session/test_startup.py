"""The owner's look at start-up files: the gateway asks the environment, and tells the hub what can be told."""

from __future__ import annotations

import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_unix_socket
from tornado.web import Application, RequestHandler

from tests.services.waiting import eventually
from tests.session.site import Site, still

pytestmark = pytest.mark.looptime
GOOD = {"found": [{"path": ".bashrc", "kind": "file", "changed": 1.7e9, "why": "shells"}], "unread": 0, "whole": True}
SINCE = "2026-11-28T12:00:00+00:00"
NOTHING = {"found": [], "unread": 0, "whole": False, "told": False}


@contextlib.asynccontextmanager
async def files(run: Path, answer: bytes, status: int = 200) -> AsyncIterator[list[str]]:
    """Something at files.sock, and what it was asked."""
    asked: list[str] = []

    class Answers(RequestHandler):
        def get(self) -> None:
            asked.append(self.request.uri or "")
            self.set_status(status)
            self.finish(answer)

    server = HTTPServer(Application([(r".*", Answers)]))
    server.add_socket(bind_unix_socket(str(run / "files.sock")))
    yield asked
    server.stop()
    await server.close_all_connections()


async def looked(site: Site, number: int = 1) -> dict[str, Any]:
    """The gateway's answer to look ``number``."""
    before = len(site.hub.looked)
    site.hub.look = {"number": number, "since": SINCE}
    site.hub.number += 1
    await eventually(lambda: len(site.hub.looked) > before, "an answer")
    assert site.hub.looked[-1]["number"] == number
    return dict(site.hub.looked[-1]["found"])


async def test_each_look_is_answered_once_with_what_the_environment_tells(tmp_path: Path) -> None:
    async with files(tmp_path, json.dumps(GOOD).encode()) as asked, still(tmp_path) as site:
        assert await looked(site) == {**GOOD, "told": True}
        assert asked == ["/startup?since=1795867200"]
        site.hub.share("lise", "observer")
        await site.until("lise", 200)
        assert len(site.hub.looked) == 1, "another word with the same look"
        await looked(site, 2)
        assert len(asked) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'{"found": [], "unread": 0, "whole": true',
        json.dumps({**GOOD, "found": [{**GOOD["found"][0], "kind": "x"}]}).encode(),  # type: ignore[index]
        json.dumps({**GOOD, "found": GOOD["found"] * 301}).encode(),  # type: ignore[operator]
        b"x" * (1 << 19),
    ],
)
async def test_an_environment_that_tells_nonsense_tells_nothing(tmp_path: Path, answer: bytes) -> None:
    async with files(tmp_path, answer), still(tmp_path) as site:
        assert await looked(site) == NOTHING


async def test_an_environment_that_refuses_or_is_not_there_tells_nothing(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        assert await looked(site) == NOTHING
        async with files(tmp_path, json.dumps(GOOD).encode(), 500):
            assert await looked(site, 2) == NOTHING


async def test_an_environment_cannot_say_that_it_said_nothing(tmp_path: Path) -> None:
    async with files(tmp_path, json.dumps({**GOOD, "told": False}).encode()), still(tmp_path) as site:
        assert (await looked(site))["told"] is True


async def test_a_hub_that_is_away_is_told_later(tmp_path: Path) -> None:
    async with files(tmp_path, json.dumps(GOOD).encode()), still(tmp_path) as site:
        site.hub.look = {"number": 7, "since": SINCE}
        site.hub.number += 1
        await eventually(lambda: site.gateway.people.look is not None, "the word")
        site.hub.down = True
        site.hub.down = False
        await eventually(lambda: bool(site.hub.looked), "an answer")
        assert site.hub.looked[-1]["number"] == 7
