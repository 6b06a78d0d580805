"""Members of instances in pods: the tests of one machine, unchanged."""

from tests.hub.sharing.test_membership import *  # noqa: F403
