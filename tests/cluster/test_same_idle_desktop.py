"""What counts as activity on a desktop, unchanged, in a pod."""

from __future__ import annotations

import pytest

from tests.cluster import test_desktop as in_a_pod
from tests.hub.test_idle_desktop import *  # noqa: F403
from tests.services import cluster
from tests.services.hub import Backend


@pytest.fixture(scope="module")
def desktops(namespace: cluster.Namespace) -> tuple[Backend, str]:
    """Pods, and the environment with the desktop image."""
    return in_a_pod.WithDesktop(namespace), "seen"
