"""The audit trail: every decision, written in the transaction of what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table
from sqlalchemy.orm import Session

from visa.clock import now
from visa.store.tables import AuditRow

_LONGEST_NAME = 128  # of people; a service's may be longer


@dataclass(frozen=True, slots=True)
class Decision:
    """One row for the audit trail."""

    actor: str
    owner: str
    action: str
    allowed: bool
    instance_id: str | None = None
    reason: str | None = None
    detail: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A decision with its number and time."""

    id: int
    at: datetime
    decision: Decision


def write(session: Session, decision: Decision) -> None:
    """Add ``decision`` in the caller's transaction."""
    row = {
        "at": now(),
        "actor": decision.actor[:_LONGEST_NAME],
        "owner": decision.owner[:_LONGEST_NAME],
        "action": decision.action,
        "instance_id": decision.instance_id,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "detail": dict(decision.detail or {}),
    }
    session.execute(cast("Table", AuditRow.__table__).insert(), row)
