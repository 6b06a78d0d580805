"""The gateway's settings: JupyterHub's variables and a few of our own (docs/developers/gateway.md)."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import metadata
from urllib.parse import urlsplit

from visa.instances.access import DesktopRules, Role, Way

_CLIPBOARD = 64 * 2**20


class BadSettings(Exception):
    """A variable is missing or wrong. The message names it."""


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """``prefix``: the instance's own path, with both slashes. ``hub_path``: the hub's, ``/hub/``.

    ``listening``: a socket that listens already, instead of host and port. ``kept``: the file of `visa.session.kept`.

    ``address``: the pod's own; where there is one, the gateway reports to the hub that it listens.
    ``tls``: it then speaks TLS with the certificate that the hub answers with.

    ``origin``: scheme, host and port that are this instance's alone; empty where it shares the hub's.

    ``fresh``: seconds for which the hub's word on a token is taken; ``activity_interval``: seconds between
    reports of activity.

    ``sessions``: kinds that the environment offers. ``desktop``: the facility's rules for it; ``video``: whether
    Selkies shows it too. ``ends``: when the instance's lifetime ends, empty when it does not.

    ``held``: bytes that all websockets together may hold; ``sockets_each``: websockets of one person;
    ``sockets_others``: of all together who are not the owner.
    """

    token: str
    api_url: str
    prefix: str
    hub_path: str
    client_id: str
    callback: str
    access_scopes: frozenset[str]
    owner: str
    server_name: str
    socket: str
    host: str
    port: int
    listening: int | None
    kept: str
    ready: int | None
    address: str
    tls: bool
    run: str
    open_path: str
    hub_version: str
    public_hub: str
    origin: str
    activity_interval: float
    fresh: float
    sessions: frozenset[str]
    desktop: DesktopRules
    video: bool
    ends: str
    held: int
    sockets_each: int
    sockets_others: int

    @property
    def bound(self) -> bool:
        """Whether cookies can be bound to this host by their name (``__Host-``), so that no other host sets them."""
        return self.origin.startswith("https://")

    def cookie(self, name: str) -> str:
        """What a cookie of ours is called here."""
        return f"__Host-{name}" if self.bound else name

    @property
    def cookie_path(self) -> str:
        """The instance's own; with the name of a host before it a browser wants ``/``."""
        return "/" if self.bound else self.prefix

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
        host, port = _listen(source.get("VISA_LISTEN", "127.0.0.1:0"))
        public = source.get("JUPYTERHUB_PUBLIC_HUB_URL", "") or source.get("JUPYTERHUB_HOST", "")
        parts = urlsplit(public)
        return GatewaySettings(
            token=need("JUPYTERHUB_API_TOKEN"),
            api_url=need("JUPYTERHUB_API_URL").rstrip("/"),
            prefix=prefix,
            hub_path=source.get("JUPYTERHUB_BASE_URL", "/").rstrip("/") + "/hub/",
            client_id=need("JUPYTERHUB_CLIENT_ID"),
            callback=source.get("JUPYTERHUB_OAUTH_CALLBACK_URL", "") or prefix + "oauth_callback",
            access_scopes=_scopes(need("JUPYTERHUB_OAUTH_ACCESS_SCOPES")),
            owner=need("JUPYTERHUB_USER"),
            server_name=source.get("JUPYTERHUB_SERVER_NAME", ""),
            run=need("VISA_RUN"),
            socket=need("VISA_RUN") + "/jupyter.sock",
            host=host,
            port=port,
            listening=_descriptor(source, "VISA_LISTEN_FD"),
            kept=source.get("VISA_KEPT", ""),
            ready=_descriptor(source, "VISA_READY_FD"),
            address=source.get("VISA_ADDRESS", ""),
            tls=bool(source.get("VISA_TLS", "")),
            open_path=source.get("VISA_OPEN", "") or "lab",
            hub_version=source.get("VISA_HUB_VERSION", "") or _hub_version(),
            public_hub=f"{parts.scheme}://{parts.netloc}" if parts.netloc else "",
            origin=_origin(source.get("VISA_ORIGIN", "")),
            activity_interval=_seconds(source, "VISA_ACTIVITY_INTERVAL", 60, 3600),
            fresh=_seconds(source, "VISA_FRESH", 15, 60),
            sessions=frozenset(source.get("VISA_SESSIONS", "").split()),
            desktop=_desktop(source.get("VISA_DESKTOP", "")),
            video=_video(source.get("VISA_DESKTOP_SERVER", "")),
            ends=_moment(source.get("VISA_ENDS", "")),
            held=_count(source, "VISA_HELD", 16 * 2**20, 2**20, 2**30),
            sockets_each=_count(source, "VISA_SOCKETS_EACH", 100, 10, 10_000),
            sockets_others=_count(source, "VISA_SOCKETS_OTHERS", 400, 10, 10_000),
        )


def _origin(value: str) -> str:
    if value and not re.fullmatch(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?", value):
        raise BadSettings(f"VISA_ORIGIN {value!r} is not like https://host, perhaps with a port")
    return value


def _listen(value: str) -> tuple[str, int]:
    host, _, port = value.rpartition(":")
    if not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise BadSettings(f"VISA_LISTEN {value!r} is not host:port; 127.0.0.1:0 picks a free port")
    return host.strip("[]"), int(port)


def _scopes(value: str) -> frozenset[str]:
    try:
        scopes = json.loads(value)
    except ValueError:
        scopes = None
    if not isinstance(scopes, list) or not scopes or not all(isinstance(scope, str) for scope in scopes):
        raise BadSettings("JUPYTERHUB_OAUTH_ACCESS_SCOPES is not a JSON list of scopes")
    return frozenset(scopes)


def _descriptor(source: Mapping[str, str], name: str) -> int | None:
    value = source.get(name, "")
    if value and not re.fullmatch(r"[0-9]{1,6}", value):
        raise BadSettings(f"{name} {value!r} is not the number of a file descriptor")
    return int(value) if value else None


def _seconds(source: Mapping[str, str], name: str, usual: float, most: float) -> float:
    value = source.get(name, "") or str(usual)
    try:
        seconds = float(value)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= most:
        raise BadSettings(f"{name} {value!r} is not a number of seconds from 0.1 to {most:g}")
    return seconds


def _count(source: Mapping[str, str], name: str, usual: int, least: int, most: int) -> int:
    value = source.get(name, "") or str(usual)
    if not re.fullmatch(r"[0-9]{1,12}", value) or not least <= int(value) <= most:
        raise BadSettings(f"{name} {value!r} is not a number from {least} to {most}")
    return int(value)


def _desktop(value: str) -> DesktopRules:
    """docs/developers/desktop.md says what is in it; without it the owner's clipboard passes both ways."""
    try:
        given = json.loads(value or "{}")
        clipboard = {Role(role): Way(way) for role, way in given.get("clipboard", {"owner": "both"}).items()}
        limit, preview = given.get("clipboard_limit", 2**20), given.get("preview", True)
        rules = DesktopRules(clipboard, limit, Way(given.get("files", "both")), preview)
    except (ValueError, TypeError, AttributeError) as error:
        raise BadSettings(f"VISA_DESKTOP is not what docs/developers/desktop.md says: {error}") from None
    if type(limit) is not int or not 0 <= limit <= _CLIPBOARD or type(preview) is not bool:
        raise BadSettings(f"VISA_DESKTOP: clipboard_limit is 0 to {_CLIPBOARD} bytes, preview true or false")
    return rules


def _video(value: str) -> bool:
    if value not in ("", "tigervnc", "selkies"):
        raise BadSettings(f"VISA_DESKTOP_SERVER {value!r} is neither tigervnc nor selkies")
    return value == "selkies"


def _moment(value: str) -> str:
    try:
        aware = not value or datetime.fromisoformat(value).tzinfo is not None
    except ValueError:
        aware = False
    if not aware:
        raise BadSettings(f"VISA_ENDS {value!r} is not a time like 2026-01-31T12:00:00Z")
    return value


def _hub_version() -> str:
    """Of the JupyterHub beside this gateway: the hub warns when a server names none."""
    try:
        return metadata.version("jupyterhub")
    except metadata.PackageNotFoundError:
        return ""
