"""The hub killed and restarted in the middle, with pods."""

from tests.hub import test_restart
from tests.services.same import repeated

globals().update(repeated(test_restart))
