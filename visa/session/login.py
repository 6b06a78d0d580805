"""Login at the gateway: OAuth with the hub, PKCE, and a session that nobody but this instance's gateways know.

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
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tornado.web import create_signed_value, decode_signed_value

from visa import clock
from visa.session.kept import Kept

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
    """Sessions, so many that one person cannot push out another's; logins under way are kept nowhere.

    ``kept``: what a former gateway of this instance left is gone on with.
    """

    def __init__(self, kept: Kept | None = None) -> None:
        self._kept = kept or Kept()
        self._key = b""
        self._sessions: OrderedDict[str, tuple[str, str]] = OrderedDict()
        for line in self._kept.lines:
            self._take(line)
        if not self._key:
            self._key = secrets.token_bytes(32)
            self._kept.add(logins=self._key.hex())
        self._kept.state.append(self._told)

    def _take(self, line: dict[str, Any]) -> None:
        if "logins" in line:
            self._key = bytes.fromhex(line["logins"])
        elif "session" in line:
            self._sessions[line["session"]] = line["token"], line["name"]
        elif "closed" in line:
            self._sessions.pop(line["closed"], None)

    def _told(self) -> Iterator[dict[str, Any]]:
        yield {"logins": self._key.hex()}
        for session, (token, name) in self._sessions.items():
            yield {"session": session, "token": token, "name": name}

    def begin(self, next_path: str, browser: str) -> tuple[str, str]:
        """A new login: ``(state, PKCE challenge)``. ``browser`` is its own random cookie: no login forgery."""
        told = json.dumps([next_path, secrets.token_urlsafe(24)])
        state = create_signed_value(self._key, browser, told, clock=_seconds).decode()
        digest = hashlib.sha256(self.verifier(state).encode()).digest()
        return state, _written(digest)

    def claim(self, state: str, browsers: Iterable[str]) -> Attempt | None:
        """The login of this state, only for the browser that began it: one of its cookies says so.

        The hub's code works once, so whoever brings a state again has no use of it.
        """
        for browser in browsers:
            age = _LOGIN_TIME / 86400
            told = decode_signed_value(self._key, browser, state, max_age_days=age, clock=_seconds)
            if told is not None:
                return Attempt(json.loads(told)[0], self.verifier(state))
        return None

    def verifier(self, state: str) -> str:
        """PKCE's, of a login of this gateway."""
        return _written(hmac.digest(self._key, state.encode(), "sha256"))

    def open(self, token: str, name: str) -> str:
        """A session of ``name`` for ``token``; its id. Of too many the oldest of who has most goes."""
        session = secrets.token_urlsafe(32)
        self._sessions[session] = token, name
        self._kept.add(session=session, token=token, name=name)
        if len(self._sessions) > _MOST:
            ((most, _),) = Counter(name for _, name in self._sessions.values()).most_common(1)
            self.close(next(session for session, (_, name) in self._sessions.items() if name == most))
        return session

    def token(self, session: str) -> str | None:
        """The token of a session."""
        token, _ = self._sessions.get(session, (None, ""))
        if token is not None:
            self._sessions.move_to_end(session)
        return token

    def close(self, session: str) -> None:
        """Forget it."""
        if self._sessions.pop(session, None) is not None:
            self._kept.add(closed=session)


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
