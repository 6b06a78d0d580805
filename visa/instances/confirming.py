"""Acts for which a person logs in again first, and what shows that they did (OpenID Connect Core 3.1.2.1, 3.1.3.7)."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from visa.facility.model import Facility

LASTS = timedelta(minutes=10)
"""From the wish for the act to its end: longer, and it is begun anew."""
CLOCK = 5
"""Seconds that a provider's whole seconds and a slow answer may be wrong by."""


class Grave(StrEnum):
    """Acts that open somebody's work without them, or to people whom nobody knows yet."""

    BREAK_GLASS = "break-glass"
    PUBLIC_LINK = "public-link"


def asks_again(facility: Facility) -> bool:
    """Whether grave acts need another login here."""
    return facility.people.login_again != "off"


def not_fresh(begun: datetime, answered: datetime, issued_at: int, auth_time: object) -> str | None:
    """Why a login cannot be one that was made after ``begun``; None: it can.

    ``issued_at`` and ``auth_time`` are the provider's, from one token, in seconds; ``begun`` and ``answered`` are this
    machine's. Only spans are compared, so clocks that differ do not matter.
    """
    if isinstance(auth_time, bool) or not isinstance(auth_time, int | float):
        return "the provider does not say when the login was (auth_time)"
    if auth_time > issued_at + CLOCK:
        return "the provider says that the login is yet to come (auth_time after iat)"
    since_begun = max(0.0, (answered - begun).total_seconds())
    if auth_time < issued_at - since_begun - CLOCK:
        return "the provider did not ask for the login again (auth_time is from before; it ignores prompt and max_age)"
    return None
