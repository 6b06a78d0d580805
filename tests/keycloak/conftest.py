"""One Keycloak for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services.keycloak import Keycloak


@pytest.fixture(scope="session")
def keycloak() -> Iterator[Keycloak]:
    """The real one, with the facility's realm."""
    made = Keycloak()
    with made.there():
        yield made
