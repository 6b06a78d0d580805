"""Every request of the instance: who is it, may she, then on to Jupyter."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
from urllib.parse import urlsplit

from tornado import web
from tornado.httpclient import HTTPClientError
from tornado.httputil import HTTPHeaders, ResponseStartLine
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClientConnection, WebSocketClosedError, WebSocketHandler

from visa.instances.access import Role, UnsafePath, may, safe_path
from visa.session import activity, headers, pages, upstream
from visa.session.gateway import Gateway
from visa.session.hub import HubUnavailable, Visitor
from visa.session.login import bearer, safe_next

log = logging.getLogger(__name__)

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
RECHECK = 20.0
"""Seconds after which an open websocket's visitor is looked at again."""


class Refused(Exception):
    """The request ends here: ``status`` and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status, self.sentence = status, sentence


class Guard(web.RequestHandler):
    """What all requests share: identity, role, and answers in words."""

    @property
    def gateway(self) -> Gateway:
        """The gateway's parts."""
        gateway: Gateway = self.settings["gateway"]
        return gateway

    def set_default_headers(self) -> None:
        """Not tornado's."""
        self.clear_header("Server")
        self.set_header("X-JupyterHub-Version", self.settings["gateway"].settings.hub_version)

    @property
    def token(self) -> tuple[str | None, bool]:
        """``(token, by cookie)``; a header that is there is the only one looked at."""
        header = self.request.headers.get("Authorization", "")
        if header:
            return bearer(header), False
        return self.gateway.sessions.token(self.get_cookie(headers.OWN_COOKIE, "") or ""), True

    def check_origin_header(self, by_cookie: bool, *, required: bool) -> None:
        """A cookie works for this very site's own pages only; raise `Refused`."""
        if not by_cookie:
            return
        origin = self.request.headers.get("Origin") or self.request.headers.get("Sec-WebSocket-Origin")
        if origin is not None:
            if urlsplit(origin).netloc.lower() != self.request.host.lower():
                raise Refused(403, "The request comes from another site.")
            return
        site = self.request.headers.get("Sec-Fetch-Site")
        if site not in (None, "same-origin", "none") or (required and site is None):
            raise Refused(403, "The request does not say that it comes from this site.")

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

    def own_path(self) -> str:
        """The decoded path below the instance's own; raise `Refused` when it could be read in two ways."""
        raw = self.request.uri or ""
        try:
            path = safe_path(raw.partition("?")[0])
        except UnsafePath as error:
            raise Refused(400, f"This address is not accepted: {error}.") from None
        return path[len(self.gateway.settings.prefix) :]

    async def admit(self) -> tuple[Visitor, str]:
        """Who it is and the path asked for, when her role may have it; raise `Refused`."""
        path = self.own_path()
        token, by_cookie = self.token
        visitor = await self.visitor(token)
        websocket = self.request.headers.get("Upgrade", "").lower() == "websocket"
        if websocket or self.request.method not in SAFE_METHODS:
            self.check_origin_header(by_cookie, required=websocket)
        if not may(visitor.role, self.request.method or "", path):
            owner = self.gateway.settings.owner
            who = f"This instance belongs to {owner}; you are logged in as {visitor.name}."
            raise Refused(403, who if visitor.role is Role.NONE else "Your role does not allow this.")
        return visitor, path

    @property
    def navigates(self) -> bool:
        """Whether a person looks at the answer."""
        mode = self.request.headers.get("Sec-Fetch-Mode")
        if self.request.method != "GET" or "Authorization" in self.request.headers:
            return False
        return mode == "navigate" or (mode is None and "text/html" in self.request.headers.get("Accept", ""))

    def refuse(self, error: Refused) -> None:
        """Answer, in the form that fits who asks; a person who is not logged in goes to the hub."""
        if error.status == 401 and self.navigates:
            self.log_in()
            return
        self.set_status(error.status)
        if error.status == 503:
            self.set_header("Retry-After", "2")
        if self.navigates:
            self.show(*pages.message("Not possible", error.sentence, self.gateway.portal))
        else:
            self.set_header("Content-Type", "application/problem+json")
            self.finish(json.dumps({"status": error.status, "title": error.sentence, "detail": error.sentence}))

    def show(self, content: str, policy: str) -> None:
        """A page of our own."""
        self.set_header("Content-Type", "text/html; charset=utf-8")
        self.set_header("Content-Security-Policy", policy)
        self.set_header("Cache-Control", "no-store")
        self.finish(content)

    def log_in(self) -> None:
        """To the hub and back."""
        browser = self.get_cookie(headers.STATE_COOKIE) or secrets.token_urlsafe(24)
        target = safe_next(self.request.uri or "", self.gateway.settings.prefix)
        state, challenge = self.gateway.sessions.begin(target, browser)
        self.own_cookie(headers.STATE_COOKIE, browser)
        self.redirect(self.gateway.hub.authorize_url(state, challenge))

    def own_cookie(self, name: str, value: str) -> None:
        """A cookie for this instance's path only, unseen by scripts."""
        secure = self.request.headers.get("X-Forwarded-Proto", self.request.protocol) == "https"
        self.set_cookie(
            name,
            value,
            path=self.gateway.settings.prefix,
            httponly=True,
            secure=secure,
            samesite="Lax",
            expires_days=None,
        )


@web.stream_request_body
class Small(Guard):
    """The gateway's own pages: they take no body."""

    def data_received(self, chunk: bytes) -> None:
        """Nothing is expected."""
        raise web.HTTPError(413)


class Callback(Small):
    """Back from the hub with a login code."""

    async def get(self) -> None:
        """Exchange it for a session."""
        browser = self.get_cookie(headers.STATE_COOKIE, "") or ""
        attempt = self.gateway.sessions.claim(self.get_argument("state", ""), browser)
        if attempt is None:
            self.refuse(Refused(400, "This login was not begun here or took too long. Open the instance again."))
            return
        try:
            token = await self.gateway.hub.token_for(self.get_argument("code", ""), attempt.verifier)
        except HubUnavailable as error:
            log.warning("The hub does not answer: %s", error)
            self.refuse(Refused(503, "The hub does not answer. Try again soon."))
            return
        if token is None:
            self.refuse(Refused(403, "The hub did not confirm the login. Open the instance again."))
            return
        self.own_cookie(headers.OWN_COOKIE, self.gateway.sessions.open(token))
        self.redirect(attempt.next)


class Logout(Small):
    """Ends the session here and goes on to the hub's logout."""

    async def get(self) -> None:
        """Forget it."""
        self.gateway.sessions.close(self.get_cookie(headers.OWN_COOKIE, "") or "")
        self.clear_cookie(headers.OWN_COOKIE, path=self.gateway.settings.prefix)
        self.redirect(f"{self.gateway.settings.public_hub}{self.gateway.settings.hub_path}logout")


class Health(Small):
    """Says that the gateway runs, and nothing else."""

    async def get(self) -> None:
        """For probes."""
        self.finish({"ok": True})


class Ready(Small):
    """Waits up to 20 s until Jupyter accepts connections."""

    async def get(self) -> None:
        """``{"ready": true or false}``."""
        try:
            await self.admit()
        except Refused as error:
            self.refuse(error)
            return
        self.set_header("Cache-Control", "no-store")
        self.finish({"ready": await self.gateway.wait_for_jupyter(20.0)})


class Root(Small):
    """The instance's own address leads to its session."""

    async def get(self) -> None:
        """To the session asked for."""
        try:
            await self.admit()
        except Refused as error:
            self.refuse(error)
            return
        self.redirect(self.gateway.settings.prefix + self.gateway.settings.open_path)


@web.stream_request_body
class Session(Guard):
    """Everything else: streamed to Jupyter and back."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        self._exchange: upstream.Exchange | None = None
        self._refused: Refused | None = None
        self._status = 0

    async def prepare(self) -> None:
        """Decide before a byte of the body is taken, then send the head on."""
        try:
            visitor, path = await self.admit()
            if self.request.method not in SAFE_METHODS or self.navigates:
                self.gateway.activity.happened()
            self._exchange = await self._connect(visitor)
            log.debug("%s %s for %s", self.request.method, path, visitor.name)
        except Refused as error:
            self._refused = error
            self.refuse(error)
        except upstream.NotListening:
            self._wait()

    async def _connect(self, visitor: Visitor) -> upstream.Exchange:
        request = self.request
        sent = headers.inward(request.headers, _encoded(visitor))
        if "Content-Length" in request.headers:
            sent["Content-Length"] = request.headers["Content-Length"]
        elif request.headers.get("Transfer-Encoding"):
            sent["Transfer-Encoding"] = "chunked"
        sent["X-Forwarded-For"] = request.remote_ip or ""
        stream = await upstream.connect(self.gateway.settings.socket)
        exchange = upstream.Exchange(stream, self._on_headers, self._on_data)
        try:
            await exchange.send_head(request.method or "GET", request.uri or "/", sent)
        except upstream.Broken as error:
            raise upstream.NotListening(str(error)) from error
        return exchange

    def _wait(self) -> None:
        """Jupyter is not there yet."""
        if self.navigates:
            self.set_status(200)
            self.show(*pages.starting(self.gateway.settings.prefix, self.gateway.portal))
        else:
            self.refuse(Refused(503, "Jupyter is starting."))

    async def data_received(self, chunk: bytes) -> None:
        """A part of the body goes on; the browser waits until Jupyter took it."""
        if self._exchange is not None:
            try:
                await self._exchange.send(chunk)
            except upstream.Broken as error:
                log.info("%s", error)
                self._exchange = None
                self.refuse(Refused(502, "Jupyter closed the connection before it took the whole upload."))

    async def _pass_on(self) -> None:
        if self._finished or self._exchange is None:
            return
        try:
            await self._exchange.answer()
            self.finish()
        except (upstream.Broken, StreamClosedError) as error:
            log.info("%s %s: %s", self.request.method, self.request.path, error or "the browser went away")
            if not self._headers_written:
                self.refuse(Refused(502, "Jupyter closed the connection without an answer."))
            elif self.request.connection is not None:
                # The browser must not take a part for the whole.
                self.request.connection.detach().close()  # type: ignore[attr-defined]

    get = head = post = delete = patch = put = options = _pass_on

    async def _on_headers(self, line: ResponseStartLine, received: HTTPHeaders) -> None:
        self.set_status(line.code, line.reason or "-")
        for name in ("Content-Type", "Date"):
            self.clear_header(name)
        for name, value in headers.outward(received, self.gateway.settings.prefix):
            self.add_header(name, value)
        if "Content-Length" in received:
            self.set_header("Content-Length", received["Content-Length"])
        await self.flush()

    async def _on_data(self, chunk: bytes) -> None:
        self.write(chunk)
        await self.flush()

    def compute_etag(self) -> None:
        """Jupyter's own, if any."""
        return

    def on_connection_close(self) -> None:
        """The browser went away: Jupyter need not go on."""
        if self._exchange is not None:
            self._exchange.close()


class Socket(Guard, WebSocketHandler):
    """A websocket, passed on in both directions at the pace of the slower side."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        self._upstream: WebSocketClientConnection | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._path = ""

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, open Jupyter's end, and only then the browser's."""
        try:
            visitor, self._path = await self.admit()
            self._upstream = await self._connect(visitor)
        except Refused as error:
            self.refuse(error)
            return
        except upstream.NotListening:
            self.refuse(Refused(503, "Jupyter is starting."))
            return
        except HTTPClientError as error:
            self.refuse(Refused(error.code if 400 <= error.code < 600 else 502, "Jupyter refused the connection."))
            return
        await super().get(*args, **kwargs)

    async def _connect(self, visitor: Visitor) -> WebSocketClientConnection:
        sent = headers.inward(self.request.headers, _encoded(visitor))
        offered = self.request.headers.get("Sec-WebSocket-Protocol", "")
        protocols = [name.strip() for name in offered.split(",") if name.strip()]
        return await upstream.open_websocket(
            self.gateway.settings.socket, self.request.uri or "/", sent, protocols or None
        )

    def check_origin(self, origin: str) -> bool:
        """`admit` looked at it already."""
        return True

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """The one that Jupyter chose."""
        return self._upstream.selected_subprotocol if self._upstream else None

    async def open(self, *args: str, **kwargs: str) -> None:
        """Begin to pass messages and to look again at the visitor."""
        self.set_nodelay(True)
        self.gateway.sockets.add(self)
        self._tasks = [asyncio.create_task(self._from_jupyter()), asyncio.create_task(self._look_again())]

    async def on_message(self, message: str | bytes) -> None:
        """To Jupyter; the next is read when this one is written."""
        if activity.is_work(self._path, message):
            self.gateway.activity.happened()
        if self._upstream is not None:
            try:
                await self._upstream.write_message(message, binary=isinstance(message, bytes))
            except (WebSocketClosedError, StreamClosedError):
                self.close(1011, "Jupyter closed the connection")

    async def _from_jupyter(self) -> None:
        end = self._upstream
        if end is None:
            return
        try:
            while (message := await end.read_message()) is not None:
                await self.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a websocket was closed while a message was on its way")
        self.close(end.close_code, end.close_reason)

    async def _look_again(self) -> None:
        while True:
            await asyncio.sleep(RECHECK)
            try:
                visitor = await self.visitor(self.token[0])
            except Refused as error:
                if error.status == 503:
                    continue
                self.close(4403, error.sentence[:120])
                return
            if not may(visitor.role, "GET", self._path):
                self.close(4403, "Your role does not allow this any more")
                return

    def on_close(self) -> None:
        """End Jupyter's side too."""
        self.gateway.sockets.discard(self)
        for task in self._tasks:
            task.cancel()
        if self._upstream is not None:
            self._upstream.close(self.close_code, self.close_reason)


class Elsewhere(Small):
    """A path that is not this instance's."""

    async def prepare(self) -> None:
        """Nothing is there."""
        self.refuse(Refused(404, "There is nothing at this address."))


def _encoded(visitor: Visitor) -> str:
    return base64.b64encode(json.dumps(visitor.identity).encode()).decode()
