"""What a browser tells of a request: whether a person went to the page.

Browsers tell it over https and of their own machine only (Fetch Metadata). Over plain http from elsewhere a page and a
script in it look alike, and so do all requests of a browser from before 2023: nothing is shown to them.
"""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from tornado.httputil import HTTPHeaders

ONLY_PAGES = "This is a page that a person goes to. Open the address itself."
NOT_TOLD = (
    "Your browser does not tell pages from scripts here. Come by https, with a browser of 2023 or later: "
    "over plain http VISA is safe on one's own machine only."
)


def refusal(headers: HTTPHeaders) -> str | None:
    """Why nothing is shown, in a sentence; None when a person went to the page: no script, frame, worker or guess of
    the browser's asks for it. A request that tells nothing counts as a person's on this machine only."""
    mode, what = headers.get("Sec-Fetch-Mode"), headers.get("Sec-Fetch-Dest")
    if mode is None and what is None:
        return None if loopback(headers.get("Host", "")) else NOT_TOLD
    ahead = "prefetch" in headers.get("Sec-Purpose", "") + headers.get("Purpose", "")
    return None if (mode, what) == ("navigate", "document") and not ahead else ONLY_PAGES


def navigated(headers: HTTPHeaders) -> bool:
    """Whether a person went to the page, as far as the browser tells."""
    return refusal(headers) is None


def plain_elsewhere(url: str) -> bool:
    """Whether an address is plain http of another machine, where browsers tell nothing."""
    parts = urlsplit(url)
    return parts.scheme == "http" and not loopback(parts.netloc)


def loopback(host: str) -> bool:
    """Whether a name or address, with or without a port, is always the browser's own machine."""
    name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
    name = name.lower().removesuffix(".")
    if name == "localhost" or name.endswith(".localhost"):  # browsers lead these to this machine (RFC 6761)
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
