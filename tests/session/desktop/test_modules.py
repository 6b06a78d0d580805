"""The page's modules by themselves, in Chromium: how the quality is chosen, what keys of a layout say."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.session import rig
from tests.session.desktop.browsing import browsing
from tests.session.desktop.conftest import desk
from visa.session.desktop import assets

__all__ = ["browsing"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def page(browsing: Browser) -> AsyncIterator[Page]:
    """The desktop's page, where tests may import its modules: they are functions of what they are given."""
    async with desk() as one:
        context = await browsing.new_context(bypass_csp=True)
        cookie = await rig.session_cookie(one.gateway)
        place = {"domain": "127.0.0.1", "path": rig.SERVER}
        await context.add_cookies([{"name": "visa-session", "value": cookie, **place}])  # type: ignore[arg-type]
        opened = await context.new_page()
        await opened.goto(one.url)
        yield opened
        await context.close()


async def call(page: Page, module: str, script: str, *given: Any) -> Any:
    """``script`` is a function of the module and ``given``."""
    address = f"{rig.SERVER}desktop/static/{assets.version()}/{module}"
    return await page.evaluate(f"async (given) => ({script})(await import('{address}'), ...given)", list(given))


@pytest.mark.parametrize(
    ("level", "took", "best", "rate", "since", "next_level"),
    [
        (1, 20, 15, 30, 1e6, 1),  # a good line stays at the finest
        (0, 20, 15, 30, 1e6, 1),  # which is not the best: that one has to be chosen
        (0, 900, 15, 8, 1e6, 1),  # answers wait behind pictures
        (3, 900, 15, 8, 1e6, 3),  # there is nothing lower
        (0, 900, 15, 0, 1e6, 0),  # slow, but not for pictures: a quiet screen
        (1, 400, 380, 8, 1e6, 1),  # a far away place is slow always
        (2, 30, 20, 8, 1000, 2),  # not at once after the last change
        (2, 30, 20, 8, 16_000, 1),
        (2, 400, 380, 8, 16_000, 1),
    ],
)
async def test_quality(
    page: Page, level: int, took: float, best: float, rate: float, since: float, next_level: int
) -> None:
    figures = {"took": took, "best": best, "rate": rate, "since": since}
    assert (
        await call(page, "meter.js", "(m, level, figures) => m.nextLevel(level, figures)", level, figures) == next_level
    )


PRESS = """(m, layout, keys) => {
  const map = m.mapper(m.LAYOUTS[layout]);
  return keys.map(([code, down]) => map(1, code, down));
}"""


@pytest.mark.parametrize(
    ("layout", "held", "code", "keysym"),
    [
        ("de", [], "KeyY", ord("z")),
        ("de", ["ShiftLeft"], "KeyY", ord("Z")),
        ("de", ["AltRight"], "KeyQ", ord("@")),
        ("de", ["AltRight"], "KeyE", 0x20AC),
        ("de", ["AltRight"], "IntlBackslash", ord("|")),
        ("de", [], "Equal", 0xFE51),
        ("fr", [], "KeyQ", ord("a")),
        ("fr", [], "BracketLeft", 0xFE52),
        ("fr", ["ShiftRight"], "Digit1", ord("1")),
        ("fr", ["AltRight"], "Digit0", ord("@")),
        ("gb", ["ShiftLeft"], "Digit2", ord('"')),
        ("gb", [], "Backslash", ord("#")),
        ("us", ["ShiftLeft"], "Quote", ord('"')),
        ("us", [], "F5", 1),
    ],
)
async def test_layouts(page: Page, layout: str, held: list[str], code: str, keysym: int) -> None:
    keys = [*[[one, True] for one in held], [code, True], *[[one, False] for one in held], [code, False]]
    said = await call(page, "layouts.js", PRESS, layout, keys)
    assert said[len(held)] == keysym
    assert said[-1] == keysym, "what was pressed is released, whatever happened to Shift"


async def test_every_row_fits_its_keys(page: Page) -> None:
    script = """(m) => Object.entries(m.LAYOUTS).flatMap(([name, one]) => [one.plain, one.shift].flatMap((rows) =>
      rows.map((row, index) => [name, [...row].length, [13, 12, 12, 11][index]])))"""
    for name, characters, keys in await call(page, "layouts.js", script):
        assert characters == keys, name
