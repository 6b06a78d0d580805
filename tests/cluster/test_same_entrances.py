"""Every way to start, unchanged, with pods."""

from tests.hub.test_entrances import *  # noqa: F403
