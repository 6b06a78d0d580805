"""A double of JupyterHub: what the portal and the people in front of it ask of a hub, and nothing more.

It is one tornado application, in whatever process serves it. Logins, tokens and servers are rows in memory; facility,
catalogue, admission and store are real. No instance runs: a start is ready at once, or when a test lets go of it.
`tests/portal/test_hub.py` holds it to the real hub.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import secrets
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

from jupyterhub._data import DATA_FILES_PATH
from tornado import web

from visa import clock
from visa.addresses import instance_path
from visa.hub.people import person_of
from visa.identifiers import instance_id
from visa.instances.model import Reason, Refusal
from visa.instances.texts import for_hub
from visa.store.admissions import HTTP_STATUS, Admissions
from visa.store.people import People

SECRET = "the portal's own token"
CLIENT = "service-visa"
PASSWORD = "visa"
PORTAL = "/services/visa/"
_LOGIN = "jupyterhub-hub-login"
_SESSION = "jupyterhub-session-id"


@dataclass(frozen=True)
class Token:
    """Who holds it, and what for; ``session``: the login in a browser that it came from, with which it ends."""

    username: str
    scopes: frozenset[str]
    session: str | None = None

    def may(self, scope: str, owner: str) -> bool:
        """On the things of ``owner``."""
        return f"{scope}!user={owner}" in self.scopes


@dataclass
class Server:
    """One server; ``steps``: what its start told so far."""

    name: str
    title: str
    options: dict[str, Any] = field(default_factory=dict)
    pending: str | None = None
    ready: bool = False
    steps: list[dict[str, Any]] = field(default_factory=list)
    start: asyncio.Task[None] | None = None
    last_activity: str | None = None


def own_scopes(username: str) -> frozenset[str]:
    """What one's own token and the portal's may, as the hub writes it."""
    names = ("read:users", "read:servers", "start:servers", "delete:servers", "access:servers")
    rights = {f"{name}!user={username}" for name in names}
    return frozenset({"access:services!service=visa", "custom:visa:read", "custom:visa:write", *rights})


class HubDouble:
    """Its state; ``may_start``: starts wait for it."""

    def __init__(self, admissions: Admissions) -> None:
        self.admissions, self.store = admissions, admissions.store
        self.people = People(self.store)
        self.tokens: dict[str, Token] = {}
        self.logins: dict[str, str] = {}
        self.codes: dict[str, tuple[str, str, str]] = {}
        self.servers: dict[str, dict[str, Server]] = {}
        self.may_start = asyncio.Event()
        self.may_start.set()

    def application(self) -> web.Application:
        """For ``/hub/``, and for ``/user/``, where a page stands for every instance."""
        user, server = r"/hub/api/users/([^/]+)", r"/servers/([^/]+)"
        return web.Application(
            [
                (r"/", web.RedirectHandler, {"url": "/hub/", "permanent": False}),
                (r"/hub/(?:home)?", _Root),
                (r"/hub/login", _Login),
                (r"/hub/token", _Page),
                (r"/hub/logout", _Logout),
                (r"/hub/static/(.*)", web.StaticFileHandler, {"path": str(Path(DATA_FILES_PATH) / "static")}),
                (r"/hub/visa/again/([0-9]+)", _Again),
                (r"/hub/api/oauth2/authorize", _Authorize),
                (r"/hub/api/oauth2/token", _Code),
                (r"/hub/api/user", _Self),
                (user, _User),
                (user + server, _Server),
                (user + server + "/progress", _Progress),
                (r"/hub/api/visa/instances/([0-9a-f]+)/enter", _Enter),
                (r"/user/[^/]+/[^/]+/", web.RedirectHandler, {"url": "lab/tree/notebooks"}),
                (r"/user/.*", _Page),
            ],
            hub=self,
            cookie_secret=secrets.token_bytes(32),
            log_function=lambda handler: None,
        )

    async def know(self, username: str) -> bool:
        """A login: the person as the catalogue has her is kept in the store; False when nobody is called so."""
        catalogue, facility = self.admissions.catalogue(), self.admissions.facility.current
        known = (await catalogue.person(username)).value
        if known is None:
            return False
        claims = {facility.people.username_claim: username, facility.people.name_claim: known.name}
        instruments = (await catalogue.instruments()).value
        person = person_of(claims, known, instruments, facility, clock.now())
        await asyncio.to_thread(self.store.put_person, person)
        return True

    def token(self, username: str, scopes: frozenset[str] | None = None, session: str | None = None) -> str:
        """A new one; with all of ``username``'s own rights unless ``scopes`` says fewer."""
        made = secrets.token_hex(16)
        own = f"!user={username}"
        given = (
            None
            if scopes is None
            else {f"{one.removesuffix('!user')}{own}" if one.endswith("!user") else one for one in scopes}
        )
        self.tokens[made] = Token(username, own_scopes(username) if given is None else frozenset(given), session)
        return made

    def of(self, owner: str) -> dict[str, Server]:
        """Servers by name."""
        return self.servers.setdefault(owner, {})

    async def start(self, owner: str, name: str, title: str, options: dict[str, Any]) -> None:
        """Admission as at the hub, then a start on its own; raise `Refused` for both."""
        outcome = await self.admissions.check(owner, options, name)
        if isinstance(outcome, Refusal):
            await self.admissions.refused(owner, outcome, actor=owner)
            raise Refused(outcome)
        before = self.of(owner).get(name)
        server = self.of(owner)[name] = Server(name, title or (before.title if before else name), options, "spawn")
        server.start = asyncio.create_task(self._start(owner, server))
        await asyncio.wait([server.start], timeout=20)  # then it goes on by itself
        error = server.start.exception() if server.start.done() and not server.start.cancelled() else None
        if error is not None:
            if before is None:
                del self.of(owner)[name]
            raise error

    async def _start(self, owner: str, server: Server) -> None:
        try:
            server.steps.append({"message": "Checking your experiments", "progress": 5})
            options, title = server.options, server.title
            outcome = await self.admissions.reserve(
                owner, options, server.name, actor=owner, holder="double", title=title
            )
            if isinstance(outcome, Refusal):
                raise Refused(outcome)
            server.steps.append({"message": "Starting the notebook", "progress": 50})
            try:
                await self.may_start.wait()
            except asyncio.CancelledError:
                self.store.release(instance_id(owner, server.name))
                raise
            await asyncio.to_thread(self.store.mark_running, instance_id(owner, server.name))
            server.ready, server.last_activity = True, clock.now().isoformat()
        finally:
            server.pending = None

    async def stop(self, owner: str, server: Server, *, remove: bool) -> None:
        """End it, or its start; forget it when told to."""
        if server.pending and server.start is not None:
            server.start.cancel()
            await asyncio.wait([server.start])
        server.ready, identifier = False, instance_id(owner, server.name)
        await asyncio.to_thread(self.store.release, identifier)
        if remove:
            self.of(owner).pop(server.name, None)
            await asyncio.to_thread(self.store.forget, identifier)


class Refused(Exception):
    """Admission said no."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal))
        self.refusal = refusal


class _Handler(web.RequestHandler):
    @property
    def hub(self) -> HubDouble:
        hub: HubDouble = self.settings["hub"]
        return hub

    @property
    def login(self) -> str | None:
        """Who is logged in in this browser."""
        cookie = self.get_secure_cookie(_LOGIN)
        return self.hub.logins.get(cookie.decode()) if cookie else None

    def to_login(self) -> None:
        self.redirect("/hub/login?" + urlencode({"next": self.request.uri}))


class _Root(_Handler):
    def get(self) -> None:
        if self.login is None:
            self.to_login()
        else:
            self.redirect(PORTAL)


class _Login(_Handler):
    """A form with the fields of JupyterHub's."""

    def get(self) -> None:
        to = escape(self.request.uri or "")
        self.finish(
            f'<!doctype html><html lang="en"><title>Login</title><form method="post" action="{to}">'
            '<input type="hidden" name="_xsrf" value="none">'
            '<input id="username_input" name="username"><input id="password_input" name="password" type="password">'
            '<input id="login_submit" type="submit"></form></html>'
        )

    async def post(self) -> None:
        username = self.get_body_argument("username")
        if self.get_body_argument("password") != PASSWORD or not await self.hub.know(username):
            self.set_status(403)
            self.get()
            return
        session = secrets.token_hex(16)
        self.hub.logins[session] = username
        self.set_secure_cookie(_LOGIN, session, path="/hub/", httponly=True)
        self.set_cookie(_SESSION, session, path="/", httponly=True)
        target = self.get_query_argument("next", "")
        self.redirect(target if target.startswith("/") and not target.startswith("//") else PORTAL)


class _Logout(_Handler):
    """The login ends, and with it the portal's token, once its button was pressed."""

    def get(self) -> None:
        if not self.login:
            self.redirect("/hub/login")
            return
        form = f'<form method="post"><input type="hidden" name="_xsrf" value="{self.get_cookie(_SESSION)}"></form>'
        self.finish(f"<!doctype html><title>Log out</title>Log out of the double? {form}")

    def post(self) -> None:
        if self.get_body_argument("_xsrf", "") != self.get_cookie(_SESSION):
            raise web.HTTPError(403)
        session = self.get_cookie(_SESSION)
        if self.login:
            del self.hub.logins[str(session)]
            self.hub.tokens = {key: one for key, one in self.hub.tokens.items() if one.session != session}
        self.clear_cookie(_LOGIN, path="/hub/")
        self.clear_cookie(_SESSION, path="/")
        self.redirect("/hub/login")


class _Again(_Handler):
    """Another login, as the demo's: a form for the password, then on with a code."""

    def get(self, number: str) -> None:
        self.finish(
            '<!doctype html><html lang="en"><title>Again</title><form method="post">'
            '<input type="hidden" name="_xsrf" value="none"><label>Password <input type="password" name="password">'
            '</label><button type="submit">Log in again</button></form></html>'
        )

    async def post(self, number: str) -> None:
        code, username = secrets.token_hex(16), self.login
        confirm = self.hub.people.confirmations.confirm
        if username is None or self.get_body_argument("password") != PASSWORD:
            raise web.HTTPError(403)
        if not await asyncio.to_thread(confirm, int(number), username, code, clock.now()):
            raise web.HTTPError(404)
        self.redirect(f"{PORTAL}confirmed#{number}.{code}")


class _Authorize(_Handler):
    """A code for the portal, without a question: its service is trusted (``oauth_no_confirm``)."""

    def get(self) -> None:
        username = self.login
        if username is None:
            self.to_login()
            return
        back = self.get_query_argument("redirect_uri")
        if self.get_query_argument("client_id") != CLIENT or back != PORTAL + "oauth_callback":
            raise web.HTTPError(400)
        code = secrets.token_hex(16)
        self.hub.codes[code] = (username, str(self.get_cookie(_SESSION)), self.get_query_argument("code_challenge"))
        self.redirect(back + "?" + urlencode({"code": code, "state": self.get_query_argument("state")}))


class _Code(_Handler):
    def check_xsrf_cookie(self) -> None:
        """A program asks."""

    def post(self) -> None:
        given = {name: values[-1] for name, values in parse_qs(self.request.body.decode()).items()}
        username, session, challenge = self.hub.codes.pop(given["code"], ("", "", ""))
        digest = hashlib.sha256(given["code_verifier"].encode()).digest()
        proved = base64.urlsafe_b64encode(digest).rstrip(b"=").decode() == challenge
        if not proved or (given["client_id"], given["client_secret"]) != (CLIENT, SECRET):
            raise web.HTTPError(401)
        self.finish({"access_token": self.hub.token(username, session=session), "token_type": "Bearer"})


class _Api(_Handler):
    """What is asked with a token."""

    token: Token

    def prepare(self) -> None:
        scheme, _, text = self.request.headers.get("Authorization", "").partition(" ")
        token = self.hub.tokens.get(text) if scheme == "token" else None
        if token is None:
            raise web.HTTPError(403)
        self.token = token

    def must(self, scope: str, owner: str) -> None:
        if not self.token.may(scope, owner):
            raise web.HTTPError(403 if self.token.username == owner else 404)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        error = kwargs["exc_info"][1]
        answer: dict[str, Any] = {"status": status_code, "message": self._reason}
        if isinstance(error, Refused):
            refusal = error.refusal
            self.set_status(HTTP_STATUS[refusal.reason])
            answer |= {"status": self.get_status(), "message": str(refusal), "reason": refusal.reason.value}
            answer |= {"remedy": refusal.remedy, "field": refusal.field}
        elif isinstance(error, web.HTTPError) and error.log_message:
            answer["message"] = error.log_message
        self.finish(answer)

    def log_exception(self, *error: Any) -> None:
        """Refusals are answers."""
        if not isinstance(error[1], Refused | web.HTTPError):
            super().log_exception(*error)


class _Self(_Api):
    def get(self) -> None:
        name = self.token.username
        self.finish({"name": name, "kind": "user", "scopes": sorted(self.token.scopes)})


class _User(_Api):
    def get(self, owner: str) -> None:
        if owner != self.token.username:
            raise web.HTTPError(404)
        if not self.token.may("read:servers", owner):
            self.finish({"name": owner, "kind": "user"})
            return
        stopped = bool(self.get_query_argument("include_stopped_servers", ""))
        servers = {s.name: model(owner, s) for s in self.hub.of(owner).values() if stopped or s.ready or s.pending}
        self.finish({"name": owner, "kind": "user", "servers": servers})


class _Server(_Api):
    def title(self) -> str:
        """Empty when none is given; raise `Refused` for one that JupyterHub would not take."""
        given = json.loads(self.request.body or b"{}").get("display_name")
        if given is not None and (not given or given != for_hub(given)):
            raise Refused(Refusal(Reason.MALFORMED, "This title cannot be taken.", "Use another.", "display_name"))
        return given or ""

    def _there(self, owner: str, name: str) -> Server:
        server = self.hub.of(owner).get(name)
        if server is None:
            raise web.HTTPError(404, f"{owner} has no server named '{name}'")
        return server

    def put(self, owner: str, name: str) -> None:
        self.must("start:servers", owner)
        if name in self.hub.of(owner):
            raise web.HTTPError(409)
        title = self.title() or name
        self.hub.of(owner)[name] = Server(name, title)
        self.set_status(201)
        self.finish(model(owner, self.hub.of(owner)[name]))

    async def post(self, owner: str, name: str) -> None:
        self.must("start:servers", owner)
        title, options = self.title(), json.loads(self.request.body or b"{}").get("user_options")
        known = self.hub.of(owner).get(name)
        if known is not None and known.pending:
            self.set_status(202)
            return
        if known is not None and known.ready:
            raise web.HTTPError(400, f"{owner}:{name} is already running")
        if options is None:
            options = known.options if known else {}
        await self.hub.start(owner, name, title, options)
        self.set_status(202 if self.hub.of(owner)[name].pending else 201)

    async def delete(self, owner: str, name: str) -> None:
        self.must("delete:servers", owner)
        server = self._there(owner, name)
        await self.hub.stop(owner, server, remove=bool(json.loads(self.request.body or b"{}").get("remove")))
        self.set_status(204)


class _Progress(_Api):
    async def get(self, owner: str, name: str) -> None:
        self.must("read:servers", owner)
        server = self.hub.of(owner).get(name)
        if server is None or server.start is None:
            raise web.HTTPError(404)
        if not server.ready and not server.pending:
            raise web.HTTPError(400, f"{owner}:{name} is not starting...")
        self.set_header("Content-Type", "text/event-stream")
        told = 0
        while server.pending:
            for step in server.steps[told:]:
                await self._tell(step)
            told = len(server.steps)
            await asyncio.wait([server.start], timeout=0.05)
        how = (
            {"ready": True, "message": "Server ready"} if server.ready else {"failed": True, "message": "Spawn failed"}
        )
        await self._tell({"progress": 100, **how})

    async def _tell(self, event: dict[str, Any]) -> None:
        self.write(f"data: {json.dumps(event)}\n\n")
        await self.flush()


class _Enter(_Api):
    async def post(self, identifier: str) -> None:
        if "custom:visa:write" not in self.token.scopes:
            raise web.HTTPError(403)
        instance = await asyncio.to_thread(self.hub.store.instance, identifier)
        if instance is None or instance.name not in self.hub.of(instance.owner):
            raise web.HTTPError(404, "There is no such instance")
        if instance.owner != self.token.username:
            enter = self.hub.people.members.enter
            let_in = await asyncio.to_thread(enter, self.token.username, identifier, clock.now())
            if isinstance(let_in, Refusal):
                raise web.HTTPError(403, f"This instance of {instance.owner} is not shared with you.")
        self.set_status(204)


class _Page(_Handler):
    """A page where the hub's or an instance's would be."""

    def get(self) -> None:
        self.finish('<!doctype html><html lang="en"><title>A page</title><h1>A page</h1></html>')


def model(owner: str, server: Server) -> dict[str, Any]:
    """As the hub shows a server."""
    return {
        "name": server.name,
        "display_name": server.title,
        "pending": server.pending,
        "ready": server.ready,
        "stopped": not (server.ready or server.pending),
        "last_activity": server.last_activity,
        "url": instance_path("/", owner, server.name),
        "user_options": server.options,
    }
