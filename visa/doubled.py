"""Cookies that somebody else set under a name of ours.

A page of an instance on the hub's host can set cookies for any path there: a login of its author's, for a path where it
counts before the person's own. It cannot take that one away (HttpOnly), so both come.
"""

from __future__ import annotations

from collections.abc import Iterator
from http.cookies import CookieError, SimpleCookie

from tornado import web
from tornado.httputil import HTTPHeaders, HTTPServerRequest

from visa.navigation import navigated

SENTENCE = "A page on this host set a second login in your browser. It was taken away; load the page again."
STAYS = (
    "A page on this host set a second login in your browser that cannot be taken away from here. "
    "Delete the cookies of this site in your browser, and log in again."
)
_ONCE = "visa-doubled"
"""Says for some seconds that the page was loaded again already."""
_LONG_AGO = "Thu, 01 Jan 1970 00:00:00 GMT"
_DEEPEST = 8


def one_only(handler: web.RequestHandler, name: str, own_path: str) -> bool:
    """Whether at most one value came under ``name``; else both are nobody's, and ``handler`` has answered.

    Ours is at ``own_path`` and stays; the page is loaded again without the other, once.
    """
    request = handler.request
    if not differs(request.headers, name):
        return True
    for one in expired(request, name, own_path):
        handler.add_header("Set-Cookie", one)
    again = any(_values(request.headers, _ONCE))
    if request.method == "GET" and navigated(request.headers) and not again:
        handler.add_header("Set-Cookie", f"{_ONCE}=1; Path={own_path}; Max-Age=10; HttpOnly")
        handler.redirect("/" + (request.uri or own_path).lstrip("/\\"))  # never to another host
        return False
    handler.set_status(403)
    handler.finish(STAYS if again else SENTENCE)
    return False


def differs(headers: HTTPHeaders, name: str) -> bool:
    """Whether different values came under ``name``."""
    return len(set(_values(headers, name))) > 1


def _values(headers: HTTPHeaders, name: str) -> Iterator[str]:
    for header in headers.get_list("Cookie"):
        for part in header.split(";"):
            key, _, value = part.strip(" \t").partition("=")
            if key == name:
                yield _plain(part, name, value)


def _plain(part: str, name: str, value: str) -> str:
    try:
        return SimpleCookie(part)[name].value
    except (CookieError, KeyError):
        return value


def expired(request: HTTPServerRequest, name: str, own_path: str) -> Iterator[str]:
    """``Set-Cookie`` values that remove ``name`` from wherever it may have been set, but for ``own_path``.

    Cookies came with this request, so their paths lead to its own. Those for a whole domain go on every path.
    """
    host = request.host_name
    labels = host.split(".")
    domains = [".".join(labels[n:]) for n in range(len(labels) - 1)] if not labels[-1].isdigit() else []
    for path in _paths(request.path):
        # Never ours: without a name a cookie is sent as its bare value, and a partitioned one is another one.
        yield f"=x; Path={path}; Expires={_LONG_AGO}"
        yield f"{name}=; Path={path}; Secure; Partitioned; Expires={_LONG_AGO}"
        if path != own_path:
            yield f"{name}=; Path={path}; Expires={_LONG_AGO}"
        for domain in domains:
            yield f"{name}=; Path={path}; Domain={domain}; Expires={_LONG_AGO}"


def _paths(path: str) -> Iterator[str]:
    parts = path.strip("/").split("/")[:_DEEPEST]
    yield "/"
    for n in range(1, len(parts) + 1):
        beginning = "/" + "/".join(parts[:n])
        if beginning != "/":
            yield beginning
            yield beginning + "/"
