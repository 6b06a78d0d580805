"""jupyterhub_config.py of the Helm chart: what the chart's values say, to JupyterHub's settings.

    from visa.hub.chart import configure
    configure(c)

The chart mounts below ``/etc/visa``: ``hub/values.yaml`` (its values), ``facility/`` (facility.yaml and
catalogue.yaml) and ``secrets/`` (one file each). ``hub.config`` and ``hub.extraConfig`` come last:
the operator's word counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import yaml
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from visa.facility.units import parse_cpu
from visa.hub import defaults
from visa.hub.chp import PATIENCE
from visa.navigation import NOT_TOLD, plain_elsewhere
from visa.store import connecting

FOLDER = Path("/etc/visa")
STATE = Path("/var/lib/visa")
DATA = "/data"
HUB_PORT, PROXY_PORT, API_PORT, PORTAL_PORT = 8081, 8000, 8001, 8098

Values = Mapping[str, Any]

_LOGIN = {
    "issuer": "issuer",
    "clientId": "client_id",
    "clientSecret": "client_secret",
    "callbackUrl": "oauth_callback_url",
    "authorizeUrl": "authorize_url",
    "tokenUrl": "token_url",
    "userdataUrl": "userdata_url",
    "endSessionUrl": "end_session_url",
    "scope": "scope",
}
"""Values of ``login`` to traits of VisaAuthenticator."""

_SINGLEUSER = {
    "extraLabels": "extra_labels",
    "extraAnnotations": "extra_annotations",
    "extraEnv": "environment",
    "nodeSelector": "node_selector",
    "extraTolerations": "tolerations",
    "extraPodConfig": "extra_pod_config",
    "extraContainers": "extra_containers",
    "initContainers": "init_containers",
    "schedulerName": "scheduler_name",
    "startTimeout": "start_timeout",
    "extraNodeAffinity.required": "node_affinity_required",
    "extraNodeAffinity.preferred": "node_affinity_preferred",
    "extraPodAffinity.required": "pod_affinity_required",
    "extraPodAffinity.preferred": "pod_affinity_preferred",
    "extraPodAntiAffinity.required": "pod_anti_affinity_required",
    "extraPodAntiAffinity.preferred": "pod_anti_affinity_preferred",
    "storage.extraVolumes": "volumes",
    "storage.extraVolumeMounts": "volume_mounts",
}
"""Values of ``singleuser`` to traits of KubeSpawner."""


def configure(c: Any, *, folder: Path = FOLDER, state: Path = STATE, patience: float = 0.0) -> None:
    """Set up everything. Exits with a sentence when a value, facility.yaml or the store cannot be used.

    ``patience``: seconds for which databases may not answer yet; Kubernetes waits ever longer between two tries.
    """
    values: Values = yaml.safe_load((folder / "hub" / "values.yaml").read_text())
    secrets = folder / "secrets"
    (state / "secrets").mkdir(parents=True, exist_ok=True, mode=0o700)
    hub_url = _database(values, "hub.db", secrets / "hub-db-password", state / "hub.sqlite")
    store_url = _database(values, "store", secrets / "store-password", state / "visa.sqlite")
    if hub_url.get_backend_name() == "postgresql" and _place(hub_url) == _place(store_url):
        raise SystemExit("The hub does not start: hub.db.url and store.url name the same database; give VISA its own")
    for database in (hub_url, store_url):
        connecting.wait_for(database, patience)
    source, store = defaults.open_settings(
        folder / "facility" / "facility.yaml", store_url.render_as_string(hide_password=False), state
    )
    defaults.hub_settings(c, cookie=_secret(secrets, "cookie"), crypt=_secret(secrets, "crypt"))
    defaults.plugins(c, "visa", "visa-kubernetes")
    _hub(c, values, hub_url)
    _proxy(c, values, _secret(secrets, "proxy"))
    defaults.hosts(
        c,
        "VisaHTTPProxy",
        public_url=get(values, "hub.publicUrl", "").rstrip("/"),
        base=get(values, "hub.baseUrl", "/"),
        instances=_instances(values),
        cookie=_secret(secrets, "portal-cookie"),
    )
    if get(values, "portal.ownReplicas"):
        own = {"url": f"http://{values['release']}-portal:{PORTAL_PORT}", "api_token": _secret(secrets, "portal")}
        defaults.portal(c, own)
    else:
        url, listen = f"http://{values['release']}-hub:{PORTAL_PORT}", f"0.0.0.0:{PORTAL_PORT}"
        defaults.portal(c, defaults.managed_portal(url, source, store, VISA_PORTAL_LISTEN=listen))
    _login(c, values, secrets / "login-client-secret")
    _spawner(c, values, folder / "secrets")
    _services(c, values, secrets)
    _last_word(c, values)


def get(values: Values, path: str, otherwise: Any = None) -> Any:
    """The value at ``path``, as ``hub.db.url``; ``otherwise`` when there is none or it is null."""
    found: Any = values
    for key in path.split("."):
        found = found.get(key) if isinstance(found, Mapping) else None
    return otherwise if found is None else found


def _secret(folder: Path, name: str) -> str:
    try:
        return (folder / name).read_text().strip()
    except OSError as error:
        raise SystemExit(f"The hub does not start: its secret '{name}' cannot be read: {error.strerror}") from None


def _database(values: Values, path: str, password: Path, file: Path) -> URL:
    """The URL of a database; a password that comes from a Secret replaces the one in it."""
    if get(values, f"{path}.type") == "sqlite-pvc":
        return make_url(f"sqlite:///{file}")
    try:
        url = make_url(get(values, f"{path}.url", ""))
    except ArgumentError:
        raise SystemExit(f"The hub does not start: {path}.url is no database URL") from None
    if url.drivername in ("postgresql", "postgres"):
        url = url.set(drivername="postgresql+psycopg")  # the driver that the image has
    return url.set(password=_secret(password.parent, password.name)) if password.exists() else url


def _place(url: URL) -> tuple[Any, ...]:
    return url.host, url.port, url.database, tuple(sorted(url.query.items()))


def _hub(c: Any, values: Values, db_url: URL) -> None:
    base = get(values, "hub.baseUrl", "/")
    c.JupyterHub.bind_url = f"http://:{PROXY_PORT}{base}"
    c.JupyterHub.hub_bind_url = f"http://:{HUB_PORT}"
    c.JupyterHub.hub_connect_url = f"http://{values['release']}-hub:{HUB_PORT}"
    defaults.hub_database(c, db_url.render_as_string(hide_password=False))
    # The image brings the code, so it brings the tables up to it.
    c.JupyterHub.upgrade_db = True
    c.JupyterHub.concurrent_spawn_limit = get(values, "hub.concurrentSpawnLimit", 100)
    public = get(values, "hub.publicUrl", "").rstrip("/")
    if plain_elsewhere(public):
        raise SystemExit(f"The hub does not start: hub.publicUrl is {public}, and people need https. {NOT_TOLD}")
    if public:
        c.VisaAuthenticator.oauth_callback_url = f"{public}{base}hub/oauth_callback"


def _instances(values: Values) -> str:
    """``instances.host`` with scheme and port of the hub's own address."""
    host, public = get(values, "instances.host", ""), urlsplit(get(values, "hub.publicUrl", ""))
    port = f":{public.port}" if public.port is not None else ""
    return f"{public.scheme or 'https'}://{host}{port}" if host else ""


def _proxy(c: Any, values: Values, token: str) -> None:
    c.JupyterHub.proxy_class = "visa.hub.chp.VisaHTTPProxy"
    c.ConfigurableHTTPProxy.api_url = f"http://{values['release']}-proxy-api:{API_PORT}"
    c.ConfigurableHTTPProxy.auth_token = token
    c.JupyterHubHTTPClient.session_options = {"timeout": PATIENCE}


def _login(c: Any, values: Values, secret: Path) -> None:
    for key, trait in _LOGIN.items():
        value = get(values, f"login.{key}")
        if value:
            c.VisaAuthenticator[trait] = value
    if secret.exists():
        c.VisaAuthenticator.client_secret = _secret(secret.parent, secret.name)


def _spawner(c: Any, values: Values, secrets: Path) -> None:
    release = values["release"]
    ours, theirs = c.VisaKubeSpawner, c.KubeSpawner
    # The watch tells of ends at once; asking is for what it missed.
    c.Spawner.poll_interval = 30
    theirs.namespace = values["namespace"]
    theirs.image_pull_secrets = list(get(values, "imagePullSecrets", ()))
    ours.release = release
    ours.environment_config_map = f"{release}-environment"
    ours.data_folder = DATA if get(values, "hub.seesData") else ""
    ours.host_paths = list(get(values, "singleuser.hostPaths", ()))
    ours.supplemental_groups_policy = get(values, "singleuser.supplementalGroupsPolicy", "")
    ours.ca_certificate, ours.ca_key = str(secrets / "ca.crt"), str(secrets / "ca.key")
    ours.node_patience = float(get(values, "singleuser.nodePatience", 3))
    _gateway(ours, values)
    if get(values, "singleuser.priorityClassName"):
        theirs.priority_class_name = get(values, "singleuser.priorityClassName")
    for path, trait in _SINGLEUSER.items():
        value = get(values, f"singleuser.{path}")
        if value:
            (c.Spawner if trait == "start_timeout" else theirs)[trait] = value


def _gateway(ours: Any, values: Values) -> None:
    image, resources = get(values, "gateway.image", ""), get(values, "gateway.resources", {})
    ours.gateway_image = image
    ours.gateway_image_pull_policy = get(values, "gateway.pullPolicy", "IfNotPresent")
    read: dict[str, Callable[[Any], Any]] = {"cpu": lambda value: float(parse_cpu(value)), "memory": str}
    for what, word in (("requests", "request"), ("limits", "limit")):
        for resource, reader in read.items():
            value = get(resources, f"{what}.{resource}")
            if value is not None:
                ours[f"gateway_{resource}_{word}"] = reader(value)


def _services(c: Any, values: Values, secrets: Path) -> None:
    """``hub.services`` and ``hub.loadRoles`` beside our own; a name of ours is refused."""
    services: dict[str, Any] = dict(get(values, "hub.services", {}))
    roles: dict[str, Any] = dict(get(values, "hub.loadRoles", {}))
    if "visa" in services:
        raise SystemExit("The hub does not start: hub.services.visa is the portal's own name; choose another")
    if get(values, "monitoring"):
        services["metrics"] = {"api_token": _secret(secrets, "metrics"), "display": False}
        roles["metrics"] = {"scopes": ["read:metrics"], "services": ["metrics"]}
    c.JupyterHub.services += [{"name": name, **service} for name, service in services.items()]
    c.JupyterHub.load_roles += [{"name": name, **role} for name, role in roles.items()]


def _last_word(c: Any, values: Values) -> None:
    for section, traits in get(values, "hub.config", {}).items():
        for trait, value in (traits or {}).items():
            if section == "JupyterHub" and trait in ("services", "load_roles"):
                here = "hub.services" if trait == "services" else "hub.loadRoles"
                raise SystemExit(f"The hub does not start: use {here}, not hub.config.JupyterHub.{trait}")
            c[section][trait] = value
    for name, code in sorted(get(values, "hub.extraConfig", {}).items()):
        scope = {"c": c, "get_config": partial(get, values), "__name__": f"hub.extraConfig.{name}"}
        exec(compile(code, f"hub.extraConfig.{name}", "exec"), scope)
