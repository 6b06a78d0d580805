"""The portal's REST API with pods: what a backend can change of it."""

from tests.portal import test_api
from tests.services.same import repeated

globals().update(repeated(test_api))
