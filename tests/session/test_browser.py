"""Chromium through proxy, hub and gateway into a real JupyterLab."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Page, Response, async_playwright, expect

from tests.services.waiting import eventually
from tests.session import rig


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """A page of a fresh headless Chromium."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=["--no-sandbox"], executable_path=_chromium())
        yield await browser.new_page()
        await browser.close()


def _chromium() -> str | None:
    """The system's Chromium where there is one, else the one that playwright brought."""
    return shutil.which("chromium")


async def _log_in(page: Page, hub: rig.Hub, user: str) -> None:
    await page.goto(hub.url + "/hub/login?next=/hub/home")
    await page.fill("#username_input", user)
    await page.fill("#password_input", "visa")
    await page.click("#login_submit")
    await page.wait_for_load_state()


async def run_cell(page: Page) -> None:
    """Run the first cell until it says 42: JupyterLab drops what comes before its own start is over."""

    async def ran() -> bool:
        if await page.locator(".jp-OutputArea-output", has_text="42").count():
            return True
        await page.locator(".jp-Notebook .jp-CodeCell .cm-content").first.click()
        await page.keyboard.press("Control+Enter")
        return False

    await eventually(ran, "what the cell says", pause=1.5)


async def test_lab_opens_and_nothing_that_it_asks_for_is_refused(
    hub: rig.Hub, jupyter: rig.Jupyter, page: Page
) -> None:
    refused: list[tuple[int, str]] = []

    def note(answer: Response) -> None:
        if rig.SERVER in answer.url and answer.status in (400, 401, 403, 405, 411, 500, 502, 503):
            refused.append((answer.status, answer.url))

    page.on("response", note)
    await _log_in(page, hub, "marie")
    await page.goto(hub.url + rig.SERVER + "lab")
    await page.wait_for_selector("#jp-main-dock-panel .jp-Launcher", timeout=60_000)
    await page.click('.jp-LauncherCard[data-category="Notebook"]')
    cell = page.locator(".jp-Notebook .cm-content").first
    await cell.wait_for(timeout=30_000)
    await page.wait_for_selector('.jp-Notebook-ExecutionIndicator[data-status="idle"]', timeout=60_000)
    await cell.click()
    await page.keyboard.type("print(6 * 7)")
    await expect(cell).to_contain_text("print(6 * 7)")
    await run_cell(page)
    await page.keyboard.press("Control+s")
    assert refused == []


async def test_the_waiting_page_goes_on_by_itself_and_says_when_jupyter_has_died(
    hub: rig.Hub, jupyter: rig.Jupyter, page: Page, tmp_path: Path
) -> None:
    """Jupyter's socket is moved away as if it were not there yet; then it comes, and then nobody listens."""
    await _log_in(page, hub, "marie")
    await page.goto(hub.url + rig.SERVER + "api/me")
    away = jupyter.run / "away.sock"
    (jupyter.run / "jupyter.sock").rename(away)
    try:
        await page.goto(hub.url + rig.SERVER + "api/status")
        assert "Jupyter has stopped" in await page.title()
        assert "home page" in await page.inner_text("main")
    finally:
        away.rename(jupyter.run / "jupyter.sock")
    await expect(page.locator("body")).to_contain_text("started")


async def test_the_starting_page_is_calm_in_light_and_dark(page: Page, tmp_path: Path) -> None:
    from visa.session import pages

    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    file = tmp_path / "page.html"
    file.write_text(pages.starting("/user/m/w/", "/services/visa/")[0])
    for scheme, width in (("light", 1440), ("dark", 390)):
        await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
        await page.set_viewport_size({"width": width, "height": 700})
        await page.goto(file.as_uri())
        assert await page.inner_text("h1") == "Jupyter is starting"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await page.screenshot(path=tmp_path / f"{scheme}.png")
    assert errors == []
