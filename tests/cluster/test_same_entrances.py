"""Every way to start, with pods."""

from tests.hub import test_entrances
from tests.services.same import repeated

globals().update(repeated(test_entrances))
