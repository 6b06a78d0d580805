"""The pages in Chromium: usable by keyboard and screen reader, in both themes, with none, many and odd rows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from tests.services import facility
from tests.services.portal import RunningPortal, portal
from visa.clock import now
from visa.store.tables import InstanceRow

HOSTILE = '<img src=x onerror="document.title=1"> {{ 7*7 }} ' + "שלום עולם " + "Verylongwordwithoutanyspace" * 8


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal whose Marie has a thousand experiments, Lise hostile ones, Rosalind few, Grace none."""
    folder = tmp_path_factory.mktemp("pages")
    path = facility.write(folder / "facility")
    catalogue = dict(facility.CATALOGUE)
    base: dict[str, Any] = {"proposal": "p1", "instrument": "d22", "start": "2021-01-01"}
    many = [{**base, "id": f"m-{n:04d}", "title": f"One of many, number {n}", "team": ["marie"]} for n in range(1000)]
    odd = [{**base, "id": "odd-1", "title": HOSTILE, "team": ["lise"]}]
    catalogue["experiments"] = [*catalogue["experiments"], *many, *odd]
    (folder / "facility" / "catalogue.yaml").write_text(yaml.safe_dump(catalogue))
    with portal(folder, path) as made:
        yield made


@pytest.fixture(params=["light", "dark"])
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


def looks_right(page: Page, name: str) -> None:
    """No accessibility fault, nothing wider than the window at 390 and 1440 px; a picture of each."""
    theme = page.evaluate("document.documentElement.dataset.bsTheme")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 900})
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"{name} at {width} px is {wide} px too wide"
        results = Axe().run(page)
        assert results.violations_count == 0, f"{name} {theme} {width}: {results.generate_report()}"
        folder = os.environ.get("VISA_SCREENSHOTS")
        if folder:
            page.screenshot(path=Path(folder) / f"{name}-{theme}-{width}.png", full_page=True)
    page.set_viewport_size({"width": 1440, "height": 900})


def fill_store(hub: RunningPortal, owner: str, count: int) -> None:
    """Stopped instances of ``owner``, some failed, as the hub would have left them."""
    from sqlalchemy.orm import Session

    store = hub.store
    with Session(store.engine) as session:
        for number in range(count):
            failed = number % 7 == 0
            session.merge(
                InstanceRow(
                    id=f"{number:016x}",
                    owner=owner,
                    name=f"n{number}",
                    title=HOSTILE if number == 1 else f"Instance {number}",
                    state="failed" if failed else "stopped",
                    experiments=["exp-3", "odd-1"] if number == 1 else ["exp-3"],
                    environment="scattering",
                    flavour="small",
                    session="notebook",
                    cpu=1.0,
                    memory=2**30,
                    gpu=0,
                    maximum=None,
                    idle=None,
                    holder=None,
                    created_at=now() - timedelta(hours=number),
                    started_at=None,
                    ended_at=now(),
                    reason="The instance needed more memory than its flavour has." if failed else None,
                )
            )
        session.commit()


def test_home_without_instances(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "grace")
    expect(page.get_by_text("You have no instances yet.")).to_be_visible()
    looks_right(page, "home-empty")


def test_home_with_many_and_odd_cards(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "lise")
    token = hub.token("lise")
    with hub.api(token) as api:
        for number in range(40):
            api.put(f"/users/lise/servers/n{number}", json={"display_name": f"n{number}"})
    fill_store(hub, "lise", 40)
    page.reload()
    expect(page.locator(".card")).to_have_count(40)
    expect(page.locator(".state-failed .reason").first).to_contain_text("memory")
    assert page.title().startswith("My instances"), "nothing in a title is run"
    page.get_by_label("Find among").fill("instance 39")
    expect(page.locator(".card:visible")).to_have_count(1)
    page.get_by_label("Find among").fill("nothing like this")
    expect(page.get_by_text("No instance has these words.")).to_be_visible()
    page.get_by_label("Find among").fill("")
    looks_right(page, "home-many")


def test_new_instance_with_a_thousand_experiments(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "marie")
    page.goto(f"{hub.portal}new")
    expect(page.get_by_text("1003 experiments, 1 to 50 shown")).to_be_visible()
    page.get_by_role("button", name="More").click()
    expect(page.get_by_text("51 to 100 shown")).to_be_visible()
    page.get_by_label("Search").fill("number 977")
    expect(page.get_by_text("1 experiment", exact=True)).to_be_visible()
    page.locator("#found input[type=checkbox]").check()
    page.get_by_label("Search").fill("flow")
    expect(page.get_by_text("Micelles in flow")).to_be_visible()
    page.locator("#found input[type=checkbox]").check()
    expect(page.locator("#chosen li")).to_have_count(2)
    assert "experiments=m-0977%2Cexp-2" in page.url
    looks_right(page, "new-many")
    page.get_by_role("button", name="Remove m-0977").click()
    expect(page.locator("#chosen li")).to_have_count(1)
    page.get_by_label("Search").fill("no such thing")
    expect(page.get_by_text("No experiment found.")).to_be_visible()
    looks_right(page, "new-none")


def test_what_is_typed_before_the_script_is_there_counts(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "marie")
    held: list[Route] = []
    page.route("**/new.js*", lambda route: held.append(route))
    page.goto(f"{hub.portal}new", wait_until="commit")
    page.locator("#found input[type=checkbox]").first.check()
    page.get_by_label("Search").fill("number 977")
    assert held, "the script waits"
    held[0].continue_()
    expect(page.get_by_text("1 experiment", exact=True)).to_be_visible()
    expect(page.locator("#chosen li")).to_have_count(1)


def test_new_instance_with_hostile_text(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "lise")
    page.goto(f"{hub.portal}new?experiments=odd-1")
    expect(page.locator("#chosen li")).to_contain_text("{{ 7*7 }}")
    assert page.title().startswith("New instance")
    assert page.locator("img").count() == 0
    looks_right(page, "new-odd")


def test_a_deep_link_chooses_and_says_what_it_cannot(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "marie")
    page.goto(f"{hub.portal}new?experiments=exp-1,exp-3,nonsense,../x")
    expect(page.locator("#chosen li")).to_have_count(1)
    expect(page.get_by_text("Not among your experiments: exp-3, nonsense, ../x.")).to_be_visible()
    expect(page.get_by_label("Scattering")).to_be_checked()
    expect(page.get_by_label("Staff only")).to_be_disabled()
    expect(page.get_by_text("For instrument scientists only. Ask help@example.org.")).to_be_visible()
    looks_right(page, "new-link")


def test_problem_pages(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "marie")
    page.goto(f"{hub.portal}nowhere")
    expect(page.get_by_role("heading", name="There is nothing at this address.")).to_be_visible()
    looks_right(page, "problem")
    page.goto(f"{hub.portal}instances/0123456789abcdef")
    expect(page.get_by_role("heading", name="Ask to join an instance")).to_be_visible()
    looks_right(page, "ask")


def test_started_by_keyboard_alone_and_watched(hub: RunningPortal, browser: Browser) -> None:
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = hub.enter(context, "rosalind")
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="New instance").last).to_be_focused()
    page.keyboard.press("Enter")
    page.wait_for_url("**/new")
    box = page.locator("#found input[type=checkbox]").first
    for _ in range(20):
        page.keyboard.press("Tab")
        if box.evaluate("box => box === document.activeElement"):
            break
    expect(box).to_be_focused()
    page.keyboard.press("Space")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type === 'submit'"):
            break
    expect(page.get_by_role("button", name="Start")).to_be_focused()
    hub.hold()
    page.keyboard.press("Enter")
    page.wait_for_url("**/instances/*")
    expect(page.locator("#state")).to_have_text("Starting")
    expect(page.locator("#steps li").last).to_have_text("Starting the notebook")
    hub.let_go()
    page.wait_for_url("**/lab/**")
    watching = context.new_page()
    watching.goto(hub.portal)
    expect(watching.locator(".card")).to_contain_text("Running")
    with hub.rest(hub.token("rosalind")) as rest:
        rest.post(f"instances/{rest.get('instances').json()[0]['id']}/stop")
    expect(watching.locator(".card")).to_contain_text("Stopped")
    expect(watching.locator("#said")).to_contain_text("Stopped")
    card = watching.locator(".card")
    card.get_by_role("button", name="Delete").click()
    watching.get_by_role("button", name="Keep it").click()
    expect(card).to_have_count(1)
    context.close()


def test_an_instance_page_while_it_starts_and_after_it_failed(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "dorothy")
    with hub.api(hub.token("dorothy")) as api:
        api.put("/users/dorothy/servers/n7", json={"display_name": "n7"})
    fill_store(hub, "dorothy", 8)
    page.goto(f"{hub.portal}instances/{7:016x}")
    expect(page.get_by_role("alert")).to_contain_text("more memory")
    expect(page.get_by_role("button", name="Start again")).to_be_visible()
    looks_right(page, "instance-failed")


def test_strict_headers_everywhere(hub: RunningPortal) -> None:
    with hub.login("marie") as browser:
        for path in ("", "new", "experiments", "cards", "nowhere", "api/v1/me"):
            headers = browser.get(f"/services/visa/{path}").headers
            policy = headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy
            assert f"script-src {hub.portal.removeprefix('http://')}static/;" in policy, "not an instance's scripts"
            assert headers["cross-origin-opener-policy"] == "same-origin"
            assert headers["x-content-type-options"] == "nosniff"


def test_operators_are_told_what_is_lost_on_one_host(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "grace")
    notice = page.locator(".notice", has_text="Instances share the hub's host")
    looks_right(page, "one-host")
    notice.locator("summary").click()
    expect(notice).to_contain_text("a page that somebody left in an instance can act in all other instances")
    looks_right(page, "one-host-open")
    context.clear_cookies()
    page = hub.enter(context, "marie")
    expect(page.get_by_role("heading", name="My instances")).to_be_visible()
    expect(page.get_by_text("Instances share the hub's host")).to_have_count(0)


def test_operators_see_what_is_left_out_of_the_catalogue(hub: RunningPortal, context: BrowserContext) -> None:
    catalogue = hub.facility.with_name("catalogue.yaml")
    before = catalogue.read_text()
    bad = yaml.safe_load(before)
    bad["experiments"][0]["team"] += ["o'neil"]
    bad["people"] += [{"username": f"{'a long name ' * 9}{number}", "name": HOSTILE} for number in range(30)]
    try:
        catalogue.write_text(yaml.safe_dump(bad))
        page = hub.enter(context, "grace")
        notice = page.locator(".notice", has_text="31 rows of the catalogue cannot be read as a whole")
        looks_right(page, "left-out")
        notice.locator("summary").click()
        expect(notice.locator("li")).to_have_count(20)
        expect(notice).to_contain_text("visa check says all of it")
        looks_right(page, "left-out-open")
        context.clear_cookies()
        page = hub.enter(context, "marie")
        expect(page.get_by_role("heading", name="My instances")).to_be_visible()
        expect(page.get_by_text("cannot be read as a whole")).to_have_count(0)
    finally:
        catalogue.write_text(before)
