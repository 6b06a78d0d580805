"""Scripts in an instance's pages get nothing from the portal where all share one host, and so one origin.

A collaborator may leave such a script in the owner's JupyterLab. Here it runs in the owner's own browser, on her
own instance's page, with all that she is logged in to.
"""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page

from tests.portal.people import instance_of
from tests.services.browser import log_in
from tests.services.hub import Browser, RunningHub

pytestmark = pytest.mark.timeout(240)

HTML = {"Accept": "text/html"}
ADD = '{"username": "rosalind", "role": "collaborator"}'


@pytest.fixture(scope="module")
def instance(shared_hub: RunningHub) -> Iterator[str]:
    shared_hub.token("rosalind")
    with instance_of(shared_hub) as identifier:
        yield identifier


@pytest.fixture(scope="module")
def place(shared_hub: RunningHub, instance: str) -> dict[str, str]:
    """Where one logs in."""
    with shared_hub.rest(shared_hub.token("marie")) as rest:
        url = httpx.URL(rest.get(f"instances/{instance}").json()["url"])
    return {"portal": "/services/visa/", "gateway": url.path}


@pytest.fixture(scope="module")
def lab(shared_hub: RunningHub, instance: str, browser: Chromium) -> Iterator[Page]:
    """Marie's JupyterLab, in a browser where she is logged in to the portal too."""
    context = browser.new_context()
    page = log_in(context, shared_hub.url, "marie")
    with page.expect_navigation(url="**/lab**", timeout=60_000):
        page.goto(f"{shared_hub.portal}instances/{instance}/open")
    # Until Jupyter is there a page of the gateway stands here, which loads itself again and ends what a script asks.
    page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
    yield page
    context.close()


def members(hub: RunningHub, instance: str) -> list[str]:
    with hub.rest(hub.token("marie")) as rest:
        return [one["username"] for one in rest.get(f"instances/{instance}/members").json()]


def test_fetch(shared_hub: RunningHub, instance: str, lab: Page) -> None:
    assert lab.evaluate("origin") == shared_hub.url
    got = lab.evaluate(
        """async ([portal, id, body]) => {
            const found = [], token = /[0-9a-f]{64}/;
            for (const path of ["", "new", "support", `instances/${id}`, `instances/${id}/people`, "notices", "cards",
                                "changes", "api/v1/me", `api/v1/instances/${id}/members`]) {
                for (const mode of ["cors", "same-origin", "no-cors"]) {
                    const answer = await fetch(portal + path, {mode, headers: mode === "no-cors" ? {} :
                        {"X-Visa-Request": "1", "Accept": "text/html", "Authorization": "token x"}});
                    found.push([path, answer.status, token.test(await answer.text())]);
                }
            }
            for (const path of ["", "nowhere", "logout", `instances/${id}`, `instances/${id}/people`, "join/x"]) {
                for (const method of ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD"]) {
                    const answer = await fetch(portal + path, {method, headers: {"X-Visa-Request": "1"}});
                    const status = [403, 404, 405].includes(answer.status) ? 403 : answer.status;
                    found.push([method + path, status, token.test(await answer.text())]);
                }
            }
            for (const headers of [{}, {"X-Visa-Request": "1"}, {"X-Visa-Request": "1", "X-Visa-Page": ""},
                                   {"X-Visa-Request": "1", "Authorization": "token x"}]) {
                const answer = await fetch(`${portal}api/v1/instances/${id}/members`,
                    {method: "POST", body, headers: {"Content-Type": "application/json", ...headers}});
                found.push(["add", answer.status, false]);
            }
            return found;
        }""",
        [shared_hub.portal, instance, ADD],
    )
    assert {(status, told) for _, status, told in got} == {(403, False)}, got
    assert members(shared_hub, instance) == ["marie"]


def test_no_token_of_hers_is_made(shared_hub: RunningHub, lab: Page) -> None:
    """JupyterHub's own pages, its error pages too, hold what makes tokens."""
    made = lab.evaluate(
        """async () => {
            const found = new Set([""]), made = [];
            for (const path of ["token", "home", "login", "nowhere", "spawn", "accept-share", "logout-not", "error/404",
                                "api/oauth2/authorize?client_id=service-visa", "api/nowhere"]) {
                for (const method of ["GET", "POST", "PUT", "DELETE", "PATCH"]) {
                    for (const mode of ["cors", "no-cors"]) {
                        if (mode === "no-cors" && !["GET", "POST"].includes(method)) continue;
                        const answer = await fetch(`/hub/${path}`, {method, mode}).catch(() => null);
                        if (!answer) continue;
                        const text = `${answer.url} ${await answer.text()}`;
                        const form = /xsrf\\w*["': =]+(?:value=")?([\\w=-]{20,})/g;
                        for (const one of text.matchAll(form)) found.add(one[1]);
                    }
                }
            }
            for (const token of found) {
                const answer = await fetch("/hub/api/users/marie/tokens",
                    {method: "POST", body: "{}", headers: {"X-XSRFToken": token}});
                made.push(answer.status);
            }
            return made;
        }"""
    )
    assert made == [403]


def test_no_login_code_is_given_to_a_script(shared_hub: RunningHub, instance: str, lab: Page) -> None:
    """An unused code logs in as whoever it was made for, in the browser of whoever began that login."""
    with Browser(base_url=shared_hub.url, headers={"Accept": "text/html"}) as anybody:
        places = (lab.evaluate("location.pathname.split('/').slice(0, 4).join('/') + '/'"), "/services/visa/")
        addresses = [anybody.get(place).headers["Location"] for place in places]
    got = lab.evaluate(
        """async addresses => {
            const found = [];
            for (const address of addresses) {
                for (const mode of ["cors", "same-origin", "no-cors"]) {
                    const answer = await fetch(address, {mode, credentials: "include"});
                    found.push([answer.status, answer.url.includes("code=")]);
                }
            }
            return found;
        }""",
        addresses,
    )
    assert got == [[403, False]] * 6


def test_a_refused_logins_code_is_used_up(shared_hub: RunningHub) -> None:
    with Browser(base_url=shared_hub.url) as attacker, shared_hub.login("marie") as marie:
        authorize = attacker.get("/services/visa/").headers["Location"]
        callback = marie.get(authorize, follow_redirects=False).headers["Location"]
        assert "code=" in callback
        assert marie.get(callback, follow_redirects=False).status_code == 403
        assert attacker.get(callback).status_code >= 400
        assert attacker.get("/services/visa/").status_code == 302, "nobody is logged in there"


@pytest.mark.parametrize("state", ["another", None])
@pytest.mark.parametrize("known", [False, True], ids=["not logged in", "logged in"])
@pytest.mark.parametrize("at", ["portal", "gateway"])
def test_nor_is_it_of_use_when_it_was_refused_under_another_state(
    shared_hub: RunningHub, place: dict[str, str], at: str, known: bool, state: str | None
) -> None:
    """Its verifier goes by the state, so the code could be kept from being used up and brought with the right one."""
    with Browser(base_url=shared_hub.url) as attacker, shared_hub.login("marie") as marie:
        if known:
            assert marie.get(place[at], headers=HTML, follow_redirects=True).is_success
        begun = httpx.URL(attacker.get(place[at], headers=HTML).headers["Location"])
        changed = begun.copy_remove_param("state") if state is None else begun.copy_set_param("state", state)
        refused = httpx.URL(marie.get(str(changed), follow_redirects=False).headers["Location"])
        marie.get(str(refused), follow_redirects=False)
        own = refused.copy_set_param("state", begun.params["state"])
        assert attacker.get(str(own), headers=HTML).status_code >= 400
        assert attacker.get(place[at], headers=HTML).status_code == 302, "nobody is logged in there"


def test_no_page_of_the_hub_is_in_the_browsers_cache(shared_hub: RunningHub, lab: Page) -> None:
    there = lab.context.new_page()
    kept = []
    for path in ("/hub/token", "/hub/home", "/services/visa/", "/hub/nowhere", "/hub/api/user"):
        there.goto(shared_hub.url + path)
        kept.append(
            lab.evaluate(
                """path => fetch(path, {cache: "only-if-cached", mode: "same-origin"})
                    .then(answer => answer.status !== 504, () => false)""",
                path,
            )
        )
    there.close()
    assert kept == [False] * 5


def test_frame(shared_hub: RunningHub, instance: str, lab: Page) -> None:
    read = lab.evaluate(
        """async ([portal, id]) => {
            for (const tag of ["iframe", "object", "embed"]) {
                const frame = document.createElement(tag);
                frame[tag === "object" ? "data" : "src"] = `${portal}instances/${id}`;
                document.body.append(frame);
                await new Promise((done) => setTimeout(done, 1500));
                let inside = "";
                try {
                    inside = (frame.contentDocument ?? frame.getSVGDocument?.())?.documentElement.outerHTML ?? "";
                } catch (error) { /* another origin: an error page */ }
                frame.remove();
                if (inside.includes("visa-page")) return tag;
            }
            return "";
        }""",
        [shared_hub.portal, instance],
    )
    assert read == ""


@pytest.mark.parametrize("page", ["services/visa/", "services/visa/new", "hub/token", "hub/home"])
def test_window(shared_hub: RunningHub, lab: Page, page: str) -> None:
    with lab.expect_popup() as opened:
        lab.evaluate("address => { window.theirs = open(address) }", f"{shared_hub.url}/{page}")
    popup = opened.value
    popup.wait_for_load_state()
    assert popup.url.startswith(shared_hub.url)
    assert popup.evaluate("document.body.innerText").strip(), "the page is there, for the person"
    assert popup.evaluate("opener") is None
    got = lab.evaluate(
        "(() => { try { return [theirs.closed, theirs.document?.title ?? ''] } catch (e) { return [1, ''] } })()"
    )
    assert got == [True, ""], "the script's handle leads nowhere"
    popup.close()


def test_a_window_of_the_instances_own_that_goes_to_the_portal(shared_hub: RunningHub, lab: Page) -> None:
    with lab.expect_popup() as opened:
        lab.evaluate("() => { window.theirs = open('about:blank'); theirs.location = '/services/visa/' }")
    popup = opened.value
    popup.wait_for_url("**/services/visa/")
    popup.wait_for_load_state()
    got = lab.evaluate("(() => { try { return theirs.document.body.innerHTML } catch (e) { return '' } })()")
    assert "visa-page" not in got
    assert got == "" or "cards" not in got
    popup.close()


def test_service_worker(shared_hub: RunningHub, lab: Page) -> None:
    said = lab.evaluate(
        """async () => {
            const own = location.pathname.split("/").slice(0, 4).join("/");
            const said = [];
            for (const scope of ["/", "/services/visa/"]) {
                for (const script of [`${own}/files/sw.js`, `${own}/static/lab/sw.js`, "/services/visa/sw.js"]) {
                    try { await navigator.serviceWorker.register(script, {scope}); said.push(script); } catch (e) { }
                }
            }
            return said;
        }"""
    )
    assert [one for one in said if "/user/" in one] == []


def test_nothing_of_the_host_is_left_by_the_instance(shared_hub: RunningHub, lab: Page) -> None:
    """Headers with which an environment would join the portal's windows do not pass the gateway."""
    answer = lab.evaluate("fetch(location.href).then((a) => [...a.headers.keys()])")
    assert "cross-origin-opener-policy" not in answer
    assert "service-worker-allowed" not in answer
