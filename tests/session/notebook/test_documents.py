"""Three people in an environment whose collaboration engine is jupyter-server-documents: the same rules hold."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import aiohttp
import pytest
from pycrdt import Doc, create_sync_message, create_update_message

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.notebook import conftest
from tests.session.notebook.conftest import Place, Three
from tests.session.notebook.messages import states
from tests.session.notebook.rooms import PATH, entered
from tests.session.notebook.test_handlers import REVIEWED, handlers, unreviewed
from visa.session.notebook.room import EVERYBODY

pytestmark = pytest.mark.skipif(not (rig.DOCUMENTS / "bin/jupyter-lab").exists(), reason="`make documents` was not run")


@pytest.fixture(scope="module")
def documents() -> Iterator[Place]:
    """A Jupyter with that engine."""
    with conftest.running(PATH=f"{rig.DOCUMENTS}/bin:/usr/local/bin:/usr/bin:/bin") as one:
        yield one


@pytest.fixture
async def three(documents: Place) -> AsyncIterator[Three]:
    """Fresh files and a fresh gateway in front of it."""
    async with conftest.three_in(documents) as one:
        yield one


async def room_of(three: Three, who: aiohttp.ClientSession, path: str = PATH, kind: str = "json:notebook") -> str:
    """The address of a file's room, as this engine's pages ask for it."""
    told = await three.json(who, "POST", f"api/fileid/index?path={path}")
    return f"api/collaboration/room/{kind}:{told['id']}"


async def test_edits_are_seen_by_all_and_made_by_who_works_there(three: Three) -> None:
    address = await room_of(three, three.pierre)
    assert address == await room_of(three, three.marie) == await room_of(three, three.claude)
    async with (
        entered(three, three.marie, address) as marie,
        entered(three, three.claude, address) as claude,
        entered(three, three.pierre, address) as pierre,
    ):
        for one in (marie, claude, pierre):
            await one.until(lambda one=one: one.sources == ["6 * 7"])
        await pierre.type(0, " # of who only looks")
        await pierre.socket.send_bytes(create_sync_message(Doc()))
        await marie.type(0, " # marie")
        await claude.until(lambda: "# marie" in claude.sources[0])
        await claude.type(0, " # claude")
        for one in (marie, pierre):
            await one.until(lambda one=one: "# claude" in one.sources[0])
        assert "who only looks" not in marie.sources[0]
        assert not pierre.socket.closed

    def written() -> bool:
        text = (three.place.opened / "one.ipynb").read_text()
        return "# marie # claude" in text and "who only looks" not in text

    await eventually(written, "the file's being saved")


async def test_who_only_looks_keeps_nobody_waiting_for_what_they_do_not_send(three: Three) -> None:
    """The engine takes no message before it has the answer to its own question; it would send away who owes it."""
    address = await room_of(three, three.pierre)
    async with (
        entered(three, three.marie, address) as marie,
        three.pierre.ws_connect(three.url + address, max_msg_size=0) as silent,
    ):
        await marie.until(lambda: marie.sources)
        for _ in range(3):
            await silent.send_bytes(create_sync_message(Doc()))
        # Each question is answered in turn, with one of the engine's own behind it.
        asked = 0
        while asked < 3:
            message = await asyncio.wait_for(silent.receive(), 60)
            assert message.type is aiohttp.WSMsgType.BINARY, message
            asked += message.data[:2] == b"\0\0"
        await marie.type(0, " # at once")
        update = await asyncio.wait_for(silent.receive(), 60)
        while update.type is aiohttp.WSMsgType.BINARY and update.data[:2] != b"\0\2":
            update = await asyncio.wait_for(silent.receive(), 60)
        assert update.type is aiohttp.WSMsgType.BINARY, "a question that nobody answers ends the connection"


async def test_rooms_ask_nobody_for_rights_so_the_gateway_does(three: Three) -> None:
    for path in ("one.ipynb", "shared/e2/one.ipynb", "shared/e1/out.ipynb", "shared/e1/up/one.ipynb"):
        hers = await room_of(three, three.marie, path)
        for who in (three.pierre, three.claude):
            assert await three.status(who, "POST", f"api/fileid/index?path={path}") == 403
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await who.ws_connect(three.url + hers)
    address = await room_of(three, three.pierre)
    for other in ("text:file", "text:chat", "json:file", "text:notebook"):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await three.pierre.ws_connect(three.url + address.replace("json:notebook", other))
    async with entered(three, three.pierre, address) as pierre:
        await pierre.until(lambda: pierre.sources)
        three.hub.share_as(folders=["shared/e2"])
        await eventually(lambda: pierre.socket.closed, "the close")
        assert pierre.socket.close_code == 4403


async def test_the_index_is_asked_for_one_file_in_the_address(three: Three) -> None:
    form = {"path": "one.ipynb"}
    for who in (three.pierre, three.claude):
        for query in (f"?path={PATH}", f"?path={PATH}&path=one.ipynb", "", "?path="):
            assert await three.status(who, "POST", f"api/fileid/index{query}", data=form) in (400, 403)
        for query in (f"?path={PATH}&path=one.ipynb", "", "?path=../one.ipynb"):
            assert await three.status(who, "POST", f"api/fileid/index{query}") in (400, 403)


async def test_a_text_and_a_chat_are_documents_too(three: Three) -> None:
    (three.place.opened / "talk.chat").write_text("{}")
    for name, kind in (("one.txt", "text:file"), ("talk.chat", "text:chat")):
        address = await room_of(three, three.pierre, f"shared/e1/{name}", kind)
        async with entered(three, three.pierre, address) as pierre, entered(three, three.claude, address) as claude:
            for one in (pierre, claude):
                await one.until(lambda one=one: any(message[:2] == b"\0\1" for message in one.heard))
            assert not pierre.socket.closed
    with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
        await three.pierre.ws_connect(three.url + await room_of(three, three.pierre, "shared/e1/one.txt", "text:chat"))


async def test_who_only_looks_is_seen_and_speaks_for_nobody_else(three: Three) -> None:
    address = await room_of(three, three.pierre)
    async with entered(three, three.marie, address) as marie, entered(three, three.pierre, address) as pierre:
        await marie.until(lambda: marie.sources)
        await pierre.until(lambda: pierre.sources)
        told = {"user": {"username": "marie", "name": "Marie"}, "kernel": {"execution_state": "dead"}, "file_id": "x"}
        await pierre.socket.send_bytes(states((5, 1, told)))
        await marie.until(lambda: marie.people.get(5))
        state = marie.people[5]
        assert state is not None
        assert state["user"]["username"] == "pierre"
        assert set(state) == {"user", "autosave"}
    async with entered(three, three.pierre, f"api/collaboration/room/{EVERYBODY}") as pierre:
        await pierre.socket.send_bytes(create_sync_message(Doc()))
        await pierre.until(lambda: any(message[:2] == b"\0\0" for message in pierre.heard))
        await pierre.socket.send_bytes(create_update_message(b"\0\0"))
        await pierre.socket.send_bytes(states((6, 1, {})))
        assert not pierre.socket.closed


async def test_cells_are_run_by_who_works_there(three: Three) -> None:
    body = {"path": PATH, "name": "one.ipynb", "type": "notebook", "kernel": {"name": "python3"}}
    kernel = (await three.json(three.marie, "POST", "api/sessions", json=body))["kernel"]["id"]
    address = await room_of(three, three.marie)
    room = address.rpartition("/")[2]
    async with entered(three, three.marie, address) as marie, entered(three, three.pierre, address) as pierre:
        await marie.until(lambda: marie.sources)
        await pierre.until(lambda: pierre.sources)
        wrong = {"document_id": room, "cells": [{"cell_id": "a", "source_hash": "0"}]}
        execute = f"api/kernels/{kernel}/execute"
        assert await three.status(three.pierre, "POST", execute, json=wrong) == 403
        # The engine compares what is run with what was seen, and looks at it for who works there.
        assert await three.status(three.claude, "POST", execute, json=wrong) == 409
    outputs = f"api/outputs/{room.rpartition(':')[2]}/a"
    for who, method, status in (
        (three.pierre, "GET", {200, 404, 500}),
        (three.claude, "GET", {200, 404, 500}),
        (three.pierre, "DELETE", {403}),
    ):
        # Without that service, as it comes, Jupyter itself says that there is none.
        assert await three.status(who, method, outputs) in status
    hidden = (await room_of(three, three.marie, "one.ipynb")).rpartition(":")[2]
    for who in (three.pierre, three.claude):
        assert await three.status(who, "GET", f"api/outputs/{hidden}/a") == 403
        assert await three.status(who, "GET", "api/outputs/nothing/a") == 403


async def test_what_who_only_looks_asks_of_each_handler(three: Three) -> None:
    found = [one["pattern"] for one in await handlers(three, h5web=False)]
    own = {"/api/fileid/index$": {"POST"}, "/api/collaboration/room/(.*)$": {"GET"}}
    assert set(own) <= set(found)
    wrong = await unreviewed(three, found, REVIEWED | own)
    assert not wrong, "\n".join(wrong)
