"""What instances hold, per scope, and the sums of it. Every function runs in the caller's transaction.

Cores are kept as whole millicores: sums of them do not drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from sqlalchemy import delete, select, tuple_
from sqlalchemy.orm import Session

from visa.instances.model import Amount, InstanceSpec, QuotaScope, ScopeKind, Use
from visa.store.tables import QuotaHoldRow, QuotaUseRow


def use(session: Session, scopes: Iterable[QuotaScope], without: str | None) -> Use:
    """What ``scopes`` hold, but for instance ``without``."""
    wanted = [(scope.kind, scope.key) for scope in scopes]
    if not wanted:
        return Use({})
    rows = session.scalars(select(QuotaUseRow).where(tuple_(QuotaUseRow.kind, QuotaUseRow.key).in_(wanted)))
    found = {(row.kind, row.key): (row.instances, row.millicores, row.memory, row.gpu) for row in rows}
    for hold in _holds(session, without) if without is not None else ():
        key = (hold.kind, hold.key)
        if key in found:
            count, millicores, memory, gpu = found[key]
            found[key] = count - 1, millicores - hold.millicores, memory - hold.memory, gpu - hold.gpu
    return Use(
        {
            QuotaScope(cast("ScopeKind", kind), key): Amount(count, millicores / 1000, memory, gpu)
            for (kind, key), (count, millicores, memory, gpu) in found.items()
            if count
        }
    )


def take(session: Session, instance: str, spec: InstanceSpec) -> None:
    """``instance`` holds what ``spec`` says, instead of what it held before."""
    give_back(session, instance)
    size = spec.resources
    for scope in spec.scopes:
        hold = QuotaHoldRow(
            instance_id=instance,
            kind=scope.kind,
            key=scope.key,
            millicores=round(1000 * size.cpu),
            memory=size.memory,
            gpu=size.gpu,
        )
        session.add(hold)
        _add(session, hold, 1)
    session.flush()


def give_back(session: Session, instance: str) -> None:
    """``instance`` holds nothing any more."""
    for hold in _holds(session, instance):
        _add(session, hold, -1)
    session.execute(delete(QuotaHoldRow).where(QuotaHoldRow.instance_id == instance))
    session.flush()


def _holds(session: Session, instance: str) -> list[QuotaHoldRow]:
    return list(session.scalars(select(QuotaHoldRow).where(QuotaHoldRow.instance_id == instance)))


def _add(session: Session, hold: QuotaHoldRow, sign: int) -> None:
    row = session.get(QuotaUseRow, (hold.kind, hold.key))
    if row is None:
        row = QuotaUseRow(kind=hold.kind, key=hold.key, instances=0, millicores=0, memory=0, gpu=0)
        session.add(row)
    row.instances += sign
    row.millicores += sign * hold.millicores
    row.memory += sign * hold.memory
    row.gpu += sign * hold.gpu
