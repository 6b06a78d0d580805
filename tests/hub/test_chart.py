"""jupyterhub_config.py of the chart: values to settings, without a cluster."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
import yaml
from traitlets.config import Config

from tests.services import facility
from visa.addresses import Origins
from visa.hub import chart, defaults, settings
from visa.hub.kubernetes import VisaKubeSpawner
from visa.hub.oauth import VisaAuthenticator
from visa.portal import app
from visa.store.store import Store

NAMES = ("cookie", "crypt", "proxy", "portal", "portal-cookie", "metrics", "ca.crt", "ca.key")
SECRETS = {name: f"{number:064x}" for number, name in enumerate(NAMES)}
SQLITE = {"type": "sqlite-pvc"}
VALUES: dict[str, Any] = {
    "release": "lab",
    "namespace": "science",
    "hub": {"baseUrl": "/", "db": SQLITE, "seesData": True},
    "store": SQLITE,
    "portal": {"ownReplicas": False},
    "gateway": {
        "image": "registry.example.org/visa/gateway:1",
        "resources": {"requests": {"cpu": "25m", "memory": "64Mi"}, "limits": {"cpu": 2, "memory": "1Gi"}},
    },
}


class Configured:
    """A folder as the chart mounts it, and what `configure` makes of it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder / "etc", folder / "state"
        for name in ("hub", "secrets"):
            (self.folder / name).mkdir(parents=True)
        facility.write(self.folder / "facility")
        for name, content in SECRETS.items():
            (self.folder / "secrets" / name).write_text(content + "\n")

    def __call__(self, **over: Any) -> Any:
        (self.folder / "hub" / "values.yaml").write_text(yaml.safe_dump({**VALUES, **over}))
        c = Config()
        chart.configure(c, folder=self.folder, state=self.state)
        return c


@pytest.fixture
def configured(tmp_path: Path) -> Any:
    yield Configured(tmp_path)
    settings.get().store.close()


def hub(**over: Any) -> dict[str, Any]:
    return {**VALUES["hub"], **over}


def test_people_come_by_https(configured: Configured) -> None:
    with pytest.raises(SystemExit, match="people need https"):
        configured(hub=hub(publicUrl="http://visa.example.org/"))


def test_on_ones_own_machine_they_need_not(configured: Configured) -> None:
    assert configured(hub=hub(publicUrl="http://127.0.0.1:30080")).JupyterHub.public_url == "http://127.0.0.1:30080/"


def test_the_hub_is_found_by_its_service_and_starts_no_proxy(configured: Configured) -> None:
    c = configured(hub=hub(baseUrl="/lab/", publicUrl="https://visa.example.org/"))
    assert c.JupyterHub.bind_url == "http://:8000/lab/"
    assert c.JupyterHub.hub_bind_url == "http://:8081"
    assert c.JupyterHub.hub_connect_url == "http://lab-hub:8081"
    assert c.JupyterHub.public_url == "https://visa.example.org/lab/"
    assert c.VisaAuthenticator.oauth_callback_url == "https://visa.example.org/lab/hub/oauth_callback"
    assert c.JupyterHub.proxy_class == "visa.hub.chp.VisaHTTPProxy"
    assert c.ConfigurableHTTPProxy.api_url == "http://lab-proxy-api:8001"
    assert c.ConfigurableHTTPProxy.auth_token == SECRETS["proxy"]
    assert c.JupyterHub.cookie_secret == bytes.fromhex(SECRETS["cookie"])
    assert c.CryptKeeper["keys"] == [SECRETS["crypt"]]
    assert (c.JupyterHub.authenticator_class, c.JupyterHub.spawner_class) == ("visa", "visa-kubernetes")
    assert c.JupyterHub.concurrent_spawn_limit == 100
    assert c.Spawner.poll_interval == 30


def test_spawners_know_release_gateway_and_authority(configured: Configured) -> None:
    c = configured(
        imagePullSecrets=["login"],
        singleuser={
            "hostPaths": ["raw"],
            "supplementalGroupsPolicy": "Strict",
            "priorityClassName": "science-lab-default",
            "nodeSelector": {"for": "people"},
            "extraPodAffinity": {"required": [], "preferred": [{"weight": 1}]},
            "storage": {"extraVolumes": [{"name": "cvmfs"}]},
            "startTimeout": 200,
        },
    )
    ours, theirs = c.VisaKubeSpawner, c.KubeSpawner
    assert (ours.release, theirs.namespace, ours.environment_config_map) == ("lab", "science", "lab-environment")
    assert ours.gateway_image == "registry.example.org/visa/gateway:1"
    assert (ours.gateway_cpu_request, ours.gateway_cpu_limit) == (0.025, 2.0)
    assert (ours.gateway_memory_request, ours.gateway_memory_limit) == ("64Mi", "1Gi")
    assert (ours.host_paths, ours.supplemental_groups_policy, ours.data_folder) == (["raw"], "Strict", "/data")
    assert Path(ours.ca_certificate).read_text().strip() == SECRETS["ca.crt"]
    assert Path(ours.ca_key).read_text().strip() == SECRETS["ca.key"]
    assert theirs.image_pull_secrets == ["login"]
    assert theirs.priority_class_name == "science-lab-default"
    assert theirs.node_selector == {"for": "people"}
    assert theirs.pod_affinity_preferred == [{"weight": 1}]
    assert "pod_affinity_required" not in theirs
    assert theirs.volumes == [{"name": "cvmfs"}]
    assert c.Spawner.start_timeout == 200


def test_every_setting_is_one_that_its_class_knows(configured: Configured) -> None:
    c = configured(singleuser={"startTimeout": 100})
    known = set(VisaKubeSpawner.class_trait_names(config=True))
    assert set(chart._SINGLEUSER.values()) <= known
    assert set(c.VisaKubeSpawner) | set(c.KubeSpawner) | set(c.Spawner) <= known
    assert set(chart._LOGIN.values()) <= set(VisaAuthenticator.class_trait_names(config=True))


def test_databases_are_files_of_the_state_folder(configured: Configured) -> None:
    c = configured()
    assert c.JupyterHub.db_url == f"sqlite:///{configured.state / 'hub.sqlite'}"
    assert (configured.state / "visa.sqlite").exists()


def test_a_password_of_a_secret_goes_into_the_url(configured: Configured) -> None:
    (configured.folder / "secrets" / "hub-db-password").write_text("p@ss/word\n")
    c = configured(hub=hub(db={"type": "postgres", "url": "postgresql://hub@db.example.org/hub"}))
    assert c.JupyterHub.db_url == "postgresql+psycopg://hub:p%40ss%2Fword@db.example.org/hub"


def test_the_store_may_be_postgresql(configured: Configured, postgres_url: str) -> None:
    configured(store={"type": "postgres", "url": postgres_url})
    Store(postgres_url).verify()


def refused(configured: Configured, **over: Any) -> str:
    configured()  # so that there is something to close
    with pytest.raises(SystemExit) as found:
        configured(**over)
    return str(found.value)


def test_one_database_for_both_is_refused(configured: Configured) -> None:
    same = {"type": "postgres", "url": "postgresql://x@db/one"}
    said = refused(configured, hub=hub(db={**same, "url": "postgresql+psycopg://y@db/one"}), store=same)
    assert "same database" in said


@pytest.mark.parametrize(
    ("over", "said"),
    [
        ({"services": {"visa": {}}}, "hub.services.visa is the portal's own name"),
        ({"config": {"JupyterHub": {"load_roles": []}}}, "use hub.loadRoles"),
        ({"config": {"JupyterHub": {"services": []}}}, "use hub.services"),
        ({"db": {"type": "postgres", "url": "nonsense"}}, "hub.db.url is no database URL"),
    ],
)
def test_mistakes_are_said(configured: Configured, over: dict[str, Any], said: str) -> None:
    assert said in refused(configured, hub=hub(**over))


def test_a_missing_secret_is_named(configured: Configured) -> None:
    configured()
    (configured.folder / "secrets" / "crypt").unlink()
    with pytest.raises(SystemExit, match="its secret 'crypt' cannot be read"):
        configured()


def test_services_and_roles_stand_beside_our_own(configured: Configured) -> None:
    c = configured(
        hub=hub(services={"report": {"api_token": "a" * 20}}, loadRoles={"report": {"scopes": ["list:users"]}}),
        monitoring=True,
    )
    assert [service["name"] for service in c.JupyterHub.services] == ["visa", "report", "metrics"]
    assert [role["name"] for role in c.JupyterHub.load_roles] == ["user", "visa-portal", "report", "metrics"]


def test_the_portal_runs_in_the_hub_s_pod_or_in_its_own(configured: Configured) -> None:
    inside = configured().JupyterHub.services[0]
    assert inside["url"] == "http://lab-hub:8098"
    assert inside["environment"]["VISA_PORTAL_LISTEN"] == "0.0.0.0:8098"
    own = configured(portal={"ownReplicas": True}).JupyterHub.services[0]
    assert (own["url"], own["api_token"]) == ("http://lab-portal:8098", SECRETS["portal"])
    assert "command" not in own
    assert own["oauth_client_allowed_scopes"] == inside["oauth_client_allowed_scopes"]


def test_the_operator_has_the_last_word(configured: Configured) -> None:
    code = "c.Spawner.start_timeout = get_config('custom.patience'); c.JupyterHub.shutdown_on_logout = True"
    c = configured(
        hub=hub(
            config={"Spawner": {"start_timeout": 5, "http_timeout": 6}, "VisaAuthenticator": {"client_id": "mine"}},
            extraConfig={"20-later": "c.JupyterHub.shutdown_on_logout = False", "10-first": code},
        ),
        login={"clientId": "visa", "issuer": "https://login.example.org", "scope": []},
        custom={"patience": 77},
    )
    assert (c.Spawner.start_timeout, c.Spawner.http_timeout) == (77, 6)
    assert c.JupyterHub.shutdown_on_logout is False
    assert (c.VisaAuthenticator.client_id, c.VisaAuthenticator.issuer) == ("mine", "https://login.example.org")
    assert "scope" not in c.VisaAuthenticator


def test_the_client_secret_of_a_secret_counts(configured: Configured) -> None:
    (configured.folder / "secrets" / "login-client-secret").write_text("from the Secret\n")
    c = configured(login={"clientSecret": "from the values"})
    assert c.VisaAuthenticator.client_secret == "from the Secret"


# the portal's replicas


def test_the_portal_listens_where_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTERHUB_SERVICE_URL", "http://lab-hub:8098/services/visa/")
    assert app.address() == ("lab-hub", 8098)
    monkeypatch.setenv("VISA_PORTAL_LISTEN", "0.0.0.0:9000")
    assert app.address() == ("0.0.0.0", 9000)


def test_instances_have_hosts_of_their_own(configured: Configured) -> None:
    public, host = "https://visa.example.org:8443", "*.visa.example.org"
    c = configured(hub=hub(baseUrl="/lab/", publicUrl=f"{public}/"), instances={"host": host})
    assert settings.get().origins == Origins("https", "visa.example.org", 8443)
    assert settings.get().public == public
    assert c.JupyterHub.public_url == f"{public}/lab/"
    assert c.JupyterHub.hub_routespec == "/"
    assert c.VisaHTTPProxy.own_host == "visa.example.org"
    (portal,) = [one for one in c.JupyterHub.services if one["name"] == "visa"]
    assert portal["environment"]["VISA_INSTANCES"] == "https://*.visa.example.org:8443"
    with pytest.raises(SystemExit, match="so public_url has to be given"):
        configured(hub=hub(publicUrl=""), instances={"host": host})


def test_without_them_routes_have_no_hosts(configured: Configured) -> None:
    c = configured(instances={"host": ""})
    assert not settings.get().origins
    assert "own_host" not in c.VisaHTTPProxy
    assert "hub_routespec" not in c.JupyterHub


@pytest.mark.looptime
async def test_a_replica_waits_for_the_hub_to_upgrade_the_store(
    store_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(store_url)
    waiting = asyncio.create_task(app.usable(store))
    await asyncio.sleep(60)
    assert not waiting.done()
    assert caplog.text.count("Waiting for the store") == 1
    await asyncio.to_thread(store.upgrade)
    await waiting
    store.close()


def test_pages_of_the_hub_share_no_window_with_an_instance_and_stay_in_no_cache(configured: Any) -> None:
    apart = {"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store"}
    assert configured().JupyterHub.tornado_settings["headers"] == apart
    c = Config()
    c.JupyterHub.tornado_settings = {"slow_spawn_timeout": 3, "headers": {"X-Frame-Options": "DENY"}}
    defaults.portal(c, {"url": "http://127.0.0.1:1"})
    assert c.JupyterHub.tornado_settings == {"slow_spawn_timeout": 3, "headers": {"X-Frame-Options": "DENY", **apart}}
