"""Several who only look, each with the page in a browser of her own."""

from __future__ import annotations

import asyncio

from playwright.async_api import Browser, Page

from tests.session.desktop import xvnc
from tests.session.desktop.conftest import Desk
from tests.session.desktop.test_browser import chromium, colour, context_of, let_in, opened

__all__ = ["chromium"]

RED = [255, 0, 0]


async def shows(page: Page, wanted: list[int]) -> None:
    """Until the middle of her desktop has it."""
    last: list[int] = []
    for _ in range(200):
        last = await colour(page)
        if last == wanted:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it shows {last}, not {wanted}")


async def test_all_see_a_desktop_where_nothing_moves_and_then_the_change(chromium: Browser, marie_desk: Desk) -> None:
    await let_in(marie_desk, "oscar", "observer")
    with xvnc.running(marie_desk.run) as x:
        await asyncio.to_thread(x.ask, "xsetroot", "-solid", "red")
        owner = await opened(await context_of(chromium, marie_desk), marie_desk)
        await shows(owner, RED)
        pages = [owner]
        for _ in range(3):
            pages.append(await opened(await context_of(chromium, marie_desk, "oscar's"), marie_desk))
            await shows(pages[-1], RED)
        for name, shown in (("blue", [0, 0, 255]), ("white", [255, 255, 255])):
            await asyncio.to_thread(x.ask, "xsetroot", "-solid", name)
            await asyncio.gather(*(shows(page, shown) for page in pages))
