"""From KubeSpawner's own pod to an instance's, with an operator's whole configuration and no cluster."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes_asyncio.client.exceptions import ApiException
from kubernetes_asyncio.config import kube_config
from traitlets.config import Config

from tests.hub.pods import making
from visa.facility.model import Facility
from visa.hub import settings
from visa.hub.admitted import StartFailed
from visa.hub.gateways import Gateways
from visa.hub.kubernetes import VisaKubeSpawner
from visa.hub.pods import manifest
from visa.identifiers import EnvironmentId, instance_id
from visa.instances.model import Identity

KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "none", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "nobody", "user": {}}],
    "contexts": [{"name": "none", "context": {"cluster": "none", "user": "nobody"}}],
    "current-context": "none",
}
Make = Callable[..., VisaKubeSpawner]


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """A spawner of the test facility with the configuration ``c``; as JupyterHub has it at a start."""
    file = tmp_path / "kubeconfig"
    file.write_text(json.dumps(KUBECONFIG))
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(file))  # $KUBECONFIG, read when imported

    def made(c: Config | None = None, where: Facility | None = None, **changed: Any) -> VisaKubeSpawner:
        source = SimpleNamespace(current=where or making.on_kubernetes())
        known = SimpleNamespace(facility=source, gateways=Gateways(), state=tmp_path)
        monkeypatch.setattr(settings, "_settings", known)
        spawner = VisaKubeSpawner(_mock=True, config=c or Config())
        spawner._server = SimpleNamespace(base_url=making.PREFIX, orm_server=None)
        spawner.api_token, spawner.oauth_client_id = making.TOKEN, "jupyterhub-user-marie-work"
        spawner.spec = making.spec(**changed)
        return spawner

    return made


async def whole(spawner: VisaKubeSpawner) -> dict[str, Any]:
    """The pod that is sent to the API server."""
    assert spawner.spec is not None
    await spawner.load_user_options()
    return await spawner._manifest(await spawner._parts(spawner.spec))


def names(one: dict[str, Any]) -> set[str]:
    return {variable["name"] for variable in one["env"]}


def operators() -> Config:
    """What an operator may set, friendly and not."""
    c = Config()
    c.Spawner.environment = {
        "LICENCE": "27000@licences",
        "JUPYTERHUB_API_TOKEN": "x",
        "JUPYTERHUB_MORE": "x",
        "JPY_API_TOKEN": "x",
        "WHO": "{username}",
        "CALLED": lambda spawner: spawner.name or "unnamed",
        "HOME": "/elsewhere",
    }
    c.Spawner.env_keep = ["PATH", "KUBECONFIG"]
    c.Spawner.mem_limit = "99G"
    c.KubeSpawner.extra_labels = {"person": "{username}", "visa/instance": "x", "team": "d22"}
    c.KubeSpawner.extra_annotations = {"note": "of {username}"}
    c.KubeSpawner.volumes = {"licences": {"name": "licences", "configMap": {"name": "licences"}}}
    c.KubeSpawner.volume_mounts = {"licences": {"name": "licences", "mountPath": "/licences"}}
    c.KubeSpawner.tolerations = [{"key": "visa", "operator": "Exists"}]
    c.KubeSpawner.node_selector = {"pool": "visa"}
    c.KubeSpawner.node_affinity_required = [{"matchExpressions": [{"key": "a", "operator": "Exists"}]}]
    c.KubeSpawner.extra_containers = [{"name": "sidecar", "image": "sidecar:1"}]
    c.KubeSpawner.image_pull_secrets = ["theirs"]
    c.KubeSpawner.privileged = True
    c.KubeSpawner.uid = 0
    c.KubeSpawner.automount_service_account_token = True
    c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
    c.KubeSpawner.image = "stranger:1"
    return c


async def test_a_plain_installation(make: Make) -> None:
    spawner = make()
    made = await whole(spawner)
    assert making.unrestricted(made) == []
    identifier = instance_id("mock@name", "")
    assert made["metadata"]["name"] == spawner.pod_name == f"visa-{identifier}"
    for pair in manifest.selector("visa").split(","):
        key, _, value = pair.partition("=")
        assert made["metadata"]["labels"][key] == value
    inside, gateway = making.container(made, "environment"), making.container(made, "gateway")
    assert inside["image"] == "localhost/visa/scattering:dev"
    assert inside["imagePullPolicy"] == "IfNotPresent"
    assert {"name": "JUPYTERHUB_API_TOKEN", "value": making.TOKEN} in gateway["env"]
    assert {"name": "JUPYTERHUB_SERVICE_PREFIX", "value": making.PREFIX} in gateway["env"]
    assert "VISA_HUB_VERSION" in names(gateway)
    assert making.TOKEN not in json.dumps(inside)
    assert making.container(made, "look-for-folders"), "the hub has no view of the data here"


async def test_what_operators_set_stays_and_what_admission_decides_is_not_theirs(make: Make) -> None:
    made = await whole(make(operators()))
    inside, wanted, labels = making.container(made, "environment"), made["spec"], made["metadata"]["labels"]
    values = {variable["name"]: variable["value"] for variable in inside["env"]}
    assert values["LICENCE"] == "27000@licences"
    assert values["CALLED"] == "unnamed"
    assert values["HOME"] == "/home/marie"
    assert "mock" in values["WHO"]
    assert not [name for name in values if name.startswith(("JUPYTERHUB_", "JPY_", "MEM_", "KUBE"))]
    assert making.TOKEN not in json.dumps(inside)
    assert labels["team"] == "d22"
    assert "mock" in labels["person"]
    assert labels["visa/instance"] == instance_id("mock@name", "")
    assert made["metadata"]["annotations"]["note"].startswith("of ")
    assert {"name": "licences", "mountPath": "/licences"} in inside["volumeMounts"]
    assert {"key": "visa", "operator": "Exists"} in wanted["tolerations"]
    assert wanted["nodeSelector"] == {"pool": "visa"}
    assert wanted["affinity"]["nodeAffinity"]
    assert wanted["imagePullSecrets"] == [{"name": "theirs"}]
    assert [c["name"] for c in wanted["containers"]] == ["environment", "gateway", "sidecar"]
    assert (inside["image"], inside["command"]) == ("localhost/visa/scattering:dev", ["/bin/sh", "/etc/visa/launch"])
    assert inside["resources"]["limits"] == {"cpu": "1000m", "memory": str(2**30)}
    assert inside["securityContext"]["runAsUser"] == 20001
    assert "args" not in inside
    of_ours = {**made, "spec": {**wanted, "containers": wanted["containers"][:2]}}
    assert making.unrestricted(of_ours) == []


@pytest.mark.parametrize("text", making.BRACES)
async def test_braces_in_paths_and_names_are_no_templates(make: Make, text: str) -> None:
    identity = Identity(making.MARIE.username, text, 20001, 20001, ())
    made = await whole(make(operators(), identity=identity, mounts=(making.mount("raw", text),)))
    assert making.volume(made, "/data/exp-1")[1]["subPath"] == f"facility/{text}"
    assert text.replace(":", " ") in made["metadata"]["annotations"]["visa/passwd"]


async def test_the_gateways_image_and_resources_are_the_operators(make: Make) -> None:
    c = Config()
    c.VisaKubeSpawner.gateway_image = "registry/gateway:2"
    c.VisaKubeSpawner.gateway_memory_limit = "1Gi"
    made = making.container(await whole(make(c)), "gateway")
    assert made["image"] == "registry/gateway:2"
    assert made["resources"]["limits"]["memory"] == "1Gi"


async def test_the_whole_pod_as_kubespawner_gives_it(make: Make) -> None:
    spawner = make()
    await spawner.load_user_options()
    model = await spawner.get_pod_manifest()
    plain = spawner.api.api_client.sanitize_for_serialization(model)
    assert plain == await whole(spawner), "nothing is lost on the way"


@pytest.mark.parametrize("waits", [False, True])
async def test_the_hook_gets_a_model(make: Make, waits: bool) -> None:
    def hook(spawner: Any, pod: Any) -> Any:
        pod.metadata.labels["hooked"] = spawner.user.name.partition("@")[0]
        pod.spec.containers[0].security_context.read_only_root_filesystem = False
        return pod

    async def later(spawner: Any, pod: Any) -> Any:
        return hook(spawner, pod)

    c = Config()
    c.KubeSpawner.modify_pod_hook = later if waits else hook
    made = await whole(make(c))
    assert made["metadata"]["labels"]["hooked"] == "mock"
    assert making.container(made, "environment")["securityContext"]["readOnlyRootFilesystem"] is False


# what cannot be started is told


async def test_an_environment_without_an_image(make: Make) -> None:
    parts = making.cluster.parts()["environments"]
    parts["here"] = {"title": "Here", "local": {"prefix": "environment"}}
    where = making.on_kubernetes(environments=parts)
    spawner = make(None, where, environment=EnvironmentId("here"))
    with pytest.raises(StartFailed, match=r"'Here' is not offered.*environments\.here\.kubernetes"):
        await whole(spawner)


async def test_the_gateways_own_account_is_nobodys(make: Make) -> None:
    identity = Identity(making.MARIE.username, "Marie", manifest.GATEWAY_ACCOUNT, 20001, ())
    with pytest.raises(StartFailed, match="65500"):
        await whole(make(identity=identity))


async def test_folders_that_the_hub_sees_are_not_looked_for_again(make: Make, tmp_path: Path) -> None:
    c = Config()
    c.VisaKubeSpawner.data_folder = str(tmp_path / "seen")
    raw, shared = tmp_path / "seen" / "raw", tmp_path / "seen" / "shared"
    (raw / "facility" / making.RAW.path).mkdir(parents=True)
    shared.mkdir()
    with pytest.raises(StartFailed, match=r"The data folder of experiment 'exp-1' is not there"):
        await whole(make(c))
    (shared / "p1").mkdir()
    made = await whole(make(c))
    assert made["spec"]["initContainers"] == []
    (raw / "facility" / making.RAW.path).rmdir()
    with pytest.raises(StartFailed, match="exp-1"):
        await whole(make(c))
    (raw / "elsewhere").mkdir()
    (raw / "facility" / making.RAW.path).symlink_to(raw / "elsewhere")
    with pytest.raises(StartFailed, match="exp-1"):
        await whole(make(c))  # Kubernetes would follow the link


async def test_a_data_root_without_a_place_says_who_can_change_it(make: Make) -> None:
    where = making.with_storage("raw", host_path="/srv/raw")
    with pytest.raises(StartFailed, match=r"An operator has to .*host_paths"):
        await whole(make(None, where))
    c = Config()
    c.VisaKubeSpawner.host_paths = ["raw"]
    made = await whole(make(c, where))
    assert making.volume(made, "/data/exp-1")[0]["hostPath"]["type"] == "Directory"


# state


async def test_state_survives_a_restart_of_the_hub(make: Make) -> None:
    spawner = make()
    assert await spawner.poll() == 0, "nothing was started"
    spawner.gateway_key = "k"
    state = spawner.get_state()
    after = make()
    after.load_state(state)
    assert after.gateway_key == "k"
    assert after.pod_name == spawner.pod_name
    assert making.TOKEN not in json.dumps(state)
    after.clear_state()
    assert after.gateway_key == ""
    assert after.pod_name == spawner.pod_name


async def test_a_claim_of_her_own_is_made_only_where_the_facility_says_so(make: Make) -> None:
    assert make()._home_manifest() is None
    own = make(None, making.on_kubernetes(homes={"kubernetes": {"new_claim": {"size": "1Gi"}}}))
    claim = own._home_manifest()
    assert claim is not None
    found, _ = making.volume(await whole(own), "/home/marie")
    assert found["persistentVolumeClaim"]["claimName"] == claim["metadata"]["name"]
    assert claim["metadata"]["annotations"]["visa/owner"] == "mock@name"


async def test_an_api_server_that_cannot_be_reached_ends_nothing(make: Make) -> None:
    """JupyterHub takes a poll that raises for the server's end."""
    spawner = make()
    watch = spawner._begun_watch()
    try:
        assert await spawner._missing(watch) is None
        assert spawner.failure is None
    finally:
        await watch.stop()


async def test_a_pod_that_does_not_go_keeps_no_other(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    made, deleted = "2026-03-28T12:00:00Z", list[str]()
    pods = {
        name: {"metadata": {"name": name, "creationTimestamp": made, "labels": {"visa/instance": name[-1]}}}
        for name in ("visa-1", "visa-2", "visa-3", "visa-4")
    }

    async def loaded(_seconds: float) -> bool:
        return True

    async def delete(name: str, *, grace: int) -> None:
        if name == "visa-1":
            raise TimeoutError(f"pod {name} did not go")
        if name == "visa-2":
            raise ApiException(status=500)
        deleted.append(name)

    spawner = make()
    monkeypatch.setattr(VisaKubeSpawner, "_begun_watch", lambda self: SimpleNamespace(pods=pods, loaded=loaded))
    monkeypatch.setattr(VisaKubeSpawner, "_cluster", lambda self, watch, contact="": SimpleNamespace(delete=delete))
    ended = await VisaKubeSpawner.sweep(spawner.hub_settings, {"4"}, grace=0, config=Config())
    assert (ended, deleted) == (["3"], ["visa-3"])
