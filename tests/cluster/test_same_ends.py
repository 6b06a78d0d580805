"""How instances end, and what every end gives back, with pods."""

from tests.hub import test_ends
from tests.services.same import repeated

globals().update(repeated(test_ends))
