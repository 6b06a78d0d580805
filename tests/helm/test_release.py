"""A release from its install to its end, on a real cluster: what runs and what is kept survive everything between.

Needs the images, and Keycloak as `make cluster-demo` does (ISSUER, ISSUER_FOR_PODS).
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.helm.conftest import CHART, Object, helm, merged, minimal
from tests.services import cluster
from tests.services.hub import until
from tests.services.keycloak import log_in, token_of
from visa.addresses import label

RELEASE = "t"
ISSUER = os.environ.get("ISSUER", "http://127.0.0.1:18080/realms/facility") + "/protocol/openid-connect"
FOR_PODS = os.environ.get("ISSUER_FOR_PODS", "http://10.89.255.1:18080/realms/facility") + "/protocol/openid-connect"
GOOD = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
LOGIN = {
    "clientId": "visa",
    "clientSecret": "visa-test-secret",
    "authorizeUrl": f"{ISSUER}/auth",
    "tokenUrl": f"{FOR_PODS}/token",
    "userdataUrl": f"{FOR_PODS}/userinfo",
}


class Release:
    """Marie's view of one release; SQLite, the portal in the hub's pod, homes on a claim of the chart's."""

    def __init__(self, namespace: cluster.Namespace) -> None:
        self.namespace = namespace
        homes = {"create": True, "name": "chart-homes", "storage": "1Gi", "accessModes": ["ReadWriteOnce"]}
        on_it = {"homes": {"kubernetes": {"claim": "chart-homes", "missing": "make"}}}
        self.values = minimal(login=LOGIN, homes=homes, proxy={"service": {"type": "NodePort"}}, facility=on_it)
        self.values["prePuller"] = {"continuous": {"enabled": False}}

    def upgrade(self, **over: Any) -> None:
        self.values = merged(self.values, over)
        options = ("-n", self.namespace.name, "--wait", "--timeout", "5m")
        helm("upgrade", "--install", RELEASE, str(CHART), *options, values=self.values)

    def get(self, *what: str) -> Object:
        return dict(json.loads(self.namespace.run("get", *what, "-o", "json")))

    def uids(self, component: str) -> list[str]:
        """Of the component's pods that are there to stay."""
        label = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component={component}"
        found = self.get("pods", "-l", label)["items"]
        return [pod["metadata"]["uid"] for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def secrets(self) -> Object:
        return dict(self.get("secret", f"{RELEASE}-secrets")["data"])

    @property
    def url(self) -> str:
        ports = self.get("service", f"{RELEASE}-proxy-public")["spec"]["ports"]
        return f"http://127.0.0.1:{ports[0]['nodePort']}"

    def client(self, token: str, timeout: float = 60) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers={"Authorization": f"token {token}"}, timeout=timeout)


class Watcher(threading.Thread):
    """Asks the instance again and again; ``refused`` counts what was no answer of Jupyter's."""

    def __init__(self, client: httpx.Client, path: str) -> None:
        super().__init__(daemon=True)
        self.client, self.path = client, path
        self.ended = threading.Event()
        self.asked, self.refused = 0, list[str]()

    def run(self) -> None:
        while not self.ended.wait(0.2):
            self.asked += 1
            try:
                status = self.client.get(self.path).status_code
            except httpx.HTTPError as error:
                self.refused.append(type(error).__name__)
            else:
                if status != 200:
                    self.refused.append(str(status))


@pytest.fixture(scope="module")
def release() -> Iterator[Release]:
    with cluster.namespace("helm-release") as namespace:
        made = Release(namespace)
        made.upgrade()
        yield made


@pytest.fixture(scope="module")
def token(release: Release) -> str:
    with log_in(release.url, "marie") as browser:
        # The portal in the hub's pod: the hub answers a little before it.
        until(lambda: browser.get("/services/visa/").status_code == 200, 30, "the portal")
        return token_of(browser, "marie")


@pytest.fixture(scope="module")
def instance(release: Release, token: str) -> str:
    """Path of a running instance."""
    with release.client(token) as client:
        answer = client.post("/hub/api/users/marie/servers/long", json={"user_options": GOOD})
        assert answer.status_code in (201, 202), answer.text
        servers = "/hub/api/users/marie"
        until(lambda: client.get(servers).json()["servers"]["long"].get("ready"), 90, "the start")
        until(lambda: client.get("/user/marie/long/api/status").status_code == 200, 60, "Jupyter")
    return "/user/marie/long/api/status"


def test_an_upgrade_of_the_hub_cuts_nothing(release: Release, token: str, instance: str) -> None:
    kept, pods = release.secrets(), {name: release.uids(name) for name in ("hub", "proxy", "instance")}
    assert all(len(found) == 1 for found in pods.values())
    watcher = Watcher(release.client(token), instance)
    watcher.start()
    release.upgrade(hub={"extraEnv": {"NEW": "value"}})
    watcher.ended.set()
    watcher.join()
    assert release.uids("hub") != pods["hub"]
    assert release.uids("proxy") == pods["proxy"]
    assert release.uids("instance") == pods["instance"]
    assert release.secrets() == kept
    # The gateway asks the hub about a token it has not seen for a while; people with a login are known longer.
    assert watcher.asked > 20
    with release.client(token) as client:
        until(lambda: client.get(instance).status_code == 200, 30, "the instance behind the new hub")
        assert client.get("/hub/api/users/marie").json()["servers"]["long"]["ready"]
    assert set(watcher.refused) <= {"503"}, watcher.refused


def test_facility_yaml_reaches_the_running_hub(release: Release, token: str, instance: str) -> None:
    hub = release.uids("hub")
    release.upgrade(facility={"facility": {"name": "Renamed Facility"}})
    # A kubelet looks for changed ConfigMaps about every minute, and at once when the pod itself changes.
    label = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=hub"
    release.namespace.run("annotate", "pod", "-l", label, "visa.test/look=now")
    with release.client(token) as client:
        me = "/services/visa/api/v1/me"
        until(lambda: client.get(me).json()["facility"] == "Renamed Facility", 150, "the new facility.yaml")
    assert release.uids("hub") == hub


REFUSED = {"facility": {"quotas": [{"role": "nobody_has_it", "instances": 1}]}}
"""The schema takes it, the rules do not."""


def test_an_upgrade_that_the_rules_refuse_says_why_and_changes_nothing(
    release: Release, token: str, instance: str
) -> None:
    hub, before = release.uids("hub"), release.get("configmap", f"{RELEASE}-facility")["data"]
    options = ("-n", release.namespace.name, "--wait", "--timeout", "5m")
    values = merged(release.values, REFUSED)
    said = helm("upgrade", RELEASE, str(CHART), *options, values=values, check=False)
    assert "nobody_has_it" in said, "the words of visa check"
    assert "hook" in said.lower(), "and helm's, which says that it failed"
    assert release.get("configmap", f"{RELEASE}-facility")["data"] == before
    assert release.uids("hub") == hub
    log = release.namespace.run("logs", f"job/{RELEASE}-check")
    assert "nobody_has_it" in log, "for a helm that prints nothing"
    described = json.dumps(release.get("pods", "-l", "app.kubernetes.io/component=check"))
    assert "nobody_has_it" in described, "the termination message"
    release.upgrade()


def test_a_hub_that_restarts_on_a_broken_facility_yaml_has_the_last_good_one(
    release: Release, token: str, instance: str
) -> None:
    """As by kubectl edit, or helm --no-hooks: nothing was asked before."""
    name, label = f"{RELEASE}-facility", f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=hub"
    good, hub = release.get("configmap", name)["data"], release.uids("hub")

    def put(data: dict[str, str]) -> None:
        patch = ("patch", "configmap", name, "--type", "merge", "--field-manager", "helm", "-p")
        release.namespace.run(*patch, json.dumps({"data": data}))

    try:
        put({"facility.yaml": "flavours: none at all"})
        release.namespace.run("delete", "pod", "-l", label)
        release.namespace.run("rollout", "status", f"deployment/{RELEASE}-hub", "--timeout=180s")
        assert release.uids("hub") != hub
        with release.client(token) as client:
            until(lambda: client.get("/services/visa/api/v1/me").status_code == 200, 60, "the portal")
            until(lambda: client.get(instance).status_code == 200, 60, "the instance behind the new hub")
        assert "THE LAST GOOD ONE" in release.namespace.run("logs", f"deployment/{RELEASE}-hub")
    finally:
        put(good)


def test_a_rollback_keeps_what_runs(release: Release, token: str, instance: str) -> None:
    kept, running = release.secrets(), release.uids("instance")
    helm("rollback", RELEASE, "1", "-n", release.namespace.name, "--wait", "--timeout", "5m")
    environ = release.get("deployment", f"{RELEASE}-hub")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert "NEW" not in [variable["name"] for variable in environ]
    assert release.secrets() == kept
    assert release.uids("instance") == running
    with release.client(token) as client:
        until(lambda: client.get(instance).status_code == 200, 30, "the instance after the rollback")


def test_a_killed_proxy_finds_its_routes_again(release: Release, token: str, instance: str) -> None:
    label = f"app.kubernetes.io/instance={RELEASE},app.kubernetes.io/component=proxy"
    release.namespace.run("delete", "pod", "-l", label, "--grace-period=0", "--force")
    # A connection to a pod that is just gone hangs; who comes again gets the new one.
    with release.client(token, 5) as client:

        def answers() -> bool:
            try:
                return client.get(instance).status_code == 200
            except httpx.HTTPError:
                return False

        until(answers, 60, "the instance behind a new proxy")


def test_people_come_by_a_name_and_gateways_show_their_address(release: Release, token: str, instance: str) -> None:
    """Node would compare the gateway's certificate with the name that the browser asked for."""
    with release.client(token) as client:
        assert client.get(instance, headers={"Host": "visa.example.org"}).status_code == 200


def test_instances_get_hosts_of_their_own(release: Release, token: str, instance: str) -> None:
    """From their next start on; what runs goes on where it is."""
    release.upgrade(hub={"publicUrl": release.url}, instances={"host": "*.localhost"})
    port, server = release.url.rpartition(":")[2], "/hub/api/users/marie/servers/own"
    with release.client(token) as client:
        until(lambda: client.get(instance).status_code == 200, 90, "the instance on the hub's host")
        until(lambda: client.get("/services/visa/accent.css").status_code == 200, 60, "the portal")
        assert client.post(server, json={"user_options": GOOD}).status_code in (201, 202)
        until(lambda: client.get(server).json()["ready"], 90, "the start")
        url, own = client.get(server).json()["url"], f"http://{label('marie', 'own')}.localhost:{port}"
        assert url == f"{own}/user/marie/own/"
        until(lambda: client.get(f"{url}api/status").status_code == 200, 60, "Jupyter at its own host")
        assert client.get("/user/marie/own/api/status", follow_redirects=True).status_code in (421, 424)
        script = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}
        for host in (own, f"http://visa-0000000000000000.localhost:{port}"):
            for path in ("/services/visa/accent.css", "/hub/login", "/user/marie/long/api/status"):
                told = httpx.get(host + path, headers=script, timeout=60)
                assert told.status_code in (404, 421), host + path
        client.request("DELETE", server, json={"remove": True})
        until(lambda: len(release.uids("instance")) == 1, 60, "its end")
    release.upgrade(hub={"publicUrl": ""}, instances={"host": ""})


def test_the_end_of_the_release_leaves_homes_and_state(release: Release, instance: str) -> None:
    kept = release.secrets()
    claims = {item["metadata"]["name"]: item["metadata"]["uid"] for item in release.get("pvc")["items"]}
    assert {"chart-homes", f"{RELEASE}-state"} <= set(claims)
    helm("uninstall", RELEASE, "-n", release.namespace.name, "--wait")
    assert not [item for item in release.get("pvc")["items"] if "deletionTimestamp" in item["metadata"]]
    assert release.secrets() == kept
    # Instances are not the release's: their owners' work goes on until somebody ends it.
    assert len(release.uids("instance")) == 1
    # Installed again it takes up what was kept.
    release.upgrade()
    assert release.secrets() == kept
    assert {item["metadata"]["name"]: item["metadata"]["uid"] for item in release.get("pvc")["items"]} == claims
