"""The portal's REST API, unchanged, with pods."""

from tests.portal.test_api import *  # noqa: F403
