"""Brings a database to the schema that this version speaks, or says that it is another one."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from visa.store import connecting


class SchemaMismatch(Exception):
    """The database has another schema. The message says which, and what to do."""


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    return config


def head() -> str:
    """The revision that this version speaks."""
    revision = ScriptDirectory.from_config(_config()).get_current_head()
    if revision is None:
        raise SchemaMismatch("This installation of VISA has no migrations; install it again.")
    return revision


def upgrade(engine: Engine) -> None:
    """Run the migrations that are missing, all or none. Several processes at once wait for one another."""
    with engine.connect() as connection:
        connecting.without_bounds(connection)
        if engine.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(811001)"))
        else:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        current = _revision(connection)
        if current is not None and current not in _known():
            raise SchemaMismatch(_newer(current))
        command.upgrade(_config(connection), "head")
        connection.commit()
        connection.invalidate()  # its bounds are gone


def verify(engine: Engine) -> None:
    """Raise `SchemaMismatch` unless the database is at `head` (the hub upgrades it, others wait for that)."""
    with engine.connect() as connection:
        current = _revision(connection)
    if current is not None and current not in _known():
        raise SchemaMismatch(_newer(current))
    if current != head():
        raise SchemaMismatch(
            f"The database is at revision {current or 'none'}, this version of VISA needs {head()}. "
            "Start the hub of this version first: it upgrades the database."
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _known() -> frozenset[str]:
    """Every revision that this version can come from."""
    return frozenset(script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions())


def _newer(current: str) -> str:
    return (
        f"The database is at revision {current}, which this version of VISA does not know. "
        "It was used by a newer version: install that one, or restore a backup."
    )
