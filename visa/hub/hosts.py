"""The hub on its own host only, and the addresses of instances that have hosts of their own.

JupyterHub knows hosts for people (`JupyterHub.subdomain_host`), which all instances of a person share, and takes the
portal away from its own. VISA's are one for each instance (`visa.addresses.Origins`): JupyterHub itself has one host,
as without them, and this module tells it where an instance is, in the few places where it says so.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import UserUrlHandler
from tornado import web

from visa.addresses import host_of, instance_path
from visa.hub import settings
from visa.hub.around import stand
from visa.navigation import navigated


def tell_addresses() -> None:
    """From now on, for JupyterHub's REST API."""
    stand(APIHandler, "server_model", _server_model)


def _server_model(own: Callable[..., Any], self: Any, spawner: Any, *, user: Any = None) -> Any:
    model = own(self, spawner, user=user)
    owner = user if isinstance(spawner, orm.Spawner) else spawner.user
    origins, name = settings.get().origins, spawner.name
    origin = getattr(spawner, "origin", None)  # a running instance's, wherever the next one will be
    if origin is None and name:
        origin = origins.origin(owner.name, name)
    if origin:
        model["url"] = model["full_url"] = origin + instance_path(self.settings["base_url"], owner.name, name)
    return model


def keep_to_own_host(application: web.Application) -> None:
    """Answer on the hosts of instances with nothing of the hub's, whether they run or not."""
    hub = settings.get()
    if hub.origins:
        own = re.escape(host_of(hub.public.partition("://")[2]))
        pattern = rf"(?!{own}$)(?:[^.]+\.)*{re.escape(hub.origins.domain)}\.?$"
        application.add_handlers(pattern, [(r".*", Elsewhere)])


class Elsewhere(web.RequestHandler):
    """On a host of an instance that is not there, or below the same name: the way to the hub, and nothing else."""

    def set_default_headers(self) -> None:
        """What a script elsewhere learns is only that this name leads here, which the demo's login page asks for."""
        self.clear_header("Server")
        self.set_header("Cache-Control", "no-store")

    def prepare(self) -> None:
        """Lead who navigates; tell others."""
        public = settings.get().public
        if self.request.method == "GET" and navigated(self.request.headers):
            uri = self.request.uri or "/"
            self.redirect(public + (uri if uri.startswith("/") else "/"))
            return
        self.set_status(421)
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps({"status": 421, "message": f"Nothing runs at this address; VISA is at {public}"}))

    def check_xsrf_cookie(self) -> None:
        """Nothing is changed here, and no cookie of the hub's comes to this host."""


class InstanceHandler(UserUrlHandler):  # type: ignore[misc]
    """``/hub/user/<owner>/<name>/…``: where the proxy leads what it knows no instance for.

    An instance with a host of its own is never served on the hub's, so its address here leads on, for who navigates.
    """

    _origin = ""

    async def _redirect_to_user_server(self, user: Any, spawner: Any) -> None:
        self._origin = getattr(spawner, "origin", "")
        given = self.request.headers
        if self._origin and ("Authorization" in given or not navigated(given)):
            raise web.HTTPError(421, "This instance has a host of its own: %s", spawner.address)
        await super()._redirect_to_user_server(user, spawner)

    def redirect(self, url: str, *args: Any, **kwargs: Any) -> None:
        """To the instance: on its own host."""
        away = self._origin and url.startswith(f"{self.settings['base_url']}user/")
        super().redirect(self._origin + url if away else url, *args, **kwargs)


class OwnHosts:
    """For proxies: routes of instances begin with their host, all others are the hub's own.

    ``own_host``: the name of the hub's host; empty where instances share it, and no route has a host.
    """

    own_host: str
    delete_route: Any

    async def delete_user(self, user: Any, server_name: str = "") -> None:
        """JupyterHub works the route out anew, without the server's own host."""
        await self.delete_route(user.spawners[server_name].proxy_spec)

    def validate_routespec(self, routespec: str) -> str:
        """With or without a host, and a slash at the end."""
        return routespec if routespec.endswith("/") else routespec + "/"
