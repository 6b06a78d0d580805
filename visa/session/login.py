"""Login at the gateway: OAuth with the hub, PKCE, and a session that never leaves this process.

The browser holds a random session id, kept to the instance's path; the hub's token stays here.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
import secrets
from collections import Counter, OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass

from tornado.web import create_signed_value, decode_signed_value

from visa import clock

_MOST = 500
_LOGIN_TIME = 600.0
_LONGEST_NEXT = 1000
"""Characters of an address that travels with a login."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A login under way: where to go afterwards, and PKCE's verifier."""

    next: str
    verifier: str


class Sessions:
    """Sessions, so many that one person cannot push out another's; logins under way are kept nowhere."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, tuple[str, str]] = OrderedDict()

    def begin(self, next_path: str, browser: str) -> tuple[str, str]:
        """A new login: ``(state, PKCE challenge)``. ``browser`` is its own random cookie: no login forgery."""
        told = json.dumps([next_path, secrets.token_urlsafe(24)])
        state = create_signed_value(self._key, browser, told, clock=_seconds).decode()
        digest = hashlib.sha256(self._verifier(state).encode()).digest()
        return state, _written(digest)

    def claim(self, state: str, browsers: Iterable[str]) -> Attempt | None:
        """The login of this state, only for the browser that began it: one of its cookies says so.

        The hub's code works once, so whoever brings a state again has no use of it.
        """
        for browser in browsers:
            age = _LOGIN_TIME / 86400
            told = decode_signed_value(self._key, browser, state, max_age_days=age, clock=_seconds)
            if told is not None:
                return Attempt(json.loads(told)[0], self._verifier(state))
        return None

    def _verifier(self, state: str) -> str:
        return _written(hmac.digest(self._key, state.encode(), "sha256"))

    def open(self, token: str, name: str) -> str:
        """A session of ``name`` for ``token``; its id. Of too many the oldest of who has most goes."""
        session = secrets.token_urlsafe(32)
        self._sessions[session] = token, name
        if len(self._sessions) > _MOST:
            ((most, _),) = Counter(name for _, name in self._sessions.values()).most_common(1)
            del self._sessions[next(session for session, (_, name) in self._sessions.items() if name == most)]
        return session

    def token(self, session: str) -> str | None:
        """The token of a session."""
        token, _ = self._sessions.get(session, (None, ""))
        if token is not None:
            self._sessions.move_to_end(session)
        return token

    def close(self, session: str) -> None:
        """Forget it."""
        self._sessions.pop(session, None)


def _seconds() -> float:
    return clock.now().timestamp()


def _written(digest: bytes) -> str:
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def bearer(header: str) -> str | None:
    """The token of an Authorization header, as JupyterHub takes it."""
    match = re.fullmatch(r"(?i)(?:token|bearer) +([\x21-\x7e]{1,512})", header.strip())
    return match[1] if match else None


def safe_next(uri: str, prefix: str) -> str:
    """Where a login leads: a path of this instance, else its beginning."""
    safe = uri.startswith(prefix) and len(uri) <= _LONGEST_NEXT and not re.search(r"[\x00-\x20\\]", uri)
    return uri if safe else prefix
