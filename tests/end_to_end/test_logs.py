"""What the logs of the demo say of a login in a real browser, and who can read them."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import BrowserContext, Request
from sqlalchemy import select
from sqlalchemy.orm import Session

from tests.portal.people import instance_of
from tests.services.browser import log_in
from tests.services.hub import Site, made_token
from visa.clock import now
from visa.store.store import Store
from visa.store.tables import AuditRow

pytestmark = pytest.mark.timeout(240)

LOGS = ("*.log", "*.log.*", "*.pid", "*.toml", "*.sqlite*", "exit.json", "plan.json")
"""What hub, proxy, supervisors and gateways write, and what is read from them again."""


@dataclass
class Seen:
    """What opens something and was seen by the browser."""

    codes: set[str] = field(default_factory=set)
    states: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    def request(self, request: Request) -> None:
        """In its address."""
        query = parse_qs(urlsplit(request.url).query)
        self.codes |= set(query.get("code", []))
        self.states |= set(query.get("state", []))

    def cookies(self, context: BrowserContext) -> None:
        """Of sessions and logins."""
        self.others |= {one["value"] for one in context.cookies() if len(one["value"]) > 16}

    def spellings(self) -> Iterator[bytes]:
        """As a log might have them."""
        for one in self.codes | self.states | self.others:
            for spelled in {one, one.strip('"'), quote(one, safe=""), quote(quote(one, safe=""), safe="")}:
                yield spelled.encode()


@pytest.fixture(scope="module")
def seen(demo: tuple[str, Path], browser: Chromium) -> Seen:
    """Marie and a colleague came in, opened an instance, were refused, and logged out."""
    url, _ = demo
    site, found, context = Site(url), Seen(), browser.new_context()
    context.on("request", found.request)
    token, guests = made_token(site, "marie"), made_token(site, "lise")
    found.others |= {token, guests}
    with site.rest(token) as marie, site.rest(guests) as lise:
        first = marie.get("experiments").json()["experiments"][0]["id"]
        with instance_of(_Known(site, token), experiments=[first]) as identifier:
            expires = (now() + timedelta(hours=1)).isoformat()
            link = {"kind": "public", "role": "observer", "expires": expires}
            made = marie.post(f"instances/{identifier}/invitations", json=link)
            if made.is_success:
                found.others.add(made.json()["token"])
                lise.post("invitations/redeem", json={"token": made.json()["token"]})
            page = log_in(context, url, "marie")
            found.others.add(page.locator("meta[name=visa-page]").get_attribute("content") or "")
            found.cookies(context)
            page.goto(f"{site.portal}instances/{identifier}/open")
            page.wait_for_url("**/lab**", timeout=60_000)
            found.cookies(context)
            if made.is_success:
                page.goto(f"{site.portal}join/{made.json()['token']}")
            address = urljoin(url, marie.get(f"instances/{identifier}").json()["url"])
            state = min(found.states)
            for code in sorted(found.codes):  # used, and led astray
                for path in (
                    f"{address}oauth_callback",
                    f"{site.portal}oauth_callback",
                    f"{url}/hub/error/503",
                    f"{url}/nowhere",
                ):
                    page.goto(f"{path}?code={code}&state={state}&url={quote(f'{address}?code={code}')}")
            for path in ("api/kernels", "lab"):
                page.goto(f"{address}{path}?token={token}")
            context.request.post(
                f"{url}/hub/api/oauth2/token", form={"code": next(iter(found.codes)), "client_id": "x"}
            )
            page.goto(f"{url}/hub/logout")
    context.close()
    return found


class _Known(Site):
    """A site whose tokens are there already: each that is made is one more to look for."""

    def __init__(self, site: Site, token: str) -> None:
        super().__init__(site.url)
        self._token = token

    def token(self, username: str, **body: object) -> str:
        return self._token


def files(folder: Path) -> Iterator[Path]:
    """Logs and what lies beside them."""
    for pattern in LOGS:
        yield from (path for path in folder.rglob(pattern) if path.is_file() and "homes" not in path.parts)


def test_no_code_session_or_token_is_in_a_log(demo: tuple[str, Path], seen: Seen) -> None:
    assert len(seen.codes) >= 2, "a login at the portal and one at the gateway"
    assert len(seen.states) >= 2
    assert len(seen.others) >= 6
    read = [path for path in files(demo[1]) if ".sqlite" not in path.name]
    assert {"hub.log", "traefik.log"} <= {path.name for path in read}
    found = {
        (path.name, secret.decode()) for path in read for secret in seen.spellings() if secret in path.read_bytes()
    }
    assert found == set()


def test_none_is_in_the_audit_trail(demo: tuple[str, Path], seen: Seen) -> None:
    store = Store(f"sqlite:///{demo[1] / 'state' / 'visa.sqlite'}")
    with Session(store.engine) as session:
        rows = [
            repr({c.name: getattr(row, c.key, None) for c in AuditRow.__table__.columns})
            for row in session.scalars(select(AuditRow))
        ]
    store.close()
    assert rows
    told = "\n".join(rows).encode()
    assert [secret for secret in seen.spellings() if secret in told] == []


def test_logs_are_their_owners_only(demo: tuple[str, Path], seen: Seen) -> None:
    open_to_others = [
        (path.name, stat.filemode(path.stat().st_mode)) for path in files(demo[1]) if path.stat().st_mode & 0o077
    ]
    assert open_to_others == []
