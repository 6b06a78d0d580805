"""What a removed collaborator leaves behind, in pods."""

from tests.hub.sharing import test_removed
from tests.services.same import repeated

globals().update(repeated(test_removed))
