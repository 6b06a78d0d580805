"""Migrations lead to what the code speaks, and other schemas are refused in words."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from alembic import command, op
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from tests.conftest import REPOSITORY
from visa.store.schema import SchemaMismatch, _config
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
    with pytest.raises(SchemaMismatch, match=r"from-the-future.*newer version"):
        store.verify()  # the portal must not be told to start an older hub
    store.close()


def test_an_upgrade_that_fails_leaves_nothing_and_works_the_next_time(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when the disk is full, or the hub killed: half a schema would stop every later start."""
    store = Store(store_url)
    made: list[str] = []

    def create_table(name: str, *columns: Any) -> None:
        made.append(name)
        if len(made) == 3:
            raise OSError("the disk is full")
        whole(name, *columns)

    whole = op.create_table
    monkeypatch.setattr(op, "create_table", create_table)
    with pytest.raises(OSError, match="disk is full"):
        store.upgrade()
    assert len(made) == 3
    assert inspect(store.engine).get_table_names() == []
    monkeypatch.undo()
    store.upgrade()
    store.verify()
    store.close()


def test_processes_that_upgrade_at_once_wait_for_one_another(store_url: str) -> None:
    code = (
        "import sys; from visa.store.store import Store; store = Store(sys.argv[1]);"
        "print('ready', flush=True); sys.stdin.readline(); store.upgrade()"
    )
    begun = [
        subprocess.Popen(
            [sys.executable, "-c", code, store_url],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for _ in range(3)
    ]
    for process in begun:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in begun:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    errors = [process.communicate(timeout=60)[1][-500:] for process in begun]
    assert [process.returncode for process in begun] == [0, 0, 0], errors
    store = Store(store_url)
    store.verify()
    store.close()


def test_threads_that_upgrade_at_once_wait_for_one_another(store_url: str) -> None:
    stores = [Store(store_url) for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(Store.upgrade, stores))
    for store in stores:
        store.verify()
        store.close()


def test_the_way_back_is_whole(store_url: str) -> None:
    """Every migration can be undone: nothing but alembic's own table is left."""
    store = Store(store_url)
    store.upgrade()
    with store.engine.connect() as connection:
        command.downgrade(_config(connection), "base")
        connection.commit()
    assert inspect(store.engine).get_table_names() == ["alembic_version"]
    store.upgrade()
    store.close()
