"""A Chromium for all tests of a module, and what runs on its event loop: their mark is `pytest.mark.asyncio` of it."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright

from tests.services.browser import ARGUMENTS
from tests.session.desktop.conftest import Apart, desk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browsing() -> AsyncIterator[Browser]:
    """A headless Chromium."""
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=ARGUMENTS, executable_path=program)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="module")
async def chromium(browsing: Browser) -> AsyncIterator[Browser]:
    """It, with no window of an earlier test."""
    yield browsing
    for context in browsing.contexts:
        await context.close()


@pytest_asyncio.fixture(loop_scope="module")
async def marie_desk() -> AsyncIterator[Apart]:
    """A gateway in a process of its own, with the usual variables."""
    async with desk() as one:
        yield one
