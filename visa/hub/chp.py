"""configurable-http-proxy in a pod of its own, which keeps its routes in memory.

JupyterHub looks at the routes of a proxy that it did not start once in a minute. A proxy that was replaced would
show everybody the hub's "not found" for that long. This looks every two seconds at one route, which costs nothing,
and fills a proxy that does not know it. A pod that is gone with its node says nothing, not even that it is gone:
without `PATIENCE` a question to it would keep the next one waiting for five minutes.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from aiohttp import ClientError, ClientResponseError, ClientTimeout
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.utils import fetch, url_path_join
from tornado.ioloop import PeriodicCallback
from traitlets import Unicode, default

from visa.hub.hosts import OwnHosts

PATIENCE = ClientTimeout(total=300, sock_connect=3, sock_read=10)
"""Of the hub's own requests, in seconds; JupyterHub tries again what took longer. The total is aiohttp's."""


class VisaHTTPProxy(OwnHosts, ConfigurableHTTPProxy):  # type: ignore[misc]
    """Starts no process: `start` begins to look. With ``own_host`` the proxy has to run with ``--host-routing``."""

    own_host = Unicode("", config=True, help="The hub's host, where instances have others; set by visa.hub.chart.")
    _looking: PeriodicCallback | None = None

    @default("check_running_interval")
    def _check_running_interval(self) -> int:
        return 2

    async def start(self) -> None:
        """Called once at the hub's start."""
        self._looking = PeriodicCallback(self.check_running, 1000 * self.check_running_interval)
        self._looking.start()

    def stop(self) -> None:
        """The proxy goes on."""
        if self._looking is not None:
            self._looking.stop()

    async def check_running(self) -> None:
        """Fill a proxy that is new."""
        known = [service for service in self.app._service_map.values() if service.server]
        if self.app.http_server is None or not known:
            return  # the hub's own start fills it
        try:
            if not await self._has(known[0].proxy_spec):
                self.log.warning("The proxy is new; filling in its routes")
                await self.check_routes(self.app.users, self.app._service_map)
        except (ClientError, OSError) as error:
            self.log.warning("The proxy does not answer: %s", error)

    def _routespec_to_chp_path(self, routespec: str) -> str:
        """With routing by host, the proxy has the host as the first part of each path."""
        spec = self.validate_routespec(routespec)
        if self.own_host and spec != "/" and spec.startswith("/"):
            spec = self.own_host + spec
        return "/" + spec.strip("/")

    def _routespec_from_chp_path(self, chp_path: str) -> str:
        """What `_routespec_to_chp_path` was given."""
        spec = quote(chp_path, safe="@/~").strip("/")
        if not self.own_host:
            return f"/{spec}/" if spec else "/"
        host, _, path = spec.partition("/")
        return f"/{path}".rstrip("/") + "/" if host in ("", self.own_host) else f"{spec}/"

    async def _has(self, spec: str) -> bool:
        """Whether it knows the route."""
        url = url_path_join(self.api_url, "api/routes", self._routespec_to_chp_path(spec))
        headers: dict[str, Any] = {"Authorization": f"token {self.auth_token}"}
        try:
            await fetch(url, headers=headers)
        except ClientResponseError as error:
            if error.status == 404:
                return False
            raise
        return True
