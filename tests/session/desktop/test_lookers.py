"""Several who only look, each with the page in a browser of her own."""

from __future__ import annotations

import asyncio

import pytest
from playwright.async_api import Browser

from tests.services.waiting import eventually
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium, marie_desk
from tests.session.desktop.conftest import Desk
from tests.session.desktop.pages import context_of, let_in, opened, shows

__all__ = ["browsing", "chromium", "marie_desk"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

RED = [255, 0, 0]
GOOD = 1


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


ERROR = """([width, height]) => {
  const canvas = document.querySelector("#screen canvas");
  const { data } = canvas.getContext("2d").getImageData(0, 0, width, height);
  let error = 0;
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      [(x * 7 + y * 3) & 255, (x * y) & 255, (x ^ y) & 255].forEach((wanted, index) => {
        error += Math.abs(data[4 * (y * width + x) + index] - wanted);
      });
  return error / width / height / 3;
}"""
"""How much a sample differs from `xvnc.shade`, on average."""


async def test_all_see_it_well_once_nothing_moves(chromium: Browser, marie_desk: Desk) -> None:
    """TigerVNC makes such a picture as a rough JPEG, and a good one of what stays for a while."""
    await let_in(marie_desk, "oscar", "observer")
    with xvnc.running(marie_desk.run) as x:
        pages = [await opened(await context_of(chromium, marie_desk), marie_desk)]
        for _ in range(3):
            pages.append(await opened(await context_of(chromium, marie_desk, "oscar's"), marie_desk))
        await asyncio.to_thread(x.paint)
        errors: list[float] = []

        async def good() -> bool:
            errors[:] = [await page.evaluate(ERROR, xvnc.PAINTED) for page in pages]
            return max(errors) < GOOD

        await eventually(good, lambda: f"a good picture everywhere ({errors})")
