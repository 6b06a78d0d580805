"""The system's Chromium, or the one that Playwright installed, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

ARGUMENTS = [
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser for the length of the block."""
    # None: Playwright takes its own, or says how to install it.
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def log_in(context: BrowserContext, url: str, username: str, path: str = "/") -> Page:
    """A page where ``username`` is logged in, at ``path``."""
    page = context.new_page()
    page.goto(f"{url}{path}")
    page.fill("#username_input", username)
    page.fill("#password_input", "visa")
    page.click("#login_submit")
    page.wait_for_url("**/services/visa/**")
    return page


def start_new(page: Page, search: str = "", shows: str = "", session: str = "") -> None:
    """A new instance on the first experiment found by ``search``, that ``shows`` a text; ``session``: which kind."""
    page.get_by_role("link", name="New instance").first.click()
    if search:
        page.get_by_label("Search").fill(search)
        expect(page.get_by_text(shows)).to_be_visible()
    page.locator("#found input[type=checkbox]").first.check()
    if session:
        radio = page.get_by_role("radio", name=session, exact=True)
        if radio.is_disabled():  # the environment that suits the experiment does not offer it
            page.locator(f"input[name=environment][data-sessions~={session}]:enabled").first.check()
        radio.check()
    page.get_by_role("button", name="Start").click()
