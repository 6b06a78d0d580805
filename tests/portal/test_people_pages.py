"""Pages of people in instances in Chromium: what one does appears at the others', without a reload."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

import pytest
import yaml
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect
from sqlalchemy import delete
from sqlalchemy.orm import Session

from tests.portal.people import instance_of
from tests.portal.test_pages import HOSTILE, looks_right
from tests.services import facility
from tests.services.portal import RunningPortal, portal
from tests.services.waiting import until
from visa.clock import now
from visa.store.tables import (
    HelpRow,
    InstanceRow,
    MemberRow,
    PersonRow,
    QuotaHoldRow,
    VisitRow,
)

pytestmark = pytest.mark.timeout(300)

MANY = 10_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPortal]:
    """A portal in whose catalogue Marie's exp-now is measured today, with Rosalind on its team."""
    folder = tmp_path_factory.mktemp("people")
    path = facility.write(folder / "facility")
    today = date.today()
    beam = {"id": "exp-now", "title": "Measured now", "proposal": "p1", "instrument": "d22"}
    beam |= {"start": str(today - timedelta(days=1)), "end": str(today + timedelta(days=1))}
    content = dict(facility.CATALOGUE)
    content["experiments"] = [*content["experiments"], {**beam, "team": ["marie", "rosalind"]}]
    (folder / "facility" / "catalogue.yaml").write_text(yaml.safe_dump(content))
    with portal(folder, path) as made:
        for name in ("marie", "rosalind", "lise", "dorothy", "grace"):
            made.token(name)
        yield made


@pytest.fixture(params=["light", "dark"])
def context(request: pytest.FixtureRequest, browser: Browser) -> Iterator[BrowserContext]:
    opened = browser.new_context(color_scheme=request.param, viewport={"width": 1440, "height": 900})
    yield opened
    opened.close()


@pytest.fixture
def people(browser: Browser, hub: RunningPortal) -> Iterator[dict[str, Page]]:
    """A browser of her own for each of three people, at home."""
    contexts = {name: browser.new_context(viewport={"width": 1440, "height": 900}) for name in _THREE}
    yield {name: hub.enter(context, name) for name, context in contexts.items()}
    for context in contexts.values():
        context.close()


_THREE = ("marie", "rosalind", "dorothy")


@pytest.fixture(scope="module")
def instance(hub: RunningPortal) -> Iterator[str]:
    """Marie's running instance on exp-now."""
    with instance_of(hub, experiments=["exp-now"], title="Together at night") as identifier:
        yield identifier


def row(number: int, **changed: Any) -> InstanceRow:
    """A running instance of Lise's, as the hub would have stored it."""
    values: dict[str, Any] = {
        "id": f"{number:016x}",
        "owner": "lise",
        "name": f"n{number}",
        "title": f"Instance {number}",
        "state": "running",
        "experiments": ["exp-3"],
        "environment": "scattering",
        "flavour": "small",
        "session": "notebook",
        "cpu": 1.0,
        "memory": 2**30,
        "gpu": 0,
        "created_at": now() - timedelta(minutes=number),
        "started_at": now() - timedelta(minutes=number),
    }
    return InstanceRow(**{**values, **changed})


@pytest.fixture
def odd(hub: RunningPortal) -> Iterator[str]:
    """An instance of Lise's with long and hostile names everywhere, and much of everything."""
    identifier = f"{1:016x}"
    moment = now()
    of_it = {"instance_id": identifier}
    with Session(hub.store.engine) as session:
        session.add(row(1, title=HOSTILE, name="x" * 30))
        session.add(
            PersonRow(
                username="h" * 100, name=HOSTILE, email="h@example.org", gids=[], groups=[], roles=[], active=True
            )
        )
        session.flush()
        ways = ("team", "search", "invitation", "link", "request")
        for number in range(60):
            name = "h" * 100 if number == 0 else f"person{number:02d}"
            role = "observer" if number % 2 else "collaborator"
            session.add(
                MemberRow(
                    **of_it, username=name, role=role, way=ways[number % 5], granted_by="lise", since=moment,
                    until=moment + timedelta(days=3) if number % 3 else None, with_owner=number % 4 == 0,
                )
            )  # fmt: skip
            session.add(
                VisitRow(**of_it, username=name, role=role, session="notebook", began=moment - timedelta(hours=1),
                         seen=moment, ended=None if number < 30 else moment)
            )  # fmt: skip
        session.add(
            MemberRow(**of_it, username="rosalind", role="collaborator", way="team", granted_by="lise", since=moment,
                      with_owner=False)
        )  # fmt: skip
        session.add(HelpRow(**of_it, asked_by="h" * 100, message=HOSTILE * 3, asked_at=moment))
        session.commit()
    yield identifier
    with Session(hub.store.engine) as session:
        session.execute(delete(InstanceRow).where(InstanceRow.id == identifier))
        session.execute(delete(PersonRow).where(PersonRow.username == "h" * 100))
        session.commit()


def test_what_changed_between_a_page_and_its_stream_of_changes_is_shown(
    hub: RunningPortal, people: dict[str, Page], instance: str
) -> None:
    page, held = people["marie"], list[Route]()
    page.route("**/changes", lambda route: held.append(route))
    page.goto(f"{hub.portal}instances/{instance}")
    until(lambda: page.title() and held, what="the page's question for changes")  # a title lets the route be taken
    with hub.rest(hub.token("rosalind")) as rosalind, hub.rest(hub.token("marie")) as marie:
        assert marie.post(f"instances/{instance}/members", json={"username": "rosalind", "role": "observer"}).is_success
        expect(page.locator(".sharing").get_by_text("rosalind").first).to_be_hidden()
        while held:
            held.pop().continue_()
        expect(page.locator(".sharing").get_by_text("rosalind").first).to_be_visible()
        assert rosalind.delete(f"instances/{instance}/membership").is_success


def test_added_changed_and_removed_while_the_other_looks(
    hub: RunningPortal, people: dict[str, Page], instance: str
) -> None:
    marie, rosalind = people["marie"], people["rosalind"]
    expect(rosalind.get_by_text("Nobody shares an instance with you.")).to_be_visible()
    marie.locator(f'.card[data-id="{instance}"]').get_by_role("link", name="People").click()
    marie.get_by_text("Add people").click()
    marie.get_by_role("button", name=re.compile("Add as observer.*Rosalind")).click()
    members = marie.get_by_role("list", name="People", exact=True)
    expect(members.locator(".person", has_text="Rosalind Franklin")).to_be_visible()
    shared = rosalind.locator(f'[data-shared="{instance}"]')
    expect(shared).to_contain_text("Together at night")
    expect(shared.get_by_text("Observer")).to_be_visible()
    members.get_by_label("Role of Rosalind Franklin").select_option("collaborator")
    expect(shared.get_by_text("Collaborator")).to_be_visible()
    shared.get_by_role("link", name="Together at night").first.click()
    expect(rosalind.get_by_text("You are here as")).to_contain_text("Collaborator")
    expect(rosalind.get_by_text("members may be there only while she is")).to_be_visible()
    members.get_by_role("button", name="Remove").click()
    marie.get_by_role("dialog").get_by_role("button", name="Remove").click()
    expect(members.locator(".person", has_text="Rosalind Franklin")).to_have_count(0)
    expect(rosalind.get_by_role("heading", name="Ask to join an instance")).to_be_visible()


def test_asked_from_any_page_and_let_in(hub: RunningPortal, people: dict[str, Page], instance: str) -> None:
    marie, rosalind = people["marie"], people["rosalind"]
    marie.goto(f"{hub.portal}new")
    rosalind.goto(f"{hub.portal}instances/{instance}")
    expect(rosalind.get_by_text("Together at night")).to_have_count(0)
    rosalind.get_by_label("What for").fill("I measured it <b>too</b>")
    rosalind.get_by_role("button", name="Ask the owner").click()
    expect(rosalind.get_by_text("Asked.")).to_be_visible()
    notices = marie.get_by_role("button", name="Notices (1)")
    expect(notices).to_be_visible()
    assert marie.title().startswith("(1) ")
    notices.click()
    waiting = marie.get_by_role("region", name="Notices")
    expect(waiting.get_by_text("I measured it <b>too</b>")).to_be_visible()
    looks_right(marie, "notices")
    waiting.get_by_role("button", name="Let in to watch").click()
    expect(rosalind.get_by_role("heading", name="Together at night")).to_be_visible()
    expect(marie.get_by_role("button", name="Notices (1)")).to_have_count(0)
    rosalind.get_by_role("button", name="Leave").click()
    rosalind.get_by_role("dialog").get_by_role("button", name="Leave").click()
    rosalind.wait_for_url(hub.portal)


def test_a_button_pressed_before_the_script_is_there_acts_once_it_is(
    hub: RunningPortal, context: BrowserContext, instance: str
) -> None:
    page = hub.enter(context, "rosalind")
    held: list[Route] = []
    page.route("**/ask.js*", lambda route: held.append(route))
    page.goto(f"{hub.portal}instances/{instance}", wait_until="commit")
    page.get_by_role("button", name="Ask the owner").click()
    until(lambda: page.title() and held, what="the page's question for its script")
    expect(page.get_by_text("Asked.")).to_be_hidden()
    held[0].continue_()
    expect(page.get_by_text("Asked.")).to_be_visible()
    page.get_by_role("button", name="Do not ask any more").click()
    expect(page.get_by_role("button", name="Ask the owner")).to_be_visible()


def test_a_request_refused(hub: RunningPortal, people: dict[str, Page], instance: str) -> None:
    marie, rosalind = people["marie"], people["rosalind"]
    marie.goto(f"{hub.portal}instances/{instance}")
    rosalind.goto(f"{hub.portal}instances/{instance}")
    rosalind.get_by_role("button", name="Ask the owner").click()
    marie.get_by_role("region", name="Waiting for your answer").get_by_role("button", name="Refuse").click()
    rosalind.get_by_role("button", name="Notices").click()
    expect(rosalind.get_by_text("You were not let in to").first).to_be_visible()
    expect(rosalind.get_by_role("main").get_by_text("Together at night")).to_have_count(0)


def test_an_invitation_by_its_button_alone(hub: RunningPortal, people: dict[str, Page], instance: str) -> None:
    marie, rosalind = people["marie"], people["rosalind"]
    marie.goto(f"{hub.portal}instances/{instance}")
    marie.get_by_text("Invite by a link").click()
    marie.locator("#link select[name=role]").select_option("collaborator")
    marie.get_by_role("button", name="Make the link").click()
    expect(marie.get_by_text("Copy it now")).to_be_visible()
    address = marie.get_by_label("Link", exact=True).input_value()
    assert address.startswith(f"{hub.portal}join/")
    looks_right(marie, "instance-link")
    for _ in range(2):
        rosalind.goto(address)
        expect(rosalind.get_by_role("heading", name="Together at night")).to_be_visible()
    looks_right(rosalind, "join")
    rosalind.get_by_role("button", name="Join as collaborator").click()
    rosalind.wait_for_url(f"{hub.portal}instances/{instance}")
    expect(rosalind.get_by_text("You are here as")).to_contain_text("Collaborator")
    expect(marie.get_by_text("redeemed by rosalind")).to_be_visible()
    rosalind.goto(address)
    expect(rosalind.get_by_role("heading", name="You are a member already")).to_be_visible()
    with hub.rest(hub.token("marie")) as rest:
        rest.delete(f"instances/{instance}/members/rosalind")
    rosalind.goto(address)
    expect(rosalind.get_by_text("link-not-valid")).to_be_visible()


def test_support_from_help_to_consent(hub: RunningPortal, people: dict[str, Page], instance: str) -> None:
    marie, dorothy = people["marie"], people["dorothy"]
    marie.goto(f"{hub.portal}instances/{instance}")
    dorothy.goto(f"{hub.portal}support")
    expect(dorothy.get_by_text("Help wanted", exact=True)).to_have_count(0)
    marie.locator("#help summary").click()
    marie.get_by_label("What is wrong?").fill("The fit does not converge")
    marie.get_by_role("button", name="Ask for help").click()
    expect(dorothy.get_by_text("Help wanted", exact=True)).to_be_visible()
    looks_right(dorothy, "support-help")
    dorothy.get_by_role("button", name="I look after it").click()
    expect(marie.get_by_text("dorothy looks after it.")).to_be_visible()
    dorothy.get_by_role("link", name="Support Together at night").click()
    dorothy.get_by_label("Why").fill("For the fit")
    looks_right(dorothy, "supporting")
    dorothy.get_by_role("button", name="Ask to look", exact=True).click()
    expect(dorothy.get_by_text("The owner has not answered.")).to_be_visible()
    consent = marie.get_by_role("region", name="Waiting for your answer")
    expect(consent.get_by_text("look, as support")).to_be_visible()
    expect(consent.get_by_role("button", name="Let in to act")).to_have_count(0)
    consent.get_by_role("button", name="Let in to look").click()
    expect(dorothy.get_by_text("You are here as")).to_contain_text("Support, looks")
    dorothy.get_by_role("button", name="Leave").click()
    dorothy.get_by_role("dialog").get_by_role("button", name="Leave").click()
    dorothy.wait_for_url(hub.portal)
    marie.get_by_role("button", name="Close").click()


def test_beamtime(hub: RunningPortal, context: BrowserContext, instance: str) -> None:
    page = hub.enter(context, "rosalind")
    page.get_by_role("link", name="Beamtime").click()
    row = page.get_by_role("list", name="Instances of exp-now").get_by_role("listitem")
    expect(row).to_contain_text("Together at night")
    looks_right(page, "beamtime")
    row.get_by_role("link", name="Ask to join").click()
    expect(page.get_by_role("heading", name="Ask to join an instance")).to_be_visible()
    lise = hub.enter(context.browser.new_context(), "lise") if context.browser else page
    lise.goto(f"{hub.portal}beamtime")
    expect(lise.get_by_text("None of your experiments is measured now.")).to_be_visible()
    looks_right(lise, "beamtime-none")
    lise.context.close()


def test_the_owners_page_with_everything_open(hub: RunningPortal, context: BrowserContext, instance: str) -> None:
    page = hub.enter(context, "marie")
    page.goto(f"{hub.portal}instances/{instance}")
    expect(page.get_by_text("Nobody but you.")).to_be_visible()
    for part in ("add", "links", "rules", "visits", "help"):
        page.locator(f"#{part} summary").click()
    expect(page.get_by_text("Add as observer")).to_be_visible()
    looks_right(page, "instance-alone")
    page.get_by_label("Members may be there").select_option("any")
    page.get_by_label("my home folder, all of it").check()
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#rules-form").get_by_text("Saved.")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Members may be there")).to_have_value("any")
    with hub.rest(hub.token("marie")) as rest:
        assert rest.get(f"instances/{instance}/sharing").json()["folders"] == ["home", "shared"]
        rest.patch(f"instances/{instance}/sharing", json={"presence": "with-owner", "folders": ["shared"]})


def test_many_members_and_hostile_names(hub: RunningPortal, context: BrowserContext, odd: str) -> None:
    page = hub.enter(context, "rosalind")
    expect(page.locator(f'[data-shared="{odd}"]')).to_contain_text("{{ 7*7 }}")
    looks_right(page, "shared-odd")
    page.goto(f"{hub.portal}instances/{odd}")
    expect(page.get_by_role("list", name="People", exact=True).get_by_role("listitem")).to_have_count(62)
    assert page.locator("main img").count() == 0
    looks_right(page, "members-odd")
    staff = hub.enter(context.browser.new_context(color_scheme="dark"), "grace") if context.browser else page
    staff.goto(f"{hub.portal}support")
    expect(staff.get_by_text("Help wanted", exact=True)).to_be_visible()
    looks_right(staff, "support-odd")
    staff.goto(f"{hub.portal}instances/{odd}")
    looks_right(staff, "break-glass")
    staff.context.close()


def test_support_with_ten_thousand_instances(hub: RunningPortal, context: BrowserContext) -> None:
    with Session(hub.store.engine) as session:
        session.add_all([row(n) for n in range(100, 100 + MANY)])
        session.flush()
        hold = {"kind": "instrument", "key": "id10", "millicores": 0, "memory": 0, "gpu": 0}
        session.add_all([QuotaHoldRow(instance_id=f"{n:016x}", **hold) for n in range(100, 100 + MANY)])
        session.add(HelpRow(instance_id=f"{MANY:016x}", asked_by="lise", message="At the end", asked_at=now()))
        session.commit()
    try:
        page = hub.enter(context, "grace")
        page.goto(f"{hub.portal}support")
        first = page.locator("#supported li").first
        expect(first).to_contain_text("At the end")
        expect(page.locator("#supported li")).to_have_count(50)
        page.get_by_label("Search").fill("Instance 9876")
        expect(page.get_by_text("1 instance", exact=True)).to_be_visible()
        page.get_by_label("Search").fill("")
        expect(page.get_by_text("1 to 50 shown")).to_be_visible()
        page.get_by_role("button", name="More").click()
        expect(page.get_by_text("51 to 100 shown")).to_be_visible()
        looks_right(page, "support-many")
        page.get_by_label("help wanted only").check()
        expect(page.locator("#supported li")).to_have_count(1)
        page.get_by_label("Search").fill("nothing like this")
        expect(page.get_by_text("No running instance found.")).to_be_visible()
    finally:
        with Session(hub.store.engine) as session:
            session.execute(delete(InstanceRow).where(InstanceRow.owner == "lise"))
            session.commit()


def test_who_supports_nothing(hub: RunningPortal, context: BrowserContext) -> None:
    page = hub.enter(context, "lise")
    page.goto(f"{hub.portal}support")
    expect(page.get_by_text("You support no instances.")).to_be_visible()
    looks_right(page, "support-none")
    page.goto(f"{hub.portal}join/{'x' * 43}")
    expect(page.get_by_role("heading", name="There is no such link.")).to_be_visible()
    looks_right(page, "join-bad")
