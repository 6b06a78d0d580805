"""Marie's two instances: in one of them a collaborator's program answers instead of Jupyter. Who opens it, and what is
theirs and must stay so."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Page, Request

from tests.portal.people import instance_of
from tests.services.browser import log_in
from tests.services.hub import Browser, Site
from tests.services.kernel import Kernel
from tests.services.waiting import until
from visa.clock import now
from visa.portal.app import routes
from visa.portal.operations import OPERATIONS

HERE = Path(__file__).parent
PEOPLE = {"marie": "owner", "rosalind": "collaborator", "dorothy": "support", "grace": "administrator"}
"""Who opens the page, and as what; the administrator breaks the glass."""
PRIVATE = "Nobody else's business"
"""Title of the other instance, which only pages of hub and portal tell."""
_OURS = re.compile(r"jupyterhub-|service-visa|visa-")
_MARKS = (
    *('id="request-token-form"', 'id="react-admin-hook"', "admin_access: true", ' user: "'),
    *(PRIVATE, "taken!"),
)
HUB_PAGES = (
    *("", "token", "home", "login", "logout", "admin", "spawn", "nowhere", "accept-share", "error/404", "metrics"),
    *("api/", "api/user", "api/users", "api/groups", "api/services", "api/shares", "api/proxy", "api/info"),
    *("api/users/marie", "api/users/marie/tokens"),
)
TOSSED = ("/", "/hub", "/hub/", "/hub/token", "/services", "/services/visa", "/services/visa/", "/user")
"""Paths for which a page of the host sets cookies."""


@dataclass
class Visitor:
    """One person's browser, with the hostile page open to them."""

    name: str
    context: BrowserContext
    secrets: set[str] = field(default_factory=set)
    cookies: list[Any] = field(default_factory=list)

    def noted(self, request: Request) -> None:
        """Login codes that this browser was led to."""
        codes = parse_qs(urlsplit(request.url).query).get("code", [])
        self.secrets |= {one for one in codes if len(one) > 8}

    def at(self, address: str) -> Page:
        """A new window with the page of somebody's own."""
        page = self.context.new_page()
        page.goto(address)
        page.locator("#evil").wait_for()
        return page

    def logins(self, cookies: list[Any] | None = None) -> set[tuple[str, str, str]]:
        """Cookies of hub, portal and gateways, the browser's or of ``cookies``; no XSRF token."""
        given = self.context.cookies() if cookies is None else cookies
        ours = [one for one in given if _OURS.match(one["name"])]
        return {(one["name"], one["path"], one["value"]) for one in ours}

    def restore(self) -> None:
        """One window is left, with the logins of the beginning."""
        for one in self.context.pages[1:]:
            one.close()
        self.context.clear_cookies()
        self.context.add_cookies(self.cookies)


class Place:
    """``own``: address of the instance with the page; ``other``: of the other; ``apart``: each has its own host."""

    def __init__(
        self, site: Site, own: dict[str, Any], other: dict[str, Any], clients: dict[str, httpx.Client]
    ) -> None:
        self.site, self.clients = site, clients
        self.id, self.own = own["id"], urljoin(site.url, own["url"])
        self.other_id, self.other = other["id"], urljoin(site.url, other["url"])
        self.portal, self.hub = self._address("services/visa/"), self._address("hub/").removesuffix("/hub/")
        self.apart = urlsplit(self.own).netloc != urlsplit(self.other).netloc
        self.visitors: dict[str, Visitor] = {}
        self.invitation = ""
        with site.login("lise") as attacker:
            assert attacker.get("/services/visa/").is_success
            self.planted = [(one.name, one.value) for one in attacker.cookies.jar]

    def _address(self, path: str) -> str:
        """Where a browser is in the end that goes there without a login."""
        with Browser(follow_redirects=True) as nobody:
            answer = nobody.get(f"{self.site.url}/{path}", headers={"Accept": "text/html"})
            hosts = [httpx.URL(one.url) for one in (answer, *reversed(answer.history))]
            return next(
                f"{url.scheme}://{url.netloc.decode()}/{path}" for url in hosts if url.path.startswith(f"/{path}")
            )

    def told(self, visitor: Visitor) -> dict[str, Any]:
        """What the attacker knows: addresses, and logins that are theirs and under way."""
        portal = (f"{self.portal}{path}" for path in ("", f"instances/{self.other_id}", "api/v1/instances"))
        return {
            "me": visitor.name,
            "hub": self.hub,
            "portal": self.portal,
            "id": self.id,
            "own": self.own,
            "other": self.other,
            "apart": self.apart,
            "shown": [f"{self.hub}/hub/token", f"{self.hub}/hub/api/user", *portal, f"{self.hub}/hub/home"],
            "readable": self.readable(),
            "acts": self.acts(),
            "logins": self.logins(),
            "host": urlsplit(self.own).hostname,
            "planted": self.planted,
            "paths": TOSSED,
        }

    def readable(self) -> list[str]:
        """Every page and answer of the hub's and the portal's; of the other instance where a host keeps it apart."""
        pages = [re.sub(r"\([^)]*\)", self.other_id, path) for path, *_ in routes("/services/visa/")]
        api = [f"/services/visa/api/v1/{self._filled(one.path)}" for one in OPERATIONS if one.method == "GET"]
        portal = [self.portal + path.removeprefix("/services/visa/") for path in (*pages, *api)]
        hub = [f"{self.hub}/hub/{path}" for path in HUB_PAGES]
        other = ["", "lab", "api/contents", "api/terminals", "_visa/people", "desktop/", "files/x"]
        return portal + hub + [self.other + path for path in other if self.apart]

    def acts(self) -> list[tuple[str, str, str | None]]:
        """Every operation of the portal's API that does something, on both instances."""
        bodies = {
            "members": {"username": "lise", "role": "collaborator"},
            "sharing": {"support": "act"},
            "invitations": {
                "kind": "public",
                "role": "collaborator",
                "expires": (now() + timedelta(days=1)).isoformat(),
            },
            "instances": {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small", "title": "stolen"},
            "requests": {"wanted": "collaborator", "reason": "stolen"},
            "support": {"wanted": "act", "reason": "stolen"},
            "break-glass": {"reason": "stolen", "act": True},
            "help": {"message": "stolen"},
        }
        found = []
        for one in OPERATIONS:
            if one.method != "GET":
                body = bodies.get(one.path.rpartition("/")[2], {"title": "stolen"} if one.method == "PATCH" else {})
                address = f"{self.portal}api/v1/{self._filled(one.path)}"
                found.append((one.method, address, json.dumps(body) if one.method in ("POST", "PATCH") else None))
        return found

    def _filled(self, path: str) -> str:
        return path.replace("{id}", self.other_id).replace("{username}", "rosalind").replace("{n}", "1")

    def logins(self) -> list[str]:
        """Logins at the portal and at the other instance that the attacker began in a browser of their own."""
        with Browser(headers={"Accept": "text/html"}) as attacker:
            return [str(attacker.get(address).headers["Location"]) for address in (self.portal, self.other, self.own)]

    def came(self) -> str:
        """All that the environment was ever sent."""
        answer = self.clients["marie"].get(f"{self.own}lab/tree/seen")
        assert answer.status_code == 200, answer.text
        return answer.text

    def state(self) -> dict[str, Any]:
        """What there is to be changed, as those see it who may."""
        marie, hub = self.clients["marie"], f"{self.site.url}/hub/api/users/"
        found: dict[str, Any] = {}
        parts = ("members", "sharing", "invitations", "requests")
        for one in ("instances", *(f"instances/{i}/{part}" for i in (self.id, self.other_id) for part in parts)):
            found[one] = marie.get(f"{self.portal}api/v1/{one}").json()
            if one.endswith("/members"):
                found[one] = [(member["username"], member["role"]) for member in found[one]]
        for path in ("api/terminals", "api/kernels", "api/sessions"):
            found[path] = marie.get(self.other + path).json()
        for name, client in self.clients.items():
            told = client.get(hub + name).json()
            found[f"servers of {name}"] = sorted(told["servers"])
            tokens = client.get(f"{hub}{name}/tokens").json()["api_tokens"]
            found[f"tokens of {name}"] = sorted(
                one["id"] for one in tokens if one["oauth_client"] in (None, "JupyterHub")
            )
        for one in found["instances"]:
            for name in ("last_activity", "ends", "notice"):
                one.pop(name, None)
        return found

    def logged_in(self, visitor: Visitor) -> bool:
        """Whether hub and portal know the browser as the person whose it is."""
        shown = visitor.context.request.get(self.portal).text()
        return f"Logged in as {visitor.name}" in shown and visitor.context.request.get(f"{self.hub}/hub/token").ok


def found_in(told: str, visitor: Visitor) -> list[str]:
    """Which of the person's secrets, and of what only hub and portal show, are in what the attacker has."""
    text = told.replace('\\"', '"')
    return [one for one in (*visitor.secrets, *_MARKS) if one and one in text]


@contextmanager
def hostile(site: Site, browser: Chromium) -> Iterator[Place]:
    """Everybody's browser is open at the page, for the length of a block."""
    with ExitStack() as stack:
        clients = {}
        for name in (*PEOPLE, "lise"):
            token = site.token(name)
            clients[name] = stack.enter_context(httpx.Client(headers={"Authorization": f"token {token}"}, timeout=60))
        made = [stack.enter_context(instance_of(site, title=title)) for title in ("Together", PRIVATE)]
        api = f"{site.portal}api/v1/instances/"
        own, other = (clients["marie"].get(api + identifier).json() for identifier in made)
        place = Place(site, own, other, clients)
        _share(place)
        _take_the_socket(place)
        for name in PEOPLE:
            place.visitors[name] = stack.enter_context(_opened(place, browser, name))
        yield place


def _share(place: Place) -> None:
    """Dorothy supports it, Grace breaks the glass, Rosalind is a member; there is a link too."""
    who, base = place.clients, f"{place.portal}api/v1/instances/{place.id}/"

    def done(answer: httpx.Response) -> Any:
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    done(who["marie"].patch(f"{base}sharing", json={"support": "ask", "presence": "any"}))
    done(who["grace"].post(f"{base}break-glass", json={"reason": "Smoke", "act": True}))
    done(who["dorothy"].post(f"{base}support", json={"wanted": "act", "reason": "To look"}))
    (asked,) = done(who["marie"].get(f"{base}requests"))
    done(who["marie"].post(f"{base}requests/{asked['id']}", json={"answer": "approve"}))
    expires = (now() + timedelta(hours=1)).isoformat()
    link = {"kind": "public", "role": "collaborator", "expires": expires}
    place.invitation = done(who["marie"].post(f"{base}invitations", json=link))["token"]
    # By the link she would be there only while Marie is.
    done(who["marie"].post(f"{base}members", json={"username": "rosalind", "role": "collaborator"}))


def _take_the_socket(place: Place) -> None:
    """What a collaborator may run in a kernel."""
    program = (HERE / "environment.py").read_text()
    kernel = Kernel.begin(place.own, {"Authorization": place.clients["marie"].headers["Authorization"]})
    printed = kernel.run(
        f"import os, subprocess, sys\nopen('/tmp/mine.py', 'w').write({program!r})\n"
        "subprocess.run([sys.executable, '/tmp/mine.py', str(os.getpid())], stdout=subprocess.DEVNULL, "
        "stderr=subprocess.DEVNULL)\n"
        "print('begun')"
    )
    assert printed.strip() == "begun", printed
    kernel.end()

    def taken() -> bool:
        answer = place.clients["marie"].get(f"{place.own}lab/tree/seen")
        return answer.status_code == 200 and answer.text.startswith("[")

    until(taken, 60, "the page of somebody's own")


@contextmanager
def _opened(place: Place, browser: Chromium, name: str) -> Iterator[Visitor]:
    context = browser.new_context()
    visitor = Visitor(name, context, {place.invitation})
    context.on("request", visitor.noted)
    page = log_in(context, place.site.url, name)
    token = page.locator("meta[name=visa-page]").get_attribute("content")
    page.goto(f"{place.portal}join/{place.invitation}")
    page.goto(f"{place.portal}instances/{place.id}/open")
    page.locator("#evil").wait_for()
    there = context.new_page()
    for address in (f"{place.hub}/hub/token", place.portal):
        there.goto(address)
    there.close()
    visitor.cookies = context.cookies()
    visitor.secrets |= {token or "", *(one["value"] for one in visitor.cookies if len(one["value"]) > 8)}
    yield visitor
    context.close()


def settled(page: Page, work: Callable[[], Any]) -> Any:
    """What ``work`` gives, once all windows that it opened have loaded."""
    given = work()
    for one in page.context.pages:
        if one is not page:
            one.wait_for_load_state(timeout=60_000)
    return given
