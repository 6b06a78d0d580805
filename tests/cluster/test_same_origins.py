"""Each instance on a host of its own, with instances in pods: the tests of `tests/end_to_end`."""

from __future__ import annotations

import pytest

from tests.end_to_end import test_origins as on_one_machine
from tests.services.same import repeated

globals().update(repeated(on_one_machine))


@pytest.fixture(scope="module")
def sessions() -> tuple[str, ...]:
    """This environment's image has no desktop."""
    return "notebook", "notebook"
