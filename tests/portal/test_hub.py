"""What the portal asks of a hub: the same from the real one and from the double that the portal's other tests have."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from jupyterhub.services.auth import HubOAuth

from tests.portal.people import START
from tests.services import facility
from tests.services.hub import Browser, RunningHub, Site, log_out
from tests.services.portal import RunningPortal, portal
from tests.services.waiting import eventually
from visa.identifiers import instance_id
from visa.portal.hub import HubClient
from visa.portal.problems import Problem

SCOPES = {"access:services!service=visa", "custom:visa:read", "custom:visa:write"}
OPTIONS = {**START, "session": "notebook"}


@pytest.fixture(scope="module", params=["the double", "a hub"])
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    if request.param == "a hub":
        yield request.getfixturevalue("shared_hub")
        return
    folder = tmp_path_factory.mktemp("double")
    with portal(folder, facility.write(folder / "facility")) as made:
        yield made


@pytest.fixture
async def hub(site: Site) -> AsyncIterator[HubClient]:
    client = HubClient(f"{site.url}/hub/api")
    yield client
    await client.close()


@pytest.fixture
def name() -> str:
    """Of a server that nobody had before."""
    return f"c{uuid4().hex[:8]}"


async def asked(site: Site, token: str) -> dict[str, Any] | None:
    """Who holds ``token``, as the portal's handlers are told."""
    auth = HubOAuth(api_url=f"{site.url}/hub/api", api_token="any", oauth_client_id="service-visa")
    found: dict[str, Any] | None = await auth.user_for_token(token, sync=False)
    return found


async def until_server(hub: HubClient, token: str, name: str, **shown: Any) -> dict[str, Any]:
    """Marie's server as soon as it shows this."""

    async def there() -> dict[str, Any] | None:
        seen = (await hub.servers(token, "marie")).get(name)
        return seen if seen and all(seen[key] == value for key, value in shown.items()) else None

    return dict(await eventually(there, f"{name} as {shown}"))


async def refusal(work: Any) -> Problem:
    with pytest.raises(Problem) as raised:
        await work
    return raised.value


async def test_who_holds_a_token(site: Site) -> None:
    found = await asked(site, site.token("marie"))
    assert found is not None
    assert (found["name"], found["kind"]) == ("marie", "user")
    assert set(found["scopes"]) >= SCOPES
    few = ["access:services!service=visa", "custom:visa:read"]
    weak = await asked(site, site.token("marie", scopes=few))
    assert weak is not None
    assert SCOPES & set(weak["scopes"]) == set(few)
    useless = await asked(site, site.token("marie", scopes=["read:users:name!user"]))
    assert useless is not None
    assert "read:users:name!user=marie" in useless["scopes"]
    assert not SCOPES & set(useless["scopes"])
    assert await asked(site, "nonsense") is None


async def test_whose_servers_a_token_shows(site: Site, hub: HubClient, name: str) -> None:
    marie = site.token("marie")
    site.token("lise")
    with site.api(marie) as api:
        assert api.put(f"/users/marie/servers/{name}", json={"display_name": "A title"}).status_code == 201
    shown = (await hub.servers(marie, "marie"))[name]
    assert (shown["ready"], shown["pending"], shown["last_activity"]) == (False, None, None)
    assert (await refusal(hub.servers(marie, "lise"))).status == 404
    assert (await refusal(hub.servers("nonsense", "marie"))).status == 403
    weak = site.token("marie", scopes=["access:services!service=visa", "custom:visa:read", "custom:visa:write"])
    assert await hub.servers(weak, "marie") == {}
    assert (await refusal(hub.start(weak, "marie", "never", None, OPTIONS))).status == 403
    assert (await refusal(hub.start(marie, "lise", "never", None, OPTIONS))).status == 404
    await hub.stop(marie, "marie", name, remove=True)


async def test_the_life_of_a_server(site: RunningHub, hub: HubClient, name: str) -> None:
    marie, identifier = site.token("marie"), instance_id("marie", name)
    await hub.start(marie, "marie", name, "A life", OPTIONS)
    events = [event async for event in hub.progress(marie, "marie", name)]
    assert events[-1]["ready"] is True
    running = await until_server(hub, marie, name, ready=True, pending=None, stopped=False)
    assert datetime.fromisoformat(running["last_activity"]).tzinfo is not None
    kept = site.store.instance(identifier)
    assert kept is not None
    assert (kept.title, kept.state.value, kept.experiments, kept.flavour) == ("A life", "running", ("exp-1",), "small")
    again = await refusal(hub.start(marie, "marie", name, None, OPTIONS))
    assert (again.status, again.reason) == (400, "hub-refused")
    assert "already running" in again.detail

    await hub.stop(marie, "marie", name, remove=False)
    await until_server(hub, marie, name, ready=False, pending=None, stopped=True)
    kept = site.store.instance(identifier)
    assert kept is not None
    assert (kept.state.value, kept.reason) == ("stopped", None)
    silent = await refusal(_all(hub.progress(marie, "marie", name)))
    assert (silent.status, silent.reason) == (404, "not-found")

    await hub.start(marie, "marie", name, "Another life", None)
    await until_server(hub, marie, name, ready=True)
    kept = site.store.instance(identifier)
    assert kept is not None
    assert (kept.experiments, kept.environment) == (("exp-1",), "scattering"), "with the options it had"
    await hub.stop(marie, "marie", name, remove=True)

    async def gone() -> bool:
        return name not in await hub.servers(marie, "marie") and site.store.instance(identifier) is None

    await eventually(gone)
    assert (await refusal(hub.stop(marie, "marie", name, remove=True))).status == 404
    assert (await refusal(_all(hub.progress(marie, "marie", name)))).status == 404


async def _all(events: AsyncIterator[dict[str, Any]]) -> list[dict[str, Any]]:
    return [event async for event in events]


async def test_a_start_that_is_cancelled(site: RunningHub, hub: HubClient, name: str) -> None:
    marie = site.token("marie")
    if isinstance(site, RunningPortal):
        site.hold()
    starting = asyncio.create_task(hub.start(marie, "marie", name, "Never", OPTIONS))
    begun = await until_server(hub, marie, name, stopped=False)
    if isinstance(site, RunningPortal):  # the real one may be quicker than a look at it
        assert (begun["pending"], begun["ready"]) == ("spawn", False)
    events = hub.progress(marie, "marie", name)
    assert set(await anext(events)) >= {"message", "progress"}
    await eventually(lambda: site.store.instance(instance_id("marie", name)))
    await hub.stop(marie, "marie", name, remove=False)
    assert {"failed", "ready"} & set((await _all(events))[-1]), "they end, whichever came first"
    await until_server(hub, marie, name, pending=None, ready=False, stopped=True)
    await asyncio.gather(starting, return_exceptions=True)
    kept = site.store.instance(instance_id("marie", name))
    assert kept is not None
    assert (kept.state.value, kept.reason) == ("stopped", None)
    if isinstance(site, RunningPortal):
        site.let_go()
    await hub.stop(marie, "marie", name, remove=True)


@pytest.mark.parametrize(
    ("changed", "status", "reason", "field"),
    [
        ({"experiments": ["exp-3"]}, 403, "experiment-not-available", "experiments"),
        ({"experiments": []}, 400, "no-experiment", "experiments"),
        ({"flavour": "huge"}, 400, "unknown-flavour", "flavour"),
        ({"environment": "staff"}, 403, "environment-not-allowed", "environment"),
        ({"image": "x"}, 400, "unknown-option", "image"),
    ],
)
async def test_admissions_own_words(
    site: RunningHub, hub: HubClient, name: str, changed: dict[str, Any], status: int, reason: str, field: str
) -> None:
    marie = site.token("marie")
    problem = await refusal(hub.start(marie, "marie", name, None, {**OPTIONS, **changed}))
    assert (problem.status, problem.reason, problem.field) == (status, reason, field)
    assert problem.detail
    assert not problem.detail.endswith(problem.remedy or "-"), "each is told once"
    assert name not in await hub.servers(marie, "marie"), "nothing is left"
    assert site.store.instance(instance_id("marie", name)) is None
    # Repeated refusals are one row, and others start instances here.
    said = [entry.decision for entry in site.store.audit(limit=1000)]
    assert ("marie", "start", False, reason) in [(one.owner, one.action, one.allowed, one.reason) for one in said]


async def test_a_title_that_jupyterhub_does_not_take(site: Site, hub: HubClient, name: str) -> None:
    marie = site.token("marie")
    problem = await refusal(hub.start(marie, "marie", name, "two  spaces", OPTIONS))
    assert (problem.status, problem.reason, problem.field) == (400, "malformed-options", "display_name")
    assert problem.remedy
    assert name not in await hub.servers(marie, "marie")


async def test_entering(site: RunningHub, hub: HubClient, name: str) -> None:
    marie, rosalind, lise = (site.token(who) for who in ("marie", "rosalind", "lise"))
    identifier = instance_id("marie", name)
    await hub.start(marie, "marie", name, None, OPTIONS)
    await until_server(hub, marie, name, ready=True)
    with site.rest(marie) as rest:
        rosalinds = {"username": "rosalind", "role": "observer"}
        assert rest.post(f"instances/{identifier}/members", json=rosalinds).status_code == 201
    await hub.enter(marie, identifier)
    await hub.enter(rosalind, identifier)
    stranger = await refusal(hub.enter(lise, identifier))
    assert (stranger.status, stranger.reason) == (403, "hub-refused")
    assert "not shared with you" in stranger.detail
    assert (await refusal(hub.enter(marie, "0123456789abcdef"))).status == 404
    assert (await refusal(hub.enter(site.token("marie", scopes=["custom:visa:read"]), identifier))).status == 403
    await hub.stop(marie, "marie", name, remove=True)


@pytest.mark.parametrize(
    ("begun", "led"),
    [("/services/visa/new?experiments=exp-1", "new?experiments=exp-1"), ("/", "")],
    ids=["page", "root"],
)
def test_a_login_leads_to_where_it_was_begun_for(site: Site, begun: str, led: str) -> None:
    with Browser(base_url=site.url, follow_redirects=True, timeout=40) as browser:
        form = browser.get(begun)
        assert 'id="username_input"' in form.text
        where = str(form.url)
        xsrf = form.text.split('name="_xsrf" value="')[1].split('"')[0]
        wrong = browser.post(where, data={"username": "marie", "password": "guessed", "_xsrf": xsrf})
        assert wrong.status_code == 403
        assert 'id="username_input"' in wrong.text
        page = browser.post(where, data={"username": "marie", "password": "visa", "_xsrf": xsrf})
        assert str(page.url) == f"{site.portal}{led}"
        assert "visa-page" in page.text
        assert "Logged in as marie" in page.text
        assert "Log out of" in browser.get("/services/visa/logout").text
        assert "Logged in as marie" in browser.get("/services/visa/").text, "whoever leads somebody there ends no login"
        assert browser.post("/hub/logout").status_code == 403
        assert "Logged in as marie" in browser.get("/services/visa/").text
        assert 'id="username_input"' in log_out(browser).text
        assert 'id="username_input"' in browser.get("/services/visa/").text


async def test_no_hub_at_all() -> None:
    hub = HubClient("http://127.0.0.1:1/hub/api")
    assert (await refusal(hub.servers("any", "marie"))).reason == "hub-unavailable"
    assert (await refusal(_all(hub.progress("any", "marie", "x")))).reason == "hub-unavailable"
    await hub.close()
