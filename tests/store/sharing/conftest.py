"""A store of each kind, filled."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.sharing import rig
from visa.store.people import People
from visa.store.store import Store


@pytest.fixture
def people(store_url: str) -> Iterator[People]:
    """Of Marie's and Lise's instances."""
    store = Store(store_url)
    store.upgrade()
    yield rig.filled(store)
    store.close()
