"""``desktop/state`` and ``desktop/start``: what the run folder holds, however odd, and who may ask."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from tests.session.desktop.conftest import Desk, MakeDesk
from visa import clock
from visa.session import run
from visa.session.desktop import state

LOOK = 0.051
"""Seconds between two looks into the run folder."""


def listen(run: Path) -> socket.socket:
    """As Xvnc would."""
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(run / "desktop.sock"))
    one.listen(8)
    return one


async def ask(desk: Desk, query: str = "") -> dict[str, Any]:
    async with desk.client.get(f"{desk.url}state{query}") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-store"
        return dict(await answer.json())


async def test_it_says_how_the_desktop_is(marie_desk: Desk) -> None:
    never = await ask(marie_desk)
    assert (never["running"], never["ready"], never["ended"], never["ends"]) == (False, False, None, None)
    assert never["rights"]["act"] is True
    assert never["rights"]["restart"] is True
    with listen(marie_desk.run):
        there = await ask(marie_desk)
        assert (there["running"], there["ready"], there["ended"]) == (True, True, None)
    assert (await ask(marie_desk))["ready"] is False, "the socket is there, nobody listens"
    (marie_desk.run / "desktop-ended").write_text("logged-out\n")
    assert (await ask(marie_desk))["ended"] == "logged-out"


async def test_waiting_ends_with_the_desktop_or_with_its_end(marie_desk: Desk) -> None:
    asked = asyncio.create_task(ask(marie_desk, "?wait=1"))
    for _ in range(3):
        assert (await ask(marie_desk))["ready"] is False, "others are answered meanwhile"
    assert not asked.done()
    with listen(marie_desk.run):
        assert (await asked)["ready"] is True
    (marie_desk.run / "desktop.sock").unlink()
    (marie_desk.run / "desktop-ended").write_text("no-session")
    assert (await ask(marie_desk, "?wait=1"))["ended"] == "no-session"


@pytest.mark.looptime
async def test_waiting_ends_when_it_listens_when_it_ended_and_in_the_end(tmp_path: Path) -> None:
    assert not await state.wait(str(tmp_path), False, 20)
    assert clock.elapsed() == pytest.approx(20, abs=LOOK)
    with contextlib.ExitStack() as stack:
        asyncio.get_running_loop().call_at(27, lambda: stack.enter_context(listen(tmp_path)))
        assert await state.wait(str(tmp_path), False, 20)
        assert clock.elapsed() == pytest.approx(27, abs=LOOK)
    (tmp_path / "desktop.sock").unlink()
    (tmp_path / "desktop-ended").write_text("no-session")
    assert not await state.wait(str(tmp_path), False, 20)
    assert clock.elapsed() == pytest.approx(27, abs=LOOK), "at once"


async def test_a_link_to_another_socket_is_no_desktop(marie_desk: Desk) -> None:
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(marie_desk.run / "other.sock"))
        other.listen(8)
        (marie_desk.run / "desktop.sock").symlink_to("other.sock")
        told = await ask(marie_desk)
    assert (told["running"], told["ready"]) == (False, False)


@pytest.mark.parametrize("kind", ["words", "long", "bytes", "link", "fifo", "folder"])
def test_a_reason_that_is_none_of_ours_is_a_fault_of_the_server(tmp_path: Path, kind: str) -> None:
    place = tmp_path / "desktop-ended"
    if kind == "link":
        (tmp_path / "secret").write_text("logged-out")
        place.symlink_to("secret")
    elif kind == "fifo":
        os.mkfifo(place)
    elif kind == "folder":
        place.mkdir()
    else:
        place.write_bytes({"words": b"<b>hi</b>", "long": b"killed" * 10**6, "bytes": b"\xff\x00"}[kind])
    assert state.ended(str(tmp_path)) == "server"


@pytest.mark.parametrize("word", sorted(state.REASONS))
def test_the_launchers_words_are_known(tmp_path: Path, word: str) -> None:
    (tmp_path / "desktop-ended").write_text(f"{word}\n")
    assert state.ended(str(tmp_path)) == word


async def test_start_tells_the_launcher_one_line(marie_desk: Desk) -> None:
    os.mkfifo(marie_desk.run / "ask", 0o660)
    reader = os.open(marie_desk.run / "ask", os.O_RDONLY | os.O_NONBLOCK)
    try:
        async with marie_desk.client.post(f"{marie_desk.url}start") as answer:
            assert answer.status == 202
        assert os.read(reader, 100) == b"desktop\n"
    finally:
        os.close(reader)


@pytest.mark.parametrize("kind", ["nothing", "nobody reads", "file", "link"])
async def test_start_says_when_nobody_can_be_told(marie_desk: Desk, kind: str) -> None:
    place = marie_desk.run / "ask"
    if kind == "nobody reads":
        os.mkfifo(place)
    elif kind == "file":
        place.write_text("")
    elif kind == "link":
        (marie_desk.run / "victim").write_text("")
        place.symlink_to("victim")
    async with marie_desk.client.post(f"{marie_desk.url}start") as answer:
        assert answer.status == 503
        assert "does not take requests" in (await answer.json())["detail"]
    if place.is_file():
        assert place.read_text() == ""


def test_a_full_fifo_does_not_hold_the_gateway(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "ask")
    reader = os.open(tmp_path / "ask", os.O_RDONLY | os.O_NONBLOCK)
    try:
        for _ in range(100_000):
            if not run.ask(str(tmp_path), "desktop"):
                break
        else:
            pytest.fail("it took everything")
    finally:
        os.close(reader)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "state"), ("POST", "start"), ("GET", ""), ("GET", "state?wait=1")]
)
async def test_nobody_else_is_answered(marie_desk: Desk, method: str, path: str) -> None:
    marie_desk.hub.let_in("pierre's", "pierre")
    for token, status in (("nonsense", 401), ("pierre's", 403)):
        headers = {"Authorization": f"token {token}"}
        async with marie_desk.client.request(method, marie_desk.url + path, headers=headers) as answer:
            assert answer.status == status


async def test_a_page_of_another_site_cannot_start_it(marie_desk: Desk) -> None:
    async with marie_desk.client.post(f"{marie_desk.url}start", headers={"Authorization": ""}) as answer:
        assert answer.status == 401
    async with marie_desk.client.get(f"{marie_desk.url}start") as answer:
        assert answer.status == 405


async def test_the_facilitys_rules_and_the_end_are_told(make_desk: MakeDesk) -> None:
    rules = '{"clipboard": {"owner": "in"}, "clipboard_limit": 77, "files": "none"}'
    async with make_desk(VISA_DESKTOP=rules, VISA_ENDS="2030-01-01T00:00:00Z") as desk:
        told = await ask(desk)
    assert told["ends"] == "2030-01-01T00:00:00Z"
    assert told["rights"]["clipboard"] == "in"
    assert told["rights"]["clipboard_limit"] == 77
    assert told["rights"]["files"] == "none"
