"""What instances hold, per scope, and the sums of it. Every function runs in the caller's transaction.

Cores are kept as whole millicores: sums of them do not drift.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from sqlalchemy import Select, delete, insert, select, tuple_
from sqlalchemy.orm import Session

from visa.instances.model import Amount, InstanceSpec, QuotaScope, ScopeKind, Use
from visa.store.tables import QuotaHoldRow, QuotaUseRow

_Numbers = tuple[int, int, int, int]
"""Instances, millicores, bytes of memory, GPUs."""
_NOTHING: _Numbers = (0, 0, 0, 0)


def use(session: Session, scopes: Iterable[QuotaScope], without: str | None) -> Use:
    """What ``scopes`` hold, but for instance ``without``."""
    wanted = [(scope.kind, scope.key) for scope in scopes]
    if not wanted:
        return Use({})
    rows = session.scalars(_rows(wanted))
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
    size = spec.resources
    amount = (1, round(1000 * size.cpu), size.memory, size.gpu)
    changes = _given_back(session, instance)
    for scope in spec.scopes:
        key = (scope.kind, scope.key)
        changes[key] = _sum(changes.get(key, _NOTHING), amount)
    if spec.scopes:
        _, millicores, memory, gpu = amount
        held = {"instance_id": instance, "millicores": millicores, "memory": memory, "gpu": gpu}
        session.execute(insert(QuotaHoldRow), [{**held, "kind": s.kind, "key": s.key} for s in spec.scopes])
    _apply(session, changes)


def give_back(session: Session, instance: str) -> None:
    """``instance`` holds nothing any more."""
    _apply(session, _given_back(session, instance))


def _given_back(session: Session, instance: str) -> dict[tuple[str, str], _Numbers]:
    """Delete what ``instance`` holds; the change of each scope's sum."""
    held = _holds(session, instance)
    if held:
        session.execute(delete(QuotaHoldRow).where(QuotaHoldRow.instance_id == instance))
    return {(hold.kind, hold.key): (-1, -hold.millicores, -hold.memory, -hold.gpu) for hold in held}


def _holds(session: Session, instance: str) -> list[QuotaHoldRow]:
    return list(session.scalars(select(QuotaHoldRow).where(QuotaHoldRow.instance_id == instance)))


def _apply(session: Session, changes: dict[tuple[str, str], _Numbers]) -> None:
    """Change the sums: those that are there in one statement each way, new ones inserted."""
    changes = {key: numbers for key, numbers in changes.items() if numbers != _NOTHING}
    if not changes:
        return
    known = {(row.kind, row.key): row for row in session.scalars(_rows(changes))}
    for key, (count, millicores, memory, gpu) in changes.items():
        row = known.get(key)
        if row is None:
            row = QuotaUseRow(kind=key[0], key=key[1], instances=0, millicores=0, memory=0, gpu=0)
            session.add(row)
        row.instances += count
        row.millicores += millicores
        row.memory += memory
        row.gpu += gpu


def _rows(keys: Iterable[tuple[str, str]]) -> Select[Any]:
    return select(QuotaUseRow).where(tuple_(QuotaUseRow.kind, QuotaUseRow.key).in_(list(keys)))


def _sum(first: _Numbers, second: _Numbers) -> _Numbers:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]
