"""Three people in one instance at once, each in a browser of her own, on the demo; tests/cluster does it in pods."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.services.browser import log_in, start_new
from tests.services.hub import until
from tests.services.together import Together, add_cell, asked, colours, run_cell, said, source

OUT = (401, 403)
"""Answers to who has no role any more: with her right to log in, and when that is taken back."""

pytestmark = pytest.mark.timeout(400)


def begin(together: Together) -> Together:
    """Marie's notebook on an experiment of hers; lise, who is of its team, works with her."""
    together.person("lise")
    marie = together.person("marie")
    start_new(marie.portal, "sans1-240603", "1 experiment", "notebook")
    marie.portal.wait_for_url("**/lab/tree/**", timeout=90_000)
    together.base, _, path = marie.portal.url.partition("lab/tree/")
    together.notebook = path.partition("?")[0].removeprefix("RTC:")
    lab = together.open_lab("marie")
    expect(lab.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    together.rules("shared", "home")
    together.add("lise", "collaborator")
    return together


@pytest.fixture(scope="module")
def together(browser: Browser, demo: tuple[str, Path]) -> Iterator[Together]:
    made = Together(demo[0], browser, lambda context, username: log_in(context, demo[0], username))
    yield begin(made)
    for person in made.people.values():
        person.context.close()


def test_who_asks_is_let_in_from_the_portal_at_once(together: Together) -> None:
    marie, rosalind = together.person("marie"), together.person("rosalind")
    page = rosalind.portal
    page.goto(together.page)
    page.locator("#asking textarea").fill("May I look at the fit?")
    page.get_by_role("button", name="Ask the owner").click()
    toast = marie.lab.locator(".jp-toastContainer", has_text="asks to watch")
    expect(toast).to_contain_text("May I look at the fit?")
    with marie.lab.expect_popup() as opened:
        toast.get_by_role("button", name="Answer on the portal").click()
    portal = opened.value
    portal.locator("#people").get_by_role("button", name="Let in to watch").click()
    expect(page.get_by_role("link", name="Open notebook")).to_be_visible()
    portal.close()
    marie.lab.bring_to_front()
    expect(toast).to_have_count(0)


def test_the_observer_sees_live_what_the_others_type_and_run(together: Together) -> None:
    marie = together.person("marie").lab
    rosalind, lise = together.open_lab("rosalind"), together.open_lab("lise")
    expect(rosalind.locator(".visa-role")).to_have_text("You are watching")
    expect(lise.locator(".visa-role")).to_have_text("You work here too")
    expect(marie.locator(".visa-people")).to_contain_text("3 here")
    add_cell(marie, "print('sum', 40 + 2)")
    expect(source(rosalind, "print('sum', 40 + 2)")).to_be_attached()
    run_cell(marie, "sum 42")
    expect(said(rosalind, "sum 42")).to_be_attached()
    add_cell(lise, "print('half', 42 / 2)")
    expect(source(marie, "print('half', 42 / 2)")).to_be_attached()
    run_cell(lise, "half 21.0")
    for page in (marie, rosalind):
        expect(said(page, "half 21.0")).to_be_attached()


def test_the_observer_can_change_nothing_through_the_page(together: Together) -> None:
    rosalind, marie = together.person("rosalind").lab, together.person("marie").lab
    cells = marie.locator(".jp-Notebook .jp-Cell").count()
    rosalind.locator(".jp-Notebook .jp-CodeCell .cm-content").last.click()
    rosalind.keyboard.type("by_an_observer = 1")
    rosalind.keyboard.press("Shift+Enter")
    rosalind.keyboard.press("Escape")
    for key in ("a", "b", "d", "d", "x", "z", "0", "0", "Control+s"):
        rosalind.keyboard.press(key)
    for menu, names in {
        "File": ("New", "Save Notebook"),
        "Run": ("Run Selected Cell", "Run All Cells"),
        "Kernel": ("Restart Kernel…", "Shut Down Kernel", "Interrupt Kernel"),
    }.items():
        rosalind.get_by_role("menuitem", name=menu, exact=True).click()
        for name in names:
            entry = rosalind.locator(".lm-Menu-item", has_text=name).first
            if name == "New":
                entry.click()
                entry = rosalind.locator(".lm-Menu-item", has_text="Terminal").first
            expect(entry).to_have_class(re.compile("lm-mod-disabled"))
        rosalind.keyboard.press("Escape")
        rosalind.keyboard.press("Escape")
        rosalind.locator(".jp-NotebookPanel-toolbar").click(position={"x": 400, "y": 5})
    expect(rosalind.locator('[data-jp-item-name="uploader"]')).to_be_hidden()
    expect(source(marie, "by_an_observer")).to_have_count(0)
    assert marie.locator(".jp-Notebook .jp-Cell").count() == cells
    expect(rosalind.locator(".jp-Dialog")).to_have_count(0)


def test_the_observer_can_change_nothing_past_the_page(together: Together) -> None:
    rosalind = together.person("rosalind").lab
    script = """async () => {
      const { baseUrl } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
      return (await (await fetch(baseUrl + "api/sessions")).json()).map(({ id, kernel }) => [id, kernel.id]);
    }"""
    ((session, kernel), *_) = rosalind.evaluate(script)
    tries = [
        ("PUT", f"api/contents/{together.notebook}", '{"type": "notebook", "content": {}}'),
        ("PATCH", f"api/contents/{together.notebook}", '{"path": "gone.ipynb"}'),
        ("DELETE", f"api/contents/{together.notebook}", None),
        ("POST", "api/contents/", '{"type": "file"}'),
        ("POST", "api/terminals", "{}"),
        ("POST", "api/kernels", "{}"),
        ("POST", "api/sessions", '{"path": "x", "type": "console", "kernel": {"name": "python3"}}'),
        ("DELETE", f"api/sessions/{session}", None),
        ("POST", f"api/kernels/{kernel}/restart", "{}"),
        ("POST", f"api/kernels/{kernel}/interrupt", "{}"),
        ("DELETE", f"api/kernels/{kernel}", None),
        ("POST", "lab/api/extensions", '{"cmd": "install", "extension_name": "x"}'),
        ("PUT", "lab/api/settings/@jupyterlab/apputils-extension:themes", '{"raw": "{}"}'),
        ("POST", "api/shutdown", None),
        ("PUT", "desktop/files/home/x?offset=0&size=1&upload=observers-upload-1", "x"),
        ("POST", "desktop/start", None),
    ]
    assert {asked(rosalind, *one) for one in tries} == {403}
    marie = together.person("marie").lab
    assert asked(marie, "GET", f"api/contents/{together.notebook}?content=0") == 200


def test_a_changed_role_narrows_what_is_open(together: Together) -> None:
    lise, marie = together.person("lise").lab, together.person("marie").lab
    portal = together.panel()
    row = together.row(portal, "Lise")
    row.get_by_role("combobox").select_option("observer")
    expect(lise.locator(".visa-role")).to_have_text("You are watching")
    lise.locator(".jp-Notebook .jp-CodeCell .cm-content").last.click()
    lise.keyboard.type("narrowed = 1")
    assert asked(lise, "POST", "api/terminals", "{}") == 403
    expect(source(marie, "narrowed")).to_have_count(0)
    row.get_by_role("combobox").select_option("collaborator")
    expect(lise.locator(".visa-role")).to_have_text("You work here too")


def test_on_the_desktop_only_who_works_here_is_heard(together: Together) -> None:
    marie = together.open_desktop("marie")
    until(lambda: colours(marie) > 20, 60, "windows")
    lise, rosalind = together.open_desktop("lise"), together.open_desktop("rosalind")
    expect(rosalind.locator("#role")).to_have_text("You are watching")
    until(lambda: colours(rosalind) > 20, 60, "the observer's picture")
    expect(rosalind.locator("[aria-controls=keys], [aria-controls=clipboard], [aria-controls=files]")).to_have_count(0)

    def heard(name: str) -> bool:
        if there(marie, name):
            return True
        # A terminal that has just got the focus may miss the first keys.
        type_on(lise, f"\ntouch ~/{name}\n")
        return False

    for name in ("by-collaborator", "after-observer"):
        type_on(rosalind, "\ntouch ~/by-observer\n")
        until(lambda name=name: heard(name), what="what the collaborator typed", pause=1)
    assert not there(marie, "by-observer")
    expect(marie.locator("#people-button")).to_have_text("3 here")


def type_on(desktop: Page, text: str) -> None:
    """Into the terminal, which is on the screen."""
    desktop.bring_to_front()
    desktop.locator("#screen canvas").click(position={"x": 200, "y": 300})
    desktop.keyboard.type(text, delay=10)


def there(desktop: Page, name: str) -> bool:
    """Whether a file is in the home folder."""
    script = "async (name) => (await fetch(`files/home/${name}`, { method: 'HEAD' })).status"
    return int(desktop.evaluate(script, name)) == 200


def test_who_is_removed_while_she_types_is_out(together: Together) -> None:
    lise, marie = together.person("lise"), together.person("marie").lab
    lise.lab.bring_to_front()
    add_cell(lise.lab, "before_removal = 1")
    expect(source(marie, "before_removal")).to_be_attached()
    together.remove("lise")

    def out() -> bool:
        lise.lab.keyboard.type("y")
        return asked(lise.lab, "GET", "api/contents") in OUT

    until(out, what="her way out")
    ended = lise.lab.get_by_role("dialog", name="You are not on this instance any more")
    expect(ended).to_be_visible()
    for desktop in lise.desktops:
        expect(desktop.locator("#words")).to_contain_text("You are not on this instance any more")
    lise.lab.keyboard.type("after_removal")
    assert asked(lise.lab, "POST", "api/terminals", "{}") in OUT
    page = lise.context.new_page()
    page.goto(f"{together.base}lab")
    assert page.locator("#jp-top-panel").count() == 0
    expect(source(marie, "after_removal")).to_have_count(0)
    page.close()


def test_an_invitation_works_once(together: Together) -> None:
    link = together.link("once", "observer")
    lise, bertram = together.person("lise"), together.person("bertram")
    lise.portal.goto(link)
    lise.portal.get_by_role("button", name="Join as observer").click()
    lise.portal.wait_for_url(f"**/instances/{together.id}")
    lab = together.open_lab("lise")
    expect(lab.locator(".visa-role")).to_have_text("You are watching")
    answer = bertram.portal.goto(link)
    assert answer is not None
    assert answer.status in (404, 409, 410)
    assert bertram.portal.get_by_role("button", name="Join").count() == 0


def test_a_public_link_holds_only_while_the_owner_is_there(together: Together) -> None:
    link = together.link("public", "observer")
    bertram, marie = together.person("bertram"), together.person("marie")
    bertram.portal.goto(link)
    bertram.portal.get_by_role("button", name="Join as observer").click()
    bertram.portal.wait_for_url(f"**/instances/{together.id}")
    lab = together.open_lab("bertram")
    expect(lab.locator(".visa-role")).to_have_text("You are watching")
    marie.lab.close()
    for desktop in marie.desktops:
        desktop.close()
    expect(lab.get_by_role("dialog", name="You are not on this instance any more")).to_be_visible()
    assert asked(together.person("rosalind").lab, "GET", "api/status") == 200, "members by her own hand stay"
    together.open_lab("marie")
    until(lambda: _again(lab), 60, "bertram watches again")


def _again(lab: Page) -> bool:
    """Whether who was sent away is back with a reload: the gateway has to hear of the owner first."""
    lab.reload()
    try:
        expect(lab.locator(".visa-role")).to_have_text("You are watching", timeout=15_000)
    except AssertionError:
        return False
    return True
