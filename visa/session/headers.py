"""What passes between browser and Jupyter: no secret of the hub inward, no power over the hub's host outward."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from urllib.parse import unquote_plus

from tornado.httputil import HTTPHeaders

IDENTITY = "X-Visa-Identity"
OWN_COOKIE = "visa-session"
STATE_COOKIE = "visa-login"

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
_NOT_INWARD = _HOP_BY_HOP | {"authorization", "cookie", "expect", "content-length", "forwarded", "http2-settings"}
_NOT_OUTWARD = _HOP_BY_HOP | {
    "set-cookie",
    "clear-site-data",
    "service-worker-allowed",
    # The portal's pages share no window with a page whose policy differs; an instance must not send theirs.
    "cross-origin-opener-policy",
    "cross-origin-opener-policy-report-only",
    "strict-transport-security",
    "public-key-pins",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    # These too speak for the whole host, which is the hub's.
    "alt-svc",
    "accept-ch",
    "critical-ch",
    "expect-ct",
    "nel",
    "report-to",
    "reporting-endpoints",
    "origin-agent-cluster",
    "cross-origin-resource-policy",
    "set-login",
    "sec-session-registration",
    "secure-session-registration",
    "sec-session-challenge",
    "secure-session-challenge",
    "activate-storage-access",
    "attribution-reporting-register-source",
    "attribution-reporting-register-trigger",
    "shared-storage-write",
    "speculation-rules",
    "use-as-dictionary",
    "www-authenticate",
    "x-jupyterhub-version",
    "server",
    "date",
    "content-length",
}
_GUARDED = re.compile(r"(?i)(jupyterhub|visa-|__host-|__secure-)")
_MOST_VALUES = 8
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_WEBSOCKET = re.compile(r"(?i)sec-websocket-")


def encoded(identity: dict[str, str]) -> str:
    """The value of the header `IDENTITY`: base64 of JSON."""
    return base64.b64encode(json.dumps(identity).encode()).decode()


def is_hub_cookie(name: str) -> bool:
    """Whether a cookie belongs to the hub, a service of it, or the gateway."""
    return _GUARDED.match(name) is not None


def inward(headers: HTTPHeaders, identity: str) -> HTTPHeaders:
    """What Jupyter gets: no credentials of the hub, no hop's own headers, and who is there."""
    passed = HTTPHeaders()
    listed = _listed(headers)
    for name, value in headers.get_all():
        lower = name.lower().replace("_", "-")
        if lower in _NOT_INWARD or lower in listed or lower.startswith(("x-visa-", "proxy-")):
            continue
        if not _WEBSOCKET.match(name):
            passed.add(name, value)
    cookies = [c for header in headers.get_list("Cookie") for c in cookie_parts(header)]
    kept = [part for part in cookies if not is_hub_cookie(part.partition("=")[0].strip())]
    if kept:
        passed["Cookie"] = "; ".join(kept)
    passed[IDENTITY] = identity
    return passed


def _listed(headers: HTTPHeaders) -> set[str]:
    """Headers that the sender's Connection header keeps to its own hop."""
    return {name.strip().lower() for name in headers.get("Connection", "").split(",")}


def without_token(query: str) -> str:
    """``query`` without the parameter ``token``: people put hub tokens there, and Jupyter must not see one."""
    parts = query.split("&")
    return "&".join(part for part in parts if unquote_plus(part.partition("=")[0]).lower() != "token")


def cookie_parts(header: str) -> list[str]:
    """``name=value`` parts of a Cookie header."""
    return [part.strip() for part in header.split(";") if part.strip()]


def cookie_values(headers: HTTPHeaders, name: str) -> list[str]:
    """The first few values of the cookies named ``name``, in the browser's order: the most particular path first."""
    pairs = [part.partition("=") for header in headers.get_list("Cookie") for part in cookie_parts(header)]
    return [value.strip() for key, _, value in pairs if key.strip() == name and value.strip()][:_MOST_VALUES]


def outward(headers: HTTPHeaders, prefix: str) -> Iterable[tuple[str, str]]:
    """What the browser gets: cookies only for the instance's own path, nothing that speaks for the whole host."""
    listed = _listed(headers)
    for name, value in headers.get_all():
        if name.lower() not in _NOT_OUTWARD and name.lower() not in listed:
            yield name, value
    for cookie in headers.get_list("Set-Cookie"):
        own = own_path_cookie(cookie, prefix)
        if own is not None:
            yield "Set-Cookie", own


def own_path_cookie(cookie: str, prefix: str) -> str | None:
    """``cookie`` kept to ``prefix``; None when it bears a name of the hub's, or none."""
    pair, *attributes = cookie.split(";")
    name = pair.partition("=")[0].strip()
    # Browsers send a cookie without a name as its bare value, which may spell the hub's.
    if not _COOKIE_NAME.fullmatch(name) or is_hub_cookie(name):
        return None
    kept = [pair.strip()]
    path = prefix
    for attribute in attributes:
        name, _, value = attribute.strip().partition("=")
        if name.lower() == "path":
            path = value if value.startswith(prefix) and ".." not in value else prefix
        elif name and name.lower() != "domain":
            kept.append(attribute.strip())
    return "; ".join([*kept, f"Path={path}"])
