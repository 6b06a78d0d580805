"""A portal in the tests' own process: nothing of a hub changes what most of these tests look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.services import facility
from tests.services.portal import RunningPortal, portal


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> Iterator[RunningPortal]:
    """The portal of the test facility, beside a double of the hub."""
    folder = tmp_path_factory.mktemp("portal")
    with portal(folder, facility.write(folder / "facility", environment_prefix)) as made:
        yield made
