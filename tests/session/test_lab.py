"""JupyterLab with the gateway's extension, in Chromium: who is here, requests, roles, and a page that only watches."""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import nbformat
import pytest
from playwright.async_api import BrowserContext, Page, Request, async_playwright, expect

from tests.services.browser import ARGUMENTS
from tests.session import rig
from tests.session.people_page import ASKS, IRENE, MARIE, PIERRE, Word
from tests.session.site import Site, running
from tests.session.test_browser import run_cell

PICTURES = os.environ.get("VISA_PICTURES", "")
THEME = os.environ.get("VISA_PICTURES_THEME", "light")
READING = ("GET", "HEAD", "OPTIONS")


@dataclass
class Lab:
    """A browser, and what its pages ask for that would change something."""

    context: BrowserContext
    site: Site
    name: str
    acts: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    async def open(self, word: Word | None) -> Page:
        """The notebook with ``word`` of the people here; None: the gateway knows of no people."""
        page = await self.context.new_page()
        if word is not None:
            await word.attach(page)
        else:
            await page.route("**/_visa/people*", lambda route: route.fulfill(status=404))
        page.on("request", self._note)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        await page.goto(f"{self.site.url}lab/tree/{self.name}?reset")
        await page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return page

    def _note(self, request: Request) -> None:
        if request.method not in READING:
            self.acts.append(f"{request.method} {request.url.removeprefix(self.site.url).partition('?')[0]}")

    async def picture(self, page: Page, name: str) -> None:
        """For people to look at."""
        if PICTURES:
            await page.screenshot(path=f"{PICTURES}/{name}-{THEME}.png")


@pytest.fixture
async def lab(jupyter: rig.Jupyter) -> AsyncIterator[Lab]:
    """One notebook in Marie's home."""
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell("print(6 * 7)", id="a"), nbformat.v4.new_markdown_cell("a *note*", id="b")]
    name = f"{secrets.token_hex(4)}.ipynb"
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (jupyter.home / name).write_text(nbformat.writes(book))
    if THEME == "dark":
        settings = jupyter.home / ".jupyter/lab/user-settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True, exist_ok=True)
        (settings / "themes.jupyterlab-settings").write_text('{"theme": "JupyterLab Dark"}')
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    async with running(jupyter.run) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=ARGUMENTS, executable_path=program)
        context = await browser.new_context(viewport={"width": 1440, "height": 900})
        cookie = await rig.session_cookie(site)
        place = {"domain": "127.0.0.1", "path": rig.SERVER}
        await context.add_cookies([{"name": "visa-session", "value": cookie, **place}])  # type: ignore[list-item]
        yield Lab(context, site, name)
        await browser.close()


async def test_the_owner_sees_who_is_here_and_who_asks(lab: Lab) -> None:
    word = Word("owner", MARIE)
    page = await lab.open(word)
    bar = page.locator(".visa-people")
    await expect(bar.get_by_role("button", name="Only you")).to_be_visible()
    word.say(here=[MARIE, PIERRE, IRENE], requests=[ASKS])
    toast = page.locator(".jp-toastContainer", has_text="Lise Meitner asks to watch: “the peak at 0.3”")
    await expect(toast).to_be_visible()
    await bar.get_by_role("button", name="3 here").click()
    people = page.locator("#visa-here")
    await expect(people).to_contain_text("Pierre Curie")
    await expect(people.locator("li", has_text="Irène Joliot")).to_contain_text("works here too")
    await lab.picture(page, "lab-owner")
    async with page.expect_popup() as opened:
        await toast.get_by_role("button", name="Answer on the portal").click()
    answer = await opened.value
    assert "/services/visa/" in answer.url
    await answer.close()
    async with page.expect_popup() as opened:
        await bar.get_by_role("button", name="Share").click()
    members = await opened.value
    assert members.url.endswith("#people")
    await members.close()
    await page.bring_to_front()
    word.say(requests=[{**ASKS, "id": 8, "name": "Niels"}])
    await expect(page.locator(".jp-toastContainer", has_text="Niels")).to_be_visible()
    word.say(requests=[], here=[MARIE, {**PIERRE, "role": "support-view", "way": "break-glass"}])
    await expect(page.locator(".jp-toastContainer", has_text="Niels")).to_have_count(0)
    await expect(page.locator(".jp-toastContainer")).to_contain_text(
        "Pierre Curie watches here without the owner's consent"
    )
    assert lab.faults == []


async def test_who_watches_starts_and_changes_nothing(lab: Lab) -> None:
    word = Word("observer", MARIE, PIERRE)
    page = await lab.open(word)
    await expect(page.locator(".visa-role")).to_have_text("You are watching")
    await expect(page.locator(".visa-role")).to_have_attribute("title", re.compile("what Marie Curie does"))
    await expect(page.locator(".visa-people").get_by_role("button", name="Share")).to_be_hidden()
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    await cell.click()
    await page.keyboard.type("x = 1")
    await page.keyboard.press("Shift+Enter")
    await page.keyboard.press("Escape")
    for keys in ("d", "d", "a", "b", "x", "v", "z", "0", "0", "m", "Control+s"):
        await page.keyboard.press(keys)
    await expect(cell).to_have_text("print(6 * 7)")
    await expect(page.locator(".jp-Notebook .jp-Cell")).to_have_count(2)
    await expect(page.locator('[data-jp-item-name="run"] jp-button[aria-disabled="true"]')).to_be_visible()
    await page.get_by_role("menuitem", name="Run", exact=True).click()
    first = page.locator(".lm-Menu-item", has_text="Run Selected Cell").first
    await expect(first).to_have_class(re.compile("lm-mod-disabled"))
    await lab.picture(page, "lab-observer")
    await page.keyboard.press("Escape")
    await page.get_by_role("menuitem", name="File", exact=True).click()
    await expect(page.locator(".lm-Menu-item", has_text="Save Notebook").first).to_have_class(re.compile("disabled"))
    await page.keyboard.press("Escape")
    await expect(page.locator(".jp-Dialog")).to_have_count(0)
    await page.wait_for_function("document.querySelector('.jp-Notebook-ExecutionIndicator') !== null")
    assert [one for one in lab.acts if not one.startswith("PUT api/collaboration/session")] == []
    assert lab.faults == []


async def test_a_role_that_changes_and_ends_is_said(lab: Lab) -> None:
    word = Word("collaborator", MARIE, {**PIERRE, "role": "collaborator"})
    page = await lab.open(word)
    cell = page.locator(".jp-Notebook .jp-CodeCell .cm-content").first
    await cell.click()
    await page.keyboard.type("y")
    await expect(cell).to_contain_text("y")
    word.say(you={"username": "pierre", "role": "observer"}, here=[MARIE, PIERRE])
    await expect(page.locator(".jp-toastContainer")).to_contain_text("Your role has changed. You are watching")
    before = await cell.text_content()
    await page.keyboard.type("zzz")
    assert await cell.text_content() == before
    word.refuse("Marie has taken you off this instance.")
    ended = page.get_by_role("dialog", name="You are not on this instance any more")
    await expect(ended).to_be_visible()
    await expect(ended).to_contain_text("Marie has taken you off")
    await lab.picture(page, "lab-ended")
    assert lab.faults == []


async def test_without_a_word_of_people_lab_is_as_ever(lab: Lab) -> None:
    page = await lab.open(None)
    await expect(page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible(timeout=60_000)
    await expect(page.locator(".visa-people")).to_have_count(0)
    await run_cell(page)


ODD = (b"caf\xe9.txt", b"two\nlines.txt", "turned\u202e.txt".encode(), "mac\u202f.png".encode(), b"plain.txt")


def odd_names(folder: bytes) -> None:
    """A folder with names that people have, and that no list can show."""
    os.makedirs(folder + b"/plain", exist_ok=True)
    for name in ODD:
        with open(folder + b"/" + name, "w") as file:
            file.write("x")
    if not os.path.exists(folder + b"/pipe"):
        os.mkfifo(folder + b"/pipe")


async def test_the_file_browser_says_what_it_leaves_out(lab: Lab, jupyter: rig.Jupyter) -> None:
    odd_names(os.fsencode(jupyter.home) + b"/odd")
    status, told = await lab.site.ask("marie", "api/contents/odd?content=1")
    assert status == 200
    assert {one["name"] for one in told["content"]} == {"mac\u202f.png", "plain", "plain.txt"}
    assert told["unshown"] == {"names": 3, "kinds": 1}
    page = await lab.open(Word("owner", MARIE))
    entries = page.locator(".jp-DirListing-content")
    await page.locator(".jp-DirListing-item", has_text="odd").dblclick()
    await expect(entries).to_have_attribute(
        "data-visa-unshown", re.compile(r"^3 names cannot be shown here.*1 entry is")
    )
    await lab.picture(page, "lab-unshown")
    await entries.get_by_text("plain", exact=True).dblclick()
    await expect(entries).not_to_have_attribute("data-visa-unshown", re.compile("."))
    assert lab.faults == []
