"""What an open page does by itself is no activity."""

from __future__ import annotations

from datetime import datetime

import pytest
from playwright.async_api import Browser, Page, expect

from tests.services.waiting import eventually
from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium
from tests.session.desktop.conftest import MakeDesk
from tests.session.desktop.pages import context_of
from tests.session.desktop.test_flapping import NEWEST
from visa import clock

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
            await expect(page.locator("#words")).to_be_hidden()
            await more(page)  # opening it was activity, and what the page does at first is
            still = clock.now()
            await more(page)
            pressed = clock.now()
            await page.keyboard.press("Shift")
            await eventually(lambda: said(desk.hub) and said(desk.hub)[-1] >= pressed, "the hub's being told")
            assert [one for one in said(desk.hub) if still < one < pressed] == []


async def more(page: Page) -> None:
    """Some pictures."""
    before = await page.evaluate("newest.messages")
    await page.wait_for_function("(before) => newest.messages > before + 40", arg=before, timeout=60_000)


def said(hub: rig.FakeHub) -> list[datetime]:
    """When somebody was active, as the hub was told."""
    return [datetime.fromisoformat(one["last_activity"]) for one in hub.activity]
