"""Cookies that only the host which set them can set: browsers hold those named ``__Host-…`` to that.

Where instances have hosts below the hub's own domain, a page in one could set any other cookie for the domain, with
which its visitor would be logged in as somebody else, or go on with a login that somebody else began. JupyterHub knows
such names for one of its cookies; this gives them to all, and the servers themselves keep the names that they know.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tornado.httputil import (
    HTTPConnection,
    HTTPHeaders,
    HTTPMessageDelegate,
    HTTPServerConnectionDelegate,
    RequestStartLine,
    ResponseStartLine,
)

from visa.heads import Head

HUB, PORTAL = "__Host-hub-", "__Host-portal-"
SESSION = {f"{HUB}jupyterhub-session-id": "jupyterhub-session-id"}
"""What the portal reads of the hub's cookies: the end of a login there ends it at the portal."""


class HostCookies(HTTPServerConnectionDelegate):
    """Stands before an application; ``start`` is that one's ``start_request``.

    ``mark``: what its cookies' names begin with in browsers; ``also``: names of other servers' that it reads.
    """

    def __init__(
        self,
        start: Callable[[object, HTTPConnection], HTTPMessageDelegate],
        mark: str,
        also: Mapping[str, str] | None = None,
    ) -> None:
        self._start, self.mark, self.also = start, mark, also or {}

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Of one request."""
        answer: Any = _Answer(self, request_conn)
        return _Request(self, self._start(server_conn, answer))

    def inward(self, cookie: str) -> str:
        """A ``Cookie`` header with the names that the server knows; all that any host may have set is left out."""
        kept = []
        for part in cookie.split(";"):
            name, equals, value = part.strip(" \t").partition(
                "="
            )  # no other blank: a browser takes it for a part of the name
            known = name.removeprefix(self.mark) if name.startswith(self.mark) else self.also.get(name, "")
            if known:
                kept.append(f"{known}{equals}{value}")
        return "; ".join(kept)

    def outward(self, cookie: str) -> str:
        """A ``Set-Cookie`` header as browsers want it for such a name."""
        pair, *attributes = (part.strip() for part in cookie.split(";"))
        left = [one for one in attributes if one.partition("=")[0].lower() not in ("path", "domain", "secure")]
        return "; ".join([f"{self.mark}{pair}", *left, "Path=/", "Secure"])


class _Request(Head):
    """What comes."""

    def __init__(self, names: HostCookies, handler: HTTPMessageDelegate) -> None:
        super().__init__(handler)
        self._names = names

    def came(self, headers: HTTPHeaders) -> None:
        """With the cookies of this server."""
        given = [kept for one in headers.get_list("Cookie") if (kept := self._names.inward(one))]
        if "Cookie" in headers:
            del headers["Cookie"]
        if given:
            headers["Cookie"] = "; ".join(given)


class _Answer:
    """The connection as a handler sees it: all of it is the real one, but how headers are written."""

    def __init__(self, names: HostCookies, connection: HTTPConnection) -> None:
        self._names, self._connection = names, connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> Any:
        """With the names that browsers know."""
        cookies = headers.get_list("Set-Cookie")
        if cookies:
            del headers["Set-Cookie"]
            for one in cookies:
                headers.add("Set-Cookie", self._names.outward(one))
        return self._connection.write_headers(start_line, headers, chunk)
