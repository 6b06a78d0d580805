"""Every way in which a pod fails to start or ends, provoked for real: the cause on the page."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.services import cluster, facility
from tests.services.cluster_hub import ClusterBackend
from tests.services.hub import RunningHub, page_headers, run_in, until
from visa.identifiers import instance_id

GOOD: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@pytest.fixture(scope="module")
def place() -> Iterator[cluster.Namespace]:
    """A namespace whose storage lacks what the catalogue promises."""
    with cluster.namespace("visa-failures") as made:
        made.script("archive", "rm -r /claims/raw/facility/d22/2025/p1/exp-2 /claims/shared/p2")
        yield made


class Broken(ClusterBackend):
    """A facility with things that cannot work."""

    def facility(self, folder: Path) -> Path:
        """facility.yaml."""
        parts = cluster.parts()
        title = {"title": "Broken"}
        parts["environments"] |= {
            "missing": {**title, "kubernetes": {"image": "localhost/visa/nobody-made-this:dev"}},
            "nojupyter": {**title, "kubernetes": {"image": cluster.image("gateway")}},
            "here": {**title, "local": {"prefix": "environment"}},
        }
        parts["flavours"] |= {
            "impossible": {"cpu": 4000, "memory": "1Gi"},
            "tight": {"cpu": 1, "memory": "400Mi", "kubernetes": {"reserved": {"cpu": "50m", "memory": "100Mi"}}},
            "narrow": {**parts["flavours"]["small"], "scratch": "20Mi"},
            "graphics": {**parts["flavours"]["small"], "gpu": 1},
        }
        return facility.write(folder / "facility", **parts)


@pytest.fixture(scope="module")
def hub(place: cluster.Namespace, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningHub]:
    with Broken(place).running(tmp_path_factory.mktemp("failures")) as made:
        yield made


@pytest.fixture(scope="module")
def marie(hub: RunningHub) -> Iterator[httpx.Client]:
    with hub.api(hub.token("marie")) as client:
        yield client


@pytest.fixture(autouse=True)
def _nothing_left(hub: RunningHub, marie: httpx.Client) -> Iterator[None]:
    yield
    for name in marie.get("/users/marie?include_stopped_servers=1").json()["servers"]:
        if name:
            marie.request("DELETE", f"/users/marie/servers/{name}", json={"remove": True})
    until(lambda: not hub.store.holding() and not hub.alive(), 40, "the end of everything")


def failing(hub: RunningHub, api: httpx.Client, name: str, owner: str = "marie", **changed: Any) -> str:
    """Start what cannot work; the reason on the card, which is there long before a start is given up for its length."""
    answer = api.post(f"/users/{owner}/servers/{name}", json={**GOOD, **changed})
    known = until(lambda: _failed(hub, owner, name), 60, lambda: f"the failure: {answer.text} {hub.tail(4000)}")
    assert answer.status_code >= 500 or answer.status_code == 202
    assert not hub.store.holding(), "the quota is given back"
    return str(known)


def _failed(hub: RunningHub, owner: str, name: str) -> str | None:
    found = hub.store.instance(instance_id(owner, name))
    return found.reason if found is not None and found.state == "failed" else None


def on_the_page(hub: RunningHub, sentence: str, owner: str = "marie") -> bool:
    """Whether the portal's home page has the sentence."""
    with hub.login(owner) as browser:
        shown = " ".join(browser.get("/services/visa/cards", headers=page_headers(browser)).text.split())
    plain = shown.replace("&#39;", "'").replace("&#34;", '"').replace("&amp;", "&")
    return " ".join(sentence.split()) in plain


def test_an_image_that_is_not_there(hub: RunningHub, marie: httpx.Client) -> None:
    said = failing(hub, marie, "noimage", environment="missing")
    assert said.startswith("The image of the environment cannot be had: localhost/visa/nobody-made-this:dev")
    assert "help@example.org" in said
    assert on_the_page(hub, said)


def test_no_node_is_large_enough(hub: RunningHub, marie: httpx.Client) -> None:
    said = failing(hub, marie, "huge", flavour="impossible")
    assert "No node has room for this flavour: it asks for 4000 cores, 1 GiB of memory; of " in said
    assert "too few cores free" in said
    assert on_the_page(hub, said)


def test_no_node_has_what_it_takes(hub: RunningHub, marie: httpx.Client) -> None:
    said = failing(hub, marie, "gpu", flavour="graphics")
    assert "1 GPU" in said
    assert "too few nvidia.com/gpu free" in said


def test_a_folder_that_is_not_on_the_storage_is_told_and_never_made(
    hub: RunningHub, marie: httpx.Client, place: cluster.Namespace
) -> None:
    said = failing(hub, marie, "nofolder", experiments=["exp-2"])
    assert said.startswith("The data folder of")
    assert "is not there" in said
    assert on_the_page(hub, said)
    assert "exp-2" not in place.script("look", "ls /claims/raw/facility/d22/2025/p1")


def test_a_shared_folder_that_is_not_there_is_not_made_either(hub: RunningHub, place: cluster.Namespace) -> None:
    with hub.api(hub.token("lise")) as lise:
        said = failing(hub, lise, "noshare", owner="lise", experiments=["exp-3"])
        assert said.startswith("The data folder of")
        assert on_the_page(hub, said, "lise")
    assert "p2" not in place.script("look", "ls /claims/shared").split()


def test_an_image_without_jupyter(hub: RunningHub, marie: httpx.Client) -> None:
    marie.post("/users/marie/servers/nojupyter", json={**GOOD, "environment": "nojupyter"})
    said = str(until(lambda: _failed(hub, "marie", "nojupyter"), 30, "the failure"))
    assert "exit code 127" in said
    assert "it needs JupyterLab 4" in said
    assert on_the_page(hub, said)


def test_an_environment_that_is_not_for_clusters(hub: RunningHub, marie: httpx.Client) -> None:
    said = failing(hub, marie, "here", environment="here")
    assert "environments.here.kubernetes" in said


def start(hub: RunningHub, marie: httpx.Client, name: str, **changed: Any) -> str:
    """A running instance; its id."""
    answer = marie.post(f"/users/marie/servers/{name}", json={**GOOD, **changed})
    assert answer.status_code in (201, 202), answer.text
    until(lambda: marie.get("/users/marie").json()["servers"][name]["ready"], 60, "the start")
    return instance_id("marie", name)


FILL = "x = []\nwhile True: x.append(bytearray(50_000_000))"


def test_a_kernel_killed_for_memory_is_on_the_card_while_the_instance_goes_on(
    hub: RunningHub, marie: httpx.Client
) -> None:
    token = hub.token("marie")
    identifier = start(hub, marie, "kernel", flavour="tight")
    with pytest.raises((AssertionError, TimeoutError, OSError)):
        assert run_in(hub, token, "marie/kernel", FILL, seconds=15)
    notice = until(lambda: hub.store.instance(identifier).notice, 60, "the notice")  # type: ignore[union-attr]
    assert "because the memory was full" in notice
    assert on_the_page(hub, notice)
    assert "42" in run_in(hub, token, "marie/kernel", "print(42)"), "it goes on"
    assert hub.rest(token).get("instances").json()[0]["notice"] == notice


def test_a_session_killed_for_memory(hub: RunningHub, marie: httpx.Client, place: cluster.Namespace) -> None:
    identifier = start(hub, marie, "full", flavour="tight")
    # The first process itself takes it all, so that nobody else is chosen.
    script = "import ctypes, os; os.kill(1, 0)"
    place.inside(f"visa-{identifier}", "python3", "-c", script)
    place.inside(f"visa-{identifier}", "sh", "-c", "exec 2>/dev/null; dd if=/dev/zero of=/dev/shm/x bs=1M", check=False)
    place.inside(f"visa-{identifier}", "python3", "-c", FILL, check=False)
    said = until(lambda: _failed(hub, "marie", "full") or hub.store.instance(identifier).notice, 30)  # type: ignore[union-attr]
    assert "memory was full" in said
    assert on_the_page(hub, said)


def test_scratch_space_that_is_full(hub: RunningHub, marie: httpx.Client, place: cluster.Namespace) -> None:
    identifier = start(hub, marie, "scratch", flavour="narrow")
    place.inside(f"visa-{identifier}", "dd", "if=/dev/zero", "of=/tmp/x", "bs=1M", "count=40")
    # The kubelet looks about every ten seconds, and may take a minute.
    said = str(until(lambda: _failed(hub, "marie", "scratch"), 120, "the eviction"))
    assert "its scratch space (/tmp) was full" in said
    assert on_the_page(hub, said)


def test_the_quota_of_the_namespace(hub: RunningHub, marie: httpx.Client, place: cluster.Namespace) -> None:
    hard = {"limits.memory": "1Gi", "pods": "50"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "small"}, "spec": {"hard": hard}}
    place.apply(quota)
    try:
        until(lambda: "limits.memory" in place.run("get", "resourcequota", "small", "-o", "jsonpath={.status.hard}"))
        said = failing(hub, marie, "quota")
    finally:
        place.run("delete", "resourcequota", "small")
    assert said.startswith("The facility's space on the cluster is full (small): asked limits.memory=")
    assert on_the_page(hub, said)


def test_a_part_of_the_installation_that_is_missing(
    hub: RunningHub, marie: httpx.Client, place: cluster.Namespace
) -> None:
    place.run("delete", "configmap", "visa-environment")
    try:
        said = failing(hub, marie, "noconfig")
    finally:
        place.environment_files()
    assert "configuration" in said
    assert "visa-environment" in said


def test_a_claim_that_is_missing(hub: RunningHub, marie: httpx.Client) -> None:
    before = hub.facility.read_text()
    changed = yaml.safe_load(before)
    changed["data"]["raw"]["kubernetes"]["claim"] = "nobody-made-this"
    loaded = _loaded(hub)
    hub.facility.write_text(facility.dump(changed))
    try:
        until(lambda: _loaded(hub) >= loaded + 2, 60, "the hub's new facility.yaml")
        said = failing(hub, marie, "noclaim")
    finally:
        loaded = _loaded(hub)
        hub.facility.write_text(before)
    until(lambda: _loaded(hub) >= loaded + 2, 60, "the hub's former facility.yaml")
    assert said.startswith("The storage volume 'nobody-made-this' not found")


def _loaded(hub: RunningHub) -> int:
    """How often its facility.yaml was read, by the hub and its portal."""
    return hub.tail(2**30).count(f"Loaded {hub.facility}")


def test_a_pod_that_an_operator_deletes(hub: RunningHub, marie: httpx.Client, place: cluster.Namespace) -> None:
    identifier = start(hub, marie, "deleted")
    place.run("delete", "pod", f"visa-{identifier}", "--grace-period=1")
    said = str(until(lambda: _failed(hub, "marie", "deleted"), 60, "the failure"))
    assert said.startswith("The instance was removed from the cluster")
    assert on_the_page(hub, said)
