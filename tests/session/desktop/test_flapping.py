"""A tab that stays open on a network that comes and goes: nothing is left of what was cut, on either end."""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import aiohttp
import psutil
import pytest
from playwright.async_api import Browser, CDPSession, Page, expect

from tests.services.waiting import at_rest, eventually
from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium, marie_desk
from tests.session.desktop.conftest import Apart
from tests.session.desktop.pages import context_of
from tests.session.desktop.relay import Relay
from tests.session.rfb import messages as m

__all__ = ["browsing", "chromium", "marie_desk"]

pytestmark = [pytest.mark.timeout(600), pytest.mark.asyncio(loop_scope="module")]

CUTS_OF_A_PAGE, CUTS_OF_A_CLIENT = 24, 400
KEPT = 6
"""Connections that a browser may keep open to one server for its next questions: fewer than there are cuts."""
STEPS = [b"", b"RFB 003.0", b"RFB 003.008\n", b"RFB 003.008\n\1", b"RFB 003.008\n\1\0"]
WHOLE = struct.pack(">BBHHHH", 3, 0, 0, 0, 1280, 800)
STREAMS = [*STEPS, STEPS[-1] + m.encodings(0) + WHOLE * 3, STEPS[-1] + m.encodings(*m.ALL) + WHOLE + m.cut(b"half")[:9]]
"""Where a cut comes: at each step of the beginning, in the middle of pictures, in the middle of a clipboard."""


@dataclass
class Weight:
    """What the gateway holds."""

    descriptors: int
    threads: int
    megabytes: float
    viewers: int

    @classmethod
    async def of(cls, desk: Apart) -> Weight:
        process = psutil.Process(desk.gateway.process.pid)
        async with desk.client.get(f"{desk.url}state") as answer:
            viewers = len((await answer.json())["people"])
        return cls(process.num_fds(), process.num_threads(), process.memory_info().rss / 1e6, viewers)


async def settled(desk: Apart, viewers: int, descriptors: int | None = None) -> Weight:
    """Once so many viewers are left, and no more ``descriptors`` than these where that is said; else once at rest."""
    weight = await Weight.of(desk)

    async def there() -> bool:
        nonlocal weight
        weight = await Weight.of(desk)
        return weight.viewers == viewers and (descriptors is None or weight.descriptors <= descriptors)

    await eventually(there, lambda: f"{viewers} viewers and {descriptors} descriptors ({weight})")
    if descriptors is None:
        await at_rest(lambda: psutil.Process(desk.gateway.process.pid).num_fds())
        weight = await Weight.of(desk)
    return weight


async def test_four_hundred_cuts_of_a_client_leave_nothing_behind(marie_desk: Apart) -> None:
    with xvnc.running(marie_desk.run) as x:
        async with Relay(marie_desk.gateway.port).running() as network:
            address = f"ws://127.0.0.1:{network.port}{rig.SERVER}desktop/websocket"
            await _cuts(marie_desk, network, address, 50)
            before = await settled(marie_desk, 0)
            await _cuts(marie_desk, network, address, CUTS_OF_A_CLIENT)
            after = await settled(marie_desk, 0, before.descriptors)
        assert after.viewers == 0
        assert after.descriptors <= before.descriptors
        assert after.threads <= before.threads
        assert after.megabytes < before.megabytes + 3
        assert x.server.poll() is None


async def _cuts(desk: Apart, network: Relay, address: str, count: int) -> None:
    """Some at once, each at another moment."""

    async def one(turn: int) -> None:
        async with desk.client.ws_connect(address, max_msg_size=0) as socket:
            stream = STREAMS[turn % len(STREAMS)]
            if stream:
                await socket.send_bytes(stream)
            for _ in range(turn % 5):
                message = await socket.receive(5)
                if message.type is not aiohttp.WSMsgType.BINARY or len(stream) < 14:
                    break

    for turn in range(0, count, 4):
        under_way = [asyncio.create_task(one(turn + more)) for more in range(4)]
        await asyncio.wait(under_way, return_when=asyncio.FIRST_COMPLETED)
        network.cut(up=True)
        await asyncio.gather(*under_way, return_exceptions=True)


NEWEST = """(() => {
  window.newest = { number: 0, messages: 0 };
  window.WebSocket = new Proxy(WebSocket, {
    construct(kind, all) {
      const made = new kind(...all);
      const here = (window.newest = { number: window.newest.number + 1, messages: 0 });
      made.addEventListener("message", () => (here.messages += 1));
      return made;
    },
  });
})()"""
"""Tells which of the page's websockets is the last, and how much it got."""
BACK = """(number) => {
  const back = newest.number > number && newest.messages > 5 && document.querySelector("#words").hidden;
  if (!back) dispatchEvent(new Event("online"));
  return back;
}"""
"""There is a picture again. A browser says when its network is back, which spares the page's pause."""


async def test_a_page_comes_back_after_every_cut_and_grows_no_heavier(chromium: Browser, marie_desk: Apart) -> None:
    with xvnc.running(marie_desk.run) as x:
        x.start("xterm", "-e", "sh", "-c", "while sleep 0.05; do date; done")
        async with Relay(marie_desk.gateway.port).running() as network:
            context = await context_of(chromium, marie_desk)
            page = await context.new_page()
            await page.add_init_script(NEWEST)
            await page.goto(marie_desk.url.replace(str(marie_desk.gateway.port), str(network.port)))
            await expect(page.locator("#words")).to_be_hidden(timeout=60_000)
            # A cut while its last modules load begins the page anew, see desktop.js.
            await expect(page.locator("#key-buttons button").first).to_be_attached(timeout=60_000)
            tools = await context.new_cdp_session(page)
            await _flap(page, network, 8)
            before, heavy = await settled(marie_desk, 1), await heap(tools)
            await _flap(page, network, CUTS_OF_A_PAGE)
            after, heavier = await settled(marie_desk, 1, before.descriptors + KEPT), await heap(tools)
        assert after.viewers == 1
        assert after.megabytes < before.megabytes + 4
        for name, most in (("JSHeapUsedSize", 1_000_000), ("Nodes", 50), ("JSEventListeners", 20)):
            assert heavier[name] < heavy[name] + most, (name, heavy, heavier)


async def _flap(page: Page, network: Relay, count: int) -> None:
    """Cut, sometimes for longer than the page's first try, and wait for the picture."""
    for turn in range(count):
        number = await page.evaluate("newest.number")
        network.cut(up=turn % 5 != 0)
        await page.evaluate("1")  # the page has seen that
        network.up = True
        await page.wait_for_function(BACK, arg=number, timeout=60_000)
        assert await page.locator("#screen canvas").count() == 1


async def heap(tools: CDPSession) -> dict[str, float]:
    """After what is not needed any more was collected."""
    await tools.send("Performance.enable")
    for _ in range(3):
        await tools.send("HeapProfiler.collectGarbage")
    got = await tools.send("Performance.getMetrics")
    return {one["name"]: one["value"] for one in got["metrics"]}
