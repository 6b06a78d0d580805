"""What pages show: values as people read them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from visa.catalogue.base import Experiment
from visa.instances.quotas import write_amount
from visa.portal.models import FlavourOut, InstanceOut, QuotaOut
from visa.portal.sharing.models import BeamtimeOut, RequestOut

STATES = {
    "starting": "Starting",
    "running": "Running",
    "stopping": "Stopping",
    "stopped": "Stopped",
    "failed": "Ended by a fault",
}


ROLES = {
    "owner": "Owner",
    "collaborator": "Collaborator",
    "observer": "Observer",
    "support": "Support, may act",
    "support-view": "Support, looks",
    "none": "Nothing",
}
WAYS = {
    "team": "added from the team",
    "search": "added",
    "invitation": "invited",
    "link": "came by a public link",
    "request": "asked and was let in",
    "support": "let in for support",
    "standing": "came for support, by standing consent",
    "break-glass": "entered without consent",
}
WANTS = {
    "observer": "watch",
    "collaborator": "work together",
    "support-view": "look, as support",
    "support": "look and act, as support",
}
GIVE = {
    "observer": "Let in to watch",
    "collaborator": "Let in to work together",
    "support-view": "Let in to look",
    "support": "Let in to act",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One instance on the home page."""

    instance: InstanceOut
    state: str
    experiments: tuple[tuple[str, str, str], ...]  # id, title, instrument
    environment: str
    flavour: str
    since: str
    left: str

    @property
    def text(self) -> str:
        """What the page's own search looks at."""
        parts = [self.instance.title, self.instance.name, self.environment, self.flavour, self.state]
        return " ".join([*parts, *(" ".join(e) for e in self.experiments)]).lower()


def role(word: str) -> str:
    """``Collaborator``."""
    return ROLES.get(word, word)


def way(word: str | None) -> str:
    """``added from the team``."""
    return WAYS.get(word or "", word or "")


def wants(word: str) -> str:
    """``watch``, after "asks to"."""
    return WANTS.get(word, word)


def answers(request: RequestOut) -> tuple[str, ...]:
    """What the owner may give, the least first."""
    if request.kind == "guest":
        return ("observer", "collaborator")
    return ("support-view",) if request.wanted == "support-view" else ("support-view", "support")


def moment(time: datetime) -> str:
    """``3 May 2025, 14:05 UTC``."""
    return f"{time.day} {time:%b %Y, %H:%M} UTC"


def ago(moment: datetime | None, now: datetime) -> str:
    """``3 hours ago``."""
    return "" if moment is None else f"{span(now - moment)} ago"


def span(length: timedelta) -> str:
    """The two largest... one unit, rounded down: ``3 hours``."""
    seconds = max(0, int(length.total_seconds()))
    for unit, size in (("day", 86400), ("hour", 3600), ("minute", 60)):
        count = seconds // size
        if count >= 1:
            return f"{count} {unit}{'s' if count != 1 else ''}"
    return "less than a minute"


def left(instance: InstanceOut, now: datetime) -> str:
    """``4 days left``, or with the reason when it is idleness that ends it."""
    if instance.ends is None:
        return ""
    words = f"{span(instance.ends - now)} left"
    return f"{words} unless used" if instance.ends_because == "idle" else words


def amount(flavour: FlavourOut) -> str:
    """``2 cores, 4 GiB of memory``."""
    parts = [write_amount("cpu", flavour.cpu), write_amount("memory", flavour.memory)]
    if flavour.gpu:
        parts.append(write_amount("gpu", flavour.gpu))
    return ", ".join(parts)


def quota(limit: QuotaOut) -> str:
    """``2 of 5 instances``."""
    allowed = write_amount(limit.resource, limit.allowed)
    held = limit.held / 2**30 if limit.resource == "memory" else limit.held
    return f"{held:g} of {allowed}"


def dates(experiment: Experiment | BeamtimeOut) -> str:
    """``3 to 5 May 2025``."""
    start, end = experiment.start, experiment.end
    if start == end:
        return f"{start.day} {start:%b %Y}"
    if (start.year, start.month) == (end.year, end.month):
        return f"{start.day}–{end.day} {end:%b %Y}"
    first = f"{start.day} {start:%b}" if start.year == end.year else f"{start.day} {start:%b %Y}"
    return f"{first} – {end.day} {end:%b %Y}"


def contrast(colour: str) -> str:
    """Black or white, whichever reads better on ``#rrggbb`` (WCAG relative luminance)."""
    return "#000000" if luminance(colour) > 0.179 else "#ffffff"


def luminance(colour: str) -> float:
    """WCAG's relative luminance, 0 to 1."""
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def readable(colour: str, background: str) -> str:
    """``colour`` moved towards black or white until it reads on ``background`` (contrast 4.5)."""
    target = 255 if luminance(background) < 0.18 else 0
    channels = [int(colour[i : i + 2], 16) for i in (1, 3, 5)]
    for step in range(0, 101, 5):
        mixed = [round(c + (target - c) * step / 100) for c in channels]
        candidate = "#" + "".join(f"{c:02x}" for c in mixed)
        high, low = sorted((luminance(candidate), luminance(background)), reverse=True)
        if (high + 0.05) / (low + 0.05) >= 4.6:
            return candidate
    return "#ffffff" if target else "#000000"


def accent_css(colour: str) -> str:
    """The facility's colour as variables, readable in both themes."""
    return (
        f":root{{--visa-accent:{readable(colour, '#ffffff')};--visa-on-accent:#ffffff}}\n"
        f"[data-bs-theme=dark]{{--visa-accent:{readable(colour, '#212529')};"
        f"--visa-on-accent:{contrast(readable(colour, '#212529'))}}}\n"
    )


def short(items: Iterable[str], most: int = 3) -> str:
    """The first few and how many more."""
    known = list(items)
    more = f" and {len(known) - most} more" if len(known) > most else ""
    return ", ".join(known[:most]) + more
