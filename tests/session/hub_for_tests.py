"""Configuration of the real JupyterHub that the gateway's tests run: its servers are gateways."""

import json
import os
import sys

from jupyterhub.spawner import SimpleLocalProcessSpawner

given = json.loads(os.environ["VISA_TEST_HUB"])
c = get_config()  # type: ignore[name-defined]  # noqa: F821


class GatewaySpawner(SimpleLocalProcessSpawner):
    """Starts a gateway in front of the Jupyter that the tests started, and nothing else."""

    def get_args(self):
        return []

    def get_env(self):
        env = super().get_env()
        env["VISA_RUN"] = given["run"]
        env["VISA_LISTEN"] = f"127.0.0.1:{self.port}"
        env["VISA_OPEN"] = "lab/tree/notebooks/e1.ipynb"
        env["VISA_FRESH"] = "3"
        env["PYTHONPATH"] = given["root"]
        return env

    def user_env(self, env):
        return env


c.JupyterHub.spawner_class = GatewaySpawner
c.Spawner.cmd = [sys.executable, "-m", "visa.session"]
c.Spawner.home_dir_template = given["folder"]
c.JupyterHub.proxy_class = "jupyterhub_traefik_proxy.fileprovider.TraefikFileProviderProxy"
c.TraefikProxy.traefik_api_username = "api"
c.TraefikProxy.traefik_api_password = "only for this test"
c.TraefikProxy.traefik_api_url = f"http://127.0.0.1:{given['traefik_port']}"
c.TraefikFileProviderProxy.dynamic_config_file = given["folder"] + "/dynamic.toml"
c.TraefikFileProviderProxy.static_config_file = given["folder"] + "/static.toml"
c.JupyterHub.bind_url = f"http://127.0.0.1:{given['port']}"
c.JupyterHub.hub_bind_url = f"http://127.0.0.1:{given['hub_port']}"
c.JupyterHub.db_url = "sqlite:///" + given["folder"] + "/hub.sqlite"
c.JupyterHub.cookie_secret_file = given["folder"] + "/cookie_secret"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.password = "visa"
c.JupyterHub.allow_named_servers = True
c.Authenticator.allowed_users = {"marie", "pierre"}
c.Authenticator.admin_users = {"grace"}
c.JupyterHub.load_roles = [
    {"name": "tests", "scopes": ["admin:users", "admin:servers", "tokens", "access:servers"], "services": ["tests"]},
    {"name": "grace-enters", "scopes": ["access:servers"], "users": ["grace"]},
]
c.JupyterHub.services = [{"name": "tests", "api_token": given["token"]}]
