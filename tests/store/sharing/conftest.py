"""A store of each kind, filled anew for each test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.sharing import rig
from visa.store import audit
from visa.store.people import People
from visa.store.store import Store
from visa.store.tables import Base


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database for the module: its migrations take longer than all the rest."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path_factory.mktemp('store') / 'visa.sqlite'}"
    return str(request.getfixturevalue("postgres").database())


@pytest.fixture(scope="module")
def upgraded(store_url: str) -> Iterator[Store]:
    store = Store(store_url)
    store.upgrade()
    yield store
    store.close()


@pytest.fixture
def people(upgraded: Store) -> People:
    """Of Marie's and Lise's instances."""
    audit.sum_up(upgraded.engine)
    with upgraded.engine.begin() as connection:
        for table in reversed(Base.metadata.sorted_tables):
            connection.execute(table.delete())
    return rig.filled(upgraded)
