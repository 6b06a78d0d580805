"""The store that tests of it share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from visa.store.store import Store


@pytest.fixture
def store(store_url: str) -> Iterator[Store]:
    """An empty one, on each kind of database."""
    made = Store(store_url)
    made.upgrade()
    yield made
    made.close()
