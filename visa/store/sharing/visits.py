"""Who is and was there, as gateways report it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from visa.store import audit
from visa.store.audit import Decision
from visa.store.sharing import ends, rows
from visa.store.sharing.acts import Part
from visa.store.sharing.records import Here, Visit
from visa.store.tables import InstanceRow, VisitRow

_MOST = 2000  # people in one report
_Key = tuple[str, str, str]
"""User name, role and session: another role is another visit."""


class Visits(Part):
    """Visits of an instance."""

    def here(self, instance_id: str, present: Iterable[Here], at: datetime) -> None:
        """``present`` are there now, and nobody else."""
        now = {(one.username, one.role.value, one.session): one for one in list(present)[:_MOST]}
        with self.reading() as session:
            if set(now) == set(_open(session, instance_id)):
                same = (VisitRow.instance_id == instance_id, VisitRow.ended.is_(None))
                if now:
                    session.execute(update(VisitRow).where(*same).values(seen=at))
                    session.commit()
                return
        with self.store.exclusive() as session:
            row = session.get(InstanceRow, instance_id)
            if row is None:
                return
            before = _open(session, instance_id)
            for key, visit in before.items():
                if key in now:
                    visit.seen = at
                else:
                    ends.visit(session, row, visit, at)
            for key, one in now.items():
                if key not in before:
                    _begin(session, row, one, at)

    def now(self, instance_id: str) -> tuple[Visit, ...]:
        """Who is there, the longest first."""
        with self.reading() as session:
            query = select(VisitRow).where(VisitRow.instance_id == instance_id, VisitRow.ended.is_(None))
            return rows.visits(session, session.scalars(query.order_by(VisitRow.began, VisitRow.id)))

    def of(self, instance_id: str, *, limit: int = 200) -> tuple[Visit, ...]:
        """Who was there, the newest first."""
        with self.reading() as session:
            query = select(VisitRow).where(VisitRow.instance_id == instance_id)
            return rows.visits(session, session.scalars(query.order_by(VisitRow.id.desc()).limit(limit)))


def _open(session: Session, instance_id: str) -> dict[_Key, VisitRow]:
    query = select(VisitRow).where(VisitRow.instance_id == instance_id, VisitRow.ended.is_(None))
    return {(row.username, row.role, row.session): row for row in session.scalars(query)}


def _begin(session: Session, row: InstanceRow, one: Here, at: datetime) -> None:
    began = min(one.since, at)
    visit = VisitRow(
        instance_id=row.id, username=one.username, role=one.role.value, session=one.session, began=began, seen=at
    )
    session.add(visit)
    if one.username != row.owner:
        detail = {"role": one.role.value, "session": one.session}
        audit.write(session, Decision(one.username, row.owner, "visit", True, row.id, None, detail))
