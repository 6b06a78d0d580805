"""How much each catalogue held when it was last believed: for a hub or portal that starts anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from sqlalchemy import Table, delete, func, select
from sqlalchemy.engine import Engine
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from visa.catalogue.shrinking import REMEMBERED, MemoryFails
from visa.clock import now
from visa.store.tables import CatalogueHeldRow
from visa.store.upserts import upsert

if TYPE_CHECKING:
    from visa.store.store import Store

SOURCES = 20
"""Of so many sources that facility.yaml named last something is kept."""
_ROWS = REMEMBERED + 1000
_AT_ONCE = 500


class CatalogueMemory:
    """`visa.catalogue.shrinking.Memory` in the store."""

    def __init__(self, store: Store) -> None:
        self._engine: Engine = store.engine

    def recall(self, source: str) -> dict[str, int]:
        """Everything that is kept of ``source``, the oldest first."""
        row = CatalogueHeldRow
        wanted = select(row.what, row.number).where(row.source == source).order_by(row.at, row.what)
        try:
            with Session(self._engine) as session:
                return {row.what: row.number for row in session.execute(wanted)}
        except SQLAlchemyError as error:
            raise MemoryFails(f"the store does not answer ({type(error).__name__})") from error

    def keep(self, source: str, changed: Mapping[str, int | None]) -> None:
        """In one transaction, with what is too much thrown away."""
        try:
            with Session(self._engine) as session:
                if self._engine.dialect.name == "sqlite":
                    session.connection().exec_driver_sql("BEGIN IMMEDIATE")
                self._write(session, source, changed)
                self._bound(session, source)
                session.commit()
        except SQLAlchemyError as error:
            raise MemoryFails(f"the store does not answer ({type(error).__name__})") from error

    @staticmethod
    def _write(session: Session, source: str, changed: Mapping[str, int | None]) -> None:
        row, at = CatalogueHeldRow, now()
        gone = [what for what, number in changed.items() if number is None]
        for start in range(0, len(gone), _AT_ONCE):
            session.execute(delete(row).where(row.source == source, row.what.in_(gone[start : start + _AT_ONCE])))
        # In one order, so that two processes that write the same wait for one another and do not block each other.
        values = [
            {"source": source, "what": what, "number": number, "at": at}
            for what, number in sorted(changed.items())
            if number is not None
        ]
        if values:
            session.execute(upsert(session, cast("Table", row.__table__)), values)

    @staticmethod
    def _bound(session: Session, source: str) -> None:
        row = CatalogueHeldRow
        newest = session.scalars(select(row.source).group_by(row.source).order_by(func.max(row.at).desc()))
        for former in list(newest)[SOURCES:]:
            session.execute(delete(row).where(row.source == former))
        count = session.scalar(select(func.count()).select_from(row).where(row.source == source)) or 0
        if count > _ROWS:
            of_rows = select(row.what).where(row.source == source, row.what.like("experiment %")).order_by(row.at)
            old = list(session.scalars(of_rows.limit(count - REMEMBERED)))
            for start in range(0, len(old), _AT_ONCE):
                session.execute(delete(row).where(row.source == source, row.what.in_(old[start : start + _AT_ONCE])))
