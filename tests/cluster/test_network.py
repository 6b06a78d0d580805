"""What an instance reaches, tried from inside: its hub, and nothing else of the cluster."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.services.cluster import kubectl
from tests.services.hub import until
from tests.services.release import Release

TRY = """
import json, socket, sys
told = {}
for address in sys.argv[1:]:
    host, _, port = address.rpartition(":")
    try:
        with socket.create_connection((host, int(port)), timeout=3):
            told[address] = "open"
    except OSError as error:
        told[address] = type(error).__name__
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def pods(release: Release) -> Iterator[tuple[str, str]]:
    """Marie's and Lise's instances, once the policies have reached them."""
    for username in ("marie", "lise"):
        release.remove(username)
    found = release.start("marie", "net"), release.start("lise", "net")
    api = kubectl("-n", "default", "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    for pod in found:
        until(lambda pod=pod: not _if_open(reached(release, pod, f"{api}:443")), 30, "the policies")  # type: ignore[misc]
    yield found
    for username in ("marie", "lise"):
        release.remove(username)


def address(release: Release, kind: str, name: str, path: str) -> str:
    return release.namespace.run("get", kind, name, "-o", f"jsonpath={{{path}}}")


def reached(release: Release, pod: str, *addresses: str, container: str = "environment") -> dict[str, str]:
    python = "/opt/visa/bin/python" if container == "gateway" else "python3"
    said = release.namespace.inside(pod, python, "-c", TRY, *addresses, container=container)
    return dict(json.loads(said))


@pytest.mark.parametrize("container", ["environment", "gateway"])
def test_nothing_that_is_closed_answers(release: Release, pods: tuple[str, str], container: str) -> None:
    mine, other = pods
    neighbour = address(release, "pod", other, ".status.podIP")
    database = address(release, "service", "postgresql", ".spec.clusterIP")
    proxy_api = address(release, "service", "visa-proxy-api", ".spec.clusterIP")
    api = kubectl("-n", "default", "get", "service", "kubernetes", "-o", "jsonpath={.spec.clusterIP}")
    node = kubectl("get", "nodes", "-o", "jsonpath={.items[0].status.addresses[0].address}")
    closed = [
        f"{neighbour}:8888",
        f"{neighbour}:22",
        f"{api}:443",
        f"{node}:6443",
        f"{node}:10250",
        "169.254.169.254:80",
        f"{database}:5432",
        f"{proxy_api}:8001",
    ]
    told = reached(release, mine, *closed, container=container)
    assert {place: answer for place, answer in told.items() if answer == "open"} == {}
    assert set(told) == set(closed)


def test_the_hub_answers_and_names_are_found(release: Release, pods: tuple[str, str]) -> None:
    mine, _ = pods
    told = until(lambda: _if_open(reached(release, mine, "visa-hub:8081", container="gateway")), 60, "the hub")
    assert told == {"visa-hub:8081": "open"}


def _if_open(told: dict[str, str]) -> dict[str, str] | None:
    return told if set(told.values()) == {"open"} else None


def test_the_namespace_enforces_restricted(release: Release, pods: tuple[str, str]) -> None:
    labels = kubectl("get", "namespace", release.namespace.name, "-o", "jsonpath={.metadata.labels}")
    assert json.loads(labels)["pod-security.kubernetes.io/enforce"] == "restricted"
    assert len(release.namespace.instances()) >= 2
