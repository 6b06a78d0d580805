"""Tickets for the small picture of a desktop: the portal gives them, the instance's gateway takes them.

The picture is shown in the portal's page, which has another origin than the instance, so the browser may send no
cookie of the instance's. A ticket opens nothing but the picture, and for a few minutes only.
"""

from __future__ import annotations

import hashlib
import hmac

_STEP = 60
"""Seconds for which a ticket stays the same, so that a page that is made anew shows the picture that it has."""
_LASTS = 240


def key_of(secret: bytes, instance: str) -> str:
    """One instance's own key; its gateway knows no other. ``secret``: what hub and portal share."""
    return hmac.new(secret, f"visa picture\n{instance}".encode(), hashlib.sha256).hexdigest()


def ticket(key: str, seconds: float) -> str:
    """For the picture of the instance whose ``key`` it is, good for 4 to 5 minutes from ``seconds``, the time now."""
    end = (int(seconds) // _STEP + 1) * _STEP + _LASTS
    return f"{end}.{_mark(key, end)}"


def good(key: str, given: str, seconds: float) -> bool:
    """Whether ``given`` was made with ``key`` and is not over; without a key none is."""
    end, _, mark = given.partition(".")
    if not key or not (end.isascii() and end.isdigit() and len(end) < 12 and mark.isascii()):
        return False
    return seconds < int(end) and hmac.compare_digest(mark, _mark(key, int(end)))


def _mark(key: str, end: int) -> str:
    return hmac.new(key.encode(), str(end).encode(), hashlib.sha256).hexdigest()
