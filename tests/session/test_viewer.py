"""The desktop's websocket with a real X server: what reaches it, from whom, and at whose cost."""

from __future__ import annotations

import asyncio
import contextlib
import struct
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from tests.services.waiting import ENOUGH, elsewhere, eventually, until
from tests.session import rig, site
from tests.session.desktop import xvnc
from tests.session.rfb import messages as m
from visa import clock
from visa.session.desktop import seat as seat_module
from visa.session.desktop import viewer as viewer_module
from visa.session.gateway import Gateway
from visa.session.rfb import names

HELLO, SHARED = b"RFB 003.008\n", b"\1\0"
WHOLE = struct.pack(">BBHHHH", 3, 0, 0, 0, 1280, 800)


@pytest.fixture(scope="module")
def desktop() -> Iterator[xvnc.Desktop]:
    """An X server as its own authors would have it, blacklist and all: the gateway has to do without the options."""
    options = ("-UseBlacklist=1", "-AlwaysShared=0")
    with tempfile.TemporaryDirectory(prefix="visa-x-") as folder, xvnc.running(Path(folder), *options) as one:
        yield one


@dataclass
class Desk:
    """A gateway in this process. ``oscar's`` token is an observer's."""

    url: str
    gateway: Gateway
    hub: rig.FakeHub
    client: aiohttp.ClientSession

    @property
    def socket(self) -> str:
        """Of the viewers."""
        return self.url + "desktop/websocket"


@pytest.fixture
async def desk(desktop: xvnc.Desktop) -> AsyncIterator[Desk]:
    """In front of ``desktop``."""
    async with running(desktop.run) as one:
        yield one


@contextlib.asynccontextmanager
async def running(run: Path, **more: str) -> AsyncIterator[Desk]:
    """A gateway with oscar as an observer."""
    fake = rig.FakeHub()
    fake.share("oscar", "observer")
    fake.let_in("oscar's", "oscar", display_name="Oscar O.")
    async with site.running(run, fake, **more) as one:
        yield Desk(one.url, one.gateway, one.hub, one.client)


class Viewer:
    """A client that sends what it likes."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.got = bytearray()

    async def send(self, *parts: bytes) -> None:
        """One websocket message each."""
        for part in parts:
            await self.socket.send_bytes(part)

    async def read(self, count: int) -> bytes:
        """So many bytes of the stream."""
        while len(self.got) < count:
            message = await self.socket.receive(ENOUGH)
            assert message.type is aiohttp.WSMsgType.BINARY, (message, self.socket.close_code)
            self.got += message.data
        part = bytes(self.got[:count])
        del self.got[:count]
        return part

    async def begin(self) -> None:
        """The handshake."""
        await self.send(HELLO, SHARED)
        assert await self.read(12 + 2 + 4) == HELLO + b"\1\1\0\0\0\0"
        width, height, pixels, length = struct.unpack(">HH16sI", await self.read(24))
        assert (pixels, bool(width and height)) == (names.PIXELS, True)
        await self.read(length)

    async def update(self) -> list[tuple[tuple[int, int, int, int, int], bytes]]:
        """The next update in Raw and pseudo-encodings; fences, bells and the like before it are read over."""
        sizes = {names.EXTENDED_DESKTOP_SIZE: 4}
        while (kind := (await self.read(1))[0]) != 0:
            if kind == 248:
                await self.read((await self.read(8))[7])
            elif kind == 3:
                await self.read(abs(struct.unpack(">3xi", await self.read(7))[0]))
        rectangles = []
        for _ in range(struct.unpack(">xH", await self.read(3))[0]):
            header = struct.unpack(">HHHHi", await self.read(12))
            _, _, width, height, encoding = header
            body = await self.read(4 * width * height if encoding == 0 else sizes.get(encoding, 0))
            if encoding == names.EXTENDED_DESKTOP_SIZE:
                body += await self.read(16 * body[0])
            rectangles.append((header, body))
        return rectangles

    async def closed(self) -> int | None:
        """The code, when it closes."""
        while not self.socket.closed:
            await self.socket.receive(ENOUGH)
        return self.socket.close_code


@contextlib.asynccontextmanager
async def viewing(desk: Desk, who: str = "marie", begun: bool = True) -> AsyncIterator[Viewer]:
    """``who`` looks."""
    headers = {"Authorization": f"token {who}'s"}
    async with desk.client.ws_connect(desk.socket, headers=headers, protocols=["binary"], max_msg_size=0) as socket:
        viewer = Viewer(socket)
        if begun:
            await viewer.begin()
        yield viewer


@pytest.fixture
def heard(desktop: xvnc.Desktop) -> Iterator[Path]:
    """What a window at the top left hears of keys and pointer."""
    with tempfile.NamedTemporaryFile() as file:
        command = ["stdbuf", "-oL", "xev", "-geometry", "600x600+0+0", "-event", "keyboard", "-event", "button"]
        program = subprocess.Popen(command, env=desktop.variables, stdout=file, start_new_session=True)
        until(lambda: "IsViewable" in desktop.ask("xwininfo", "-name", "Event Tester"), 60, "xev", program)
        yield Path(file.name)
        rig.end(program)


async def hears(heard: Path, what: str) -> None:
    """The window does."""
    await elsewhere(lambda: what in heard.read_text(), what)


async def click(viewer: Viewer, heard: Path) -> None:
    """Into the window, which hears it as soon as the window manager is done with it."""

    async def clicked() -> bool:
        for mask in (0, 1, 0):
            await viewer.send(struct.pack(">BBHH", 5, mask, 200, 200))
        return "ButtonPress" in await asyncio.to_thread(heard.read_text)

    await eventually(clicked, "a click", pause=0.1)


async def all_read(viewer: Viewer) -> None:
    """The gateway reads in turn: it ends the viewer for this, so all that came before has been where it goes."""
    await viewer.send(b"\x63")
    assert await viewer.closed() == 1008


async def nothing_heard(desk: Desk, heard: Path) -> None:
    """Nor would it be for the window's fault: the owner is heard."""
    assert "Press" not in await asyncio.to_thread(heard.read_text)
    async with viewing(desk) as marie:
        await click(marie, heard)


async def test_an_owner_sees_pixels_and_her_keys_and_clicks_arrive(desk: Desk, heard: Path) -> None:
    async with viewing(desk) as marie:
        assert marie.socket.protocol == "binary"
        await marie.send(m.encodings(0))
        colours: set[int] = set()
        while len(colours) < 2:  # until the window is drawn
            await marie.send(WHOLE)
            for header, body in await marie.update():
                assert header[4] == 0
                colours |= set(struct.unpack(f"<{len(body) // 4}I", body))
        await click(marie, heard)
        await marie.send(m.KEY, struct.pack(">BB2xI", 4, 0, 0x61))
        await hears(heard, "keysym 0x61, a)")
        assert [one.person["name"] for one in desk.gateway.viewers] == ["marie"]


async def test_the_other_versions_of_rfb_get_pictures_too(desk: Desk) -> None:
    for hello, chosen, answer in (
        (b"RFB 003.003\n", b"\0", b"\0\0\0\1"),
        (b"RFB 003.007\n", b"\1\0", b"\1\1"),
    ):
        async with viewing(desk, begun=False) as marie:
            await marie.send(hello + chosen + m.encodings(0) + WHOLE)
            await marie.read(12 + len(answer))
            *_, length = struct.unpack(">HH16sI", await marie.read(24))
            await marie.read(length)
            assert (await marie.update())[0][0][4] == 0


ACTS = [m.KEY, m.POINTER, m.cut(b"taken"), m.provide(b"taken\0"), m.extended(1 << 27 | 1), m.QEMU, m.size(500, 400)]


async def test_an_observer_sees_and_none_of_her_messages_reaches_x(
    desk: Desk, desktop: xvnc.Desktop, heard: Path
) -> None:
    before = desktop.size()
    desktop.copy("mine")
    active = desk.gateway.activity._last
    async with viewing(desk, "oscar") as oscar:
        await oscar.send(m.encodings(*m.ALL[5:]), WHOLE)
        await oscar.update()
        at = struct.pack(">BBHH", 5, 1, 200, 200)
        stream = b"".join([at, *ACTS, at[:1] + b"\0" + at[2:], struct.pack(">BB2xI", 4, 0, 0x61)])
        await oscar.send(stream, *[bytes([one]) for one in stream], stream[:7], stream[7:])
        await oscar.send(WHOLE)
        assert await oscar.update()
        await all_read(oscar)
    assert desk.gateway.activity._last == active
    await nothing_heard(desk, heard)
    assert await asyncio.to_thread(desktop.copied) == "mine"
    assert desktop.size() == before


async def test_an_observers_acts_before_the_handshake_s_end_reach_nothing_either(desk: Desk, heard: Path) -> None:
    for early in ACTS:
        async with viewing(desk, "oscar", begun=False) as oscar:
            await oscar.send(early, HELLO, SHARED, early)
            assert await oscar.closed() == 1008
        async with viewing(desk, "oscar", begun=False) as oscar:
            await oscar.send(HELLO + SHARED + early + WHOLE)
            await oscar.read(18)
            await all_read(oscar)
    await nothing_heard(desk, heard)


async def test_unknown_types_and_text_close_with_words(desk: Desk) -> None:
    for who in ("marie", "oscar"):
        async with viewing(desk, who) as viewer:
            await viewer.send(m.REQUEST + b"\x63" + m.KEY)
            assert await viewer.closed() == 1008
        async with viewing(desk, who) as viewer:
            await viewer.socket.send_str("\4\1\0\0\0\0\0a")
            assert await viewer.closed() == 1003
        async with viewing(desk, who, begun=False) as viewer:
            await viewer.socket.send_str("RFB 003.008\n")
            assert await viewer.closed() == 1003


async def test_a_size_from_who_never_announced_it_does_not_end_the_x_server(desk: Desk, desktop: xvnc.Desktop) -> None:
    before = desktop.size()
    for announced in ([0], [0, names.DESKTOP_SIZE], [0, names.EXTENDED_DESKTOP_SIZE]):
        async with viewing(desk) as marie:
            await marie.send(m.encodings(*announced), m.size(700, 500), WHOLE)
            await marie.update()
            await marie.send(m.encodings(0), m.size(700, 500), WHOLE)
            await marie.update()
    assert desktop.server.poll() is None
    assert desktop.size() == before


async def test_the_owner_resizes_while_others_look(desk: Desk, desktop: xvnc.Desktop) -> None:
    async with viewing(desk, "oscar") as oscar, viewing(desk) as marie:
        await oscar.send(m.encodings(0), WHOLE)
        await oscar.update()
        await marie.send(m.encodings(0, names.EXTENDED_DESKTOP_SIZE), WHOLE)
        assert names.EXTENDED_DESKTOP_SIZE in [header[4] for header, _ in await marie.update()]
        for wanted in ((900, 700), (1280, 800)):
            await marie.send(m.size(*wanted), WHOLE)
            await elsewhere(lambda wanted=wanted: desktop.size() == wanted, "the size")
    assert desktop.server.poll() is None


async def test_the_clipboard_passes_both_ways_within_its_limit(desktop: xvnc.Desktop) -> None:
    rules = '{"clipboard": {"owner": "both"}, "clipboard_limit": 100}'
    async with running(desktop.run, VISA_DESKTOP=rules) as desk, viewing(desk) as marie:
        await marie.send(m.encodings(0), WHOLE)
        await marie.update()
        await marie.send(m.cut(b"from marie"))
        await elsewhere(lambda: desktop.copied() == "from marie", "her text")
        await marie.send(m.cut(b"x" * 101) + m.POINTER, WHOLE)
        await marie.update()
        assert await asyncio.to_thread(desktop.copied) == "from marie"
        desktop.copy("y" * 101)
        desktop.copy("from the desktop")
        while b"from the desktop" not in marie.got:
            marie.got += (await marie.socket.receive(ENOUGH)).data
        assert b"yyy" not in marie.got


async def test_keys_pointer_and_clipboard_are_activity_and_looking_is_not(desk: Desk) -> None:
    async with viewing(desk) as marie:
        last = desk.gateway.activity._last
        await marie.send(m.encodings(0), WHOLE, m.fence())
        await marie.update()
        assert desk.gateway.activity._last == last
        for act in (m.POINTER, m.KEY, m.cut(b"x")):
            last = desk.gateway.activity._last
            await marie.send(act)
            await eventually(lambda last=last: desk.gateway.activity._last > last)


async def test_viewers_who_leave_in_the_middle_of_the_handshake_lock_nobody_out(desk: Desk) -> None:
    for _ in range(3):
        async with contextlib.AsyncExitStack() as stack:
            for turn in range(8):
                one = await stack.enter_async_context(viewing(desk, begun=False))
                await one.send(HELLO[: 12 - turn % 3])
                await one.read(12)
    async with viewing(desk) as marie:
        await marie.send(m.encodings(0), WHOLE)
        assert await marie.update()


async def test_a_new_viewer_throws_nobody_out(desk: Desk) -> None:
    async with viewing(desk) as first:
        await first.send(m.encodings(0), WHOLE)
        await first.update()
        async with viewing(desk, "oscar"):
            await first.send(WHOLE)
            assert await first.update()
            people = [one.person for one in desk.gateway.viewers]
            assert [one["display_name"] for one in people] == ["marie", "Oscar O."]
            assert [one["role"] for one in people] == ["owner", "observer"]
    await eventually(lambda: not desk.gateway.viewers)
    assert not desk.gateway.sockets


async def test_the_meter_measures(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_module, "_MEASURED", 0.2)
    async with viewing(desk) as marie:
        await marie.send(m.encodings(0))
        measured: dict[str, float | None] = {}
        began = clock.elapsed()

        async def all_is_known() -> bool:
            await marie.send(WHOLE)
            await marie.update()
            (one,) = desk.gateway.viewers
            measured.update(one.measure)
            got = (measured["bytes_per_s"] or 0) * (clock.elapsed() - began)
            return bool(measured["frames_per_s"] and measured["round_trip_ms"] and got > 4 * 1280 * 800)

        await eventually(all_is_known, lambda: f"all of {measured}")
        assert 0 < (measured["round_trip_ms"] or 0) < 1000 * (clock.elapsed() - began)


async def test_a_role_that_changes_or_ends_closes_the_socket_at_once(desk: Desk) -> None:
    desk.hub.share("lise", "collaborator")
    await desk.gateway.people.wait(desk.gateway.people.number, 5)
    async with viewing(desk) as marie, viewing(desk, "lise") as lise, viewing(desk, "oscar") as oscar:
        desk.hub.share("lise", "observer")
        assert await lise.closed() == 1012
        desk.hub.share("oscar", None)
        assert await oscar.closed() == 4403
        await marie.send(m.encodings(0), WHOLE)
        assert await marie.update()
    async with viewing(desk, "lise") as lise:
        (one,) = desk.gateway.viewers
        assert one.person["role"] == "observer"


async def test_who_may_not_come_gets_no_byte_of_rfb(desk: Desk) -> None:
    desk.hub.people["scopeless"] = {**desk.hub.people["marie's"], "scopes": ["self"]}
    cookie = desk.gateway.sessions.open("marie's", "marie")
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        ({"Authorization": "token nobody's"}, 401),
        ({"Authorization": "token pierre's"}, 403),
        ({"Authorization": "token scopeless"}, 401),
        ({"Cookie": f"visa-session={cookie}"}, 403),
        ({"Cookie": f"visa-session={cookie}", "Origin": "https://elsewhere.example"}, 403),
        ({"Cookie": "visa-session=guessed", "Origin": desk.url.partition("/user")[0]}, 401),
    ]
    port = int(desk.url.split(":")[2].split("/")[0])
    for headers, status in cases:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(desk.socket, headers=headers)
        assert refused.value.status == status
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        request = (
            f"GET {rig.SERVER}desktop/websocket HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nUpgrade: websocket\r\n{lines}"
            "Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
        )
        assert b"RFB 003" not in await rig.answered(port, request.encode())
    headers = {"Cookie": f"visa-session={cookie}", "Origin": desk.url.partition("/user")[0]}
    async with desk.client.ws_connect(desk.socket, headers=headers) as socket:
        assert (await socket.receive(ENOUGH)).data == HELLO


async def test_no_desktop_and_what_only_looks_like_one_is_said_in_words(tmp_path: Path, desktop: xvnc.Desktop) -> None:
    async with running(tmp_path) as desk:
        path = tmp_path / "desktop.sock"
        for make in (lambda: None, lambda: path.write_text(""), lambda: path.symlink_to(desktop.run / path.name)):
            path.unlink(missing_ok=True)
            make()
            async with viewing(desk, begun=False) as marie:
                message = await marie.socket.receive(ENOUGH)
                assert (message.data, message.extra) == (1013, "The desktop does not run, or not yet.")


async def test_too_many_viewers_are_told_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat_module, "MOST", 1)
    async with viewing(desk), viewing(desk, begun=False) as second:
        assert await second.closed() == 1013


async def test_who_does_not_begin_is_let_go(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewer_module, "BEGINNING", 0.3)
    async with viewing(desk, begun=False) as marie:
        assert await marie.closed() == 1008


NOISE = """
import tkinter as t, os
r = t.Tk()
r.geometry('600x600+0+0')
p = t.PhotoImage(width=600, height=600)
t.Label(r, image=p).pack()
def go():
    p.configure(data=b'P6 600 600 255 ' + os.urandom(1080000))
    r.after(15, go)
go()
r.mainloop()
"""


@pytest.fixture
def noise(desktop: xvnc.Desktop) -> Iterator[None]:
    """A window whose picture never stays and cannot be compressed."""
    program = subprocess.Popen([sys.executable, "-c", NOISE], env=desktop.variables, start_new_session=True)
    yield
    assert program.poll() is None
    rig.end(program)


@pytest.mark.usefixtures("noise")
async def test_a_viewer_that_does_not_read_costs_no_memory_and_slows_nobody(desktop: xvnc.Desktop) -> None:
    fake = rig.FakeHub()
    async with fake.served() as api, aiohttp.ClientSession() as client:
        with rig.gateway(desktop.run, api) as gateway:
            await _slow_beside_quick(Desk(gateway.url, None, fake, client), gateway)  # type: ignore[arg-type]


async def _slow_beside_quick(desk: Desk, gateway: rig.Gateway) -> None:
    async with viewing(desk) as quick:
        await quick.send(m.encodings(0), WHOLE)
        await quick.update()
        before = gateway.memory()
        async with viewing(desk) as slow:
            slow.socket._conn.protocol.transport.pause_reading()  # type: ignore[union-attr]
            await slow.send(m.encodings(0), WHOLE)
            most = 0.0
            for _ in range(60):
                await slow.send(WHOLE)
                await quick.send(struct.pack(">BBHHHH", 3, 1, 0, 0, 64, 64))
                await quick.update()  # in vain when the slow one holds her up
                most = max(most, gateway.memory())
            slow.socket._conn.protocol.transport.abort()  # type: ignore[union-attr]
            assert most < before + 12
