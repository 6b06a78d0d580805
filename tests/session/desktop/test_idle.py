"""What an open page does by itself is no activity."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser, expect

from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium
from tests.session.desktop.conftest import MakeDesk
from tests.session.desktop.test_browser import context_of, until
from tests.session.desktop.test_flapping import NEWEST

__all__ = ["browsing", "chromium"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_page_on_a_moving_clock_is_idle_and_one_key_press_is_not(
    chromium: Browser, make_desk: MakeDesk
) -> None:
    async with make_desk(VISA_ACTIVITY_INTERVAL="0.1") as desk:
        with xvnc.running(desk.run) as x:
            x.start("xterm", "-e", "sh", "-c", "while sleep 0.05; do date; done")
            context = await context_of(chromium, desk)
            page = await context.new_page()
            await page.add_init_script(NEWEST)
            await page.goto(desk.url)
            await expect(page.locator("#words")).to_be_hidden(timeout=20_000)
            told = -1
            for _ in range(20):  # opening it was one
                if told == len(desk.hub.activity):
                    break
                told = len(desk.hub.activity)
                await asyncio.sleep(1)
            before = await page.evaluate("newest.messages")
            await page.wait_for_function("(before) => newest.messages > before + 40", arg=before, timeout=60_000)
            assert len(desk.hub.activity) == told
            await page.keyboard.press("Shift")
            await until(lambda: len(desk.hub.activity) > told, "the hub is told")
