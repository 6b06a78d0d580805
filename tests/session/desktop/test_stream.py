"""The video's websocket with a real Selkies on a real X server: what reaches it, from whom, and at whose cost."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.services.waiting import ENOUGH, elsewhere, eventually, until
from tests.session import rig
from tests.session.desktop import launched, xvnc
from tests.session.desktop.launched import called, processes
from tests.session.selkies.test_from_viewer import ACTS, FORBIDDEN
from tests.session.test_viewer import NOISE, Desk, running
from visa.session.desktop import hand, seat, state, stream

VIDEO = {"VISA_DESKTOP_SERVER": "selkies"}
pytestmark = launched.NEEDED


@pytest.fixture(scope="module")
def desktop() -> Iterator[xvnc.Desktop]:
    """As the launcher starts it."""
    with launched.with_video() as one:
        yield one


@pytest.fixture
async def desk(desktop: xvnc.Desktop) -> AsyncIterator[Desk]:
    """A gateway in front of it."""
    async with running(desktop.run, **VIDEO) as one:
        yield one


class Viewer:
    """A client that sends what it likes, and tells of each picture that it got unless it is to be ``slow``."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, slow: bool = False) -> None:
        self.socket, self.slow = socket, slow
        self.pictures: list[bytes] = []
        self.texts: list[str] = []
        self.reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        async for message in self.socket:
            if message.type is aiohttp.WSMsgType.BINARY:
                self.pictures.append(message.data[:12])
                if not self.slow:
                    number = int.from_bytes(message.data[2:4], "big")
                    await self.socket.send_str(f"CLIENT_FRAME_ACK {number}")
            elif message.type is aiohttp.WSMsgType.TEXT:
                self.texts.append(message.data)

    async def send(self, *messages: str) -> None:
        """One websocket message each."""
        for message in messages:
            await self.socket.send_str(message)

    async def until(self, there: Callable[[], object], what: str) -> None:
        """While messages are read."""
        await elsewhere(there, lambda: f"{what} ({self.socket.close_code}, {self.texts[-5:]})")

    async def sees(self) -> None:
        """A first picture, which needs none before it."""
        await self.until(lambda: self.pictures, "a picture")
        assert self.pictures[0][:2] == b"\x04\x11"

    async def closed(self) -> int | None:
        """The code, when it closes."""
        await asyncio.wait_for(asyncio.shield(self.reading), ENOUGH)
        return self.socket.close_code


@contextlib.asynccontextmanager
async def viewing(desk: Desk, who: str = "marie", slow: bool = False, begun: bool = True) -> AsyncIterator[Viewer]:
    """``who`` looks."""
    headers = {"Authorization": f"token {who}'s"}
    async with desk.client.ws_connect(desk.url + "desktop/selkies", headers=headers, max_msg_size=0) as socket:
        viewer = Viewer(socket, slow)
        if begun:
            await viewer.sees()
        yield viewer
        viewer.reading.cancel()


@pytest.fixture
def heard(desktop: xvnc.Desktop) -> Iterator[Path]:
    """What a window at the top left hears of keys and pointer."""
    with tempfile.NamedTemporaryFile() as file:
        command = ["stdbuf", "-oL", "xev", "-geometry", "600x600+0+0", "-event", "keyboard", "-event", "button"]
        program = subprocess.Popen(command, env=desktop.variables, stdout=file, start_new_session=True)
        until(lambda: "IsViewable" in desktop.ask("xwininfo", "-name", "Event Tester"), 60, "xev", program)
        yield Path(file.name)
        rig.end(program)


async def click(viewer: Viewer, heard: Path) -> None:
    """Into the window, which hears it as soon as the window manager is done with it."""

    async def clicked() -> bool:
        await viewer.send("m,200,200,0,0", "m,200,200,1,0", "m,200,200,0,0")
        return "ButtonPress" in await asyncio.to_thread(heard.read_text)

    await eventually(clicked, "a click", pause=0.2)


async def test_an_owner_s_keys_and_clicks_arrive_and_what_she_holds_is_let_go(desk: Desk, heard: Path) -> None:
    # Somebody else stays: Selkies lets go of everything by itself when the last one leaves.
    async with viewing(desk, "oscar"), viewing(desk) as marie:
        await click(marie, heard)
        await marie.send("kd,97", "ku,97")
        await marie.until(lambda: "keysym 0x61, a)" in heard.read_text(), "the key")
        assert [one.person["name"] for one in desk.gateway.viewers] == ["oscar", "marie"]
        await marie.send("kd,65505", "m,200,200,4,0")
        await marie.until(lambda: "keysym 0xffe1, Shift_L" in heard.read_text(), "Shift")
        await marie.until(lambda: "button 3" in heard.read_text(), "the right button")
        assert not balanced(heard, "Key")
        assert not balanced(heard, "Button")
        await marie.socket.close()
        for one in ("Key", "Button"):
            await marie.until(lambda one=one: balanced(heard, one), f"{one}s are let go")  # type: ignore[misc]


def balanced(heard: Path, one: str) -> bool:
    """Whether all that was pressed was let go."""
    text = heard.read_text()
    return text.count(f"{one}Press event") == text.count(f"{one}Release event")


async def test_an_observer_sees_and_none_of_her_messages_reaches_x(
    desk: Desk, desktop: xvnc.Desktop, heard: Path
) -> None:
    before, active = desktop.size(), desk.gateway.activity._last
    desktop.copy("mine")
    async with viewing(desk, "oscar") as oscar:
        await oscar.send("m,200,200,0,0", "m,200,200,1,0", "m,200,200,0,0", "kd,97", "ku,97", *ACTS)
        count = len(oscar.pictures)
        await oscar.send("REQUEST_KEYFRAME")
        await oscar.until(lambda: len(oscar.pictures) > count, "another picture")
        async with viewing(desk) as marie:
            desktop.copy("not for observers")
            await marie.until(lambda: [text for text in marie.texts if text.startswith("clipboard")], "her clipboard")
        count = len(oscar.pictures)
        await oscar.send("REQUEST_KEYFRAME")
        await oscar.until(lambda: len(oscar.pictures) > count, "a picture after that")
        assert not [text for text in oscar.texts if text.startswith("clipboard")]
    assert await asyncio.to_thread(desktop.copied) == "not for observers"
    assert desktop.size() == before
    assert desk.gateway.activity._last == active
    assert "Press" not in await asyncio.to_thread(heard.read_text)
    async with viewing(desk) as marie:
        await click(marie, heard)
    assert desk.gateway.activity._last != active


async def test_selkies_itself_takes_nothing_from_a_connection_that_looks(
    desk: Desk, desktop: xvnc.Desktop, heard: Path
) -> None:
    before = desktop.size()
    end = await desk.gateway.hand.look()
    for message in (*ACTS, "m,200,200,1,0", "kd,97", 'SETTINGS,{"displayId":"primary","initialClientWidth":640}'):
        await end.write_message(message)
    # Selkies reads in turn: what would have come of these is there when somebody who came later is heard.
    async with viewing(desk) as marie:
        assert "Press" not in await asyncio.to_thread(heard.read_text)
        await click(marie, heard)
        await marie.send("kd,98", "ku,98")
        await marie.until(lambda: "keysym 0x62, b)" in heard.read_text(), "her key")
    end.close()
    assert "keysym 0x61, a)" not in await asyncio.to_thread(heard.read_text)
    assert await asyncio.to_thread(desktop.size) == before


@pytest.mark.parametrize("message", [FORBIDDEN[0], "cmd,xterm", "kd,97\nkd,98", b"\x02audio", b"\x05\x1f\x8b"])
async def test_what_nobody_may_send_closes_with_words(desk: Desk, message: str | bytes) -> None:
    for who in ("marie", "oscar"):
        async with viewing(desk, who, begun=False) as viewer:
            await viewer.until(lambda: desk.gateway.viewers, "the seat")
            if isinstance(message, str):
                await viewer.send(message)
            else:
                await viewer.socket.send_bytes(message)
            assert await viewer.closed() == (1008 if isinstance(message, str) else 1003)


async def test_the_owner_resizes_and_all_are_told(desk: Desk, desktop: xvnc.Desktop) -> None:
    async with viewing(desk) as marie, viewing(desk, "oscar") as oscar:
        await oscar.send("r,640x480")
        for wanted in ((1000, 700), (1280, 800)):
            await marie.send(f"r,{wanted[0]}x{wanted[1]}")
            await marie.until(lambda wanted=wanted: desktop.size() == wanted, "the size")  # type: ignore[misc]
            told = json.dumps({"type": "stream_resolution", "width": wanted[0], "height": wanted[1]})
            await oscar.until(lambda told=told: told in oscar.texts, "the observer is told")  # type: ignore[misc]


async def test_the_clipboard_passes_both_ways_within_its_limit(desktop: xvnc.Desktop) -> None:
    def packed(text: str) -> str:
        return base64.b64encode(text.encode()).decode()

    rules = '{"clipboard": {"owner": "both"}, "clipboard_limit": 3000000}'
    async with running(desktop.run, VISA_DESKTOP=rules, **VIDEO) as desk, viewing(desk) as marie:
        for text in ("from marié", "long " * 500_000):
            await marie.send(f"cw,{packed(text)}")
            await marie.until(lambda text=text: desktop.copied() == text, "her text")  # type: ignore[misc]
        await marie.send(f"cw,{packed('x' * 3_000_001)}")
        desktop.copy("y" * 3_000_001)
        desktop.copy("z" * 100_000)
        await marie.until(lambda: f"clipboard,{packed('z' * 100_000)}" in marie.texts, "the desktop's text")
        assert not [text for text in marie.texts if "yyy" in text or "eXl5" in text]


@pytest.fixture
def noise(desktop: xvnc.Desktop) -> Iterator[None]:
    """A window whose picture never stays and cannot be compressed."""
    program = subprocess.Popen([sys.executable, "-c", NOISE], env=desktop.variables, start_new_session=True)
    yield
    assert program.poll() is None
    rig.end(program)


@pytest.mark.usefixtures("noise")
async def test_a_viewer_that_tells_of_no_picture_gets_few_and_slows_nobody(desk: Desk) -> None:
    async with viewing(desk, "oscar", slow=True) as oscar, viewing(desk) as marie:
        await oscar.until(lambda: len(oscar.pictures) >= stream.WINDOW, "the window is full")
        before, resident = len(marie.pictures), psutil.Process().memory_info().rss
        await marie.until(lambda: len(marie.pictures) > before + 60, "the other goes on")
        assert len(oscar.pictures) == stream.WINDOW
        assert psutil.Process().memory_info().rss - resident < 50e6
        oscar.slow = False
        await oscar.send(f"CLIENT_FRAME_ACK {int.from_bytes(oscar.pictures[-1][2:4], 'big')}")
        await oscar.until(lambda: len(oscar.pictures) > stream.WINDOW + 10, "she sees again")


async def test_who_may_not_come_gets_nothing_of_it(desk: Desk) -> None:
    cookie = desk.gateway.sessions.open("marie's", "marie")
    cases: list[tuple[dict[str, str], int]] = [
        ({}, 401),
        ({"Authorization": "token nobody's"}, 401),
        ({"Authorization": "token pierre's"}, 403),
        ({"Cookie": f"visa-session={cookie}"}, 403),
        ({"Cookie": f"visa-session={cookie}", "Origin": "https://elsewhere.example"}, 403),
        ({"Cookie": "visa-session=guessed", "Origin": desk.url.partition("/user")[0]}, 401),
    ]
    for headers, status in cases:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await desk.client.ws_connect(desk.url + "desktop/selkies", headers=headers)
        assert refused.value.status == status
    assert not desk.gateway.viewers
    headers = {"Cookie": f"visa-session={cookie}", "Origin": desk.url.partition("/user")[0]}
    async with desk.client.ws_connect(desk.url + "desktop/selkies", headers=headers) as socket:
        await Viewer(socket).sees()


async def test_a_role_that_changes_or_ends_closes_the_socket(desk: Desk) -> None:
    async with viewing(desk) as marie, viewing(desk, "oscar") as oscar:
        desk.hub.share("oscar", None)
        assert await oscar.closed() == 4403
        desk.gateway.close_sockets()
        assert await marie.closed() == 1001


async def test_a_gateway_that_comes_right_after_another_is_let_in(desk: Desk) -> None:
    for _ in range(3):
        one = await hand.Hand(desk.gateway.settings.run, 100).look()
        assert (await asyncio.wait_for(one.read_message(), ENOUGH)) is not None
        one.close()


async def test_it_shares_seats_with_rfb(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seat, "MOST", 1)
    async with viewing(desk), desk.client.ws_connect(desk.socket, headers=rig.MARIE) as rfb:
        assert (await rfb.receive(ENOUGH)).data == 1013


async def test_without_selkies_it_is_said_in_words(tmp_path: Path) -> None:
    async with running(tmp_path, **VIDEO) as desk, viewing(desk, begun=False) as marie:
        assert await marie.closed() == 1013


async def test_no_tcp_port_listens(desktop: xvnc.Desktop) -> None:
    group = processes(desktop)
    assert {"Xvnc", "selkies", "openbox"} <= {name for one in group for name in called(one)}
    ports = [port for one in group for port in one.net_connections("inet") if port.status == psutil.CONN_LISTEN]
    assert ports == []
    assert (desktop.run / "selkies.sock").stat().st_mode & 0o777 == 0o770


async def test_selkies_that_ends_is_started_again_on_the_same_windows(desk: Desk, desktop: xvnc.Desktop) -> None:
    async with viewing(desk) as marie:
        next(one for one in processes(desktop) if "selkies" in called(one)).kill()
        assert await marie.closed() == 1011
        there = lambda: state.ready(str(desktop.run), True)  # noqa: E731
        await marie.until(there, "Selkies again")
    await eventually(lambda: seen_by(desk), "a picture", pause=0.5)
    assert desktop.server.poll() is None


async def seen_by(desk: Desk) -> bool:
    """As her page does: 1013 means that she is to come again, as long as Selkies only listens and does not greet."""
    async with viewing(desk, begun=False) as marie:
        await marie.until(lambda: marie.pictures or marie.reading.done(), "an answer")
        if marie.pictures:
            await marie.sees()
            return True
        assert marie.socket.close_code == 1013
        return False


async def test_an_environment_without_selkies_is_shown_by_xvnc(tmp_path: Path) -> None:
    with launched.running(tmp_path) as desktop:
        until((desktop.run / "selkies-ended").exists, 60, "the launcher gives it up")
        assert state.ready(str(desktop.run), True)
