"""Who only looks at one kernel of a real Jupyter shares a connection, and nobody waits for who does not read."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from tests.services.waiting import eventually
from tests.session.notebook.conftest import Three, becomes, client
from tests.session.notebook.messages import frames, text
from tests.session.notebook.rooms import PATH
from tests.session.notebook.test_live import channels, heard, session
from visa.session import upstream
from visa.session.budget import Budget
from visa.session.frames import TEXT, Part
from visa.session.notebook.audience import Audience
from visa.session.notebook.desks import Desk
from visa.session.notebook.kernel import identifier, of_comm, passing
from visa.session.notebook.seat import SELDOM, framed

LARGE = "for i in range(40): display({'text/plain': 'x' * 2_000_000}, raw=True)"
SAID = "print(6 * 7 * 1000)"


def run(code: str) -> str:
    return text("execute_request", "shell", {"code": code, "silent": False})


async def connections(three: Three, kernel: str, wanted: int) -> None:
    """Until Jupyter counts as many for the kernel."""

    async def counted() -> int:
        return int((await three.json(three.marie, "GET", f"api/kernels/{kernel}"))["connections"])

    await becomes(counted, wanted)


async def shown(marie: aiohttp.ClientWebSocketResponse, watchers: list[Any]) -> None:
    """Until all hear what she runs: a kernel's outputs come a moment after the connection."""
    hearing = asyncio.gather(*(heard(one, "42126") for one in watchers))

    async def by_all() -> bool:
        await marie.send_str(run("print(6 * 7 * 1003)"))
        return hearing.done()

    await eventually(by_all, "what she runs", pause=1)
    await hearing


@contextlib.asynccontextmanager
async def watching(three: Three, kernel: str, *v1: bool) -> AsyncIterator[list[Any]]:
    """Websockets of pierre's, and marie's own as the last."""
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(channels(three, three.pierre, kernel, one)) for one in v1]
        yield [*sockets, await stack.enter_async_context(channels(three, three.marie, kernel, False, "marie-s"))]


async def closed(socket: aiohttp.ClientWebSocketResponse, seconds: float = 30) -> tuple[int | None, int]:
    """``(close code, bytes)`` that came until the end."""
    size = 0
    async with asyncio.timeout(seconds):
        while (message := await socket.receive()).type in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
            size += len(message.data)
    return socket.close_code, size


@pytest.mark.parametrize(("v1", "upstream"), [((True, True, True), 1), ((False, False), 1), ((True, False, True), 2)])
async def test_all_hear_the_same_over_one_connection_for_each_encoding(
    three: Three, v1: tuple[bool, ...], upstream: int
) -> None:
    kernel = await session(three, PATH)
    async with channels(three, three.marie, kernel, False) as still:
        async with watching(three, kernel, *v1) as (*watchers, marie):
            await connections(three, kernel, upstream + 2)
            await shown(marie, watchers)
            await marie.send_str(
                run(f"{SAID}; display({{'text/plain': 'y' * 100_000}}, raw=True); print('the' + 'end')")
            )
            told = [await heard(one, "theend") for one in watchers]
            for one in told:
                assert "42000" in one
                assert "y" * 100_000 in one
        await connections(three, kernel, 1)
        assert not still.closed


async def test_an_answer_is_for_who_asked_and_sixty_questions_get_theirs(three: Three) -> None:
    kernel = await session(three, PATH)
    async with watching(three, kernel, *[True, False] * 10) as (*watchers, marie):
        quiet = watchers.pop()
        own = []
        for _ in range(3):
            for one in watchers:
                kind = "comm_info_request" if len(own) % 2 else "kernel_info_request"
                if one.protocol:
                    asked = frames(kind, "shell")
                    await one.send_bytes(asked)
                else:
                    asked = text(kind, "control").encode()
                    await one.send_str(asked.decode())
                own.append((one, json.loads(asked[asked.index(b'{"msg_id') :].split(b"}")[0] + b"}")["msg_id"]))

        async def answers(socket: Any, wanted: set[str]) -> None:
            found: set[str] = set()
            while found != wanted:
                message = (await asyncio.wait_for(socket.receive(), 30)).data
                message = message if isinstance(message, bytes) else message.encode()
                if b'_info_reply"' in message:
                    found |= {one for _, one in own if one.encode() in message}
                    assert found <= wanted

        await asyncio.gather(*(answers(one, {name for who, name in own if who is one}) for one in watchers))
        await marie.send_str(run(SAID))
        assert "_info_reply" not in await heard(quiet, "42000")


async def test_who_does_not_read_is_sent_away_and_the_others_go_on(three: Three) -> None:
    kernel = await session(three, PATH)
    async with watching(three, kernel, True, True) as (slow, quick, marie):
        await connections(three, kernel, 2)
        await shown(marie, [quick])
        before = three.gateway.memory()
        await marie.send_str(run(f"{LARGE}\n{SAID}"))
        _, told = await asyncio.gather(heard(marie, "42000"), heard(quick, "42000"))
        assert len(told) > 80_000_000
        assert three.gateway.memory() - before < 80
        # What the kernel of the machine keeps for her, and no more.
        code, size = await closed(slow)
        assert code in (1013, 1006)
        assert size < 80_000_000
        await marie.send_str(run("print(6 * 7 * 1001)"))
        await heard(quick, "42042")


async def test_a_kernel_that_restarts_or_ends_is_seen_by_all(three: Three) -> None:
    kernel = await session(three, PATH)
    async with watching(three, kernel, True, False) as (*watchers, marie):
        await connections(three, kernel, 3)
        await three.json(three.marie, "POST", f"api/kernels/{kernel}/restart")
        await shown(marie, watchers)
        await watchers[0].send_bytes(frames("kernel_info_request", "shell"))
        await heard(watchers[0], "kernel_info_reply")
        await three.json(three.marie, "DELETE", f"api/kernels/{kernel}")
        for one in watchers:
            assert (await closed(one))[0] == 4403  # its notebook's kernel is not there any more


async def test_the_connection_ends_with_the_owner_s_and_comes_with_her_again(three: Three) -> None:
    kernel = await session(three, PATH)
    async with channels(three, three.pierre, kernel, True) as one, channels(three, three.pierre, kernel, True) as other:
        for value in ("42000", "84000"):
            async with channels(three, three.marie, kernel, False, "marie-s") as marie:
                await connections(three, kernel, 2)
                await shown(marie, [one, other])
                await marie.send_str(run(f"print({value[:2]} * 1000)"))
                await heard(one, value)
                await heard(other, value)
            await connections(three, kernel, 0)


async def test_who_may_not_look_any_more_leaves_alone(three: Three) -> None:
    kernel = await session(three, PATH)
    three.hub.let_in("lise's", "lise")
    three.hub.share("lise", "observer")
    async with client("lise's") as lise:
        await becomes(lambda: three.status(lise, "GET", "api/me"), 200)
        # Pierre came first: the connection is in his name.
        async with watching(three, kernel, True) as (pierre, marie), channels(three, lise, kernel, True) as hers:
            await connections(three, kernel, 2)
            three.hub.share("pierre", None)
            assert (await closed(pierre))[0] == 4403
            await marie.send_str(run(SAID))
            await heard(hers, "42000")
            await connections(three, kernel, 2)


class End:
    """Jupyter's end of a connection, which a Jupyter cannot be asked to close."""

    close_code, close_reason = 4000, "Replaced."

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def read_part(self) -> None:
        await self.over.wait()

    def close(self, code: int) -> None:
        self.over.set()


class Watcher:
    """Her websocket, and when Jupyter lets her in."""

    def __init__(self, end: End | None) -> None:
        self._end, self.let_in, self.asked = end, asyncio.Event(), asyncio.Event()
        self.told: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    async def connect(self) -> Any:
        self.asked.set()
        await self.let_in.wait()
        if self._end is None:
            raise upstream.NotListening
        return self._end

    def send(self, frames: bytes) -> None: ...

    def end(self, code: int, reason: str) -> None:
        self.told.set_result(code)


@pytest.mark.looptime
@pytest.mark.parametrize(("listens", "code"), [(True, 4000), (False, 1011)])
async def test_an_end_of_the_connection_is_told_to_all_and_who_comes_again_opens_another(
    listens: bool, code: int
) -> None:
    desk = Desk()
    desk.came(object())
    audience = Audience(desk, Budget(2**24, "marie"))
    for _ in range(2):
        end = End()
        end.over.set()
        watchers = [Watcher(end if listens else None) for _ in range(2)]
        for one in watchers:
            one.let_in.set()
            audience.came(one)
        assert await asyncio.wait_for(asyncio.gather(*(one.told for one in watchers)), 30) == [code, code]


@pytest.mark.looptime
async def test_a_connection_that_nobody_waits_for_any_more_is_closed() -> None:
    desk, end = Desk(), End()
    desk.came(object())
    audience, watcher = Audience(desk, Budget(2**24, "marie")), Watcher(end)
    audience.came(watcher)
    await asyncio.wait_for(watcher.asked.wait(), 30)
    audience.went(watcher)
    await asyncio.sleep(0)
    watcher.let_in.set()
    await asyncio.wait_for(end.over.wait(), 30)


class Kernel(End):
    """What a kernel is asked, and what it tells when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []
        self._told: asyncio.Queue[Part | None] = asyncio.Queue()

    async def read_part(self) -> Any:
        return await self._told.get()

    async def write_message(self, question: str, binary: bool) -> None:
        self.asked.append(question)

    def close(self, code: int) -> None:
        self._told.put_nowait(None)

    def kinds(self) -> list[str]:
        return [of_comm(question)[0] for question in self.asked]

    def tells(self, state: str, about: str = "") -> None:
        """How it does."""
        told = text("status", "iopub", {"execution_state": state}, parent_header={"msg_id": about})
        self._told.put_nowait(Part(TEXT, told.encode()))


def of_widgets(kind: str, comm: str = "visa-watching-" + "0a" * 16) -> str:
    more: dict[str, Any] = {"target_name": "jupyter.widget.control"} if kind == "comm_open" else {}
    data = {"method": "request_states"} if kind == "comm_msg" else {}
    passes, _ = passing(text(kind, "shell", {"comm_id": comm, "data": data, **more}), False, "pierre")
    assert isinstance(passes, str)
    return passes


@pytest.mark.looptime
async def test_how_widgets_stand_is_asked_seldom_and_not_again_of_a_kernel_that_has_not_answered() -> None:
    desk, end = Desk(), Kernel()
    desk.came(object())
    audience, watcher = Audience(desk, Budget(2**24, "marie")), Watcher(end)
    watcher.let_in.set()
    audience.came(watcher)

    def flood() -> None:
        for kind in ("comm_open", "comm_msg", "comm_open", "comm_msg", "comm_msg"):
            audience.asks(watcher, of_widgets(kind))
        audience.asks(watcher, of_widgets("comm_msg", "visa-watching-" + "1b" * 16))

    flood()
    await asyncio.sleep(10 * SELDOM)
    assert end.kinds() == ["comm_open"]  # it is busy
    end.tells("idle", "something else")
    await asyncio.sleep(0.5)
    assert end.kinds() == ["comm_open"]
    end.tells("idle", identifier(end.asked[-1]))
    await asyncio.sleep(0.5)
    assert end.kinds() == ["comm_open", "comm_msg"]
    flood()
    end.tells("idle", identifier(end.asked[-1]))
    await asyncio.sleep(0.5)
    assert end.kinds() == ["comm_open", "comm_msg"]
    await asyncio.sleep(SELDOM)
    assert end.kinds() == ["comm_open", "comm_msg", "comm_msg"]
    end.tells("restarting")
    await asyncio.sleep(0.5)
    flood()
    await asyncio.sleep(1)
    assert end.kinds()[3:] == ["comm_open"]
    audience.went(watcher)


@pytest.mark.parametrize("size", [0, 125, 126, 2**16 - 1, 2**16])
def test_a_frame_says_its_size_as_websockets_do(size: int) -> None:
    frame = framed(bytes(size))
    head = {True: 2, False: 4}[size < 126] if size < 2**16 else 10
    assert frame[0] == 0x82
    assert len(frame) == head + size
    assert (frame[1] if head == 2 else int.from_bytes(frame[2:head], "big")) == size
    assert framed("a")[0] == 0x81
