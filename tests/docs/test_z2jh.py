"""docs/operators/z2jh.md: its values, executed as Zero to JupyterHub's own configuration would."""

from __future__ import annotations

import importlib
import json
import os
import re
import ssl
import subprocess
import sys
import types
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from jupyterhub.app import JupyterHub
from jupyterhub.auth import Authenticator
from jupyterhub.crypto import CryptKeeper
from jupyterhub.proxy import ConfigurableHTTPProxy
from jupyterhub.spawner import Spawner
from kubespawner import KubeSpawner
from tornado.httpclient import AsyncHTTPClient
from traitlets.config import Config

from tests.conftest import REPOSITORY
from tests.services import cluster, facility
from tests.services.hub import RunningHub, started
from visa.cli.demo.runner import free_ports
from visa.hub import settings
from visa.hub.kubernetes import VisaKubeSpawner
from visa.hub.oauth import VisaAuthenticator
from visa.hub.pods import certificates
from visa.hub.pods.certificates import Authority
from visa.hub.pods.manifest import GATEWAY_ACCOUNT, PORT, selector
from visa.identifiers import EnvironmentId, FlavourId, Username
from visa.instances.model import Identity, InstanceSpec, Resources

PAGE = REPOSITORY / "docs" / "operators" / "z2jh.md"
VALUES: dict[str, Any] = yaml.safe_load((PAGE.parent / "z2jh-values.yaml").read_text())
CLASSES = (
    Authenticator,
    ConfigurableHTTPProxy,
    CryptKeeper,
    JupyterHub,
    KubeSpawner,
    Spawner,
    VisaAuthenticator,
    VisaKubeSpawner,
)
# What chart 4's own configuration has set by the time hub.extraConfig is executed.
BEFORE = {
    "JupyterHub": {
        "cookie_secret": "ab" * 32,
        "services": [{"name": "theirs", "api_token": "x" * 20}],
        "load_roles": [{"name": "theirs", "scopes": ["read:hub"], "services": ["theirs"]}],
        "db_url": "sqlite:///jupyterhub.sqlite",
        "authenticator_class": "dummy",
        "admin_access": True,
        "spawner_class": "kubespawner.KubeSpawner",
        "hub_bind_url": "http://:8081",
        "hub_connect_url": "http://hub:8081",
        "concurrent_spawn_limit": 64,
    },
    "CryptKeeper": {"keys": ["cd" * 32]},
    "ConfigurableHTTPProxy": {"api_url": "http://proxy-api:8001", "should_start": False},
    "Spawner": {"consecutive_failure_limit": 5, "cmd": "jupyterhub-singleuser"},
    "KubeSpawner": {
        "namespace": "here",
        "uid": 1000,
        "start_timeout": 300,
        "mem_guarantee": "1G",
        "image": "quay.io/jupyterhub/k8s-singleuser-sample:4",
        "common_labels": {"app": "jupyterhub", "release": "their-release"},
        "scheduler_name": "user-scheduler",
    },
}


def get_config(key: str, default: Any = None) -> Any:
    """z2jh's: a value of the chart."""
    found: Any = {**VALUES, "Release": {"Name": "their-release"}}
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return default
        found = found[part]
    return found


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Config]:
    """The whole configuration after the snippet; its folders are in ``tmp_path``."""
    stub = types.ModuleType("z2jh")
    stub.get_config = get_config  # type: ignore[attr-defined]
    for name in ("pycurl", "tornado.curl_httpclient"):
        monkeypatch.setitem(sys.modules, name, None)  # so that what the snippet does to them is undone
    monkeypatch.setitem(sys.modules, "z2jh", stub)
    for name, value in VALUES["hub"]["extraEnv"].items():
        monkeypatch.setenv(name, value if isinstance(value, str) else "10.1.2.3")
    monkeypatch.setattr("kubespawner.spawner.load_config", lambda **settings: None)  # no cluster is asked
    facility.write(tmp_path / "etc" / "facility", **cluster.parts())
    (tmp_path / "etc" / "gateways").mkdir()
    certificates.make_authority(tmp_path / "etc" / "gateways")
    monkeypatch.setattr(settings, "_settings", None)
    mask = os.umask(0o022)

    c = Config(BEFORE)
    for section, traits in VALUES["hub"]["config"].items():
        c[section].update(traits)
    c.KubeSpawner.extra_labels = VALUES["singleuser"]["extraLabels"]
    code = VALUES["hub"]["extraConfig"]["10-visa"]
    code = code.replace("/srv/jupyterhub", str(tmp_path)).replace("/etc/visa", str(tmp_path / "etc"))
    try:
        exec(compile(code, "10-visa", "exec"), {"c": c, "get_config": get_config})
        yield c
    finally:
        os.umask(mask)
        AsyncHTTPClient.configure(None)


def test_every_class_and_trait_exists(config: Config) -> None:
    known = {cls.__name__: cls.class_traits(config=True) for cls in CLASSES}
    for section, traits in config.items():
        assert section in known, f"no class {section}"
        for name in traits:
            assert name in known[section], f"no trait {section}.{name}"


def test_what_the_chart_made_stays_and_what_is_ours_counts(config: Config, tmp_path: Path) -> None:
    hub = JupyterHub(config=config)
    assert hub.cookie_secret == bytes.fromhex("ab" * 32)
    assert config["CryptKeeper"]["keys"] == ["cd" * 32]
    assert [service["name"] for service in hub.services] == ["theirs", "visa"]
    assert {role["name"] for role in hub.load_roles} == {"user", "visa-portal", "theirs"}
    assert hub.db_url == f"sqlite:///{tmp_path}/jupyterhub.sqlite"
    assert hub.hub_connect_url == "http://hub:8081"
    assert hub.authenticator_class is VisaAuthenticator
    assert hub.spawner_class is VisaKubeSpawner
    assert not hub.admin_access
    assert hub.services[1]["url"] == "http://10.1.2.3:8098"
    assert (tmp_path / "visa" / "visa.sqlite").exists()


async def test_authenticator_and_spawner_can_be_made(config: Config) -> None:
    authenticator = VisaAuthenticator(config=config)
    authenticator.check_allow_config()
    assert authenticator.client_secret == "10.1.2.3", "from the environment"
    spawner = VisaKubeSpawner(_mock=True, config=config)
    assert spawner.namespace == "here"
    assert spawner.release == "their-release"
    assert spawner.gateway_image == VALUES["custom"]["visa"]["gatewayImage"]
    assert spawner.consecutive_failure_limit == 0
    assert spawner.start_timeout == 300, "singleuser.startTimeout counts"
    assert spawner.fs_gid is None
    assert spawner.gateway_authority() is not None


async def test_the_charts_labels_count_but_for_the_one_of_its_own_servers(config: Config) -> None:
    spawner = VisaKubeSpawner(_mock=True, config=config)
    spawner.get_env = lambda: {"JUPYTERHUB_SERVICE_PREFIX": "/user/marie/x/"}
    spawner.spec = InstanceSpec(
        identity=Identity(Username("marie"), "Marie", 20001, 20001, (30001,)),
        experiments=(),
        environment=EnvironmentId("scattering"),
        flavour=FlavourId("small"),
        session="notebook",
        resources=Resources(cpu=1, memory=1 << 30, gpu=0, scratch=1 << 30),
        mounts=(),
        scopes=(),
    )
    await spawner.load_user_options()
    pod = await spawner._manifest(await spawner._parts(spawner.spec))
    labels = pod["metadata"]["labels"]
    assert labels["hub.jupyter.org/network-access-hub"] == "true"
    assert labels["release"] == "their-release"
    assert set(selector("their-release").split(",")) <= {f"{key}={value}" for key, value in labels.items()}
    assert "component" not in labels, "the page says that the chart's policy for servers does not select instances"
    assert "fsGroup" not in pod["spec"]["securityContext"]
    assert pod["spec"]["securityContext"]["runAsUser"] == 20001
    assert [container["name"] for container in pod["spec"]["containers"]] == ["environment", "gateway"]
    assert not pod["spec"]["initContainers"]
    assert pod["spec"]["schedulerName"] == "user-scheduler"


REAL = """
import sys
sys.path.insert(0, {folder!r})
from tornado.httpclient import AsyncHTTPClient
AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")
from z2jh import get_config
for section, traits in {before!r}.items():
    c[section].update(traits)
exec(compile(open({snippet!r}).read(), "10-visa", "exec"))
# Where the chart has a proxy in another pod, and a Service for the hub.
from visa.hub import defaults
from pathlib import Path
defaults._proxy(c, Path({state!r}), {proxy})
c.JupyterHub.bind_url = {url!r}
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.hub_connect_url = "http://127.0.0.1:{hub}"
"""
Z2JH = """
import json
VALUES = json.loads({values!r})
def get_config(key, default=None):
    found = VALUES
    for part in key.split("."):
        if not isinstance(found, dict) or part not in found:
            return default
        found = found[part]
    return found
"""
KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "x",
    "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
    "clusters": [{"name": "x", "cluster": {"server": "http://127.0.0.1:9"}}],
    "users": [{"name": "x", "user": {}}],
}


def test_a_hub_starts_with_it_and_brings_the_portal(tmp_path: Path) -> None:
    """All but the chart's own pods: the snippet, the stand-in for libcurl, the hub, the portal."""
    path = facility.write(tmp_path / "etc" / "facility", **cluster.parts())
    (tmp_path / "etc" / "gateways").mkdir()
    certificates.make_authority(tmp_path / "etc" / "gateways")
    (tmp_path / "kubeconfig").write_text(yaml.safe_dump(KUBECONFIG))
    environ = {"POD_IP": "127.0.0.1", "OAUTH_CLIENT_SECRET": "x", "KUBECONFIG": str(tmp_path / "kubeconfig")}
    hub = RunningHub(tmp_path / "hub", path, variables=environ)
    portal, proxy = free_ports(2)
    folder = tmp_path / "chart"
    folder.mkdir()
    (folder / "pycurl.py").write_text(VALUES["hub"]["extraFiles"]["pycurl"]["stringData"])
    (folder / "z2jh.py").write_text(Z2JH.format(values=json.dumps(VALUES)))
    code = VALUES["hub"]["extraConfig"]["10-visa"].replace(":8098", f":{portal}")
    code = code.replace("/srv/jupyterhub/visa", str(hub.state)).replace("/srv/jupyterhub", str(tmp_path))
    (folder / "10-visa").write_text(code.replace("/etc/visa", str(tmp_path / "etc")))
    before = {**BEFORE, **VALUES["hub"]["config"]}
    hub.config.write_text(
        REAL.format(
            folder=str(folder),
            before=before,
            snippet=str(folder / "10-visa"),
            state=str(hub.state),
            proxy=proxy,
            url=hub.url,
            hub=hub.hub_port,
        )
    )
    with started(hub):
        assert (tmp_path / "jupyterhub.sqlite").exists()
        assert httpx.get(f"{hub.portal}api/v1/openapi.json", timeout=60).status_code == 200
        headers = {"Authorization": "token " + "x" * 20}
        theirs = httpx.get(f"{hub.url}/hub/api/user", headers=headers, timeout=60)
        assert theirs.json()["name"] == "theirs", "a service of the chart's values"


def test_tornado_takes_the_stand_in_for_libcurl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    extra = VALUES["hub"]["extraFiles"]["pycurl"]
    assert extra["mountPath"] == "/usr/local/etc/jupyterhub/pycurl.py", "beside the chart's configuration"
    (tmp_path / "pycurl.py").write_text(extra["stringData"])
    monkeypatch.syspath_prepend(str(tmp_path))
    for name in ("pycurl", "tornado.curl_httpclient"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    before = AsyncHTTPClient.configured_class()
    try:
        AsyncHTTPClient.configure("tornado.curl_httpclient.CurlAsyncHTTPClient")  # as the chart does
        assert AsyncHTTPClient.configured_class().__name__ == "CurlAsyncHTTPClient"
        AsyncHTTPClient.configure(None)  # as the snippet does
        assert AsyncHTTPClient.configured_class().__name__ == "SimpleAsyncHTTPClient"
    finally:
        AsyncHTTPClient.configure(before)
        for name in ("pycurl", "tornado.curl_httpclient"):
            sys.modules.pop(name, None)
        importlib.invalidate_caches()


def test_mounts_and_secrets_fit_together() -> None:
    hub = VALUES["hub"]
    assert {mount["name"] for mount in hub["extraVolumeMounts"]} == {volume["name"] for volume in hub["extraVolumes"]}
    assert hub["containerSecurityContext"]["runAsUser"] == hub["podSecurityContext"]["fsGroup"] == GATEWAY_ACCOUNT
    flags = VALUES["proxy"]["chp"]["extraCommandLineFlags"]
    chart = (REPOSITORY / "helm" / "visa" / "templates" / "proxy" / "proxy.yaml").read_text()
    for flag in flags:
        assert flag.partition("=")[0] in chart, "the same flags as our own chart's"
    (required,) = re.findall(r"--require=\S+/([^/]+)$", VALUES["proxy"]["chp"]["extraEnv"]["NODE_OPTIONS"])
    text = PAGE.read_text()
    files = [REPOSITORY / file for file in re.findall(r"--from-file=(\w+/\S+)", text)]
    assert all(file.exists() for file in files)
    assert required in [file.name for file in files]
    assert f"/{required}" in chart, "as our own chart"
    for name in ("visa-facility", "visa-environment", "visa-gateways", "visa-login", "visa-proxy"):
        assert name in text, f"the page says how {name} is made"


def test_the_pages_command_makes_an_authority_that_strict_clients_take(tmp_path: Path) -> None:
    (command,) = re.findall(r"^    (openssl req (?:.*\\\n)*.*)$", PAGE.read_text(), re.M)
    subprocess.run(["sh", "-ec", command], cwd=tmp_path, check=True, capture_output=True)
    authority = Authority(tmp_path / "ca.crt", tmp_path / "ca.key")
    issued = authority.issue("127.0.0.1")
    (tmp_path / "gateway.pem").write_text(issued.certificate + issued.key)

    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "gateway.pem")
    client = ssl.create_default_context(cafile=str(tmp_path / "ca.crt"))
    client.verify_flags |= ssl.VERIFY_X509_STRICT  # Python 3.13's own choice
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    inside = client.wrap_bio(there, back, server_hostname="127.0.0.1")
    outside = server.wrap_bio(back, there, server_side=True)
    finished = set()
    for _ in range(5):
        for side in (inside, outside):
            with suppress(ssl.SSLWantReadError):
                side.do_handshake()
                finished.add(side)
    assert finished == {inside, outside}


def test_the_policy_for_instances_is_theirs() -> None:
    (text,) = [block for block in re.findall(r"```yaml\n(.+?)```", PAGE.read_text(), re.S) if "NetworkPolicy" in block]
    policy = yaml.safe_load(text)
    labels = policy["spec"]["podSelector"]["matchLabels"]
    assert ",".join(f"{key}={value}" for key, value in labels.items()) == selector("RELEASE")
    assert {port["port"] for rule in policy["spec"]["ingress"] for port in rule["ports"]} == {PORT}
    assert policy["spec"]["policyTypes"] == ["Ingress", "Egress"]
