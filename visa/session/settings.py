"""The gateway's settings: JupyterHub's variables and a few of our own (docs/developers/gateway.md)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit


class BadSettings(Exception):
    """A variable is missing or wrong. The message names it."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """``prefix``: the instance's own path, with both slashes. ``hub_path``: the hub's, ``/hub/``."""

    token: str
    api_url: str
    prefix: str
    hub_path: str
    client_id: str
    access_scopes: frozenset[str]
    owner: str
    server_name: str
    socket: str
    host: str
    port: int
    ready: int | None
    open_path: str
    hub_version: str
    public_hub: str

    @staticmethod
    def read(variables: Mapping[str, str] | None = None) -> GatewaySettings:
        """From the environment; raise `BadSettings`."""
        source = os.environ if variables is None else variables

        def need(name: str) -> str:
            value = source.get(name, "")
            if not value:
                raise BadSettings(f"{name} is not set")
            return value

        prefix = need("JUPYTERHUB_SERVICE_PREFIX")
        if not prefix.startswith("/") or not prefix.endswith("/") or prefix == "/":
            raise BadSettings(f"JUPYTERHUB_SERVICE_PREFIX {prefix!r} does not begin and end with /")
        host, _, port = source.get("VISA_LISTEN", "127.0.0.1:0").rpartition(":")
        ready = source.get("VISA_READY_FD", "")
        public = source.get("JUPYTERHUB_PUBLIC_HUB_URL", "") or source.get("JUPYTERHUB_HOST", "")
        parts = urlsplit(public)
        return GatewaySettings(
            token=need("JUPYTERHUB_API_TOKEN"),
            api_url=need("JUPYTERHUB_API_URL").rstrip("/"),
            prefix=prefix,
            hub_path=source.get("JUPYTERHUB_BASE_URL", "/").rstrip("/") + "/hub/",
            client_id=need("JUPYTERHUB_CLIENT_ID"),
            access_scopes=frozenset(json.loads(need("JUPYTERHUB_OAUTH_ACCESS_SCOPES"))),
            owner=need("JUPYTERHUB_USER"),
            server_name=source.get("JUPYTERHUB_SERVER_NAME", ""),
            socket=need("VISA_RUN") + "/jupyter.sock",
            host=host,
            port=int(port),
            ready=int(ready) if ready else None,
            open_path=source.get("VISA_OPEN", "") or "lab",
            hub_version=source.get("VISA_HUB_VERSION", ""),
            public_hub=f"{parts.scheme}://{parts.netloc}" if parts.netloc else "",
        )
