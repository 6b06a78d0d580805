"""What shows that a person logged in just now: OpenID Connect with ``prompt=login``, and a verified ID token."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import jwt

from visa import clock
from visa.hub.again import Unproven
from visa.instances.confirming import LASTS, not_fresh

STATE = "again-"
"""How states begin that are none of a login's."""
_COOKIE = "visa-login-again"
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
_CLOCKS = 60
"""Seconds by which the provider's clock may differ, for an ID token's own dates."""
_CANNOT = "The identity provider does not show that you logged in just now, so this was not done."


@dataclass(frozen=True, slots=True)
class Question:
    """Kept in the browser, signed; ``begun`` in seconds since 1970."""

    number: int
    state: str
    verifier: str
    nonce: str
    begun: float


def question(authenticator: Any, handler: Any, number: int) -> str:
    """Where the provider asks for the login; the cookie binds the answer to this browser."""
    verifier = secrets.token_urlsafe(32)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    state, nonce = STATE + secrets.token_urlsafe(24), secrets.token_urlsafe(24)
    asked = Question(number, state, verifier, nonce, clock.now().timestamp())
    handler._set_cookie(
        _COOKIE,
        json.dumps(asdict(asked)),
        httponly=True,
        expires_days=LASTS.total_seconds() / 86400,
        path=handler.hub.base_url,
    )
    parameters = {
        **authenticator.extra_authorize_params,
        "response_type": "code",
        "client_id": authenticator.client_id,
        "redirect_uri": authenticator.get_callback_url(handler),
        "scope": " ".join(dict.fromkeys(["openid", *authenticator.scope])),
        "state": state,
        "nonce": nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        "prompt": "login",
        "max_age": "0",
    }
    mark = "&" if "?" in authenticator.authorize_url else "?"
    return f"{authenticator.authorize_url}{mark}{urlencode(parameters)}"


def taken(handler: Any) -> Question | None:
    """The question that an answer with this state belongs to, once; None when this browser asked none."""
    kept = handler.get_secure_cookie(_COOKIE, max_age_days=LASTS.total_seconds() / 86400)
    handler.clear_cookie(_COOKIE, path=handler.hub.base_url)
    try:
        asked = Question(**json.loads(kept or b""))
    except (ValueError, TypeError):
        return None
    given: str = handler.get_argument("state", "")
    return asked if secrets.compare_digest(asked.state.encode(), given.encode()) else None


def exchange(authenticator: Any, handler: Any, asked: Question) -> dict[str, str]:
    """What the token endpoint is asked (RFC 6749 4.1.3, RFC 7636)."""
    parameters = {
        "grant_type": "authorization_code",
        "code": handler.get_argument("code", ""),
        "redirect_uri": authenticator.get_callback_url(handler),
        "code_verifier": asked.verifier,
        **authenticator.token_params,
    }
    if not authenticator.basic_auth:
        parameters |= {"client_id": authenticator.client_id, "client_secret": authenticator.client_secret}
    return parameters


def of(
    authenticator: Any, token: Mapping[str, Any], keys: Mapping[str, Any], asked: Question, rule: str
) -> dict[str, Any]:
    """The claims of the ID token, when they show a login after ``asked``; raise `Unproven`.

    ``rule``: ``people.login_again``. With ``unproven`` a provider is believed that does not say when the login was.
    """
    claims = _verified(authenticator, str(token.get("id_token") or ""), keys)
    if not secrets.compare_digest(str(claims.get("nonce", "")).encode(), asked.nonce.encode()):
        raise Unproven(_CANNOT, "the ID token does not bear the nonce that was sent")
    begun = datetime.fromtimestamp(asked.begun, UTC)
    why = not_fresh(begun, clock.now(), int(claims["iat"]), claims.get("auth_time"))
    if why is None:
        return claims
    if rule != "unproven":
        raise Unproven(_CANNOT, f"{why}. Mend it at the provider, or set people.login_again in facility.yaml")
    authenticator.log.warning("Another login is taken as it is (people.login_again: unproven): %s", why)
    return claims


def _verified(authenticator: Any, text: str, keys: Mapping[str, Any]) -> dict[str, Any]:
    """OpenID Connect Core 3.1.3.7: signature, issuer, audience, dates."""
    if not authenticator.issuer:
        raise Unproven(_CANNOT, "VisaAuthenticator.issuer is not set, so ID tokens cannot be verified")
    try:
        key = _key(jwt.get_unverified_header(text), keys)
        claims: dict[str, Any] = jwt.decode(
            text,
            key,
            algorithms=_ALGORITHMS,
            audience=authenticator.client_id,
            leeway=_CLOCKS,
            options={"require": ["exp", "iat", "aud", "iss", "sub"]},
        )
    except (jwt.PyJWTError, ValueError, TypeError, KeyError) as error:
        raise Unproven(_CANNOT, f"its ID token cannot be verified: {type(error).__name__}: {error}") from None
    if str(claims["iss"]).rstrip("/") != authenticator.issuer.rstrip("/"):
        raise Unproven(_CANNOT, f"its ID token is of another issuer, {str(claims['iss'])[:200]}")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else authenticator.client_id) != authenticator.client_id:
        raise Unproven(_CANNOT, "its ID token was made for another client (azp)")
    return claims


def _key(header: Mapping[str, Any], keys: Mapping[str, Any]) -> Any:
    """The provider's key that the token names; the only one, where it names none."""
    if header.get("alg") not in _ALGORITHMS:
        raise ValueError(f"it is signed with {str(header.get('alg'))[:20]}, not with a public key")
    found = [one for one in jwt.PyJWKSet.from_dict(dict(keys)).keys if one.public_key_use in (None, "sig")]
    named = [one for one in found if header.get("kid") in (None, one.key_id)]
    if len(named) != 1:
        raise ValueError("the provider's keys (jwks_uri) have none that it names")
    return named[0].key
