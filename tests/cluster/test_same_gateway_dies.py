"""A gateway dies, in a pod."""

from tests.hub import test_gateway_dies
from tests.services.same import repeated

globals().update(repeated(test_gateway_dies))
