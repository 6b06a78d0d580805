"""What the chart makes of values, judged by helm, by the real API server, and by what has to hold."""

from __future__ import annotations

import base64
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.helm.conftest import CHART, Object, helm, minimal, one, rendered
from tests.services import cluster
from visa.hub.pods import manifest
from visa.hub.pods.certificates import Authority

ENVIRONMENT_FILES = sorted(
    file.name for file in (cluster.REPOSITORY / "visa" / "session" / "environment").iterdir() if file.is_file()
)

EVERYTHING: Object = {
    "portal": {"replicas": 2},
    "instances": {"host": "*.visa.example.org"},
    "store": {"type": "postgres", "url": "postgresql://visa@db.example.org/visa", "password": "one"},
    "hub": {
        "publicUrl": "https://visa.example.org",
        "baseUrl": "/lab/",
        "db": {"type": "postgres", "url": "postgresql://hub@db.example.org/hub", "existingSecret": {"name": "dbs"}},
        "pdb": {"enabled": True},
        "extraEnv": {"A": "b", "C": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}},
        "extraVolumes": [{"name": "more", "emptyDir": {}}],
        "extraVolumeMounts": [{"name": "more", "mountPath": "/more"}],
        "labels": {"cost": "centre"},
        "annotations": {"note": "worthy"},
        "nodeSelector": {"core": "yes"},
    },
    "proxy": {
        "service": {"type": "LoadBalancer", "loadBalancerSourceRanges": ["192.0.2.0/24"]},
        "https": {"enabled": True, "secret": {"name": "tls"}},
        "chp": {"pdb": {"enabled": True}, "extraCommandLineFlags": ["--timeout=1000"]},
    },
    "scheduling": {"podPriority": {"enabled": True}, "userPlaceholder": {"replicas": 2, "flavour": "small"}},
    "singleuser": {"networkPolicy": {"closed": ["192.0.2.0/24"], "egressAllowRules": {"privateIPs": True}}},
    "prePuller": {"extraImages": {"other": {"name": "registry.example.org/other", "tag": "1"}}},
    "monitoring": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}},
    "ingress": {"enabled": True, "hosts": ["visa.example.org"], "tls": [{"secretName": "tls"}]},
    "httpRoute": {"enabled": True, "hostnames": ["visa.example.org"], "gateway": {"name": "g", "namespace": "n"}},
    "homes": {"create": True},
    "imagePullSecrets": ["one", {"name": "two"}],
    "imagePullSecret": {"create": True, "registry": "registry.example.org", "username": "u", "password": "p"},
    "login": {"issuer": "https://login.example.org", "clientId": "visa", "existingSecret": {"name": "login"}},
}
MATRIX: dict[str, Object] = {
    "as it is": {},
    "everything": EVERYTHING,
    "node port": {"proxy": {"service": {"type": "NodePort", "nodePorts": {"http": 30999}}}},
    "store on postgresql": {"store": {"type": "postgres", "url": "postgresql://visa@db/visa"}},
    "secrets of one's own": {"hub": {"existingSecret": "mine", "serviceAccount": {"create": False, "name": "other"}}},
    "nothing optional": {
        "networkPolicy": {"enabled": False},
        "rbac": {"create": False},
        "prePuller": {"hook": {"enabled": False}, "continuous": {"enabled": False}},
        "hub": {"seesData": False, "livenessProbe": {"enabled": False}},
    },
    "instances reach nothing": {"singleuser": {"networkPolicy": {"egressAllowRules": {"nonPrivateIPs": False}}}},
}
UNKNOWN_HERE = ("HTTPRoute", "ServiceMonitor")  # kinds that the test cluster does not know


@pytest.fixture(scope="module")
def namespace() -> Iterator[cluster.Namespace]:
    """Empty; warns of whatever pod security `restricted` would refuse."""
    with cluster.namespace("helm-dry", filled=False) as made:
        cluster.kubectl("label", "namespace", made.name, "pod-security.kubernetes.io/warn=restricted")
        yield made


@pytest.mark.parametrize("over", MATRIX.values(), ids=MATRIX.keys())
def test_the_api_server_takes_what_the_chart_makes(namespace: cluster.Namespace, over: Object) -> None:
    objects = [o for o in rendered(minimal(**over), namespace.name) if o["kind"] not in UNKNOWN_HERE]
    for found in objects:
        found["metadata"].setdefault("namespace", namespace.name)
    done = subprocess.run(
        ["kubectl", "apply", "--dry-run=server", "-f", "-"],
        input=yaml.safe_dump_all(objects),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "PodSecurity" not in done.stderr
    assert "unknown field" not in done.stderr


@pytest.mark.parametrize("over", MATRIX.values(), ids=MATRIX.keys())
def test_lint(over: Object) -> None:
    assert "0 chart(s) failed" in helm("lint", str(CHART), "--strict", values=minimal(**over))


REFUSED: dict[str, tuple[Object, str]] = {
    "a key nobody knows": ({"hub": {"cookieSecret": "x"}}, "cookieSecret"),
    "a mistake in facility.yaml": ({"facility": {"flavours": {"small": {"cpu": "many"}}}}, "/facility/flavours/small"),
    "replicas without postgresql": ({"portal": {"replicas": 2}}, "portal.replicas needs PostgreSQL"),
    "postgresql without a url": ({"hub": {"db": {"type": "postgres"}}}, "give hub.db.url"),
    "another database": ({"store": {"type": "postgres", "url": "mysql://a/b"}}, "/store/url"),
    "one database for both": (
        {"store": {"type": "postgres", "url": "postgresql://a/b"}, "hub": {"db": {"url": "postgresql://a/b"}}},
        "same database",
    ),
    "https without a secret": ({"proxy": {"https": {"enabled": True}}}, "proxy.https.secret.name"),
    "hosts for people": (
        {"hub": {"config": {"JupyterHub": {"subdomain_host": "https://a.example"}}}},
        "instances.host",
    ),
    "hosts of instances alone": ({"instances": {"host": "*.a.example"}}, "needs hub.publicUrl"),
    "one host for all instances": ({"instances": {"host": "a.example"}}, "/instances/host"),
    "no certificate for instances": (
        {
            "hub": {"publicUrl": "https://a.example"},
            "instances": {"host": "*.a.example"},
            "ingress": {"enabled": True, "hosts": ["a.example"], "tls": [{"hosts": ["a.example"], "secretName": "a"}]},
        },
        "no certificate for instances.host",
    ),
    "placeholders of no size": ({"scheduling": {"userPlaceholder": {"replicas": 1}}}, "flavour of facility.yaml"),
}


@pytest.mark.parametrize(("over", "said"), REFUSED.values(), ids=REFUSED.keys())
def test_mistakes_are_said_before_anything_changes(over: Object, said: str) -> None:
    assert said in helm("template", "visa", str(CHART), values=minimal(**over), check=False)


def test_a_chart_without_a_facility_is_refused() -> None:
    assert "facility is empty" in helm("template", "visa", str(CHART), check=False)


def test_the_package_holds_the_environment_files_themselves(tmp_path: Path) -> None:
    helm("package", str(CHART), "-d", str(tmp_path))
    (archive,) = tmp_path.glob("visa-*.tgz")
    source = cluster.REPOSITORY / "visa" / "session" / "environment"
    with tarfile.open(archive) as packed:
        for name in ENVIRONMENT_FILES:
            member = packed.getmember(f"visa/files/{name}")
            assert member.isfile()
            file = packed.extractfile(member)
            assert file is not None
            assert file.read() == (source / name).read_bytes()


def test_environment_files_arrive_unchanged() -> None:
    data = one(rendered(minimal()), "ConfigMap", "visa-environment")["data"]
    source = cluster.REPOSITORY / "visa" / "session" / "environment"
    assert {name: text.rstrip("\n") for name, text in data.items()} == {
        name: (source / name).read_text().rstrip("\n") for name in ENVIRONMENT_FILES
    }


def test_facility_and_catalogue_arrive_unchanged() -> None:
    large = 4_200_000_001  # helm's numbers are floating
    values = minimal(catalogue={"people": [{"username": "marie", "uid": large}]})
    data = one(rendered(values), "ConfigMap", "visa-facility")["data"]
    assert yaml.safe_load(data["facility.yaml"]) == values["facility"]
    assert yaml.safe_load(data["catalogue.yaml"]) == values["catalogue"]


def _pods(objects: list[Object]) -> dict[str, Object]:
    kinds = ("Deployment", "DaemonSet", "StatefulSet", "Job")
    return {f"{o['kind']}/{o['metadata']['name']}": o["spec"]["template"] for o in objects if o["kind"] in kinds}


def test_facility_yaml_restarts_nothing_and_hub_values_restart_only_the_hub() -> None:
    more = ("--show-only", "templates/hub/deployment.yaml", "--show-only", "templates/proxy/proxy.yaml")
    before = _pods(rendered(minimal(), "visa", "visa", *more))
    renamed = _pods(rendered(minimal(facility={"facility": {"name": "Another name"}}), "visa", "visa", *more))
    configured = _pods(rendered(minimal(hub={"config": {"Spawner": {"debug": True}}}), "visa", "visa", *more))
    assert renamed == before
    assert configured["Deployment/visa-proxy"] == before["Deployment/visa-proxy"]
    assert configured["Deployment/visa-hub"] != before["Deployment/visa-hub"]


def test_pods_are_closed() -> None:
    with_token = {"Deployment/visa-hub", "Job/visa-image-awaiter"}
    for name, pod in _pods(rendered(minimal(**EVERYTHING))).items():
        spec = pod["spec"]
        assert spec["automountServiceAccountToken"] is (name in with_token), name
        assert spec["enableServiceLinks"] is False, name
        assert spec["securityContext"]["runAsUser"] == 65500, name
        for container in [*spec.get("initContainers", []), *spec["containers"]]:
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }, name


def test_the_hub_may_do_what_it_does_and_no_more() -> None:
    objects = rendered(minimal(**EVERYTHING))
    rules = {r: sorted(rule["verbs"]) for rule in one(objects, "Role", "visa-hub")["rules"] for r in rule["resources"]}
    assert rules == {
        "pods": ["create", "delete", "get", "list", "watch"],
        "events": ["list"],
        "persistentvolumeclaims": ["create", "get"],
    }
    assert not [o for o in objects if o["kind"].startswith("Cluster")]


def test_only_the_hub_sees_the_authority_s_key() -> None:
    for name, pod in _pods(rendered(minimal(**EVERYTHING))).items():
        keys = [
            item["key"]
            for volume in pod["spec"].get("volumes", [])
            for source in [volume, *volume.get("projected", {}).get("sources", [])]
            for item in source.get("secret", {}).get("items", [])
        ]
        assert ("ca.key" in keys) is (name == "Deployment/visa-hub"), name


def test_certificates_of_gateways_hold_with_the_authority_that_helm_makes(tmp_path: Path) -> None:
    data = one(rendered(minimal()), "Secret", "visa-secrets")["data"]
    for name in ("ca.crt", "ca.key"):
        (tmp_path / name).write_bytes(base64.b64decode(data[name]))
    issued = Authority(tmp_path / "ca.crt", tmp_path / "ca.key").issue("10.1.2.3")
    (tmp_path / "gateway.crt").write_text(issued.certificate)
    command = ["openssl", "verify", "-verify_ip", "10.1.2.3", "-CAfile", tmp_path / "ca.crt", tmp_path / "gateway.crt"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_policies_select_the_instances_that_the_hub_makes() -> None:
    policy = one(rendered(minimal()), "NetworkPolicy", "visa-instance")
    wanted = dict(pair.split("=") for pair in manifest.selector("visa").split(","))
    assert policy["spec"]["podSelector"]["matchLabels"] == wanted
    ((ingress,),) = [policy["spec"]["ingress"]]
    assert ingress["ports"] == [{"protocol": "TCP", "port": manifest.PORT}]


def test_hosts_of_instances_are_known_to_all() -> None:
    plain = one(rendered(minimal()), "Deployment", "visa-proxy")
    objects = rendered(minimal(**EVERYTHING))
    by_host = one(objects, "Deployment", "visa-proxy")
    assert "--host-routing" not in plain["spec"]["template"]["spec"]["containers"][0]["args"]
    assert "--host-routing" in by_host["spec"]["template"]["spec"]["containers"][0]["args"]
    hosts = ["visa.example.org", "*.visa.example.org"]
    assert [rule["host"] for rule in one(objects, "Ingress", "visa-proxy")["spec"]["rules"]] == hosts
    assert one(objects, "HTTPRoute", "visa-proxy")["spec"]["hostnames"] == hosts
    for name in ("visa-hub", "visa-portal"):
        (container,) = one(objects, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        assert {"name": "VISA_INSTANCES", "value": "https://*.visa.example.org"} in container["env"]
    values = yaml.safe_load(one(objects, "Secret", "visa-hub")["stringData"]["values.yaml"])
    assert values["instances"] == {"host": "*.visa.example.org"}


def test_images_of_every_environment_are_pulled() -> None:
    values = minimal(**EVERYTHING)
    staff = values["facility"]["environments"]["staff"]["kubernetes"]
    staff |= {"image": "registry.example.org/staff:2", "digest": "sha256:" + "a" * 64, "pull_secrets": ["login"]}
    puller = one(rendered(values), "DaemonSet", "visa-image-puller")["spec"]["template"]["spec"]
    assert [container["image"] for container in puller["initContainers"]] == [
        cluster.image("gateway"),
        cluster.image("scattering"),
        f"registry.example.org/staff:2@{staff['digest']}",
        "registry.example.org/other:1",
    ]
    assert {"name": "login"} in puller["imagePullSecrets"]


def test_a_placeholder_is_as_large_as_its_flavour() -> None:
    placeholder = one(rendered(minimal(**EVERYTHING)), "StatefulSet", "visa-user-placeholder")
    assert placeholder["spec"]["replicas"] == 2
    spec = placeholder["spec"]["template"]["spec"]
    assert spec["containers"][0]["resources"] == {"requests": {"cpu": "20m", "memory": "200Mi"}}
    assert spec["priorityClassName"] == "visa-visa-user-placeholder"


def test_route_and_monitors() -> None:
    objects = rendered(minimal(**EVERYTHING))
    (route,) = [o for o in objects if o["kind"] == "HTTPRoute"]
    assert route["apiVersion"] == "gateway.networking.k8s.io/v1"
    assert route["spec"]["hostnames"] == ["visa.example.org", "*.visa.example.org"]
    (parent,) = route["spec"]["parentRefs"]
    assert parent == {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "g", "namespace": "n"}
    (rule,) = route["spec"]["rules"]
    assert rule["matches"] == [{"path": {"type": "PathPrefix", "value": "/lab/"}}]
    (backend,) = rule["backendRefs"]
    service = one(objects, "Service", backend["name"])
    assert backend["port"] in [port["port"] for port in service["spec"]["ports"]]
    monitors = {o["metadata"]["name"]: o for o in objects if o["kind"] == "ServiceMonitor"}
    assert set(monitors) == {"visa-hub", "visa-proxy"}
    for monitor in monitors.values():
        assert monitor["metadata"]["labels"]["release"] == "prometheus"
        selected = monitor["spec"]["selector"]["matchLabels"].items()
        (endpoint,) = monitor["spec"]["endpoints"]
        served = [
            port["name"]
            for o in objects
            if o["kind"] == "Service" and selected <= o["metadata"]["labels"].items()
            for port in o["spec"]["ports"]
        ]
        assert endpoint["port"] in served
    credentials = monitors["visa-hub"]["spec"]["endpoints"][0]["authorization"]["credentials"]
    assert credentials["key"] in one(objects, "Secret", credentials["name"])["data"]


def test_the_example_on_that_page_is_good() -> None:
    page = (cluster.REPOSITORY / "docs" / "operators" / "helm.md").read_text()
    example = yaml.safe_load(page.split("```yaml\n")[1].split("```")[0])
    assert one(rendered(example), "Deployment", "visa-portal")["spec"]["replicas"] == 2
