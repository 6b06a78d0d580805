"""Every way to start a server passes admission before anything is stored.

JupyterHub stores start options before it looks at them and reuses what is stored. So its server API is
answered by a subclass that asks admission first, and its spawn pages lead to the portal.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any
from urllib.parse import urlencode

from jupyterhub.apihandlers.users import ActivityAPIHandler, UserServerAPIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.scopes import needs_scope
from tornado import web

from visa.bodies import Bodies, Bounds
from visa.connections import Connections
from visa.cookies import HUB, HostCookies
from visa.hub import settings
from visa.hub.admitted import StartRefused
from visa.hub.again import AgainHandler
from visa.hub.away import end_all_the_same, say_when_a_database_is_away
from visa.hub.hosts import InstanceHandler, keep_to_own_host, tell_addresses
from visa.hub.leaving import asking
from visa.hub.reconcile import Reconciler
from visa.hub.reports import GatewayHandler
from visa.hub.rights import ProxyHandler, ServiceHandler, TokensHandler, UserHandler, UsersHandler
from visa.hub.scripts import tell_scripts_no_token
from visa.hub.sharing.handlers import EnterHandler, PeopleHandler, StartupHandler
from visa.hub.sharing.login import AuthorizeHandler, TokenHandler
from visa.hub.sharing.watch import Watch
from visa.identifiers import ExperimentId, InvalidIdentifier, instance_id
from visa.instances.model import Reason, Refusal
from visa.instances.request import MOST_EXPERIMENTS
from visa.instances.texts import for_hub
from visa.store.store import Decision

LARGEST_BODY = 64 * 1024
WAITING = 1024
"""Connections that wait for a request: besides the proxy's there are the gateways' own."""
BODIES = Bounds(each=2**20, together=2**24, seconds=30)
PORTAL = "services/visa/"


class Refused(web.HTTPError):
    """A refusal as an answer of the hub's API: message, and `reason`, `remedy`, `field` beside it."""

    def __init__(self, error: StartRefused) -> None:
        super().__init__(error.status_code, "%s", error.refusal)
        self.jupyterhub_message = str(error.refusal)
        self.refusal = error.refusal


class ServerHandler(UserServerAPIHandler):  # type: ignore[misc]
    """POST, PUT and PATCH of a server, with admission first."""

    async def prepare(self) -> None:
        """Bodies are small here."""
        self._known: dict[str, Any] = {}
        await super().prepare()
        if len(self.request.body) > LARGEST_BODY:
            raise web.HTTPError(413, f"The request is larger than {LARGEST_BODY // 1024} KiB; start options are short")

    def find_user(self, user_name: str) -> Any:
        """As JupyterHub finds her, once for each request: it asks its database each time."""
        found = self._known.get(user_name) or super().find_user(user_name)
        if found is not None:
            self._known[user_name] = found
        return found

    @needs_scope("start:servers")
    async def put(self, user_name: str, server_name: str = "") -> None:
        """Create a server without starting it: options, when given, must be admissible now."""
        body = self.get_server_json_body()
        self._check_display_name(body.get("display_name"))
        if body.get("user_options") is not None:
            await self._precheck(user_name, server_name, body["user_options"])
        elif not server_name:
            await self._precheck(user_name, server_name, {})
        await super().put(user_name, server_name)

    @needs_scope("start:servers")
    async def post(self, user_name: str, server_name: str = "") -> None:
        """Start a server: what is refused stores nothing and leaves no server."""
        self._check_display_name(self.get_server_json_body().get("display_name"))
        user = self.find_user(user_name)
        row = user.orm_spawners.get(server_name) if user else None
        before = row.user_options if row else None
        running = bool(user and server_name in user.spawners and user.spawners[server_name].active)
        if not running:
            options = self.get_server_json_body().get("user_options")
            await self._precheck(user_name, server_name, before or {} if options is None else options)
        undo = partial(self._undo, user, server_name, row is not None, before)
        try:
            await super().post(user_name, server_name)
        except StartRefused as error:
            undo()
            raise Refused(error) from None
        # Answered as "under way" because facts were slow to come: what is refused later is undone later.
        spawner = user.spawners.get(server_name) if user else None
        if spawner is not None and spawner._spawn_future is not None:
            spawner._spawn_future.add_done_callback(partial(_when_refused, undo))

    @needs_scope("start:servers")
    async def patch(self, user_name: str, server_name: str = "") -> None:
        """Change title or stored options: the options must be admissible now; the name stays."""
        body = self.get_json_body()
        if not isinstance(body, dict) or not body:
            raise web.HTTPError(400, "Give an object with display_name or user_options")
        unknown = sorted(set(body) - {"display_name", "user_options"})
        if unknown:
            shown = ", ".join(key[:40] for key in unknown[:5])
            raise web.HTTPError(400, f"{shown} cannot be changed; display_name and user_options can")
        self._check_display_name(body.get("display_name"))
        if "user_options" in body:
            await self._precheck(user_name, server_name, body["user_options"])
        await super().patch(user_name, server_name)

    @needs_scope("delete:servers")
    async def delete(self, user_name: str, server_name: str = "") -> None:
        """Stop, and remove when asked to; said in the audit trail."""
        user = self.find_user(user_name)
        spawner = user.spawners.get(server_name) if user else None
        active = bool(spawner and spawner.active)
        body = self.get_json_body()
        if body is not None and not isinstance(body, dict):
            raise web.HTTPError(400, 'Give an object, as {"remove": true}, or nothing')
        if spawner is not None:
            spawner.stop_asked = True
        await super().delete(user_name, server_name)
        action = "delete" if (body or {}).get("remove") else "stop"
        if user is not None and (active or action == "delete"):
            decision = Decision(self._actor(user_name), user_name, action, True, instance_id(user_name, server_name))
            await asyncio.to_thread(settings.get().store.record, decision)

    def _actor(self, owner: str) -> str:
        return str(getattr(self.current_user, "name", None) or owner)

    @staticmethod
    def _check_display_name(value: object) -> None:
        if value is not None and (not isinstance(value, str) or not value or value != for_hub(value)):
            remedy = "Use 1 to 255 letters, digits and signs that can be seen, with single spaces between words."
            refusal = Refusal(Reason.MALFORMED, "The display_name cannot be taken.", remedy, "display_name")
            raise Refused(StartRefused(refusal))

    async def _precheck(self, user_name: str, server_name: str, options: object) -> None:
        if self.find_user(user_name) is None:
            raise web.HTTPError(404, f"No such user: {user_name}")
        hub = settings.get()
        await hub.ready()
        outcome = await hub.admissions.check(user_name, options, server_name)
        if isinstance(outcome, Refusal):
            await hub.admissions.refused(user_name, outcome, actor=self._actor(user_name))
            raise Refused(StartRefused(outcome))

    def _undo(self, user: Any, server_name: str, existed: bool, before: Any) -> None:
        """A race was lost after the first check: put the stored options back, or remove the new server."""
        row = user.orm_spawners.get(server_name)
        if row is None:
            return
        if existed:
            row.user_options = before
            if server_name in user.spawners:
                user.spawners[server_name].user_options = before or {}
        else:
            user.spawners.pop(server_name, None)
            self.db.delete(row)
        self.db.commit()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """JupyterHub's error with the refusal's parts."""
        error = (kwargs.get("exc_info") or (None, None, None))[1]
        if not isinstance(error, Refused):
            super().write_error(status_code, **kwargs)
            return
        refusal = error.refusal
        self.set_header("Content-Type", "application/json")
        self.set_status(status_code)
        self.finish(
            json.dumps(
                {
                    "status": status_code,
                    "message": str(refusal),
                    "reason": refusal.reason.value,
                    "remedy": refusal.remedy,
                    "field": refusal.field,
                }
            )
        )


def _when_refused(undo: Callable[[], None], done: asyncio.Future[Any]) -> None:
    if not done.cancelled() and isinstance(done.exception(), StartRefused):
        undo()


class ActivityHandler(ActivityAPIHandler):  # type: ignore[misc]
    """Gateways tell what is in use, also when the owner's login has expired overnight.

    Nothing is read or started here, so the identity provider is not asked: a computation that runs longer
    than its owner's login would else be taken for idle.
    """

    async def refresh_auth(self, user: Any, force: bool = False) -> Any:
        """As it is."""
        return user


class PortalHandler(BaseHandler):  # type: ignore[misc]
    """The hub's home page: the portal's."""

    @web.authenticated
    async def get(self) -> None:
        """Lead there."""
        self.redirect(self.settings["base_url"] + PORTAL)


class SpawnPageHandler(BaseHandler):  # type: ignore[misc]
    """The hub's spawn page and query: admission's answer, or the portal's page with the experiments chosen."""

    @web.authenticated
    async def get(self, user_name: str | None = None, server_name: str = "") -> None:
        """Nothing is started from here."""
        options = self._options()
        own = user_name == self.current_user.name and server_name in self.current_user.orm_spawners
        if own and server_name and not options:
            self.redirect(self.settings["base_url"] + PORTAL)  # her card there starts it again
            return
        if options:
            await self._refuse(user_name, server_name, options)
        known = [name for name in options.get("experiments", []) if _is_experiment(name)]
        query = "?" + urlencode({"experiments": ",".join(known)}) if known else ""
        self.redirect(self.settings["base_url"] + PORTAL + "new" + query)

    @web.authenticated
    async def post(self, user_name: str | None = None, server_name: str = "") -> None:
        """The hub's own form is not used."""
        raise web.HTTPError(405, "Instances are started from the portal or with the REST API.")

    async def _refuse(self, user_name: str | None, server_name: str, options: dict[str, Any]) -> None:
        owner = self.current_user.name
        if user_name not in (None, owner):
            raise web.HTTPError(403, "Instances of other people are not started from this page.")
        admissions = settings.get().admissions
        outcome = await admissions.check(owner, options, server_name or "new")
        if isinstance(outcome, Refusal) and outcome.reason is not Reason.MALFORMED:
            await admissions.refused(owner, outcome, actor=owner)
            raise web.HTTPError(StartRefused(outcome).status_code, str(outcome))

    def _options(self) -> dict[str, Any]:
        options: dict[str, Any] = {}
        for key in self.request.query_arguments:
            if key.startswith("opt-"):
                values = self.get_query_arguments(key)[: MOST_EXPERIMENTS + 1]
                options[key[4:]] = values if key == "opt-experiments" else values[-1]
        return options


def _is_experiment(text: str) -> bool:
    try:
        ExperimentId(text)
    except InvalidIdentifier:
        return False
    return True


def _complete(app: Any) -> None:
    """JupyterHub makes its application right after it asked for these handlers, and its server later."""
    application = app.tornado_application
    keep_to_own_host(application)
    if settings.get().origins.scheme == "https":
        application.start_request = HostCookies(application.start_request, HUB).start_request
    bodies = Bodies(application.start_request, BODIES)
    application.start_request = Connections(bodies.start_request, WAITING).start_request


def handlers(app: Any) -> list[tuple[str, type]]:
    """For `Authenticator.get_handlers`: JupyterHub puts these before its own.

    That call is also where the hub hands out its application: the reconciler and the watch start from here.
    """
    if app.subdomain_host:
        raise SystemExit(
            "The hub does not start: JupyterHub.subdomain_host gives hosts to people, who have one for all their "
            "instances. Leave it out, and give each instance a host of its own (docs/operators/hosts.md)"
        )
    tell_scripts_no_token()
    tell_addresses()
    say_when_a_database_is_away()
    end_all_the_same(app)
    asyncio.get_running_loop().call_soon(_complete, app)
    watch = Watch(app)
    work = (Reconciler(app, watch).run(), watch.run())
    app._visa_tasks = [asyncio.ensure_future(one) for one in work]  # kept, or they could be collected
    return [
        (r"/api/users/([^/]+)/servers/([^/]*)", ServerHandler),
        (r"/api/users/([^/]+)/server", ServerHandler),
        (r"/api/users/([^/]+)/activity", ActivityHandler),
        (r"/api/users", UsersHandler),
        (r"/api/users/([^/]+)", UserHandler),
        (r"/api/users/([^/]+)/tokens", TokensHandler),
        (r"/api/services/([^/]+)", ServiceHandler),
        (r"/api/proxy", ProxyHandler),
        (r"/api/visa/gateways/([^/]+)/([^/]+)", GatewayHandler),
        (r"/api/visa/gateways/([^/]+)/([^/]+)/people", PeopleHandler),
        (r"/api/visa/gateways/([^/]+)/([^/]+)/startup", StartupHandler),
        (r"/api/visa/instances/([0-9a-f]+)/enter", EnterHandler),
        (r"/api/oauth2/authorize", AuthorizeHandler),
        (r"/api/oauth2/token", TokenHandler),
        (r"/visa/again/([0-9]{1,18})", AgainHandler),
        (r"/logout", asking(app.authenticator)),
        (r"/home", PortalHandler),
        (r"/spawn", SpawnPageHandler),
        (r"/spawn/([^/]+)", SpawnPageHandler),
        (r"/spawn/([^/]+)/([^/]+)", SpawnPageHandler),
        (r"/user/(?P<user_name>[^/]+)(?P<user_path>/.*)?", InstanceHandler),
    ]
