"""What a database's driver cannot make a value of comes as text: it then spoils its own value, not the whole answer."""

from __future__ import annotations

from typing import Any

from sqlalchemy import event
from sqlalchemy.engine import Engine

_MOMENTS = ("date", "timestamp", "timestamptz")


def lenient(engine: Engine) -> None:
    """Let ``engine`` give text that is not UTF-8 (SQLite), and days that Python has not (PostgreSQL): ``infinity``,
    years before 1 and after 9999."""
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _any_bytes)
    elif engine.dialect.driver == "psycopg":
        event.listen(engine, "connect", _any_day)


def _any_bytes(connection: Any, _record: object) -> None:
    connection.text_factory = lambda content: content.decode("utf-8", "replace")


def _any_day(connection: Any, _record: object) -> None:
    from psycopg import DataError
    from psycopg.adapt import Loader
    from psycopg.pq import Format

    usual = {connection.adapters.types[name].oid: name for name in _MOMENTS}
    loaders = {oid: connection.adapters.get_loader(oid, Format.TEXT) for oid in usual}

    class OrText(Loader):
        """The driver's own value, or else what PostgreSQL wrote."""

        def __init__(self, oid: int, context: Any = None) -> None:
            super().__init__(oid, context)
            self._usual = loaders[oid](oid, context)

        def load(self, data: Any) -> Any:
            try:
                return self._usual.load(data)
            except DataError:
                return bytes(data).decode("ascii", "replace")

    for name in _MOMENTS:
        connection.adapters.register_loader(name, OrText)
