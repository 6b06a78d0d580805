"""What a browser tells of a request: whether a person went to the page."""

from __future__ import annotations

from tornado.httputil import HTTPHeaders


def navigated(headers: HTTPHeaders) -> bool:
    """Whether a person went to the page, as far as the browser tells: no script, frame or worker asks for it."""
    mode, what = headers.get("Sec-Fetch-Mode", "navigate"), headers.get("Sec-Fetch-Dest", "document")
    return mode == "navigate" and what == "document"
