"""What all requests share: who is it, may she, and answers in words. Fails closed."""

from __future__ import annotations

import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from functools import wraps
from types import TracebackType
from typing import Any, TypeVar
from urllib.parse import urlsplit

from tornado import web
from tornado.http1connection import HTTP1Connection
from tornado.iostream import StreamClosedError

from visa.instances.access import Role, UnsafePath, coded, may, safe_path
from visa.navigation import navigated
from visa.session import headers, pages
from visa.session.gateway import Gateway
from visa.session.hub import HubUnavailable, Visitor
from visa.session.login import bearer, safe_next

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
_DROPPED = 2**20
_PORTS = {"http": ":80", "https": ":443", "ws": ":80", "wss": ":443"}


class Refused(Exception):
    """The request ends here: ``status`` and a sentence. ``ask``: the portal's page of the instance helps."""

    def __init__(self, status: int, sentence: str, *, ask: bool = False) -> None:
        super().__init__(sentence)
        self.status, self.sentence, self.ask = status, sentence, ask


class Forbidden(Refused):
    """Her role does not go so far."""

    def __init__(self) -> None:
        super().__init__(403, "Your role does not allow this.")


@dataclass(frozen=True, slots=True)
class Admitted:
    """A request that may pass: who, the decoded path below the instance's own, and the address for Jupyter."""

    visitor: Visitor
    by_token: bool
    path: str
    uri: str

    @property
    def identity(self) -> str:
        """The header that tells Jupyter who is there."""
        way, role = "token" if self.by_token else "cookie", self.visitor.role.value
        return headers.encoded({**self.visitor.identity, "by": way, "role": role})


@web.stream_request_body
class Guard(web.RequestHandler):
    """Identity, role, refusals and login for every handler of the gateway. None takes a body but `Session`."""

    def prepare(self) -> Awaitable[None] | None:
        """Refuse before a body is read."""
        if self.has_body:
            self.set_header("Connection", "close")
            self.refuse(Refused(413, "This address takes no content."))
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Of what was refused."""
        self.drop(chunk)
        return None

    @property
    def gateway(self) -> Gateway:
        """The gateway's parts."""
        gateway: Gateway = self.settings["gateway"]
        return gateway

    def set_default_headers(self) -> None:
        """The hub's version, which the hub looks for, and not tornado's name.

        On a host of its own: no page elsewhere shows or reads what is here, or keeps hold of a window that came here.
        """
        self.clear_header("Server")
        settings = self.settings["gateway"].settings
        if settings.hub_version:
            self.set_header("X-JupyterHub-Version", settings.hub_version)
        if settings.origin:
            self.set_header("Cross-Origin-Resource-Policy", "same-origin")
            self.set_header("Cross-Origin-Opener-Policy", "same-origin-allow-popups")

    @property
    def token(self) -> tuple[str | None, bool]:
        """``(token, by cookie)``; a header that is there is the only one looked at."""
        header = self.request.headers.get("Authorization", "")
        if header:
            return bearer(header), False
        tokens = (self.gateway.sessions.token(session) for session in self.values_of(headers.OWN_COOKIE))
        return next((token for token in tokens if token is not None), None), True

    def values_of(self, cookie: str) -> list[str]:
        """All values that came under a name: others on this host can add one, but not take ours away."""
        return headers.cookie_values(self.request.headers, self.gateway.settings.cookie(cookie))

    def check_origin_header(self) -> None:
        """A cookie works for this very site's own pages only; raise `Refused`."""
        origin = self.request.headers.get("Origin") or self.request.headers.get("Sec-WebSocket-Origin")
        if origin is not None:
            parts = urlsplit(origin)
            host, default = self.request.host.lower(), _PORTS.get(parts.scheme, "")
            if not default or parts.netloc.lower().removesuffix(default) != host.removesuffix(default):
                raise Refused(403, "The request comes from another site.")
        elif self.request.headers.get("Sec-Fetch-Site") != "same-origin":
            raise Refused(403, "The request does not say that it comes from this site.")

    def check_site(self) -> None:
        """With a host of its own, pages elsewhere only lead here: they show, frame and ask nothing; raise `Refused`."""
        given = self.request.headers
        elsewhere = given.get("Sec-Fetch-Site", "none") in ("same-site", "cross-site")
        if self.gateway.settings.origin and elsewhere and not navigated(given):
            raise Refused(403, "The request comes from another site.")

    async def visitor(self, token: str | None) -> Visitor:
        """Who it is; raise `Refused` when nobody may tell."""
        if token is None:
            raise Refused(401, "Log in first.")
        try:
            visitor = await self.gateway.hub.visitor(token)
        except HubUnavailable as error:
            log.warning("The hub does not answer: %s", error)
            raise Refused(503, "The hub does not answer, so it is not known who you are. Try again soon.") from None
        if visitor is None:
            raise Refused(401, "The login is not valid here, or not any more.")
        return visitor

    @property
    def websocket(self) -> bool:
        """Whether the request asks for one."""
        return self.request.headers.get("Upgrade", "").lower() == "websocket"

    @property
    def has_body(self) -> bool:
        """Whether the request brings content."""
        headers_ = self.request.headers
        return "Transfer-Encoding" in headers_ or headers_.get("Content-Length", "0") != "0"

    def body_within(self, seconds: float) -> None:
        """The body has to be here by then, or the connection is closed. Said before it is read."""
        if isinstance(self.request.connection, HTTP1Connection):
            self.request.connection.set_body_timeout(seconds)

    def drop(self, chunk: bytes) -> None:
        """A part of a body that nobody wants; after a megabyte of it the connection is closed."""
        self._dropped += len(chunk)
        if self._dropped > _DROPPED:
            self.cut()

    _dropped = 0

    def cut(self) -> None:
        """Close the browser's connection at once."""
        connection = self.request.connection
        if isinstance(connection, HTTP1Connection) and connection.stream is not None:
            connection.stream.close()

    def own_path(self) -> tuple[str, str]:
        """``(path below the instance's own, address for Jupyter)``; raise `Refused` when it is not clear."""
        raw, mark, query = (self.request.uri or "").partition("?")
        try:
            path = safe_path(raw, self.gateway.settings.prefix)
        except UnsafePath as error:
            raise Refused(400, f"This address is not accepted: {error}.") from None
        query = headers.without_token(query)
        return path, self.gateway.settings.prefix + coded(path) + (mark + query if query else "")

    async def admit(self) -> Admitted:
        """Who it is and what she asks for, when her role may have it; raise `Refused`."""
        path, uri = self.own_path()
        token, by_cookie = self.token
        if by_cookie:
            self.check_site()
        visitor = await self.visitor(token)
        if by_cookie and (self.websocket or self.request.method not in SAFE_METHODS):
            self.check_origin_header()
        if visitor.role is Role.NONE and not self.gateway.people.is_member(visitor.name):
            visitor = visitor.in_role(await self.gateway.people.role_after_a_look(visitor.name))
        if visitor.role is Role.NONE:
            raise self.stranger(visitor)
        if "Service-Worker" in self.request.headers:
            raise Refused(
                403, "Instances have no service workers: one would stay in the browser when all else is over."
            )
        if not may(visitor.role, self.request.method or "", path):
            raise Forbidden
        return Admitted(visitor, not by_cookie, path, uri)

    def stranger(self, visitor: Visitor) -> Refused:
        """What is said to somebody without a role: whose it is, and where to ask."""
        people = self.gateway.people
        who = f"This instance belongs to {people.owner}; you are logged in as {visitor.name}."
        member = people.is_member(visitor.name)
        if not member:
            people.refused(visitor.name)
        return Refused(403, f"{who} {self.why(visitor)}", ask=member or people.known)

    def why(self, visitor: Visitor) -> str:
        """She has no role, in a sentence."""
        people = self.gateway.people
        if people.is_member(visitor.name):
            return f"It is shared with you only while {people.owner} is there."
        if not people.known:
            return "With whom it is shared is not known at the moment; try again soon."
        return "It is not shared with you; you can ask to come in."

    @property
    def navigates(self) -> bool:
        """Whether a person looks at the answer."""
        mode = self.request.headers.get("Sec-Fetch-Mode")
        if self.request.method != "GET" or "Authorization" in self.request.headers or self.websocket:
            return False
        return mode == "navigate" or (mode is None and "text/html" in self.request.headers.get("Accept", ""))

    def refuse(self, error: Refused) -> None:
        """Answer, in the form that fits who asks; a person who is not logged in goes to the hub."""
        if error.status == 401 and self.navigates:
            self.log_in()
            return
        self.set_status(error.status)
        self.set_header("Cache-Control", "no-store")
        if error.status == 503:
            self.set_header("Retry-After", "2")
        if self.navigates:
            ask = self.gateway.page if error.ask else ""
            self.show(*pages.message("Not possible", error.sentence, self.gateway.portal, ask))
        else:
            told = {"status": error.status, "title": error.sentence, "detail": error.sentence}
            self.set_header("Content-Type", "application/problem+json")
            self.finish(json.dumps({**told, "ask": self.gateway.page} if error.ask else told))

    def show(self, content: str, policy: str) -> None:
        """A page of our own."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", policy)
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")
        self.finish(content)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What tornado refuses by itself, in our form."""
        self.refuse(Refused(status_code, _SENTENCES.get(status_code, "The gateway could not do this.")))

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """With the path alone: a query or a header may hold a token."""
        if isinstance(value, web.HTTPError):
            log.info("%d %s %s", value.status_code, self.request.method, self.request.path[:300])
        elif isinstance(value, StreamClosedError):
            log.debug("the browser of %s went away", self.request.path[:300])
        elif typ is not None and value is not None:
            log.error("%s %s", self.request.method, self.request.path[:300], exc_info=(typ, value, tb))

    def log_in(self, target: str = "") -> None:
        """To the hub and back, to ``target`` or here."""
        browser = next(iter(self.values_of(headers.STATE_COOKIE)), "") or secrets.token_urlsafe(24)
        target = safe_next(target or self.request.uri or "", self.gateway.settings.prefix)
        state, challenge = self.gateway.sessions.begin(target, browser)
        self.own_cookie(headers.STATE_COOKIE, browser)
        self.set_header("Cache-Control", "no-store")
        self.redirect(self.gateway.hub.authorize_url(state, challenge))

    def own_cookie(self, name: str, value: str) -> None:
        """A cookie for this instance only, unseen by scripts."""
        settings = self.gateway.settings
        forwarded = self.request.headers.get("X-Forwarded-Proto", self.request.protocol)
        self.set_cookie(
            settings.cookie(name),
            value,
            path=settings.cookie_path,
            httponly=True,
            secure=settings.bound or forwarded.partition(",")[0].strip().lower() == "https",
            samesite="Lax",
            expires_days=None,
        )


G = TypeVar("G", bound=Guard)


def refusing(handle: Callable[[G], Awaitable[None]]) -> Callable[[G], Coroutine[Any, Any, None]]:
    """A handler's method that may raise `Refused`: that is then the answer."""

    @wraps(handle)
    async def answered(self: G) -> None:
        try:
            await handle(self)
        except Refused as error:
            self.refuse(error)

    return answered


_SENTENCES = {
    400: "The request is not well formed.",
    404: "There is nothing at this address.",
    405: "This cannot be done at this address.",
}
