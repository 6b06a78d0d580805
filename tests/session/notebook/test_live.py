"""Three people in one notebook of a real Jupyter: edits and outputs are seen, and nothing else gets through."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import pytest
from pycrdt import Doc, Text

from tests.services.waiting import eventually
from tests.session.notebook.conftest import Three, becomes
from tests.session.notebook.messages import CHANNELS, KERNEL_MESSAGES, frames, states, sync, text
from tests.session.notebook.rooms import PATH, entered, room_of
from visa.session.notebook.kernel import V1


async def session(three: Three, path: str) -> str:
    """A kernel for a notebook, of marie's."""
    body = {"path": path, "name": "", "type": "notebook", "kernel": {"name": "python3"}}
    return str((await three.json(three.marie, "POST", "api/sessions", json=body))["kernel"]["id"])


@contextlib.asynccontextmanager
async def channels(three: Three, who: aiohttp.ClientSession, kernel: str, v1: bool, session: str = "") -> Any:
    query = f"?session_id={session}" if session else ""
    protocols = [V1] if v1 else []
    async with who.ws_connect(f"{three.url}api/kernels/{kernel}/channels{query}", protocols=protocols) as socket:
        yield socket


async def heard(socket: aiohttp.ClientWebSocketResponse, wanted: str, seconds: float = 30) -> str:
    """All that came until ``wanted`` was in it."""
    found = ""
    while wanted not in found:
        message = await asyncio.wait_for(socket.receive(), seconds)
        assert message.type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY), message
        found += message.data if isinstance(message.data, str) else message.data.decode(errors="replace")
    return found


async def test_who_only_looks_sees_outputs_and_sends_nothing_that_acts(three: Three) -> None:
    kernel = await session(three, PATH)
    touched = three.place.home / "touched"
    code = {"code": f"open({str(touched)!r}, 'w')", "silent": False, "data": {}, "comm_id": "c", "target_name": "t"}
    async with (
        channels(three, three.marie, kernel, False) as marie,
        channels(three, three.pierre, kernel, False) as old,
        channels(three, three.pierre, kernel, True) as new,
    ):
        for kind in KERNEL_MESSAGES:
            for channel in CHANNELS:
                await old.send_str(text(kind, channel, code))
                await new.send_bytes(frames(kind, channel, code))
        for socket in (old, new):
            assert "kernel_info_reply" in await heard(socket, "kernel_info_reply")
        await marie.send_str(text("execute_request", "shell", {"code": "print(6 * 7 * 1000)", "silent": False}))
        for socket in (marie, old, new):
            seen = await heard(socket, "42000")
            # Whatever else had run would be told to all before.
            assert "touched" not in seen
            assert "shutdown_reply" not in seen
    assert not touched.exists()
    for method, path in (
        ("POST", f"api/kernels/{kernel}/interrupt"),
        ("POST", f"api/kernels/{kernel}/restart"),
        ("DELETE", f"api/kernels/{kernel}"),
        ("POST", "api/kernels"),
        ("POST", "api/sessions"),
    ):
        assert await three.status(three.pierre, method, path, json={}) == 403, path


async def test_a_message_that_is_not_in_order_closes_and_the_kernel_lives(three: Three) -> None:
    kernel = await session(three, PATH)
    async with channels(three, three.pierre, kernel, True) as socket:
        await socket.send_bytes(b"\xff" * 99)
        while (await asyncio.wait_for(socket.receive(), 60)).type is aiohttp.WSMsgType.BINARY:
            pass
        assert socket.close_code == 1008
    async with channels(three, three.claude, kernel, True) as socket:
        await socket.send_bytes(frames("execute_request", "shell", {"code": "print('al' + 'ive')", "silent": False}))
        await heard(socket, "alive")


async def test_kernels_and_sessions_of_closed_folders_are_not_there(three: Three) -> None:
    seen, hidden = await session(three, PATH), await session(three, "one.ipynb")
    linked = await session(three, "shared/e1/out.ipynb")
    assert [one["kernel"]["id"] for one in await three.json(three.pierre, "GET", "api/sessions")] == [seen]
    assert [one["id"] for one in await three.json(three.pierre, "GET", "api/kernels")] == [seen]
    assert await three.status(three.pierre, "GET", f"api/kernels/{seen}") == 200
    for one in (hidden, linked):
        assert await three.status(three.pierre, "GET", f"api/kernels/{one}") == 404
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await three.pierre.ws_connect(f"{three.url}api/kernels/{one}/channels")
    assert {seen, hidden} <= {one["id"] for one in await three.json(three.claude, "GET", "api/kernels")}
    async with channels(three, three.pierre, seen, False) as socket:
        three.hub.share_as(folders=["shared/e2"])
        while (await asyncio.wait_for(socket.receive(), 60)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert socket.close_code == 4403


async def test_nobody_takes_over_another_s_connection(three: Three) -> None:
    """Jupyter closes a connection when another comes with the same session's name."""
    kernel = await session(three, PATH)
    async with channels(three, three.marie, kernel, False, "marie-s") as marie:
        async with channels(three, three.pierre, kernel, False, "marie-s") as pierre:
            await pierre.send_str(text("kernel_info_request", "shell"))
            await heard(pierre, "kernel_info_reply")
        await marie.send_str(text("execute_request", "shell", {"code": "print(6 * 7 * 1000)", "silent": False}))
        await heard(marie, "42000")


async def test_what_ran_while_the_owner_was_away_is_kept_for_her(three: Three) -> None:
    """Though somebody watches: Jupyter keeps it for the last connection that closed."""
    kernel = await session(three, PATH)
    go = three.place.home / "go"
    go.unlink(missing_ok=True)
    later = f"""
import pathlib, time
print('be' + 'gun', flush=True)
while not pathlib.Path({str(go)!r}).exists():
    time.sleep(0.02)
print(6 * 7 * 1000)"""

    async def kernel_now() -> dict[str, Any]:
        return dict(await three.json(three.marie, "GET", f"api/kernels/{kernel}"))

    async def connections() -> int:
        return int((await kernel_now())["connections"])

    async def idle() -> bool:
        return bool((await kernel_now())["execution_state"] == "idle")

    async with channels(three, three.pierre, kernel, False) as pierre:
        await pierre.send_str(text("kernel_info_request", "shell"))
        async with channels(three, three.marie, kernel, False, "marie-s") as marie:
            await heard(pierre, "kernel_info_reply")  # asked before anybody was there
            await marie.send_str(text("execute_request", "shell", {"code": later, "silent": False}))
            await heard(marie, "begun")
        await becomes(connections, 0)
        async with channels(three, three.pierre, kernel, False):
            go.touch()
            await eventually(idle, "its end")
        async with channels(three, three.marie, kernel, False, "marie-s") as marie:
            await heard(marie, "42000")
            await pierre.send_str(text("kernel_info_request", "shell"))
            await heard(pierre, "kernel_info_reply")  # he is connected again
            await marie.send_str(text("execute_request", "shell", {"code": "print(6 * 7 * 1001)", "silent": False}))
            await heard(pierre, "42042")


async def test_events_are_silent_for_who_only_looks(three: Three) -> None:
    async with three.pierre.ws_connect(three.url + "api/events/subscribe") as socket:
        await socket.send_str("{}")
        empty = {"type": "file", "format": "text", "content": ""}
        await three.json(three.marie, "PUT", "api/contents/mine/new.txt", json=empty)
        async with three.marie.ws_connect(three.url + "api/events/subscribe") as hers:
            await three.json(three.marie, "DELETE", "api/contents/mine/new.txt")
            await heard(hers, "delete")
        three.hub.share("pierre", None)
        last = await asyncio.wait_for(socket.receive(), 30)
        assert (last.type, last.data) == (aiohttp.WSMsgType.CLOSE, 4403), "nothing came before"


async def test_edits_of_who_works_are_seen_and_those_of_who_looks_are_not(three: Three) -> None:
    address = await room_of(three, three.marie)
    assert await room_of(three, three.pierre) == address
    on_disk = three.place.opened / "one.ipynb"
    async with (
        entered(three, three.marie, address) as marie,
        entered(three, three.pierre, address) as pierre,
        entered(three, three.claude, address) as claude,
    ):
        for room in (marie, pierre, claude):
            await room.until(lambda room=room: room.sources == ["6 * 7"])
        await pierre.type(0, " # by pierre")
        other = Doc(client_id=9)
        other["cells"] = Text("nothing")
        for kind in range(1, 256):
            await pierre.socket.send_bytes(sync(kind, other.get_update()))
            if kind > 1:
                await pierre.socket.send_bytes(bytes([kind]) + sync(2, pierre.doc.get_update()))
        await pierre.socket.send_bytes(b"\x02\x04save\x05")
        await pierre.until(lambda: any(b'"failed"' in one for one in pierre.heard))
        await marie.type(0, " # by marie")
        await marie.print("42 of marie")
        await claude.until(lambda: "42 of marie" in claude.outputs)
        await claude.type(0, " # by claude")
        for room in (marie, claude):
            await room.until(lambda room=room: room.sources == ["6 * 7 # by marie # by claude"])
        await pierre.until(lambda: "by claude" in pierre.sources[0] and "42 of marie" in pierre.outputs)
        await becomes(lambda: asyncio.to_thread(lambda: "by claude" in on_disk.read_text()), True)
    assert "pierre" not in on_disk.read_text()


async def test_everybody_bears_her_own_name_and_is_gone_when_she_is(three: Three) -> None:
    address = await room_of(three, three.marie)
    async with entered(three, three.marie, address) as marie, entered(three, three.pierre, address) as pierre:
        forged = {"user": {"username": "marie", "name": "Marie"}, "cursors": [], "documents": ["x"]}
        await pierre.socket.send_bytes(states((5, 1, forged)))
        await marie.until(lambda: marie.people.get(5))
        state = marie.people[5]
        assert state is not None
        assert state["user"]["username"] == "pierre"
        assert state["user"]["display_name"] == "Pierre"
        assert state["user"]["color"]
        assert set(state) == {"user", "autosave"}
        three.hub.share("pierre", None)
        await marie.until(lambda: marie.people[5] is None)
        await eventually(lambda: pierre.socket.closed, "the close")
        assert pierre.socket.close_code == 4403


async def test_rooms_of_closed_folders_stay_closed(three: Three) -> None:
    kind = {"format": "json", "type": "notebook"}
    for closed in ("one.ipynb", "shared/e2/one.ipynb", "shared/e1/out.ipynb", "shared/e1/up/one.ipynb"):
        hers = await room_of(three, three.marie, closed)
        for who in (three.pierre, three.claude):
            assert await three.status(who, "PUT", f"api/collaboration/session/{closed}", json=kind) == 403
            with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                await who.ws_connect(three.url + hers)
    address = await room_of(three, three.pierre)
    # A room of another kind on the same file would write over what is in the first.
    for other in (address.replace("json:notebook", "text:file"), "api/collaboration/room/" + "0" * 32):
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            await three.pierre.ws_connect(three.url + other)
    async with entered(three, three.pierre, address) as room:
        await room.until(lambda: room.sources)
        moved = {"path": "shared/e2/moved.ipynb"}
        await three.json(three.marie, "PATCH", f"api/contents/{PATH}", json=moved)
        await eventually(lambda: room.socket.closed, "the close")
        assert room.socket.close_code == 4403
    (three.place.shared / "e2" / "moved.ipynb").unlink()


async def test_forks_and_the_timeline_are_for_who_works_there(three: Three) -> None:
    address = await room_of(three, three.marie)
    name = address.partition("?")[0].rpartition("/")[2]
    async with entered(three, three.marie, address) as marie:
        await marie.until(lambda: marie.sources)
        for method, path in (
            ("GET", f"api/collaboration/timeline/{PATH}?format=json&type=notebook"),
            ("GET", f"api/collaboration/fork/{name}"),
            ("PUT", f"api/collaboration/fork/{name}"),
            ("PUT", f"api/collaboration/undo_redo/{name}?action=undo&steps=1&forkRoom=x"),
        ):
            assert await three.status(three.pierre, method, path, json={}) == 403, path
            assert await three.status(three.claude, method, path, json={}) in (200, 201, 404), path


async def test_a_role_that_changes_opens_the_room_anew(three: Three) -> None:
    address = await room_of(three, three.marie)
    async with entered(three, three.claude, address) as claude:
        await claude.until(lambda: claude.sources)
        three.hub.share("claude", "observer")
        await eventually(lambda: claude.socket.closed, "the close")
        assert claude.socket.close_code == 1012
    async with entered(three, three.claude, address) as claude:
        await claude.until(lambda: claude.sources)
        before = claude.sources
        await claude.type(0, " # too late")
    async with entered(three, three.marie, address) as marie:
        await marie.until(lambda: marie.sources)
        assert marie.sources == before
