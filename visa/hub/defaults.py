"""Everything a facility needs in ``jupyterhub_config.py``, in one call.

    from visa.hub.defaults import configure
    configure(c, facility="/etc/visa/facility.yaml", state="/var/lib/visa")

What it sets can be set again after the call; what it needs is said in docs/operators. `visa.hub.chart`
does the same for Kubernetes, with the parts of this file that do not depend on the machine.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.exc import OperationalError

from visa.addresses import Origins, host_of
from visa.facility.load import FacilityProblems
from visa.facility.watch import FacilitySource
from visa.hub import settings
from visa.hub.sharing.shares import MEMBER
from visa.logs import without_secrets
from visa.navigation import NOT_TOLD, plain_elsewhere
from visa.store import connecting
from visa.store.schema import SchemaMismatch
from visa.store.store import Store

LAST_GOOD = "facility.last-good.yaml"
"""In the state folder: what a hub starts on when facility.yaml was broken since."""
READ, WRITE = "custom:visa:read", "custom:visa:write"
PORTAL_SCOPES = [
    READ,
    WRITE,
    "read:users!user",
    "read:servers!user",
    "servers!user",
    "access:servers!user",
]


def configure(
    c: Any,
    *,
    facility: str | Path,
    state: str | Path,
    store_url: str | None = None,
    db_url: str | None = None,
    bind_url: str = "http://127.0.0.1:8000",
    hub_port: int = 8081,
    proxy_port: int = 8099,
    portal_port: int = 8098,
    authenticator: str = "visa",
    spawner: str = "visa-sandbox",
    look_every: float = 60.0,
    public_url: str = "",
    instances: str = "",
) -> None:
    """Set up hub, proxy, portal and plug-ins.

    ``state`` holds databases, secrets, homes and run folders, and is made for the hub's own account.
    ``store_url``: a PostgreSQL URL instead of SQLite in ``state``; one hub per store. ``db_url``: the same for
    JupyterHub's own database, which is another one.
    The ports are on loopback: the hub's API, the proxy's API, and the portal.
    ``look_every``: seconds between two looks for lifetimes that are over, and for what disagrees.
    ``instances``: where each instance has a host of its own, as ``https://*.visa.example.org``; needs ``public_url``,
    where people reach the hub.
    Exits with every mistake in facility.yaml, as ``visa check`` says them, unless a good one is kept in ``state``.
    """
    folder = _state(Path(state))
    store_url = store_url or f"sqlite:///{folder / 'visa.sqlite'}"
    source, store = open_settings(facility, store_url, folder, look_every=look_every)
    hub_settings(c, cookie=secret(folder, "cookie"), crypt=secret(folder, "crypt"))
    c.JupyterHub.bind_url = bind_url
    if plain_elsewhere(bind_url):
        print(f"The hub listens at {bind_url}: let a proxy with https stand in front. {NOT_TOLD}", file=sys.stderr)
    c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{hub_port}"
    hub_database(c, db_url or f"sqlite:///{folder / 'hub.sqlite'}")
    plugins(c, authenticator, spawner)
    c.Spawner.poll_interval = 5
    _proxy(c, folder, proxy_port)
    base, cookie = urlsplit(bind_url).path.rstrip("/") + "/", secret(folder, "portal-cookie")
    hosts(c, "VisaTraefikProxy", public_url=public_url, base=base, instances=instances, cookie=cookie)
    portal(c, managed_portal(f"http://127.0.0.1:{portal_port}", source, store))


def hub_database(c: Any, url: str) -> None:
    """JupyterHub's own database, asked with bounds: it is asked on the hub's event loop."""
    c.JupyterHub.db_url = connecting.parsed(url).render_as_string(hide_password=False)
    c.JupyterHub.db_kwargs = connecting.options(url, connecting.HUB)


def open_settings(
    facility: str | Path, store_url: str, state: Path, *, look_every: float = 60.0
) -> tuple[FacilitySource, Store]:
    """Read facility.yaml, bring the store up to date, and make both known to the plug-ins.

    Starts on the last good facility.yaml when that of now has mistakes, loudly. Exits with all of them when there is
    none, and with a sentence when the store cannot be used.
    """
    # Databases are made with the umask; they hold what only the hub may read.
    os.umask(0o077)
    without_secrets()
    try:
        source = FacilitySource(Path(os.path.abspath(facility)), state / LAST_GOOD)
    except FacilityProblems as error:
        print(error, file=sys.stderr)
        raise SystemExit(f"The hub does not start: {len(error.problems)} mistake(s) in {facility}") from None
    store = Store(store_url)
    try:
        store.upgrade()
    except SchemaMismatch as error:
        raise SystemExit(f"The hub does not start: {error}") from None
    except OperationalError as error:
        shown = store.engine.url.render_as_string()
        raise SystemExit(f"The hub does not start: its store {shown} cannot be opened: {error.orig}") from None
    settings.put(settings.HubSettings(source, store, state, look_every=look_every))
    return source, store


def hosts(c: Any, proxy: str, *, public_url: str, base: str, instances: str, cookie: str) -> None:
    """Where people find the hub and instances, for hub, portal and ``proxy``. ``cookie``: the portal's secret.

    Exits with a sentence when the two cannot be.
    """
    hub, parts = settings.get(), urlsplit(public_url)
    try:
        hub.origins = Origins.read(instances)
    except ValueError as error:
        raise SystemExit(f"The hub does not start: instances: {error}") from None
    if public_url:
        hub.public = f"{parts.scheme}://{parts.netloc}"
        c.JupyterHub.public_url = hub.public + base
    hub.pictures = bytes.fromhex(cookie)
    if not hub.origins:
        return
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SystemExit("The hub does not start: instances have hosts of their own, so public_url has to be given too")
    # What is on no instance's host and not the portal's is the hub's to answer, whatever its path.
    c.JupyterHub.hub_routespec = "/"
    c[proxy].own_host = host_of(parts.netloc)


def _state(folder: Path) -> Path:
    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True, mode=0o711)
    (folder / "secrets").mkdir(exist_ok=True, mode=0o700)
    os.chmod(folder / "secrets", 0o700)
    for database in folder.glob("*.sqlite*"):
        os.chmod(database, 0o600)
    return folder


def secret(folder: Path, name: str) -> str:
    """A random secret, made once and kept in the state folder, readable by the hub's account only."""
    path = folder / "secrets" / name
    if not path.exists():
        temporary = path.with_suffix(f".{os.getpid()}")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_hex(32))
        os.replace(temporary, path)
    return path.read_text()


def hub_settings(c: Any, *, cookie: str, crypt: str) -> None:
    """JupyterHub itself. ``cookie`` and ``crypt``: its secrets, as hexadecimal digits."""
    hub = c.JupyterHub
    hub.cookie_secret = bytes.fromhex(cookie)
    c.CryptKeeper.keys = [crypt]
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = 200
    hub.concurrent_spawn_limit = 100
    hub.admin_access = False
    hub.shutdown_on_logout = False
    hub.default_url = portal_url
    hub.last_activity_interval = 60
    hub.template_paths = [str(Path(__file__).parent / "templates")]
    hub.template_vars = {"facility_name": facility_name}
    hub.tornado_settings = {"slow_spawn_timeout": 20}


def facility_name(user: Any) -> str:
    """As facility.yaml has it now, for JupyterHub's own pages, whoever sees them."""
    return str(settings.get().facility.current.facility.name)


def portal_url(handler: Any) -> str:
    """The portal's address, on the hub's host."""
    return str(handler.settings["base_url"]) + "services/visa/"


def plugins(c: Any, authenticator: str, spawner: str) -> None:
    """Authenticator and spawner, and what has to hold whichever they are."""
    c.JupyterHub.authenticator_class = authenticator
    c.JupyterHub.spawner_class = spawner
    c.Authenticator.refresh_pre_spawn = True
    c.Authenticator.auth_refresh_strict = True
    c.Authenticator.auth_refresh_age = 300
    c.Spawner.start_timeout = 120
    c.Spawner.http_timeout = 30
    c.Spawner.consecutive_failure_limit = 0


def _proxy(c: Any, folder: Path, proxy_port: int) -> None:
    from visa.hub import proxy  # one machine's own: the image for Kubernetes has no traefik

    c.JupyterHub.proxy_class = "visa-traefik"
    for name, value in proxy.settings_for(folder, proxy_port, secret(folder, "proxy")).items():
        c.VisaTraefikProxy[name] = value


def portal(c: Any, service: dict[str, Any]) -> None:
    """The portal's scopes, roles and service; ``service`` says how it runs."""
    c.JupyterHub.custom_scopes = {
        READ: {"description": "See one's experiments, choices and instances in VISA"},
        WRITE: {"description": "Start, stop, rename and delete one's instances in VISA", "subscopes": [READ]},
        MEMBER: {"description": "Marks a right that VISA gave to a member of an instance; nobody else's to give"},
    }
    user = {"name": "user", "scopes": ["self", "access:services!service=visa", READ, WRITE]}
    own = {"name": "visa-portal", "scopes": ["read:hub"], "services": ["visa"]}
    _add(c.JupyterHub, "load_roles", user, own)
    oauth = {"oauth_client_allowed_scopes": PORTAL_SCOPES, "oauth_no_confirm": True}
    _add(c.JupyterHub, "services", {"name": "visa", "display": False, **oauth, **service})
    _keep_windows_apart(c.JupyterHub)


def _keep_windows_apart(hub: Any) -> None:
    """A script in an instance's page, which may share the hub's origin, gets no hold of a page of the hub.

    Nor does it find one in the browser's cache. The portal's pages do the same (`visa.portal.origin`); other headers
    that are configured stay.
    """
    known = hub.get("tornado_settings", {})
    if isinstance(known, dict):
        own = {"Cross-Origin-Opener-Policy": "same-origin", "Cache-Control": "no-store"}
        headers = {**own, **known.get("headers", {})}
        hub.tornado_settings = {**known, "headers": headers}


def _add(section: Any, trait: str, *more: dict[str, Any]) -> None:
    """To a list that the configuration may hold already: what others put there stays."""
    known = section.get(trait, [])
    if isinstance(known, list):
        section[trait] = [*known, *more]
    else:  # traitlets' word for "append to the default"
        known.extend(more)


def managed_portal(url: str, source: FacilitySource, store: Store, **variables: str) -> dict[str, Any]:
    """A portal that the hub runs beside itself, reached at ``url``; call it after `hosts`."""
    hub = settings.get()
    return {
        "url": url,
        "command": [sys.executable, "-m", "visa.portal"],
        "environment": {
            "VISA_FACILITY": str(source.path),
            "VISA_FACILITY_KEPT": str(hub.state / LAST_GOOD),
            "VISA_STORE_URL": store.engine.url.render_as_string(hide_password=False),
            "VISA_PORTAL_COOKIE": hub.pictures.hex(),
            "VISA_INSTANCES": hub.origins.pattern,
            **variables,
        },
    }
