"""Insert a row, or change the one that is there, in one statement: two that do it at once do not collide."""

from __future__ import annotations

from functools import cache

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session


def upsert(session: Session, table: Table, added: tuple[str, ...] = ()) -> postgresql.Insert | sqlite.Insert:
    """An insert into ``table``; where its primary key is there already, every other column gets the new value.

    Columns in ``added`` are added to instead.
    """
    return _upsert(session.get_bind().dialect.name, table, added)


@cache
def _upsert(dialect: str, table: Table, added: tuple[str, ...]) -> postgresql.Insert | sqlite.Insert:
    statement = postgresql.insert(table) if dialect == "postgresql" else sqlite.insert(table)
    keys = [column.name for column in table.primary_key]
    new = statement.excluded
    changed = {
        column.name: column + new[column.name] if column.name in added else new[column.name]
        for column in table.columns
        if column.name not in keys
    }
    return statement.on_conflict_do_update(index_elements=keys, set_=changed)
