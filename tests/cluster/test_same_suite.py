"""The backend-independent suite, unchanged, with pods: refusals, quota race, ends, restarts, the portal's API."""

from tests.hub.test_ends import *  # noqa: F403
from tests.hub.test_ends import _nothing_left  # noqa: F401
from tests.hub.test_restart import *  # noqa: F403
