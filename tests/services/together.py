"""Several people in one instance, each in a browser of her own: what the demo's tests and the cluster's do alike."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from tests.services.hub import until
from visa.identifiers import instance_id

Enter = Callable[[BrowserContext, str], Page]
"""Log somebody in; her page of the portal."""


@dataclass
class Person:
    """One person's browser."""

    username: str
    context: BrowserContext
    portal: Page
    lab: Page = field(init=False)
    desktops: list[Page] = field(default_factory=list)


@dataclass
class Together:
    """An instance of marie's, and people in browsers. ``base``: its address; ``url``: the hub's."""

    url: str
    browser: Browser
    enter: Enter
    people: dict[str, Person] = field(default_factory=dict)
    base: str = ""
    notebook: str = ""

    def person(self, username: str) -> Person:
        """Her browser, where she is logged in."""
        if username not in self.people:
            context = self.browser.new_context(viewport={"width": 1440, "height": 900})
            self.people[username] = Person(username, context, self.enter(context, username))
        return self.people[username]

    @property
    def id(self) -> str:
        """The instance's."""
        _, owner, name = urlsplit(self.base).path.strip("/").split("/")
        return instance_id(owner, name)

    @property
    def page(self) -> str:
        """The instance's page on the portal."""
        return f"{self.url}/services/visa/instances/{self.id}"

    def open_lab(self, username: str) -> Page:
        """JupyterLab with the notebook, by the portal's own way in."""
        person = self.person(username)
        person.lab = person.context.new_page()
        # What JupyterLab asks on a busy machine.
        for title, answer in (("Server Connection Error", "Close"), ("Loading", "Continue waiting")):
            box = person.lab.locator(".jp-Dialog", has_text=title)
            person.lab.add_locator_handler(box, partial(_answer, answer))
        if username != "marie":
            until(lambda: self._let_in(person.lab), 60, f"{username} is let in")
        person.lab.goto(f"{self.base}lab/tree/{self.notebook}?reset", timeout=60_000)
        person.lab.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        return person.lab

    def _let_in(self, page: Page) -> bool:
        # The gateway hears of a new member within a second or two.
        page.goto(f"{self.page}/open?session=notebook", timeout=60_000)
        return "/lab" in page.url

    def open_desktop(self, username: str) -> Page:
        """The desktop, with a picture."""
        person = self.person(username)
        desktop = person.context.new_page()
        desktop.goto(f"{self.base}desktop/")
        expect(desktop.locator("#screen canvas")).to_be_visible()
        expect(desktop.locator("#words")).to_be_hidden()
        person.desktops.append(desktop)
        return desktop

    def panel(self) -> Page:
        """The owner's members panel."""
        portal = self.person("marie").portal
        portal.goto(self.page)
        expect(portal.locator("#people")).to_be_visible()
        return portal

    def rules(self, *folders: str, presence: str = "any") -> None:
        """What the owner sets for members."""
        portal = self.panel()
        portal.locator("#rules summary").click()
        portal.locator("#rules-form [name=presence]").select_option(presence)
        for box in portal.locator("#rules-form [name=folder]").all():
            box.set_checked(box.get_attribute("value") in folders)
        with portal.expect_response(lambda answer: answer.request.method == "PATCH") as saved:
            portal.locator("#rules-form").get_by_role("button", name="Save").click()
        assert saved.value.ok, saved.value.text()

    def add(self, username: str, role: str) -> None:
        """By the owner's search; she has logged in, so that she is found."""
        name = self.named(username)
        portal = self.panel()
        portal.locator("#add summary").click()
        portal.locator("#candidate").fill(username)
        portal.get_by_role("button", name=re.compile(f"Add as {role}.*{name}")).click(timeout=60_000)
        expect(self.row(portal, name)).to_be_visible()

    def remove(self, username: str) -> None:
        """By the owner."""
        portal, name = self.panel(), self.named(username)
        self.row(portal, name).get_by_role("button", name="Remove").click()
        with portal.expect_response(lambda answer: answer.request.method == "DELETE") as removed:
            portal.get_by_role("dialog").get_by_role("button", name="Remove").click()
        assert removed.value.ok

    @staticmethod
    def row(portal: Page, name: str) -> Locator:
        """Of a member."""
        return portal.locator("#people .members li", has_text=name)

    @staticmethod
    def named(username: str) -> str:
        """As the demo's people are called."""
        names = {"lise": "Lise", "rosalind": "Rosalind", "dorothy": "Dorothy", "bertram": "Bertram", "grace": "Grace"}
        return names[username]

    def link(self, kind: str, role: str) -> str:
        """An invitation by the owner."""
        portal = self.panel()
        portal.locator("#links summary").click()
        portal.locator("#link [name=kind]").select_option(kind)
        portal.locator("#link [name=role]").select_option(role)
        portal.get_by_role("button", name="Make the link").click()
        if kind == "public":  # the hub asks for the password again
            page = portal.url
            portal.get_by_label("Password").fill("visa")
            portal.get_by_role("button", name="Log in again").click()
        expect(portal.locator("#made-link")).to_have_value(re.compile("/join/"))
        made = portal.locator("#made-link").input_value()
        if kind == "public":
            portal.goto(page)
        return made


def _answer(name: str, box: Locator) -> None:
    box.get_by_role("button", name=name).click()


def add_cell(lab: Page, code: str) -> None:
    """A new cell below the one that is active, with ``code`` in it; the keyboard stays there."""
    before = lab.locator(".jp-Notebook .jp-Cell").count()
    insert = lab.locator('[data-jp-item-name="insert"] jp-button, [data-jp-item-name="insert"] button').first
    # JupyterLab drops what comes before its own start is over.
    until(lambda: _more_cells(lab, insert, before), what="a new cell", pause=0.5)
    cell = lab.locator(".jp-Notebook .jp-Cell.jp-mod-active .cm-content")
    cell.click()
    lab.keyboard.type(code)


def _more_cells(lab: Page, insert: Locator, before: int) -> bool:
    if lab.locator(".jp-Notebook .jp-Cell").count() > before:
        return True
    insert.click()
    return False


def run_cell(lab: Page, output: str) -> None:
    """Run the active cell until it says ``output``."""

    def ran() -> bool:
        if said(lab, output).count():
            return True
        lab.locator(".jp-Notebook .jp-Cell.jp-mod-active .cm-content").click()
        lab.keyboard.press("Control+Enter")
        return False

    until(ran, what=f"the output {output}", pause=1.5)


def said(lab: Page, output: str) -> Locator:
    """An output of a cell."""
    return lab.locator(".jp-Notebook .jp-OutputArea-output", has_text=output)


def source(lab: Page, code: str) -> Locator:
    """A cell's text."""
    return lab.locator(".jp-Notebook .jp-CodeCell .cm-content", has_text=code)


def asked(lab: Page, method: str, path: str, body: str | None = None) -> int:
    """Status of a request as the page's own, past everything that the page leaves out by itself."""
    script = """([method, path, body]) => new Promise((done) => {
      const { baseUrl } = JSON.parse(document.getElementById("jupyter-config-data").textContent);
      const xsrf = document.cookie.split("; ").map((c) => c.split("=")).find(([n]) => n === "_xsrf")?.[1] ?? "";
      const one = new XMLHttpRequest();
      one.open(method, baseUrl + path);
      one.setRequestHeader("X-XSRFToken", xsrf);
      one.onloadend = () => done(one.status);
      one.send(body);
    })"""
    return int(lab.evaluate(script, [method, path, body]))


def colours(page: Page) -> int:
    """How many colours the picture of the desktop has."""
    script = """() => {
      const canvas = document.querySelector("#screen canvas");
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return new Set(new Uint32Array(data.buffer)).size;
    }"""
    return int(page.evaluate(script))
