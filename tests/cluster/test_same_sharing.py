"""Members of instances in pods."""

from tests.hub.sharing import test_membership
from tests.services.same import repeated

globals().update(repeated(test_membership))
