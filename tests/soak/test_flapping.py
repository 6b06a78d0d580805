"""A network that comes and goes for as long as is asked: the gateway and the page grow no heavier."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.session import rig
from tests.session.desktop import test_flapping as flapping
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium
from tests.session.desktop.conftest import desk
from tests.session.desktop.pages import context_of
from tests.session.desktop.relay import Relay
from tests.soak.conftest import Soak

__all__ = ["browsing", "chromium"]

CUTS, FLAPS = 40, 5
"""In a turn."""


async def test_cuts_of_a_client_leave_nothing_behind(soak: Soak) -> None:
    async with desk() as marie:
        with xvnc.running(marie.run) as x:
            async with Relay(marie.gateway.port).running() as network:
                address = f"ws://127.0.0.1:{network.port}{rig.SERVER}desktop/websocket"
                await flapping._cuts(marie, network, address, 50)
                before = await flapping.settled(marie, 0)
                for _ in soak.turns():
                    await flapping._cuts(marie, network, address, CUTS)
                    soak.did("cuts of a client", CUTS)
                after = await flapping.settled(marie, 0, before.descriptors)
            _no_heavier(before, after)
            assert x.server.poll() is None


@pytest.mark.asyncio(loop_scope="module")
async def test_a_page_comes_back_after_every_cut(chromium: Browser, soak: Soak) -> None:
    async with desk() as marie:
        with xvnc.running(marie.run) as x:
            x.start("xterm", "-e", "sh", "-c", "while sleep 0.05; do date; done")
            async with Relay(marie.gateway.port).running() as network:
                context = await context_of(chromium, marie)
                page = await context.new_page()
                await page.add_init_script(flapping.NEWEST)
                await page.goto(marie.url.replace(str(marie.gateway.port), str(network.port)))
                await expect(page.locator("#words")).to_be_hidden(timeout=60_000)
                await expect(page.locator("#key-buttons button").first).to_be_attached(timeout=60_000)
                tools = await context.new_cdp_session(page)
                await flapping._flap(page, network, 8)
                before, heavy = await flapping.settled(marie, 1), await flapping.heap(tools)
                for _ in soak.turns():
                    await flapping._flap(page, network, FLAPS)
                    soak.did("cuts of a page", FLAPS)
                after, heavier = (
                    await flapping.settled(marie, 1, before.descriptors + flapping.KEPT),
                    await flapping.heap(tools),
                )
            _no_heavier(before, after, flapping.KEPT)
            for name, most in (("JSHeapUsedSize", 2_000_000), ("Nodes", 50), ("JSEventListeners", 20)):
                assert heavier[name] < heavy[name] + most, (name, heavy, heavier)


def _no_heavier(before: flapping.Weight, after: flapping.Weight, kept: int = 0) -> None:
    """The same for minutes and for a night; some memory is Python's own."""
    assert after.viewers == before.viewers
    assert after.descriptors <= before.descriptors + kept
    assert after.threads <= before.threads
    assert after.megabytes < before.megabytes + 8, (before, after)
