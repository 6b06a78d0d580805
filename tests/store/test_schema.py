"""Migrations lead to what the code speaks, and other schemas are refused in words."""

from __future__ import annotations

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text

from visa.store.schema import SchemaMismatch
from visa.store.store import Store
from visa.store.tables import Base


def test_migrations_make_what_the_tables_say(store_url: str) -> None:
    store = Store(store_url)
    store.upgrade()
    store.upgrade()  # nothing to do
    with store.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    store.verify()
    store.close()


def test_an_empty_database_is_not_used_before_the_hub_made_it(store_url: str) -> None:
    store = Store(store_url)
    with pytest.raises(SchemaMismatch, match="Start the hub"):
        store.verify()
    store.close()


def test_a_newer_database_is_left_alone(store_url: str) -> None:
    store = Store(store_url)
    store.upgrade()
    with store.engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from-the-future'"))
    with pytest.raises(SchemaMismatch, match="newer version"):
        store.upgrade()
    with pytest.raises(SchemaMismatch, match="from-the-future"):
        store.verify()
    store.close()
