"""Login at the gateway: OAuth with the hub, PKCE, and a session that never leaves this process.

The browser holds a random session id, kept to the instance's path; the hub's token stays here.
"""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
import time
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

_MOST = 500
_LOGIN_TIME = 600.0


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login under way: where to go afterwards, and PKCE's verifier."""

    next: str
    verifier: str
    browser: str
    at: float


class Sessions:
    """Sessions and logins under way; both bounded, the oldest go first."""

    def __init__(self) -> None:
        self._tokens: OrderedDict[str, str] = OrderedDict()
        self._attempts: OrderedDict[str, Attempt] = OrderedDict()

    def begin(self, next_path: str, browser: str) -> tuple[str, str]:
        """A new login: ``(state, PKCE challenge)``. ``browser`` is its own random cookie: no login forgery."""
        state, verifier = secrets.token_urlsafe(24), secrets.token_urlsafe(48)
        self._attempts[state] = Attempt(next_path, verifier, browser, time.monotonic())
        while len(self._attempts) > _MOST:
            self._attempts.popitem(last=False)
        digest = hashlib.sha256(verifier.encode()).digest()
        return state, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def claim(self, state: str, browsers: Iterable[str]) -> Attempt | None:
        """The login of this state, once, and only for the browser that began it: one of its cookies says so."""
        attempt = self._attempts.pop(state, None)
        if attempt is None or time.monotonic() - attempt.at > _LOGIN_TIME:
            return None
        began = any(secrets.compare_digest(attempt.browser.encode(), browser.encode()) for browser in browsers)
        return attempt if began else None

    def open(self, token: str) -> str:
        """A session for ``token``; its id."""
        session = secrets.token_urlsafe(32)
        self._tokens[session] = token
        while len(self._tokens) > _MOST:
            self._tokens.popitem(last=False)
        return session

    def token(self, session: str) -> str | None:
        """The token of a session."""
        token = self._tokens.get(session)
        if token is not None:
            self._tokens.move_to_end(session)
        return token

    def close(self, session: str) -> None:
        """Forget it."""
        self._tokens.pop(session, None)


def bearer(header: str) -> str | None:
    """The token of an Authorization header, as JupyterHub takes it."""
    match = re.fullmatch(r"(?i)(?:token|bearer) +([\x21-\x7e]{1,512})", header.strip())
    return match[1] if match else None


def safe_next(uri: str, prefix: str) -> str:
    """Where a login leads: a path of this instance, else its beginning."""
    return uri if uri.startswith(prefix) and not re.search(r"[\x00-\x20\\]", uri) else prefix
