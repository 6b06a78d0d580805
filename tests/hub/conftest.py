"""The identity provider that tests of logins share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.services import oidc


@pytest.fixture(scope="module")
def provider() -> Iterator[oidc.Provider]:
    """A provider for the tests of a module."""
    with oidc.running() as running:
        yield running


@pytest.fixture
def well(provider: oidc.Provider) -> Iterator[None]:
    """Mend the provider after a test that made it fail."""
    yield
    provider.fault = ""
    provider.logged_in_at = provider.signed_with = None
    provider.claimed.clear()
    provider.lag = 0
    provider.disabled.clear()
