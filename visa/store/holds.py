"""What instances hold, per scope, and the sums of it. Every function runs in the caller's transaction.

Cores are kept as whole millicores: sums of them do not drift.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from sqlalchemy import Table, bindparam, delete, func, insert, select, tuple_
from sqlalchemy.orm import Session

from visa.instances.model import Amount, InstanceSpec, QuotaScope, ScopeKind, Use
from visa.store.tables import InstanceRow, QuotaHoldRow, QuotaUseRow
from visa.store.upserts import upsert

_Numbers = tuple[int, int, int, int]
"""Instances, millicores, bytes of memory, GPUs."""
_Key = tuple[str, str]
"""Kind and key of a scope."""
_NOTHING: _Numbers = (0, 0, 0, 0)
_NAMES = ("instances", "millicores", "memory", "gpu")
_USE = cast("Table", QuotaUseRow.__table__)
_HOLDS = cast("Table", QuotaHoldRow.__table__)
_SELECT_HELD = select(_HOLDS).where(_HOLDS.c.instance_id == bindparam("instance"))
_DELETE_HELD = delete(_HOLDS).where(_HOLDS.c.instance_id == bindparam("instance"))


def use(session: Session, scopes: Iterable[QuotaScope], without: str | None) -> Use:
    """What ``scopes`` hold, but for instance ``without``."""
    wanted = [(scope.kind, scope.key) for scope in scopes]
    if not wanted:
        return Use({})
    rows = session.execute(select(_USE).where(tuple_(_USE.c.kind, _USE.c.key).in_(wanted)))
    found: dict[_Key, _Numbers] = {(row.kind, row.key): tuple(row[2:6]) for row in rows}
    for key, change in (_held(session, without) if without is not None else {}).items():
        if key in found:
            found[key] = _sum(found[key], change)
    return Use(
        {
            QuotaScope(cast("ScopeKind", kind), key): Amount(count, millicores / 1000, memory, gpu)
            for (kind, key), (count, millicores, memory, gpu) in found.items()
            if count
        }
    )


def take(session: Session, instance: str, spec: InstanceSpec, *, again: bool) -> None:
    """``instance`` holds what ``spec`` says; ``again``: instead of what it holds already."""
    size = spec.resources
    amount = (1, round(1000 * size.cpu), size.memory, size.gpu)
    changes = _given_back(session, instance) if again else {}
    for scope in spec.scopes:
        key = (scope.kind, scope.key)
        changes[key] = _sum(changes.get(key, _NOTHING), amount)
    if spec.scopes:
        held = {"instance_id": instance, **dict(zip(_NAMES[1:], amount[1:], strict=True))}
        session.execute(_HOLDS.insert(), [{**held, "kind": s.kind, "key": s.key} for s in spec.scopes])
    _apply(session, changes)


def give_back(session: Session, instance: str) -> None:
    """``instance`` holds nothing any more."""
    _apply(session, _given_back(session, instance))


def recount(session: Session, holding: Iterable[str]) -> None:
    """Make the sums anew from what instances in the states ``holding`` hold.

    Every change keeps the sums itself; this is for rows that were edited or deleted by hand.
    """
    running = select(InstanceRow.id).where(InstanceRow.state.in_(list(holding)))
    session.execute(delete(_HOLDS).where(_HOLDS.c.instance_id.not_in(running)))
    session.execute(delete(_USE))
    numbers = (func.count(), *(func.sum(_HOLDS.c[name]) for name in _NAMES[1:]))
    sums = select(_HOLDS.c.kind, _HOLDS.c.key, *numbers).group_by(_HOLDS.c.kind, _HOLDS.c.key)
    session.execute(insert(_USE).from_select(["kind", "key", *_NAMES], sums))


def _given_back(session: Session, instance: str) -> dict[_Key, _Numbers]:
    """Delete what ``instance`` holds; the change of each scope's sum."""
    changes = _held(session, instance)
    if changes:
        session.execute(_DELETE_HELD, {"instance": instance})
    return changes


def _held(session: Session, instance: str) -> dict[_Key, _Numbers]:
    """What ``instance`` holds, per scope, to be taken off."""
    rows = session.execute(_SELECT_HELD, {"instance": instance})
    return {(row.kind, row.key): (-1, -row.millicores, -row.memory, -row.gpu) for row in rows}


def _apply(session: Session, changes: Mapping[_Key, _Numbers]) -> None:
    """Add ``changes`` to the sums."""
    rows: list[dict[str, Any]] = [
        {"kind": kind, "key": key, **dict(zip(_NAMES, numbers, strict=True))}
        for (kind, key), numbers in changes.items()
        if numbers != _NOTHING
    ]
    if rows:
        session.execute(upsert(session, _USE, added=_NAMES), rows)


def _sum(first: _Numbers, second: _Numbers) -> _Numbers:
    return first[0] + second[0], first[1] + second[1], first[2] + second[2], first[3] + second[3]
