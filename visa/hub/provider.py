"""What the identity provider says: its endpoints, and whether a fault is about the person or about the provider."""

from __future__ import annotations

import json
import os
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, TypeVar

from tornado import web
from tornado.httpclient import HTTPClientError

T = TypeVar("T")

ENDPOINTS = {
    "authorize_url": "authorization_endpoint",
    "token_url": "token_endpoint",
    "userdata_url": "userinfo_endpoint",
    "end_session_url": "end_session_endpoint",
    "jwks_url": "jwks_uri",
}
_NEEDED = ("authorization_endpoint", "token_endpoint", "userinfo_endpoint")
_NOT_ABOUT_THE_PERSON = {
    "invalid_client",
    "invalid_request",
    "invalid_scope",
    "server_error",
    "slow_down",
    "temporarily_unavailable",
    "unauthorized_client",
    "unsupported_grant_type",
}
"""OAuth error codes (RFC 6749 5.2) that a wrong client secret or a busy provider gives."""


class ProviderUnavailable(Exception):
    """The identity provider gives no usable answer: nothing is known about anybody just now."""


class NotAllowed(Exception):
    """The identity provider or the facility's rules say no. ``final``: a new access token would not help."""

    def __init__(self, why: str, *, final: bool = True) -> None:
        super().__init__(why)
        self.final = final


async def told_apart(question: Awaitable[T]) -> T:
    """The provider's answer; raise `NotAllowed` for its word about the person, `ProviderUnavailable` otherwise.

    Only 400, 401 and 403 can be about a person (RFC 6749 5.2, RFC 6750 3.1), and not when the provider
    complains about this client: a secret that an operator mistyped must not log everybody out for good.
    """
    try:
        return await question
    except HTTPClientError as error:
        if error.code in (400, 401, 403) and _oauth_error(error) not in _NOT_ABOUT_THE_PERSON:
            raise NotAllowed(f"the provider answered {error.code}", final=False) from error
        raise ProviderUnavailable(f"the provider answered {error.code} {_oauth_error(error)}") from error
    except web.HTTPError as error:
        if error.status_code < 500:
            raise NotAllowed(str(error.log_message or error.reason)) from error
        raise ProviderUnavailable(str(error)) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        # No connection, or an answer that is not what the protocol says (a maintenance page, for example).
        raise ProviderUnavailable(f"{type(error).__name__}: {error}") from error


def _oauth_error(error: HTTPClientError) -> str:
    try:
        content = json.loads(error.response.body) if error.response is not None else {}
    except ValueError:
        return ""
    return str(content.get("error", "")) if isinstance(content, dict) else ""


def checked(found: Any, issuer: str) -> dict[str, str]:
    """The endpoints in an answer of ``.well-known/openid-configuration``; raise `ProviderUnavailable`.

    The issuer must be the one that was asked for (OpenID Connect Discovery 4.3).
    """
    if not isinstance(found, dict):
        raise ProviderUnavailable("its openid-configuration is not an object")
    said = str(found.get("issuer", ""))
    if said.rstrip("/") != issuer.rstrip("/"):
        raise ProviderUnavailable(f"it calls itself {said or 'nothing'}, but VisaAuthenticator.issuer is {issuer}")
    endpoints = {key: value for key in ENDPOINTS.values() if isinstance(value := found.get(key), str)}
    missing = [key for key in _NEEDED if not endpoints.get(key, "").startswith(("https://", "http://"))]
    if missing:
        raise ProviderUnavailable(f"its openid-configuration names no {', '.join(missing)}")
    return {"issuer": said, **endpoints}


def remember(path: Path, endpoints: dict[str, str]) -> None:
    """Keep them for a hub that restarts while the provider is down."""
    temporary = path.with_suffix(".new")
    temporary.write_text(json.dumps(endpoints))
    os.replace(temporary, path)


def remembered(path: Path, issuer: str) -> dict[str, str] | None:
    """What `remember` kept about this issuer, or None."""
    try:
        return checked(json.loads(path.read_text()), issuer)
    except (OSError, ValueError, ProviderUnavailable):
        return None
