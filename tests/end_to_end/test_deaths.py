"""A gateway or the proxy is killed under open pages: they come back by themselves, to the same kernels and windows."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end.test_desktop import _inside
from tests.services.browser import log_in, start_new
from tests.services.desk import Desk
from tests.services.hub import below, until
from visa.cli.demo.leftovers import of
from visa.processes import Process

pytestmark = pytest.mark.timeout(300)
Kill = Callable[[], None]


@pytest.fixture(scope="module")
def pages(browser: Browser, demo: tuple[str, Path]) -> Iterator[tuple[Page, Desk]]:
    """Marie's JupyterLab and her desktop."""
    url, folder = demo
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    lab = log_in(context, url, "marie")
    start_new(lab, "wormlike", "4 experiments")
    lab.wait_for_url("**/lab/**", timeout=60_000)
    lab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    expect(lab.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    desktop = context.new_page()
    desktop.goto(f"{url}/services/visa/")
    start_new(desktop, "wormlike", "4 experiments", "desktop")
    desktop.wait_for_url("**/desktop/", timeout=60_000)
    desk = Desk(desktop, lambda command: _inside(folder, command))
    desk.opened()
    yield lab, desk
    context.close()


@pytest.fixture(params=["gateway", "proxy"])
def kill(request: pytest.FixtureRequest, demo: tuple[str, Path]) -> Kill:
    """Kills what the test is about, all of the kind, and waits until they are gone."""
    _, folder = demo

    def victims() -> list[Process]:
        if request.param == "proxy":
            pid, started, _ = (folder / "state" / "traefik.pid").read_text().split()
            return [Process(int(pid), int(started))]
        pids = [below(process.pid, "visa.session") for process in of(folder)]
        return [found for found in map(Process.of, {pid for pid in pids if pid}) if found is not None]

    def killed() -> None:
        found = victims()
        assert len(found) == (1 if request.param == "proxy" else 2)
        for one in found:
            one.signal(signal.SIGKILL)
        until(lambda: not any(one.is_alive() for one in found), 60, "their end")

    return killed


def cell(lab: Page, code: str, printed: str) -> None:
    """Run a new cell of the notebook, and see what it prints."""
    lab.bring_to_front()
    lab.locator(".jp-Notebook .jp-Cell").first.locator(".jp-InputPrompt").click()
    for key in ("Escape", "a", "Enter"):
        lab.keyboard.press(key)
    lab.keyboard.type(code)
    lab.keyboard.press("Shift+Enter")
    said = lab.locator(".jp-Notebook .jp-OutputArea-output", has_text=printed)
    expect(said.first).to_be_visible(timeout=90_000)


def test_open_pages_come_back_by_themselves(pages: tuple[Page, Desk], kill: Kill) -> None:
    lab, desk = pages
    word = os.urandom(4).hex()
    cell(lab, f"kept = '{word}'; print('set', kept)", f"set {word}")
    windows = {one.id for one in desk.windows()}
    assert windows
    for page in (lab, desk.page):
        page.evaluate(f"window.loadedForTest = '{word}'")
    kill()
    cell(lab, "print('still', kept)", f"still {word}")
    desk.page.bring_to_front()
    desk.opened()
    assert desk.shell(f"echo {word}", "written").strip() == word, "keys arrive again"
    assert windows <= {one.id for one in desk.windows()}
    for page in (lab, desk.page):
        assert page.evaluate("window.loadedForTest") == word, "nobody had to load the page anew"
    assert lab.locator(".jp-Dialog").count() == 0
