"""The portal's REST API with pods: what a backend can change of it."""

from tests.portal import test_with_a_hub
from tests.services.same import repeated

globals().update(repeated(test_with_a_hub))
