"""Everything here needs a real Kubernetes (KUBECONFIG) with the images loaded: `make cluster-test`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.services import cluster
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub
from tests.services.release import Release


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests of this folder are the cluster's."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.cluster)
            item.add_marker(pytest.mark.timeout(400))


@pytest.fixture(scope="session")
def namespace() -> Iterator[cluster.Namespace]:
    """A namespace with the test facility's data."""
    with cluster.namespace("visa-test") as made:
        yield made


@pytest.fixture(scope="session")
def backend(namespace: cluster.Namespace) -> ClusterBackend:
    """Instances are pods."""
    return ClusterBackend(namespace)


@pytest.fixture(scope="session")
def shared_hub(tmp_path_factory: pytest.TempPathFactory, backend: ClusterBackend) -> Iterator[RunningHub]:
    """A hub that many tests use."""
    with backend.running(tmp_path_factory.mktemp("hub")) as running:
        yield running


@pytest.fixture
def own_hub(tmp_path: Path, backend: ClusterBackend) -> Iterator[RunningHub]:
    """A hub of one's own."""
    with backend.running(tmp_path) as running:
        yield running


@pytest.fixture(scope="session")
def release() -> Release:
    """The release of `make cluster-demo`, which answers."""
    made = Release()
    answer = httpx.get(f"{made.url}/hub/health", timeout=20)
    assert answer.status_code == 200, "run `make cluster-demo` first"
    return made
