"""The Helm release of `make cluster-demo`: real Keycloak, PostgreSQL, proxy, portal with replicas."""

from __future__ import annotations

import json
import os
from typing import Any

import httpx

from tests.services.cluster import Namespace
from tests.services.hub import Browser, until
from tests.services.keycloak import log_in, token_of

URL = os.environ.get("VISA_RELEASE_URL", "http://127.0.0.1:30080")
NAMESPACE = os.environ.get("NAMESPACE", "visa")


class Release:
    """What a test of the release needs; the parts of `tests.services.hub.RunningHub` that make sense here."""

    url = URL
    portal = f"{URL}/services/visa/"

    def __init__(self) -> None:
        self.namespace = Namespace(NAMESPACE)
        self._tokens: dict[str, str] = {}

    def login(self, username: str) -> Browser:
        """A browser's worth of cookies, through Keycloak."""
        return log_in(self.url, username)

    def token(self, username: str) -> str:
        """A hub token of hers."""
        if username not in self._tokens:
            with self.login(username) as client:
                self._tokens[username] = token_of(client, username)
        return self._tokens[username]

    def api(self, token: str) -> httpx.Client:
        """The hub's REST API with a token."""
        return httpx.Client(base_url=f"{self.url}/hub/api", headers={"Authorization": f"token {token}"}, timeout=60)

    def rest(self, token: str) -> httpx.Client:
        """VISA's REST API with a token."""
        return httpx.Client(base_url=f"{self.portal}api/v1/", headers={"Authorization": f"token {token}"}, timeout=60)

    def experiments(self, username: str) -> list[str]:
        """Ids of experiments that she may use."""
        with self.rest(self.token(username)) as rest:
            return [found["id"] for found in rest.get("experiments").json()["experiments"]]

    def start(self, username: str, name: str, **changed: Any) -> str:
        """A running instance; the name of its pod."""
        first = self.experiments(username)[0]
        options = {"experiments": [first], "environment": "scattering", "flavour": "small", **changed}
        with self.api(self.token(username)) as api:
            answer = api.post(f"/users/{username}/servers/{name}", json=options)
            assert answer.status_code in (201, 202), answer.text
            until(lambda: api.get(f"/users/{username}").json()["servers"].get(name, {}).get("ready"), 90, "the start")
        return self.pod(username, name)

    def pod(self, username: str, name: str) -> str:
        """Name of an instance's pod."""
        from visa.hub.pods.manifest import pod_name
        from visa.identifiers import instance_id

        return pod_name(instance_id(username, name))

    def remove(self, username: str) -> None:
        """Stop and remove everything of hers."""
        with self.api(self.token(username)) as api:
            for name in api.get(f"/users/{username}?include_stopped_servers=1").json()["servers"]:
                if name:
                    api.request("DELETE", f"/users/{username}/servers/{name}", json={"remove": True})
            until(lambda: not api.get(f"/users/{username}").json()["servers"], 60, "the end of her instances")

    def pods(self, component: str) -> list[dict[str, Any]]:
        """Pods of a component."""
        found = self.namespace.run("get", "pods", "-l", f"app.kubernetes.io/component={component}", "-o", "json")
        return list(json.loads(found)["items"])
