"""Routes and start of the portal."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import logging
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jinja2
from jupyterhub.services.auth import HubOAuth
from sqlalchemy.exc import OperationalError
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.routing import Router

from visa.addresses import Origins
from visa.bodies import Bodies, Bounds
from visa.catalogue.current import CurrentCatalogue
from visa.connections import Connections
from visa.cookies import PORTAL, SESSION, HostCookies
from visa.facility.watch import FacilitySource
from visa.portal import live, pages
from visa.portal.handlers import LARGEST_BODY, Api, Callback
from visa.portal.hub import HubClient
from visa.portal.service import PortalService
from visa.portal.sharing import pages as sharing_pages
from visa.store.admissions import Admissions
from visa.store.memory import CatalogueMemory
from visa.store.schema import SchemaMismatch
from visa.store.store import Store

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
_PR_SET_PDEATHSIG = 1
WAITING = 512
BODIES = Bounds(each=4 * LARGEST_BODY, together=2**23, seconds=30)
CACHED = 20
"""Seconds for which the hub's word on who holds a token is kept."""
_LOOK = 2.0
"""Seconds between two looks at a store that cannot be used yet."""


class Static(web.StaticFileHandler):
    """The portal's own scripts and styles."""

    def prepare(self) -> None:
        """None is a service worker, which a page on the same host could leave in a browser."""
        if "Service-Worker" in self.request.headers:
            raise web.HTTPError(403)

    def set_extra_headers(self, path: str) -> None:
        """They change with the version only; a few minutes are enough to be quick."""
        self.set_header("Cache-Control", "max-age=300")
        self.set_header("X-Content-Type-Options", "nosniff")


def routes(prefix: str) -> list[tuple[Any, ...]]:
    """Every address of the portal, as tornado takes them; ``prefix``: the service's own path."""
    return [
        (prefix, pages.Home),
        (prefix.rstrip("/"), web.RedirectHandler, {"url": prefix}),
        (prefix + "cards", pages.Cards),
        (prefix + "new", pages.New),
        (prefix + "experiments", pages.Experiments),
        *((prefix + path, handler) for path, handler in sharing_pages.ROUTES),
        (prefix + "changes", live.Changes),
        (prefix + "accent.css", pages.Accent),
        (prefix + "logout", pages.Logout),
        (prefix + "oauth_callback", Callback),
        (prefix + r"static/(.*)", Static, {"path": str(HERE / "static")}),
        (prefix + r"api/v1/(.*)", Api),
        (r".*", pages.NotFound),
    ]


def make_app(service: PortalService, auth: HubOAuth, base: str, secret: bytes) -> web.Application:
    """``auth``: how the hub says who asks, and the service's own path; ``base``: JupyterHub's path."""
    prefix = auth.base_url
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return web.Application(
        routes(prefix),
        service=service,
        auth=auth,
        templates=templates,
        prefix=prefix,
        base=base,
        watchers={},
        heart=live.Heart(service.store),
        cookie_secret=secret,
        log_function=_log,
    )


def _log(handler: web.RequestHandler) -> None:
    level = logging.INFO if handler.get_status() < 500 else logging.WARNING
    path = handler.request.path[:200]
    log.log(level, "%d %s %s %.0f ms", handler.get_status(), handler.request.method, path, _milliseconds(handler))


def _milliseconds(handler: web.RequestHandler) -> float:
    return 1000 * handler.request.request_time()


def _cookie_secret() -> bytes:
    """Replicas share ``VISA_PORTAL_COOKIE`` (hexadecimal digits): a login may begin at one and end at another.

    The hub has it too, for `visa.instances.pictures`.
    """
    shared = os.environ.get("VISA_PORTAL_COOKIE", "")
    return bytes.fromhex(shared) if shared else os.urandom(32)


def address() -> tuple[str, int]:
    """Where to listen: ``VISA_PORTAL_LISTEN``, else where people's requests are sent to."""
    url = urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"])
    host, _, port = os.environ.get("VISA_PORTAL_LISTEN", "").rpartition(":")
    if port:
        return host.strip("[]"), int(port)
    return url.hostname or "127.0.0.1", url.port or 80


async def usable(store: Store) -> None:
    """Wait until the hub has brought the store to this version's schema: replicas may be up before it."""
    said = ""
    while True:
        try:
            await asyncio.to_thread(store.verify)
            return
        except (SchemaMismatch, OperationalError) as error:
            why = str(error.orig if isinstance(error, OperationalError) else error)
            if why != said:
                log.warning("Waiting for the store: %s", why)
                said = why
            await asyncio.sleep(_LOOK)


@contextlib.asynccontextmanager
async def application(
    facility: FacilitySource, store: Store, auth: HubOAuth, base: str, origins: Origins | None = None
) -> AsyncIterator[web.Application]:
    """The portal with all that works for it, for the length of a block."""
    catalogue, hub = CurrentCatalogue(facility, CatalogueMemory(store)), HubClient(auth.api_url)
    admissions = Admissions(facility, lambda: catalogue, store)
    watching = asyncio.create_task(facility.watch())
    try:
        secret = _cookie_secret()
        service = PortalService(facility, admissions, store, hub, base, auth.base_url, origins, secret)
        yield make_app(service, auth, base, secret)
    finally:
        watching.cancel()
        await hub.close()
        await catalogue.close()


async def serve() -> None:
    """Until SIGTERM, with the variables that JupyterHub gives a managed service; own replicas get the same."""
    # The hub may be killed; a portal without it answers nobody, and the next hub needs the port.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    kept = os.environ.get("VISA_FACILITY_KEPT", "")  # the hub's; replicas have none
    facility = FacilitySource(Path(os.environ["VISA_FACILITY"]), Path(kept) if kept else None, keeps=False)
    store = Store(os.environ["VISA_STORE_URL"])
    await usable(store)
    end = asyncio.Event()
    base, origins = os.environ["JUPYTERHUB_BASE_URL"], Origins.read(os.environ.get("VISA_INSTANCES", ""))
    async with application(facility, store, HubOAuth(cache_max_age=CACHED), base, origins) as app:
        server = listening(app, bound=origins.scheme == "https")
        host, port = address()
        server.listen(port, host)
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, end.set)
        await end.wait()
        server.stop()


def listening(app: Router, *, bound: bool = False) -> HTTPServer:
    """A server for ``app``, which listens nowhere yet; ``bound``: no other host sets its cookies (`visa.cookies`)."""
    start = HostCookies(app.start_request, PORTAL, SESSION).start_request if bound else app.start_request
    return HTTPServer(Connections(Bodies(start, BODIES).start_request, WAITING))
