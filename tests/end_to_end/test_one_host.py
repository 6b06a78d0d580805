"""What people do is the same where all instances share the hub's host: the tests of `test_origins` that say so."""

from __future__ import annotations

import pytest

from tests.end_to_end.test_origins import (
    context,
    hub,
    lab,
    sessions,
    test_a_member_comes_by_the_portals_link,
    test_downloads_and_the_desktop,
    test_log_out_stop_and_start,
    test_the_picture_of_a_desktop_that_this_browser_never_opened,
    two,
)

__all__ = [
    "context",
    "hub",
    "lab",
    "sessions",
    "test_a_member_comes_by_the_portals_link",
    "test_downloads_and_the_desktop",
    "test_log_out_stop_and_start",
    "test_the_picture_of_a_desktop_that_this_browser_never_opened",
    "two",
]

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def own_origins() -> bool:
    """None has one."""
    return False
