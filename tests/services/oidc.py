"""A small OpenID Connect provider whose faults can be chosen: what a real one does rarely or slowly.

It checks PKCE, and takes every refresh token once: one used twice ends the session, as providers with
rotation do. A real Keycloak is asked in tests/keycloak.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import secrets
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "visa", "a-secret"


class Provider:
    """``people``: claims by user name. ``who``: the one whom its login page lets in. ``fault``: how it fails now.

    ``logged_in_at``: when the login was that its ID tokens tell of, in seconds; ``claimed``: changes their claims.
    ``asked_for``: what its login page was last asked.
    ``lag``: so many questions with a token that is good are answered as if it were not known, as a replica does that
    has not heard of it.
    """

    def __init__(self) -> None:
        self.people: dict[str, dict[str, Any]] = {}
        self.who = ""
        self.fault = ""
        self.disabled: set[str] = set()
        self.asked: Counter[str] = Counter()
        self.misused: list[str] = []
        self.port = 0
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.signed_with: Any = None
        self.logged_in_at: float | None = None
        self.claimed: dict[str, Any] = {}
        self.asked_for: dict[str, str] = {}
        self.lag = 0
        self._once = False
        self._codes: dict[str, tuple[str, str, str]] = {}
        self._access: dict[str, str] = {}
        self._refresh: dict[str, str] = {}
        self._used: dict[str, str] = {}

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def expire_access_tokens(self) -> None:
        """As time does."""
        self._access.clear()

    @contextmanager
    def tokens_for_one_question(self) -> Iterator[None]:
        """Access tokens expire as soon as they were used once: who asks again needs the refresh token each time.

        (`expire_access_tokens` beside questions under way would take a token that was given just now.)
        """
        self._once = True
        try:
            yield
        finally:
            self._once = False

    def end_session(self, username: str) -> None:
        """As logging out at the provider does."""
        for tokens in (self._access, self._refresh):
            for token in [token for token, name in tokens.items() if name == username]:
                del tokens[token]

    @web.middleware
    async def faults(self, request: web.Request, handler: Any) -> web.StreamResponse:
        self.asked[request.path] += 1
        if self.fault == "closed" and request.transport is not None:
            request.transport.abort()
        if self.fault == "500":
            return web.Response(status=500, text="out of order")
        if self.fault == "page":
            return web.Response(text="<h1>Maintenance</h1>", content_type="text/html")
        if self.fault == "client" and request.path in ("/token", "/userinfo"):
            return web.json_response({"error": "invalid_client"}, status=401)
        answer: web.StreamResponse = await handler(request)
        return answer

    async def configuration(self, request: web.Request) -> web.Response:
        names = ("authorization", "token", "userinfo", "end_session")
        paths = ("authorize", "token", "userinfo", "logout")
        found = {f"{name}_endpoint": f"{self.issuer}/{path}" for name, path in zip(names, paths, strict=True)}
        return web.json_response({"issuer": self.issuer, "jwks_uri": f"{self.issuer}/keys", **found})

    async def keys(self, request: web.Request) -> web.Response:
        public = jwt.algorithms.RSAAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return web.json_response({"keys": [{**public, "kid": "one", "use": "sig", "alg": "RS256"}]})

    async def authorize(self, request: web.Request) -> web.Response:
        assert request.query["code_challenge_method"] == "S256"
        code = secrets.token_hex(8)
        self.asked_for = dict(request.query)
        self._codes[code] = (self.who, request.query["code_challenge"], request.query.get("nonce", ""))
        query = urlencode({"code": code, "state": request.query["state"]})
        raise web.HTTPFound(f"{request.query['redirect_uri']}?{query}")

    async def token(self, request: web.Request) -> web.Response:
        form = await request.post()
        if (form.get("client_id"), form.get("client_secret")) != (CLIENT, SECRET):
            return web.json_response({"error": "invalid_client"}, status=401)
        if form["grant_type"] == "authorization_code":
            username, challenge, nonce = self._codes.pop(str(form["code"]))
            digest = hashlib.sha256(str(form["code_verifier"]).encode()).digest()
            assert base64.urlsafe_b64encode(digest).decode().rstrip("=") == challenge
        else:
            token = str(form["refresh_token"])
            if token in self._used:
                self.misused.append(self._used[token])
                self.end_session(self._used[token])
            found = self._refresh.pop(token, None)
            if found is None or found in self.disabled:
                return web.json_response({"error": "invalid_grant"}, status=400)
            self._used[token], username, nonce = found, found, ""
        access, refresh = secrets.token_hex(8), secrets.token_hex(8)
        self._access[access] = self._refresh[refresh] = username
        tokens = {"access_token": access, "refresh_token": refresh, "id_token": self._identity(username, nonce)}
        return web.json_response({**tokens, "token_type": "Bearer", "expires_in": 60})

    def _identity(self, username: str, nonce: str) -> str:
        """An ID token; the login was just now, unless it says when it was."""
        now = int(time.time())
        claims: dict[str, Any] = {"iss": self.issuer, "aud": CLIENT, "sub": f"sub-{username}", "iat": now}
        claims |= {"exp": now + 300, "nonce": nonce, "auth_time": int(self.logged_in_at or now), **self.claimed}
        stays = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(stays, self.signed_with or self.key, "RS256", headers={"kid": "one"})

    async def userinfo(self, request: web.Request) -> web.Response:
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        username = self._access.pop(token, None) if self._once else self._access.get(token)
        if username is not None and self.lag:
            self.lag -= 1
            username = None
        if username is None or username in self.disabled:
            return web.json_response({"error": "invalid_token"}, status=401)
        return web.json_response({"sub": f"sub-{username}", **self.people[username]})

    def app(self) -> web.Application:
        made = web.Application(middlewares=[self.faults])
        made.router.add_get("/.well-known/openid-configuration", self.configuration)
        made.router.add_get("/keys", self.keys)
        made.router.add_get("/authorize", self.authorize)
        made.router.add_post("/token", self.token)
        made.router.add_get("/userinfo", self.userinfo)
        return made


@contextmanager
def running() -> Iterator[Provider]:
    """A provider on a port of its own, in a thread."""
    provider, loop = Provider(), asyncio.new_event_loop()

    async def start() -> web.AppRunner:
        runner = web.AppRunner(provider.app())
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        provider.port = runner.addresses[0][1]
        return runner

    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield provider
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
