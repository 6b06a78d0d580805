"""Instances on hosts of their own (`JupyterHub.subdomain_host`), in a real browser, which knows ``*.localhost``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.services.browser import log_in, start_new
from tests.services.hub import Backend, RunningHub, started

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def hub(tmp_path: Path, backend: Backend) -> Iterator[RunningHub]:
    """One whose public name is visa.localhost."""
    made = backend.hub(tmp_path, backend.facility(tmp_path))
    port = made.url.rpartition(":")[2]
    made.config.write_text(f'{made.config.read_text()}\nc.JupyterHub.subdomain_host = "http://visa.localhost:{port}"\n')
    made.answering = lambda: [f"{made.url}/hub/health"]  # type: ignore[method-assign] (the portal has another host)
    with started(made):
        yield made


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
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    hosts = {cookie["domain"]: cookie["name"] for cookie in context.cookies() if cookie["name"] == "visa-session"}
    assert set(hosts) == {"marie.visa.localhost"}, "the session's cookie stays on her host"
    context.close()
