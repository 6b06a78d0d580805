"""The audit trail: every decision, written in the transaction of what was decided.

Refusals that are repeated are summed (`visa.store.refusals`).
"""

from __future__ import annotations

import atexit
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

from sqlalchemy import Engine, Table, event
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session, SessionTransaction

from visa.clock import now
from visa.store.refusals import Refusals, Summed
from visa.store.tables import AuditRow

log = logging.getLogger(__name__)

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
    at, refusals = now(), _refusals(session.get_bind().engine)
    if due := refusals.due(at):
        _take_back_unless_written(session, refusals, due)
        for summed in due:
            _insert(session, _sum(summed), at)
    detail = json.dumps(dict(decision.detail or {}), sort_keys=True, default=str)
    kind = (decision.actor, decision.owner, decision.action, decision.instance_id, decision.reason, detail)
    if decision.allowed or refusals.own_row(kind, at):
        _insert(session, decision, at)


def _take_back_unless_written(session: Session, refusals: Refusals, due: list[Summed]) -> None:
    left = list(due)

    def ended(_: Session, transaction: SessionTransaction) -> None:
        if transaction.parent is None:
            refusals.again(left)
            left.clear()

    event.listen(session, "after_commit", lambda _: left.clear())
    event.listen(session, "after_transaction_end", ended)


def sum_up(engine: Engine) -> None:
    """Write the sums that were not written yet."""
    refusals = _refusals(engine)
    found = refusals.due(now(), all_of_them=True)
    try:
        with Session(engine) as session:
            for summed in found:
                _insert(session, _sum(summed), now())
            session.commit()
    except SQLAlchemyError as error:
        log.warning("Refusals that were repeated are not in the audit trail yet: %s", error)
        refusals.again(found)


_counted: WeakKeyDictionary[Engine, Refusals] = WeakKeyDictionary()


def _refusals(engine: Engine) -> Refusals:
    known = _counted.get(engine)
    if known is None:
        known = _counted.setdefault(engine, Refusals(partial(_sum_up_late, ref(engine))))
    return known


def _sum_up_late(engine: ref[Engine]) -> None:
    there = engine()
    if there is not None:
        sum_up(there)


@atexit.register
def _sum_up_all() -> None:
    for engine in list(_counted):
        sum_up(engine)


def _sum(summed: Summed) -> Decision:
    actor, owner, action, instance, reason, first = summed.kind
    span = {"since": summed.since.isoformat(), "until": summed.until.isoformat()}
    return Decision(
        actor,
        owner,
        action,
        False,
        instance,
        reason,
        {**json.loads(first), "times": summed.times, **span, "some": summed.kinds},
    )


def _insert(session: Session, decision: Decision, at: datetime) -> None:
    row = {
        "at": at,
        "actor": decision.actor[:_LONGEST_NAME],
        "owner": decision.owner[:_LONGEST_NAME],
        "action": decision.action,
        "instance_id": decision.instance_id,
        "allowed": decision.allowed,
        "reason": decision.reason,
        "detail": dict(decision.detail or {}),
    }
    session.execute(cast("Table", AuditRow.__table__).insert(), row)
