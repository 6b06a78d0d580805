"""Hosts below the hub's own domain, on https, as the chart has them: one site to browsers, so cookies can be tossed.

TLS is ended in front of the hub, as by an ingress.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.end_to_end.test_origins import REACH
from tests.services.browser import log_in, start_new
from tests.services.hub import Backend, RunningHub, started
from visa.cli.demo.runner import free_ports

pytestmark = pytest.mark.timeout(300)

DOMAIN = "visa.localhost"


@contextlib.contextmanager
def tls(folder: Path, port: int, behind: int) -> Iterator[None]:
    """What speaks TLS at ``port`` for the names of `DOMAIN`, and passes all on to the port ``behind`` it."""
    names = f"subjectAltName=DNS:{DOMAIN},DNS:*.{DOMAIN}"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", f"/CN={DOMAIN}"]
    made += ["-addext", names, "-keyout", str(folder / "tls.key"), "-out", str(folder / "tls.crt")]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
    loop, over = asyncio.new_event_loop(), asyncio.Event()

    async def copy(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while part := await source.read(2**16):
                target.write(part)
                await target.drain()
        target.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        other, back = await asyncio.open_connection("127.0.0.1", behind)
        await asyncio.gather(copy(reader, back), copy(other, writer))

    async def serve(up: threading.Event) -> None:
        server = await asyncio.start_server(take, "127.0.0.1", port, ssl=context)
        up.set()
        await over.wait()
        server.close()

    up = threading.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve(up)))
    thread.start()
    assert up.wait(60)
    try:
        yield
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(60)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, backend: Backend) -> Iterator[str]:
    """Where people find such a hub."""
    folder = tmp_path_factory.mktemp("https")
    made: RunningHub = backend.hub(folder, backend.facility(folder))
    (port,) = free_ports(1)
    url = f"https://{DOMAIN}:{port}"
    made.see_instances_at(url, f"https://*.{DOMAIN}:{port}")
    made.answering = lambda: [f"{made.url}/hub/health"]  # type: ignore[method-assign] (the portal is at its name only)
    with ExitStack() as stack:
        stack.enter_context(tls(folder, port, int(made.url.rpartition(":")[2])))
        stack.enter_context(started(made))
        yield url


@pytest.fixture(scope="module")
def labs(url: str, browser: Browser) -> Iterator[list[Page]]:
    """Marie's JupyterLabs of two instances, in a browser where she is logged in."""
    context = browser.new_context(viewport={"width": 1440, "height": 900}, ignore_https_errors=True)
    pages = []
    for _ in range(2):
        page = context.new_page() if pages else log_in(context, url, "marie")
        page.goto(f"{url}/services/visa/")
        start_new(page)
        page.wait_for_url(f"https://visa-*.{DOMAIN}*/user/marie/**/lab/**", timeout=60_000)
        page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        pages.append(page)
    yield pages
    context.close()


def base(lab: Page) -> str:
    """Its instance's address."""
    return str(lab.url.partition("lab/")[0])


def own_cookies(context: BrowserContext) -> list[str]:
    """Of hub, portal and gateways."""
    names = [cookie["name"] for cookie in context.cookies()]
    return [name for name in names if any(word in name for word in ("hub", "visa", "portal"))]


def test_cookies_are_bound_to_their_hosts(labs: list[Page]) -> None:
    expect(labs[0].get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    names = own_cookies(labs[0].context)
    assert len(names) >= 5
    assert [name for name in names if not name.startswith("__Host-")] == []


def test_a_page_of_one_reaches_neither_hub_nor_portal_nor_the_other(url: str, labs: list[Page]) -> None:
    assert labs[0].evaluate(REACH, [url, base(labs[1])]) == []


TOSS = """([domain, names]) => {
    for (const name of names)
        for (const path of ["/", "/hub/", "/services/visa/", "/user/marie/"])
            document.cookie = `${name}=tossed; path=${path}; domain=${domain}; secure`;
    return document.cookie.includes("tossed");
}"""


def test_cookies_that_it_sets_for_the_domain_change_nothing(url: str, labs: list[Page]) -> None:
    names = ["jupyterhub-hub-login", "jupyterhub-session-id", "_xsrf", "service-visa", "oauthenticator-state"]
    names += [f"__Host-hub-{name}" for name in names] + ["__Host-portal-service-visa", "visa-session", "visa-login"]
    assert labs[0].evaluate(TOSS, [DOMAIN, names]), "a browser takes some of them"
    page = labs[0].context.new_page()
    page.goto(f"{url}/services/visa/")
    expect(page.get_by_role("heading", name="My instances")).to_be_visible()
    expect(page.get_by_text("marie", exact=True).first).to_be_visible()
    page.goto(f"{url}/hub/token")
    page.locator("#token-note").fill("made after all")
    page.get_by_role("button", name="Request new API token").click()
    expect(page.locator("#token-result")).to_be_visible()
    page.goto(base(labs[1]))
    page.wait_for_url(f"{base(labs[1])}lab**")
    page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
    page.goto(f"{url}/services/visa/logout")
    page.locator("#leave").click()
    page.wait_for_url(f"{url}/hub/login**")
    page.goto(f"{url}/services/visa/")
    page.wait_for_url(f"{url}/hub/login**")
    page.close()
