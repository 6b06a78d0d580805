"""A gateway that died, and the next one of the instance: people are who they were, and nobody logs in again."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.site import still
from visa import clock
from visa.session import __main__ as program
from visa.session.activity import Activity
from visa.session.kept import Kept
from visa.session.login import Sessions


async def test_a_browser_and_a_login_under_way_go_on_at_the_next_gateway(tmp_path: Path) -> None:
    async with rig.FakeHub().served() as api:
        kept = {"VISA_KEPT": str(tmp_path / "kept")}
        with rig.gateway(tmp_path, api, **kept) as first:
            cookie, other = await rig.session_cookie(first), await rig.session_cookie(first)
            await told(first.url + "logout", other, 302)
            await told(first.url + "_visa/people", cookie, 200)
            os.kill(first.process.pid, signal.SIGKILL)
            first.process.wait(30)
            with rig.gateway(tmp_path, api, **kept) as second:
                await told(second.url + "_visa/people", cookie, 200)
                await told(second.url + "_visa/people", other, 401)
                await told(second.url + "_visa/people", "x" * 43, 401)
    assert (tmp_path / "kept").stat().st_mode & 0o077 == 0


async def told(url: str, cookie: str, status: int) -> None:
    headers = {"Cookie": f"visa-session={cookie}"}
    async with aiohttp.ClientSession(headers=headers) as client, client.get(url, allow_redirects=False) as answer:
        assert answer.status == status, await answer.text()


async def test_a_socket_that_listens_already_is_taken(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        number = listening.fileno()
        os.set_inheritable(number, True)
        async with rig.FakeHub().served() as api:
            with rig.gateway(tmp_path, api, inherited=(number,), VISA_LISTEN_FD=str(number)) as gateway:
                assert gateway.port == listening.getsockname()[1]
                async with aiohttp.ClientSession() as client, client.get(gateway.url + "_visa/health") as answer:
                    assert answer.status == 200


async def test_a_port_that_is_taken_is_said_by_the_exit_code(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        variables = rig.variables(tmp_path, "http://127.0.0.1:1/hub/api")
        port = taken.getsockname()[1]
        process = await rig.started(variables | {"VISA_LISTEN": f"127.0.0.1:{port}"})
        _, said = await process.communicate()
    assert process.returncode == program.PORT_TAKEN
    assert f"another program listens at 127.0.0.1:{port}" in said.decode()


def test_sessions_and_key_are_kept_and_the_closed_are_not(tmp_path: Path) -> None:
    path = str(tmp_path / "kept")
    first = Sessions(Kept(path))
    hers, closed = first.open("a token", "marie"), first.open("a token", "marie")
    first.close(closed)
    state, _ = first.begin("/user/marie/work/", "browser")
    second = Sessions(Kept(path))
    assert (second.token(hers), second.token(closed)) == ("a token", None)
    assert second.claim(state, ["browser"]) is not None
    many = [second.open("other", "oscar") for _ in range(600)]
    third = Sessions(Kept(path))
    assert [third.token(one) for one in (hers, *many)] == [second.token(one) for one in (hers, *many)]


@given(st.binary(max_size=200), st.integers(0, 200))
@example(b'[]\n3\n{"x": 1}\n', 0)
def test_whatever_was_left_it_begins(tmp_path_factory: pytest.TempPathFactory, left: bytes, cut: int) -> None:
    path = tmp_path_factory.mktemp("kept") / "kept"
    first = Sessions(Kept(str(path)))
    hers = first.open("a token", "marie")
    whole = path.read_bytes()
    path.write_bytes(left + b"\n" + whole)
    assert Sessions(Kept(str(path))).token(hers) == "a token"
    path.write_bytes(whole[:cut])
    sessions = Sessions(Kept(str(path)))
    again = sessions.open("another", "lise")
    assert Sessions(Kept(str(path))).token(again) == "another"


def test_it_does_not_grow_without_limit(tmp_path: Path) -> None:
    path = tmp_path / "kept"
    sessions = Sessions(Kept(str(path)))
    hers = sessions.open("hers", "marie")
    for _ in range(9000):
        sessions.close(sessions.open("a token of forty letters or about so many", "oscar"))
    assert path.stat().st_size < 2 * 2**20
    assert Sessions(Kept(str(path))).token(hers) == "hers"


def test_a_file_that_cannot_be_written_stops_nobody(tmp_path: Path) -> None:
    for path in ("", str(tmp_path), str(tmp_path / "none" / "kept"), "/dev/full"):
        sessions = Sessions(Kept(path))
        assert sessions.token(sessions.open("a token", "marie")) == "a token"


@pytest.mark.looptime
async def test_who_is_bound_to_the_owner_may_come_back_before_her(tmp_path: Path) -> None:
    hub = rig.FakeHub()
    hub.share("lise", "collaborator")
    hub.share_as(presence="with-owner", on_leave="disconnect")
    for folder in ("first", "second", "third"):
        (tmp_path / folder).mkdir()
    kept = {"VISA_KEPT": str(tmp_path / "kept")}
    async with still(tmp_path / "first", hub, **kept) as site:
        assert (await site.ask("lise"))[0] == 403
        async with site.present("marie"):
            await site.until("lise", 200)
            left = (tmp_path / "kept").read_bytes()
    (tmp_path / "kept").write_bytes(left)  # it was killed: nothing was said after that
    async with still(tmp_path / "second", hub, **kept) as site:
        assert (await site.ask("lise"))[0] == 200
        began = clock.elapsed()
        await site.until("lise", 403)
        assert clock.elapsed() - began == pytest.approx(15, abs=0.2)
        left = (tmp_path / "kept").read_bytes()
    (tmp_path / "kept").write_bytes(left)
    async with still(tmp_path / "third", hub, **kept) as site:
        assert (await site.ask("lise"))[0] == 403


@pytest.mark.looptime
async def test_that_it_takes_over_is_nobodys_activity(virtual_wall: datetime) -> None:
    for begins, reports in ((True, 1), (False, 0)):
        noted: list[datetime] = []

        class Hub:
            async def note_activity(self, at: datetime, noted: list[datetime] = noted) -> None:
                noted.append(at)

        async def kernels() -> bytes:
            return b"[]"

        activity = Activity(cast("Any", Hub()), kernels, 60, begins=begins)
        running = asyncio.create_task(activity.run())
        await asyncio.sleep(200)
        assert len(noted) == reports
        activity.happened()
        await asyncio.sleep(100)
        assert len(noted) == reports + 1
        running.cancel()


@pytest.mark.looptime
async def test_full_memory_is_told_once(tmp_path: Path) -> None:
    hub = rig.FakeHub()
    (tmp_path / "killed-for-memory").write_text("3")
    (tmp_path / "kept").write_text(json.dumps({"logins": "00" * 32}) + "\n")
    with clock.wall(lambda: datetime(2026, 3, 28, 12, tzinfo=UTC)):
        async with still(tmp_path, hub, VISA_KEPT=str(tmp_path / "kept"), VISA_ADDRESS="10.0.0.1"):
            await asyncio.sleep(60)
            assert hub.notices == []
            (tmp_path / "killed-for-memory").write_text("4")
            await eventually(lambda: hub.notices, "the notice")
    assert "4 programs" in hub.notices[0]
