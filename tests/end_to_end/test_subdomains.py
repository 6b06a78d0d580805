"""Instances on hosts of their own (`JupyterHub.subdomain_host`), in a real browser, which knows ``*.localhost``."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.services import facility
from tests.services.browser import log_in, start_new
from tests.services.hub import Backend, RunningHub, started, until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def hub(tmp_path: Path, backend: Backend) -> Iterator[RunningHub]:
    """One whose public name is visa.localhost."""
    made = backend.hub(tmp_path, backend.facility(tmp_path))
    _write(made, preview=True)
    port = made.url.rpartition(":")[2]
    made.config.write_text(f'{made.config.read_text()}\nc.JupyterHub.subdomain_host = "http://visa.localhost:{port}"\n')
    made.answering = lambda: [f"{made.url}/hub/health"]  # type: ignore[method-assign] (the portal has another host)
    with started(made):
        yield made


def _write(hub: RunningHub, *, preview: bool) -> None:
    """The test facility, with desktops."""
    given = yaml.safe_load(hub.facility.read_text())
    given["environments"]["scattering"]["sessions"] = ["notebook", "desktop"]
    hub.facility.write_text(facility.dump({**given, "desktop": {"preview": preview}}))


def test_a_notebook_opens_on_its_owners_own_host(hub: RunningHub, browser: Browser) -> None:
    port = hub.url.rpartition(":")[2]
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(context, f"http://visa.localhost:{port}", "marie")
    assert page.url.startswith(f"http://visa--service.visa.localhost:{port}/services/visa/")
    colour = page.locator("nav, header").first.evaluate("element => getComputedStyle(element).display")
    assert colour != "inline", "the hub's stylesheet of another host is taken"
    start_new(page)
    page.wait_for_url(f"http://marie.visa.localhost:{port}/user/marie/**/lab/**", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    hosts = {cookie["domain"]: cookie["name"] for cookie in context.cookies() if cookie["name"] == "visa-session"}
    assert set(hosts) == {"marie.visa.localhost"}, "the session's cookie stays on her host"
    context.close()


def test_the_picture_of_a_desktop_that_this_browser_never_opened(hub: RunningHub, browser: Browser) -> None:
    port = hub.url.rpartition(":")[2]
    first = browser.new_context()
    page = log_in(first, f"http://visa.localhost:{port}", "marie")
    start_new(page, session="desktop")
    page.wait_for_url(f"http://marie.visa.localhost:{port}/user/marie/**/desktop/", timeout=60_000)
    first.close()
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(context, f"http://visa.localhost:{port}", "marie")

    def shown() -> bool:
        page.reload()  # its first seconds have no picture yet
        try:
            page.locator(".card img.preview").wait_for(timeout=5_000)
        except PlaywrightTimeout:
            return False
        return True

    until(shown, 60, "the picture")
    picture = page.locator(".card img.preview")
    hosts = {cookie["domain"] for cookie in context.cookies() if cookie["name"] == "visa-session"}
    assert hosts == {"marie.visa.localhost"}, "logged in where the desktop is"
    assert picture.evaluate("image => image.naturalWidth") > 300
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "dark"), (390, "light")):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        result = Axe().run(page)
        assert result.violations_count == 0, f"{scheme} {width}: {result.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if folder := os.environ.get("VISA_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/card-{scheme}-{width}.png")
    _write(hub, preview=False)

    def gone() -> bool:
        page.reload()
        return page.locator(".card").count() == 1 and page.locator("img.preview").count() == 0

    until(gone, 60, "the facility's rule")
    context.close()
