"""The portal in the tests' own process, in a thread with an event loop of its own, beside a double of the hub.

Store, catalogue and facility.yaml are real; people, programs and Chromium reach both at one real port.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from jupyterhub.services.auth import HubOAuth
from playwright.sync_api import BrowserContext, Page
from tornado.netutil import bind_sockets
from tornado.routing import PathMatches, Rule, RuleRouter

from tests.services.hub import Site
from tests.services.hub_double import CLIENT, PORTAL, SECRET, HubDouble
from visa.facility.watch import FacilitySource
from visa.portal.app import CACHED, application, listening
from visa.store.store import Store

if TYPE_CHECKING:
    from playwright._impl._api_structures import SetCookieParam  # Playwright shows it nowhere else

T = TypeVar("T")


class RunningPortal(Site):
    """``hub``: the double, which lives in the portal's thread: use it from a test with `within`."""

    hub: HubDouble

    def __init__(self, folder: Path, facility_file: Path) -> None:
        self.facility = facility_file
        self._source = FacilitySource(facility_file)
        self.store = Store(f"sqlite:///{folder / 'visa.sqlite'}")
        self.store.upgrade()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="portal", daemon=True)
        self._over = asyncio.Event()
        self._cookies: dict[str, list[SetCookieParam]] = {}
        self._sockets = bind_sockets(0, "127.0.0.1")
        super().__init__(f"http://127.0.0.1:{self._sockets[0].getsockname()[1]}")

    @contextmanager
    def served(self) -> Iterator[RunningPortal]:
        """It answers for the length of a block."""
        self._thread.start()
        up = threading.Event()
        work = asyncio.run_coroutine_threadsafe(self._serve(up.set), self._loop)
        work.add_done_callback(lambda _: up.set())
        up.wait(60)
        try:
            if work.done():
                work.result()
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._over.set)
            try:
                work.result(60)
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join(60)
                self._loop.close()
                self.store.close()

    async def _serve(self, up: Callable[[], None]) -> None:
        auth = HubOAuth(
            api_token=SECRET,
            api_url=f"{self.url}/hub/api",
            base_url=PORTAL,
            hub_prefix="/hub/",
            oauth_client_id=CLIENT,
            access_scopes={"access:services!service=visa"},
            cache_max_age=CACHED,
        )
        async with application(self._source, self.store, auth, "/") as app:
            self.hub = HubDouble(app.settings["service"].admissions)
            hub = self.hub.application()
            parts = [Rule(PathMatches(PORTAL.rstrip("/") + "(/.*)?"), app), Rule(PathMatches(".*"), hub)]
            server = listening(RuleRouter(parts))
            server.add_sockets(self._sockets)
            up()
            await self._over.wait()
            server.stop()
            await server.close_all_connections()

    def within(self, work: Coroutine[Any, Any, T]) -> T:
        """Do ``work`` in the portal's thread."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    def token(self, username: str, **body: Any) -> str:
        """A hub token of hers, who is known from now on; ``scopes`` may say what for."""

        async def made() -> str:
            assert await self.hub.know(username), f"the catalogue knows no {username}"
            return self.hub.token(username, frozenset(body["scopes"]) if "scopes" in body else None)

        return self.within(made())

    def enter(self, context: BrowserContext, username: str) -> Page:
        """Her home page in a browser with the cookies of a login that was made without it, once."""
        if username not in self._cookies:
            with self.login(username) as browser:
                assert browser.get("/services/visa/").status_code == 200
                self._cookies[username] = [
                    {"name": one.name, "value": one.value or "", "domain": "127.0.0.1", "path": one.path}
                    for one in browser.cookies.jar
                ]
        context.add_cookies(self._cookies[username])
        page = context.new_page()
        page.goto(self.portal)
        return page

    def hold(self) -> None:
        """Starts take until `let_go`."""
        self._loop.call_soon_threadsafe(self.hub.may_start.clear)

    def let_go(self) -> None:
        """What was held is ready."""
        self._loop.call_soon_threadsafe(self.hub.may_start.set)


@contextmanager
def portal(folder: Path, facility_file: Path) -> Iterator[RunningPortal]:
    """A portal on the facility of ``facility_file`` for the length of a block; ``folder`` keeps its store."""
    folder.mkdir(parents=True, exist_ok=True)
    with RunningPortal(folder, facility_file).served() as running:
        yield running
