"""The real Keycloak of ../shared/keycloak, and logins through its own form."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.services.hub import Browser

REPOSITORY = Path(__file__).parents[2]
URL = "http://127.0.0.1:18080"
"""Where the launcher lets it listen."""


class Keycloak:
    """The launcher of ../shared/keycloak and its administration API."""

    def __init__(self) -> None:
        launcher = Path(os.environ.get("KEYCLOAK", REPOSITORY / ".." / "shared" / "keycloak" / "keycloak"))
        self.launcher = (REPOSITORY / launcher).resolve()
        self.issuer = ""

    @contextmanager
    def there(self) -> Iterator[None]:
        """Up for the length of a block; one that was up before stays, others may use it."""
        stays = _answers()
        self.up()
        try:
            yield
        finally:
            if not stays:
                self.down()

    def up(self) -> None:
        done = subprocess.run([self.launcher, "up"], check=True, capture_output=True, text=True, timeout=300)
        self.issuer = re.findall(r"http://\S+/realms/\w+", done.stdout)[-1]

    def down(self) -> None:
        subprocess.run([self.launcher, "down"], check=True, capture_output=True, timeout=60)

    def _admin(self) -> httpx.Client:
        base, realm = self.issuer.rsplit("/realms/", 1)
        form = {"grant_type": "password", "client_id": "admin-cli", "username": "admin", "password": "admin"}
        token = httpx.post(f"{base}/realms/master/protocol/openid-connect/token", data=form, timeout=60).json()[
            "access_token"
        ]
        headers = {"Authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"{base}/admin/realms/{realm}", headers=headers, timeout=60)

    def change(self, username: str, **values: Any) -> None:
        with self._admin() as admin:
            (person,) = admin.get("/users", params={"username": username, "exact": "true"}).json()
            admin.put(f"/users/{person['id']}", json={**person, **values}).raise_for_status()

    def set_role(self, username: str, role: str, *, given: bool) -> None:
        with self._admin() as admin:
            (person,) = admin.get("/users", params={"username": username, "exact": "true"}).json()
            body = [admin.get(f"/roles/{role}").raise_for_status().json()]
            path = f"/users/{person['id']}/role-mappings/realm"
            admin.request("POST" if given else "DELETE", path, json=body).raise_for_status()

    @contextmanager
    def client(self, name: str, mappers: list[dict[str, Any]]) -> Iterator[None]:
        """A public client for passwords, with mappers of claims, for the length of a block."""
        body = {
            "clientId": name,
            "publicClient": True,
            "standardFlowEnabled": False,
            "directAccessGrantsEnabled": True,
            "protocolMappers": mappers,
        }
        with self._admin() as admin:
            made = admin.post("/clients", json=body).raise_for_status().headers["location"]
        try:
            yield
        finally:
            with self._admin() as admin:
                admin.delete(made).raise_for_status()

    def end_sessions(self, username: str) -> None:
        with self._admin() as admin:
            (person,) = admin.get("/users", params={"username": username, "exact": "true"}).json()
            admin.post(f"/users/{person['id']}/logout").raise_for_status()


def _answers() -> bool:
    try:
        return httpx.get(f"{URL}/realms/master", timeout=20).is_success
    except httpx.TransportError:
        return False


def log_in(url: str, username: str) -> Browser:
    """Through Keycloak's own form."""
    client = Browser(base_url=url, follow_redirects=True, timeout=60)
    page = client.get("/hub/oauth_login?next=/hub/token")
    action = re.search(r'action="([^"]+)"', page.text)
    assert action, page.text[:1000]
    answer = client.post(action[1].replace("&amp;", "&"), data={"username": username, "password": username})
    client.answer = answer  # type: ignore[attr-defined]
    return client


def token_of(client: httpx.Client, username: str) -> str:
    xsrf = next(c.value for c in client.cookies.jar if c.name == "_xsrf" and c.path == "/hub/")
    path = f"/hub/api/users/{username}/tokens"
    answer = client.post(path, json={"note": "test"}, headers={"X-XSRFToken": xsrf or ""})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["token"])
