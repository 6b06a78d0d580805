"""Everything a facility needs in ``jupyterhub_config.py``, in one call.

    from visa.hub.defaults import configure
    configure(c, facility="/etc/visa/facility.yaml", state="/var/lib/visa")

What it sets can be set again after the call; what it needs is said in docs/operators.
"""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError

from visa.facility.load import FacilityProblems
from visa.facility.watch import FacilitySource
from visa.hub import proxy, settings
from visa.store.schema import SchemaMismatch
from visa.store.store import Store

READ, WRITE = "custom:visa:read", "custom:visa:write"
_PORTAL_SCOPES = [
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
    bind_url: str = "http://127.0.0.1:8000",
    hub_port: int = 8081,
    proxy_port: int = 8099,
    portal_port: int = 8098,
    authenticator: str = "visa",
    spawner: str = "visa-sandbox",
    look_every: float = 60.0,
) -> None:
    """Set up hub, proxy, portal and plug-ins.

    ``state`` holds databases, secrets, homes and run folders, and is made for the hub's own account.
    ``store_url``: a PostgreSQL URL instead of SQLite in ``state``; one hub per store.
    The ports are on loopback: the hub's API, the proxy's API, and the portal.
    ``look_every``: seconds between two looks for lifetimes that are over, and for what disagrees.
    Exits with every mistake in facility.yaml, as ``visa check`` says them.
    """
    folder = _state(Path(state))
    # Databases are made with the umask; they hold what only the hub may read.
    os.umask(0o077)
    try:
        source = FacilitySource(Path(os.path.abspath(facility)))
    except FacilityProblems as error:
        print(error, file=sys.stderr)
        raise SystemExit(f"The hub does not start: {len(error.problems)} mistake(s) in {facility}") from None
    store = Store(store_url or f"sqlite:///{folder / 'visa.sqlite'}")
    try:
        store.upgrade()
    except SchemaMismatch as error:
        raise SystemExit(f"The hub does not start: {error}") from None
    except OperationalError as error:
        shown = store.engine.url.render_as_string()
        raise SystemExit(f"The hub does not start: its store {shown} cannot be opened: {error.orig}") from None
    settings.put(settings.HubSettings(source, store, folder, look_every=look_every))
    _hub(c, folder, bind_url, hub_port)
    _plugins(c, authenticator, spawner)
    _proxy(c, folder, proxy_port)
    _portal(c, source, store, portal_port)


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


def _hub(c: Any, folder: Path, bind_url: str, hub_port: int) -> None:
    hub = c.JupyterHub
    hub.bind_url = bind_url
    hub.hub_bind_url = f"http://127.0.0.1:{hub_port}"
    hub.db_url = f"sqlite:///{folder / 'hub.sqlite'}"
    hub.cookie_secret = bytes.fromhex(secret(folder, "cookie"))
    c.CryptKeeper.keys = [secret(folder, "crypt")]
    hub.cleanup_servers = False
    hub.cleanup_proxy = False
    hub.allow_named_servers = True
    hub.named_server_limit_per_user = 200
    hub.concurrent_spawn_limit = 100
    hub.admin_access = False
    hub.shutdown_on_logout = False
    hub.default_url = _portal_url
    hub.last_activity_interval = 60
    hub.template_paths = [str(Path(__file__).parent / "templates")]
    hub.tornado_settings = {"slow_spawn_timeout": 20}


def _portal_url(handler: Any) -> str:
    return str(handler.settings["base_url"]) + "services/visa/"


def _plugins(c: Any, authenticator: str, spawner: str) -> None:
    c.JupyterHub.authenticator_class = authenticator
    c.JupyterHub.spawner_class = spawner
    c.Authenticator.refresh_pre_spawn = True
    c.Authenticator.auth_refresh_strict = True
    c.Authenticator.auth_refresh_age = 300
    c.Spawner.start_timeout = 120
    c.Spawner.http_timeout = 30
    c.Spawner.poll_interval = 5
    c.Spawner.consecutive_failure_limit = 0


def _proxy(c: Any, folder: Path, proxy_port: int) -> None:
    c.JupyterHub.proxy_class = "visa-traefik"
    for name, value in proxy.settings_for(folder, proxy_port, secret(folder, "proxy")).items():
        c.VisaTraefikProxy[name] = value


def _portal(c: Any, source: FacilitySource, store: Store, port: int) -> None:
    c.JupyterHub.custom_scopes = {
        READ: {"description": "See one's experiments, choices and instances in VISA"},
        WRITE: {"description": "Start, stop, rename and delete one's instances in VISA", "subscopes": [READ]},
    }
    c.JupyterHub.load_roles = [
        {"name": "user", "scopes": ["self", "access:services!service=visa", READ, WRITE]},
        {"name": "visa-portal", "scopes": ["read:hub"], "services": ["visa"]},
    ]
    c.JupyterHub.services = [
        {
            "name": "visa",
            "url": f"http://127.0.0.1:{port}",
            "command": [sys.executable, "-m", "visa.portal"],
            "oauth_client_allowed_scopes": _PORTAL_SCOPES,
            "oauth_no_confirm": True,
            "display": False,
            "environment": {
                "VISA_FACILITY": str(source.path),
                "VISA_STORE_URL": store.engine.url.render_as_string(hide_password=False),
            },
        }
    ]
