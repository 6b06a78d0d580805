"""A stock JupyterHub to measure against: SimpleLocalProcessSpawner, jupyterhub-singleuser, traefik, as shipped."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.conftest import REPOSITORY
from tests.services.hub import RunningHub
from visa.cli.demo.runner import free_ports

PREFIX = REPOSITORY / ".cache" / "benchmarks" / "stock"

CONFIG = """\
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://127.0.0.1:{hub}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.DummyAuthenticator.password = "visa"
c.JupyterHub.spawner_class = "simple"
c.JupyterHub.proxy_class = "traefik_file"
c.TraefikFileProviderProxy.traefik_api_url = "http://127.0.0.1:{proxy}"
c.TraefikFileProviderProxy.traefik_api_username = "hub"
c.TraefikFileProviderProxy.traefik_api_password = "benchmark"
c.JupyterHub.allow_named_servers = True
c.SimpleLocalProcessSpawner.home_dir_template = {homes!r}
c.SimpleLocalProcessSpawner.cmd = [{single!r}]
c.SimpleLocalProcessSpawner.environment = {{"PATH": {path!r}, "JUPYTERHUB_ALLOW_ROOT": "1"}}
c.SimpleLocalProcessSpawner.args = ["--allow-root"]
"""


def install() -> None:
    """The same JupyterLab and extensions as the analysis environment, with JupyterHub and everything it ships."""
    done = PREFIX / "done"
    if done.exists():
        return
    uv = Path(sys.executable).parent / "uv"
    subprocess.run([uv, "venv", "--quiet", "--clear", PREFIX], check=True)
    packages = [
        "-r",
        REPOSITORY / "environments" / "scattering" / "requirements.txt",
        "rfc3987-syntax",
        "jupyterhub>=6.1.1,<7",
    ]
    install_command = [uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", PREFIX / "bin" / "python"]
    subprocess.run([*install_command, *packages], check=True)
    done.touch()


class StockHub(RunningHub):
    """The stock hub, with the test fixture's ways to log in."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder = folder
        self.state = folder
        public, hub, proxy = free_ports(3)
        self.url = f"http://127.0.0.1:{public}"
        self.portal = f"{self.url}/hub/static/"
        self.log, self.config = folder / "hub.log", folder / "jupyterhub_config.py"
        self.variables = {"PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin"}
        self.process = None
        single, path = str(PREFIX / "bin" / "jupyterhub-singleuser"), f"{PREFIX / 'bin'}:/usr/bin:/bin"
        homes = str(folder / "homes" / "{username}")
        text = CONFIG.format(public=public, hub=hub, proxy=proxy, single=single, path=path, homes=homes)
        self.config.write_text(text)

    def answering(self) -> list[str]:
        """Addresses that answer when it is up."""
        return [f"{self.url}/hub/health"]
