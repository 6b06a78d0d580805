"""HTTP of the portal: who asks, from which site, and the answer's form. What is done is in `service`."""

from __future__ import annotations

import hmac
import json
import logging
import re
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

from jupyterhub.services.auth import HubOAuth, HubOAuthCallbackHandler, HubOAuthenticated, UserNotAllowed
from pydantic import ValidationError
from tornado import web
from tornado.iostream import StreamClosedError

from visa import doubled
from visa.again import Again
from visa.portal import openapi
from visa.portal.api import OPERATIONS, Call, Operation
from visa.portal.models import UNFIT, plain
from visa.portal.operations import READ
from visa.portal.origin import PAGE_HEADER, page_token
from visa.portal.problems import Problem, database_unavailable, hub_unavailable
from visa.portal.service import Caller, PortalService
from visa.store.faults import AGAIN, FAULTS, is_fault, said

log = logging.getLogger(__name__)

LARGEST_BODY = 64 * 1024
BROWSER = "visa-browser"
"""A cookie with a random secret, by which one browser is told from others of the same person."""
_UNREACHED = "Failed to connect to Hub API"
_again = Again()
_SAFE = ("GET", "HEAD", "OPTIONS")
_HOST = re.compile(r"[A-Za-z0-9.-]+(:[0-9]+)?")


def policy(instances: str, scripts: str = "'self'") -> str:
    """Content security policy; ``instances``: where pictures of desktops come from, if not from this host.

    ``scripts``: where the portal's own are. Instances may share its host, so ``'self'`` would take theirs too.
    """
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'self'; connect-src 'self'; "
        f"img-src 'self' data: {instances}; font-src 'self'; "
        "frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
    )


class _Known:
    """For handlers of JupyterHub's, which else make what says who asks from their process's environment."""

    settings: dict[str, Any]

    @property
    def hub_auth(self) -> HubOAuth:
        """The application's."""
        return self.settings["auth"]


class Guard(_Known, HubOAuthenticated, web.RequestHandler):  # type: ignore[misc]
    """What all of the portal's requests share."""

    @property
    def service(self) -> PortalService:
        """The portal."""
        service: PortalService = self.settings["service"]
        return service

    def set_default_headers(self) -> None:
        """Strict, for pages and API alike."""
        self.clear_header("Server")
        host = self.request.host if _HOST.fullmatch(self.request.host) else ""
        scripts = f"{host}{self.settings['prefix']}static/" if host else "'self'"
        self.set_header("Content-Security-Policy", policy(self.service.origins.pattern, scripts))
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cache-Control", "no-store")

    async def prepare(self) -> None:
        """Find out who asks, without holding up everybody else meanwhile."""
        self.kept_out, self.current_user = False, None
        if not doubled.one_only(self, self.hub_auth.cookie_name, self.hub_auth.base_url):
            return
        model = await self._model()
        try:
            self.current_user = self.check_hub_user(model) if model else None
        except UserNotAllowed:
            self.current_user, self.kept_out = None, True

    async def _model(self) -> Any:
        """The hub's word on who asks; raise `Problem` when it gives none, which is not that nobody is logged in."""
        try:
            return await self.hub_auth.get_user(self, sync=False)
        except web.HTTPError as error:
            if error.status_code < 500:
                raise
            raise hub_unavailable() from error

    def _handle_request_exception(self, e: BaseException) -> None:
        """What cannot be asked now is said as such, wherever it was noticed."""
        problem = database_unavailable() if is_fault(e) else e
        if not isinstance(problem, Problem) or self._finished or self._headers_written:
            super()._handle_request_exception(e)
            return
        log.warning("%d %s %s: %s", problem.status, self.request.method, self.request.path[:200], said(e))
        self.clear()
        self.fail(problem)

    def fail(self, problem: Problem) -> None:
        """Answer with a problem, as programs and scripts read it."""
        self.set_status(problem.status)
        if problem.status == 503:
            self.set_header("Retry-After", str(AGAIN))
        self.set_header("Content-Type", "application/problem+json")
        self.finish(json.dumps(problem.document()))

    @property
    def caller(self) -> Caller | None:
        """Who asks, None when nobody is logged in."""
        user = self.current_user
        if not user or user.get("kind") != "user":
            return None
        browser = "" if self.by_token else self.get_cookie(BROWSER, "")
        return Caller(user["name"], self.hub_auth.get_token(self), browser or "")

    scope = READ
    """What the login or token must allow for an answer."""

    def permitted(self, scope: str) -> Caller:
        """Who asks, with a login or token that has ``scope``; raise `Problem`."""
        caller = self.caller
        if self.kept_out:
            remedy = "Make a token with the scope access:services!service=visa."
            raise Problem(403, "scope-missing", "The token may not use VISA.", remedy)
        if caller is None:
            raise Problem(401, "not-logged-in", "No valid login came with the request.", "Log in, or send a token.")
        if scope not in self.current_user.get("scopes", []):
            remedy = f"Make a token with the scope {scope}."
            raise Problem(403, "scope-missing", f"The token lacks the scope {scope}.", remedy)
        return caller

    @property
    def by_token(self) -> bool:
        """Whether the request brought its own token: then no page can have made the browser send it.

        A header with a token that is not valid does not count: the cookie is what let the request in.
        """
        return bool(getattr(self, "_token_authenticated", False))

    @property
    def page_token(self) -> str:
        """What the portal's pages carry and their requests bring; empty without a login by cookie."""
        login = self.hub_auth.get_token(self) if self.current_user and not self.by_token else None
        return page_token(self.settings["cookie_secret"], login) if login else ""

    def check_xsrf_cookie(self) -> None:
        """Replaced by `same_site`, which also looks at what the browser says of the request's origin."""

    def own_page(self) -> None:
        """A cookie works for the portal's own pages only; raise `Problem`."""
        self.same_site()
        if self.by_token or self.current_user is None:
            return
        if not hmac.compare_digest(self.request.headers.get(PAGE_HEADER, "").encode(), self.page_token.encode()):
            remedy = "Load the page again. A program sends a token instead of a cookie."
            raise Problem(403, "cross-site", "The request does not come from one of VISA's pages.", remedy)

    def same_site(self) -> None:
        """What changes something comes from this very host; raise `Problem`."""
        if self.by_token or self.request.method in _SAFE:
            return
        origin = self.request.headers.get("Origin")
        site = self.request.headers.get("Sec-Fetch-Site")
        good = urlsplit(origin).netloc == self.request.host if origin else site == "same-origin"
        if not good or self.request.headers.get("X-Visa-Request") != "1":
            raise Problem(403, "cross-site", "The request does not come from one of VISA's pages.", "Use the portal.")


class Callback(_Known, HubOAuthCallbackHandler):  # type: ignore[misc]
    """Back from the hub's login."""

    def set_default_headers(self) -> None:
        """No window that opened it sees the address, which holds the login's code."""
        self.clear_header("Server")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cache-Control", "no-store")

    async def get(self) -> None:
        """As JupyterHub's, which leaves the code of a login that it does not go on with: another may have begun it."""
        state, code = self.get_argument("state", ""), self.get_argument("code", "")
        if code and not self._begun_here(state):
            await self._spend(code)
        await super().get()

    def _begun_here(self, state: str) -> bool:
        known = self.get_secure_cookie(self.hub_auth.get_state_cookie_name(state))
        return known is not None and known == state.encode()

    async def _spend(self, code: str) -> None:
        """The hub takes no code twice, whatever it says to this; one that is away is asked again."""
        auth = self.hub_auth

        async def once() -> bool:
            try:
                await auth.token_for_code(code, sync=False, code_verifier="none")
            except web.HTTPError as error:
                log.info("The hub has back the code of a login that was not begun here: %s", error)
                # 500 is JupyterHub's word for what the hub refused, too.
                return error.status_code != 502 and _UNREACHED not in (error.log_message or "")
            return True

        await _again.until_done(once)


class Api(Guard):
    """Every operation of the REST API."""

    async def _serve(self, path: str) -> None:
        try:
            if path == "openapi.json" and self.request.method == "GET":
                self.set_header("Content-Type", "application/json")
                self.finish(openapi.content(f"{self.settings['prefix']}api/v1"))
                return
            self.own_page()
            operation, parts = _find(self.request.method or "", path)
            caller = self.permitted(operation.scope)
            given = self._given(operation)
            result = await operation.run(Call(self.service, caller, parts, given))
            if operation.stream:
                await self._stream(result)
            else:
                self.set_status(operation.status)
                self._finish(operation, result)
        except Problem as problem:
            self.fail(problem)

    get = post = patch = delete = put = _serve

    def _finish(self, operation: Operation, result: Any) -> None:
        if operation.status == 204:
            self.finish()
            return
        if operation.method == "POST" and operation.path == "instances":
            self.set_header("Location", f"{self.settings['prefix']}api/v1/instances/{result.id}")
        self.set_header("Content-Type", "application/json")
        self.finish(json.dumps(plain(result)))

    def _given(self, operation: Operation) -> Any:
        if operation.given is None:
            if self.request.body and operation.method != "GET" and self.request.body.strip() not in (b"{}", b"null"):
                raise Problem(400, "bad-request", "This request takes no body.", "Leave it out.")
            return None
        if operation.method == "GET":
            raw: Any = {name: self.get_query_arguments(name)[-1] for name in self.request.query_arguments}
            raw.pop("token", None)
        else:
            raw = self._body()
        for field, value in raw.items() if isinstance(raw, dict) else ():
            if not _storable(value):
                sentence = f"{field[:60]!a} has a character that is none (NUL, or half of a pair)."
                raise Problem(
                    400, "bad-request", sentence, "Leave it out.", field[:60].encode("ascii", "replace").decode()
                )
        try:
            return operation.given.model_validate(raw)
        except ValidationError as error:
            raise _bad_field(error) from None

    def _body(self) -> Any:
        if len(self.request.body) > LARGEST_BODY:
            raise Problem(413, "bad-request", f"The body is larger than {LARGEST_BODY // 1024} KiB.", "Send less.")
        try:
            return json.loads(self.request.body)
        except (ValueError, RecursionError):
            raise Problem(400, "bad-request", "The body is not JSON.", "Send a JSON object.") from None

    async def _stream(self, events: AsyncIterator[dict[str, Any]]) -> None:
        """Server-sent events; a fault in the middle is the last event."""
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        try:
            async for event in events:
                self.write(f"data: {json.dumps(event)}\n\n")
                await self.flush()
        except (Problem, *FAULTS) as error:
            problem = error if isinstance(error, Problem) else database_unavailable()
            self.write(f"event: problem\ndata: {json.dumps(problem.document())}\n\n")
        except StreamClosedError:
            log.debug("a page that watched a start was closed")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What nobody foresaw, without its inside."""
        reason = "method-not-allowed" if status_code == 405 else "fault" if status_code >= 500 else "bad-request"
        self.fail(Problem(status_code, reason, self._reason, "If it stays so, ask the facility's contact."))


def _find(method: str, path: str) -> tuple[Operation, dict[str, str]]:
    """The operation for a request; raise `Problem` 404 or 405."""
    allowed = []
    for operation in OPERATIONS:
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]{1,128})", operation.path)
        match = re.fullmatch(pattern, path)
        if match and operation.method == method:
            return operation, match.groupdict()
        if match:
            allowed.append(operation.method)
    if allowed:
        raise Problem(405, "method-not-allowed", f"This address takes {', '.join(allowed)}.", "See openapi.json.")
    raise Problem(404, "not-found", "There is nothing at this address.", "See openapi.json.")


def _storable(value: object) -> bool:
    """Whether all texts in JSON can be kept: databases take no NUL, and UTF-8 no half of a pair."""
    if isinstance(value, str):
        return not re.search("[\x00\ud800-\udfff]", value)
    if isinstance(value, dict):
        return all(map(_storable, (*value, *value.values())))
    return all(map(_storable, value)) if isinstance(value, list) else True


def _bad_field(error: ValidationError) -> Problem:
    first = error.errors(include_url=False)[0]
    field = ".".join(map(str, first["loc"])) or None
    what = (
        "is not known" if first["type"] == "extra_forbidden" else str(first["msg"])[:1].lower() + str(first["msg"])[1:]
    )
    shown = field[:60] if field else "the body"
    if first["type"] == UNFIT:
        return Problem(400, "bad-request", f"The {shown} {what}", str(first["ctx"]["remedy"]), field)
    return Problem(400, "bad-request", f"{shown}: {what}", "See openapi.json for what is taken.", field)
