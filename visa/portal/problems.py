"""Errors of the portal: named failures inside, ``application/problem+json`` outside (RFC 9457)."""

from __future__ import annotations

from http import HTTPStatus

from visa.instances.model import Refusal
from visa.store import faults
from visa.store.admissions import HTTP_STATUS

REASONS: dict[str, str] = {
    "not-logged-in": "No valid login or token came with the request.",
    "scope-missing": "The token lacks the scope that the request needs.",
    "not-found": "There is no such thing, or it is another person's.",
    "bad-request": "The request has a wrong or unknown field.",
    "method-not-allowed": "The address exists but does not take this method.",
    "cross-site": "The request comes from another site, or without its protection token.",
    "busy": "The instance is starting or stopping.",
    "hub-refused": "JupyterHub refused; the detail says why.",
    "not-answered": "The instance does not answer.",
    "hub-unavailable": "JupyterHub does not answer.",
    "database-unavailable": "A database of the service is away, refuses, is read-only or full; running work goes on.",
    "fault": "The service made a mistake; operators see it in the log.",
}
"""Codes of the portal itself; admission's are `visa.instances.model.Reason`."""


class Problem(Exception):
    """Something that the person asked for is not done; says why and who can change it."""

    def __init__(self, status: int, reason: str, detail: str, remedy: str = "", field: str | None = None) -> None:
        super().__init__(detail)
        self.status, self.reason, self.detail, self.remedy, self.field = status, reason, detail, remedy, field

    def document(self) -> dict[str, object]:
        """The problem+json body."""
        return {
            "type": f"about:blank#{self.reason}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
            "reason": self.reason,
            "remedy": self.remedy,
            "field": self.field,
        }


def refused(refusal: Refusal) -> Problem:
    """Admission's no."""
    return Problem(HTTP_STATUS[refusal.reason], refusal.reason.value, refusal.sentence, refusal.remedy, refusal.field)


def not_found(what: str) -> Problem:
    """Unknown, or another person's: the same answer."""
    return Problem(404, "not-found", f"There is no {what} of that name among yours.", "Look at your home page.")


UNAVAILABLE = frozenset({"hub-unavailable", faults.REASON})
"""Nothing was decided: the same question may have another answer in a moment."""


def database_unavailable() -> Problem:
    """The store cannot be used now, or JupyterHub's own database."""
    return Problem(503, faults.REASON, faults.SENTENCE, faults.REMEDY)


def hub_unavailable() -> Problem:
    """The hub is down or restarting."""
    return Problem(503, "hub-unavailable", "JupyterHub does not answer.", "Running work goes on. Try again soon.")
