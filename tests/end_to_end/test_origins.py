"""Each instance on a host of its own, in a real browser: all that people do, and what a page there does not reach."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.portal.people import instance_of
from tests.services import facility
from tests.services.browser import log_in
from tests.services.hub import Backend, RunningHub, started, until
from visa.addresses import label

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def sessions() -> tuple[str, ...]:
    """Of the two instances."""
    return "notebook", "desktop"


@pytest.fixture(scope="module")
def own_origins() -> bool:
    """Whether each has one."""
    return True


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, backend: Backend, sessions: tuple[str, ...], own_origins: bool
) -> Iterator[RunningHub]:
    """As the demo has it: the hub at an address, instances at names below localhost."""
    folder = tmp_path_factory.mktemp("origins")
    made = backend.hub(folder, backend.facility(folder), own_origins=own_origins)
    given = yaml.safe_load(made.facility.read_text())
    given["environments"]["scattering"]["sessions"] = sorted(set(sessions), reverse=True)
    made.facility.write_text(facility.dump(given))
    with started(made):
        yield made


@pytest.fixture(scope="module")
def two(hub: RunningHub, sessions: tuple[str, ...]) -> Iterator[list[dict[str, str]]]:
    """Two of Marie's instances, A and B."""
    with ExitStack() as stack, hub.rest(hub.token("marie")) as rest:
        ids = [stack.enter_context(instance_of(hub, session=kind)) for kind in sessions]
        yield [found(hub, rest, one) for one in ids]


def found(hub: RunningHub, rest: httpx.Client, identifier: str) -> dict[str, str]:
    """What the API says of an instance; ``url`` joined to the hub's address, as a link is."""
    one = rest.get(f"instances/{identifier}").json()
    return {**one, "url": str(httpx.URL(hub.url).join(one["url"]))}


@pytest.fixture(scope="module")
def context(hub: RunningHub, browser: Browser, two: list[dict[str, str]]) -> Iterator[BrowserContext]:
    """Marie's browser, logged in at the hub, the portal and both instances."""
    made = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(made, hub.url, "marie")
    for one in two:
        page.goto(one["url"])
        page.wait_for_url(f"{one['url']}{'desktop' if one['session'] == 'desktop' else 'lab'}/**", timeout=60_000)
    page.close()
    yield made
    made.close()


@pytest.fixture(scope="module")
def lab(context: BrowserContext, two: list[dict[str, str]]) -> Iterator[Page]:
    """A page of A, where any script may run."""
    page = context.new_page()
    page.goto(two[0]["url"])
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    yield page
    page.close()


@pytest.mark.backend
def test_each_is_at_a_host_of_its_own(
    hub: RunningHub, context: BrowserContext, lab: Page, two: list[dict[str, str]]
) -> None:
    expect(lab.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    hosts = [urlsplit(one["url"]).hostname for one in two]
    assert hosts == [f"{label('marie', one['name'])}.localhost" for one in two]
    assert urlsplit(lab.url).hostname == hosts[0]
    kept = {(cookie["name"], cookie["domain"]) for cookie in context.cookies()}
    assert {domain for name, domain in kept if name == "visa-session"} == set(hosts)
    assert {domain for name, domain in kept if "hub" in name or "service" in name} == {"127.0.0.1"}


@pytest.mark.backend
def test_the_apis_say_where_it_is(hub: RunningHub, two: list[dict[str, str]]) -> None:
    token = hub.token("marie")
    with hub.api(token) as api:
        server = api.get(f"users/marie/servers/{two[0]['name']}").json()
        listed = api.get("users/marie").json()["servers"][two[0]["name"]]
    assert {server["url"], server["full_url"], listed["url"]} == {two[0]["url"]}
    headers = {"Authorization": f"token {token}"}
    assert httpx.get(f"{two[0]['url']}api/status", headers=headers, timeout=60).status_code == 200


REACH = """async ([hub, other]) => {
    const found = [];
    const note = (what, told) => { if (told) found.push(what); };
    const told = async (address, given) => {
        try {
            const answer = await fetch(address, { credentials: "include", ...given });
            return answer.type !== "opaque" && answer.type !== "opaqueredirect";
        } catch (error) { return false; }
    };
    const paths = ["/hub/token", "/hub/home", "/hub/api/user", "/hub/login", "/services/visa/",
        "/services/visa/api/v1/me", "/services/visa/api/v1/instances", "/services/visa/cards"];
    const places = [...paths.map((path) => hub + path), other + "lab", other + "api/contents", other + "api/kernels",
        other + "desktop/preview.png", other + "_visa/people"];
    for (const place of places)
        for (const mode of ["cors", "no-cors", "same-origin"])
            for (const cache of ["default", "only-if-cached", "force-cache"])
                for (const redirect of ["follow", "manual"])
                    note(`${mode} ${cache} ${redirect} ${place}`, await told(place, { mode, cache, redirect }));
    for (const path of paths) {
        const answer = await fetch(location.origin + path, { redirect: "manual" });
        note(`here ${path}`, answer.ok || answer.type === "opaqueredirect");
    }
    const post = { method: "POST", mode: "no-cors", body: "{}" };
    for (const place of [hub + "/services/visa/api/v1/instances", other + "api/kernels", other + "api/terminals"])
        await fetch(place, { ...post, credentials: "include" }).catch(() => null);
    for (const path of ["api/events/subscribe", "terminals/websocket/1", "desktop/websocket"]) {
        const socket = new WebSocket(other.replace("http", "ws") + path);
        note(path, await new Promise((done) => { socket.onopen = () => done(1); socket.onerror = () => done(0); }));
    }
    for (const place of [hub + "/hub/token", hub + "/services/visa/", other + "lab", other + "desktop/"]) {
        const frame = document.createElement("iframe");
        frame.src = place;
        document.body.append(frame);
        await new Promise((done) => { frame.onload = done; });
        let inside = "";
        try { inside = frame.contentDocument?.body?.innerText ?? ""; } catch (error) { /* another origin */ }
        note(`frame ${place}`, inside);
        frame.remove();
    }
    for (const tag of ["img", "script", "link"]) {
        const part = document.createElement(tag);
        part[tag === "link" ? "href" : "src"] = other + (tag === "img" ? "desktop/preview.png" : "static/lab/main.js");
        part.rel = "stylesheet";
        const shown = new Promise((done) => { part.onload = () => done(1); part.onerror = () => done(0); });
        document.body.append(part);
        note(`${tag} of B`, await shown);
    }
    for (const domain of ["localhost", ".localhost", "127.0.0.1", new URL(other).hostname])
        for (const name of ["jupyterhub-hub-login", "_xsrf", "jupyterhub-session-id", "visa-session"])
            document.cookie = `${name}=tossed; path=/; domain=${domain}`;
    return found;
}"""


@pytest.mark.backend
def test_a_page_of_one_reaches_neither_hub_nor_portal_nor_the_other(
    hub: RunningHub, context: BrowserContext, lab: Page, two: list[dict[str, str]]
) -> None:
    before = _work(hub, two[1]["url"])
    assert lab.evaluate(REACH, [hub.url, two[1]["url"]]) == []
    assert _work(hub, two[1]["url"]) == before, "nothing was started in the other"
    assert [one for one in context.cookies() if one["value"] == "tossed"] == []
    page = context.new_page()
    page.goto(hub.portal)
    expect(page.get_by_role("heading", name="My instances")).to_be_visible()
    page.close()


def _work(hub: RunningHub, url: str) -> tuple[int, int]:
    """Kernels and terminals."""
    headers = {"Authorization": f"token {hub.token('marie')}"}
    kernels, terminals = (
        httpx.get(f"{url}api/{what}", headers=headers, timeout=60) for what in ("kernels", "terminals")
    )
    return len(kernels.json()), len(terminals.json())


def test_a_window_is_lost_as_soon_as_it_is_elsewhere(hub: RunningHub, lab: Page, two: list[dict[str, str]]) -> None:
    for place in (f"{hub.url}/hub/token", hub.portal, f"{two[1]['url']}desktop/"):
        with lab.expect_popup() as opened:
            lab.evaluate("address => { window.theirs = open(address, '_blank', 'popup') }", place)
        popup = opened.value
        popup.wait_for_load_state()
        assert popup.evaluate("opener") is None
        assert lab.evaluate("theirs.closed"), place
        popup.close()


@pytest.mark.backend
def test_its_address_at_the_hub_leads_to_its_own(
    hub: RunningHub, context: BrowserContext, two: list[dict[str, str]]
) -> None:
    path = urlsplit(two[0]["url"]).path
    page = context.new_page()
    page.goto(f"{hub.url}{path}lab")
    page.wait_for_url(f"{two[0]['url']}lab**")
    page.goto(urlsplit(two[0]["url"])._replace(path="/").geturl())
    page.wait_for_url(f"{two[0]['url']}lab**")
    page.close()
    with httpx.Client(headers={"Authorization": f"token {hub.token('marie')}"}, timeout=60) as client:
        answer = client.get(f"{hub.url}{path}api/status", follow_redirects=True)
    assert answer.status_code in (421, 424), "a program is told"
    with hub.login("marie") as script:
        given = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        answer = script.get(f"{path}api/status", headers=given, follow_redirects=True)
        assert answer.status_code in (403, 421, 424)


def test_names_that_are_nobodys_lead_to_the_hub(hub: RunningHub, browser: Browser) -> None:
    port = urlsplit(hub.url).port
    for host in ("localhost", "visa-0000000000000000.localhost", "127.0.0.1.localhost", "A.B.LOCALHOST"):
        for path in ("/hub/login", "/services/visa/", "/services/visa/api/v1/me", "/hub/api/", "/"):
            there = f"http://{host}:{port}{path}"
            gone = httpx.get(there, timeout=60, headers={"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"})
            assert (gone.status_code, gone.headers["Location"]) == (302, hub.url + path), there
            for method in ("GET", "POST", "OPTIONS"):
                told = httpx.request(method, there, timeout=60, headers={"Sec-Fetch-Mode": "cors"})
                assert told.status_code == 421, (method, there)
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"http://localhost:{port}/services/visa/")
    page.wait_for_url(f"{hub.url}/hub/login**")
    assert page.locator("#demo-hosts").is_hidden(), "this browser finds such names"
    context.close()


def test_a_browser_that_does_not_find_the_names_is_told(hub: RunningHub, browser: Browser) -> None:
    context = browser.new_context()
    context.route("**/*.localhost*/**", lambda route: route.abort("namenotresolved"))
    page = context.new_page()
    page.route(lambda url: ".localhost" in url, lambda route: route.abort("namenotresolved"))
    page.goto(f"{hub.url}/hub/login")
    expect(page.get_by_role("alert")).to_contain_text("visa demo --one-host")
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if folder := os.environ.get("VISA_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/login-{scheme}-{width}.png")
    context.close()


def test_the_picture_of_a_desktop_that_this_browser_never_opened(
    hub: RunningHub, browser: Browser, context: BrowserContext, two: list[dict[str, str]]
) -> None:
    """``context`` opened it, so it runs."""
    other = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(other, hub.url, "marie")

    def shown() -> bool:
        page.reload()  # its first seconds have no picture yet
        try:
            page.locator(".card img.preview").wait_for(timeout=5_000)
        except PlaywrightTimeout:
            return False
        return True

    until(shown, 60, "the picture")
    assert page.locator(".card img.preview").evaluate("image => image.naturalWidth") > 300
    assert not [cookie for cookie in other.cookies() if cookie["name"] == "visa-session"], "nobody was logged in there"
    for width, scheme in ((1440, "light"), (1440, "dark"), (390, "dark"), (390, "light")):
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 900})
        result = Axe().run(page)
        assert result.violations_count == 0, f"{scheme} {width}: {result.generate_report()}"
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if folder := os.environ.get("VISA_SCREENSHOTS"):
            page.screenshot(path=f"{folder}/card-{scheme}-{width}.png")
    other.close()


def test_downloads_and_the_desktop(context: BrowserContext, lab: Page, two: list[dict[str, str]]) -> None:
    page = context.new_page()
    page.goto(f"{two[1]['url']}desktop/")
    page.locator("canvas").first.wait_for(timeout=60_000)
    page.close()
    written = lab.evaluate(
        """async (base) => {
            const xsrf = document.cookie.split("; ").map((c) => c.split("=")).find(([n]) => n === "_xsrf")?.[1] ?? "";
            const body = JSON.stringify({ type: "file", format: "text", content: "1,2" });
            const given = { method: "PUT", body, headers: { "X-XSRFToken": xsrf } };
            return (await fetch(base + "api/contents/notebooks/own.csv", given)).status;
        }""",
        two[0]["url"],
    )
    assert written == 201
    with lab.expect_download() as loaded:
        lab.evaluate(
            "address => { const a = document.createElement('a'); a.href = address; a.download = ''; a.click(); }",
            f"{two[0]['url']}files/notebooks/own.csv?download=1",
        )
    assert Path(loaded.value.path()).read_text() == "1,2"


@pytest.mark.backend
def test_a_member_comes_by_the_portals_link(
    hub: RunningHub, browser: Browser, lab: Page, two: list[dict[str, str]]
) -> None:
    """While the owner is there, in ``lab``."""
    hub.token("rosalind")
    with hub.rest(hub.token("marie")) as rest:
        added = rest.post(f"instances/{two[0]['id']}/members", json={"username": "rosalind", "role": "collaborator"})
        assert added.is_success, added.text
    context = browser.new_context()
    page = log_in(context, hub.url, "rosalind")
    page.goto(f"{hub.portal}instances/{two[0]['id']}/open")
    page.wait_for_url(f"{two[0]['url']}lab**", timeout=60_000)
    page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
    page.goto(two[1]["url"])
    expect(page.get_by_role("link", name="Ask to come in")).to_have_attribute(
        "href", f"/services/visa/instances/{two[1]['id']}"
    )
    assert page.url.startswith(hub.url), "who is not shared with is told by the hub"
    context.close()


@pytest.mark.backend
def test_log_out_stop_and_start(hub: RunningHub, browser: Browser) -> None:
    context = browser.new_context()
    page = log_in(context, hub.url, "marie")
    with instance_of(hub) as identifier, hub.rest(hub.token("marie")) as rest:
        url = found(hub, rest, identifier)["url"]
        page.goto(url)
        page.wait_for_url(f"{url}lab**", timeout=60_000)
        assert rest.post(f"instances/{identifier}/stop").is_success
        until(lambda: rest.get(f"instances/{identifier}").json()["state"] == "stopped", 60, "its end")
        page.goto(f"{url}lab")
        expect(page.get_by_text("not running").first).to_be_visible()
        assert page.url.startswith(f"{hub.url}/hub/user/marie/"), "the hub says so, on its own host"
        with page.expect_navigation(url=f"{url}lab**", timeout=60_000):
            page.goto(hub.portal)
            card = page.locator(f".card[data-id='{identifier}']")
            card.get_by_role("button", name="Start").click()
        page.goto(f"{url}logout")
        page.locator("#leave").click()
        page.wait_for_url(f"{hub.url}/hub/login**")
        page.goto(f"{url}lab")
        page.wait_for_url(f"{hub.url}/hub/login**")
    context.close()
