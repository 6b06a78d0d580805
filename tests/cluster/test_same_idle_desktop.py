"""What counts as activity on a desktop, in a pod."""

from __future__ import annotations

import pytest

from tests.cluster import test_desktop as in_a_pod
from tests.hub import test_idle_desktop as on_one_machine
from tests.services import cluster
from tests.services.hub import Backend
from tests.services.same import repeated

globals().update(repeated(on_one_machine))


@pytest.fixture(scope="module")
def desktops(namespace: cluster.Namespace) -> tuple[Backend, str]:
    """Pods, and the environment with the desktop image."""
    return in_a_pod.WithDesktop(namespace), "seen"
