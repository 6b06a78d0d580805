"""Two hubs on this machine whose servers are pods: VISA's, and a stock one; both behind configurable-http-proxy."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.stock import StockHub
from tests.conftest import REPOSITORY
from tests.services import cluster
from tests.services.cluster_hub import ClusterHub
from visa.cli.demo.runner import free_ports
from visa.hub.pods.certificates import make_authority

PROXY = REPOSITORY / ".cache" / "benchmarks" / "proxy"
_CHP = """
c.JupyterHub.proxy_class = "configurable-http-proxy"
c.ConfigurableHTTPProxy.command = {command!r}
c.ConfigurableHTTPProxy.api_url = "http://127.0.0.1:{port}"
c.ConfigurableHTTPProxy.pid_file = {pid!r}
c.JupyterHub.cleanup_proxy = True
"""
_STOCK = """\
c.JupyterHub.bind_url = "http://127.0.0.1:{public}"
c.JupyterHub.hub_bind_url = "http://0.0.0.0:{hub}"
c.JupyterHub.hub_connect_url = "http://127.0.0.1:{hub}"
c.Spawner.hub_connect_url = "http://{address}:{hub}"
c.JupyterHub.authenticator_class = "dummy"
c.DummyAuthenticator.allow_all = True
c.DummyAuthenticator.password = "visa"
c.JupyterHub.allow_named_servers = True
c.JupyterHub.spawner_class = "kubespawner.KubeSpawner"
c.KubeSpawner.namespace = {namespace!r}
c.KubeSpawner.image = {image!r}
c.KubeSpawner.image_pull_policy = "IfNotPresent"
c.KubeSpawner.cmd = ["jupyterhub-singleuser"]
c.KubeSpawner.uid = 20001
c.KubeSpawner.gid = 20001
c.KubeSpawner.cpu_limit = {cpu}
c.KubeSpawner.cpu_guarantee = 0.05
c.KubeSpawner.mem_limit = "8G"
c.KubeSpawner.mem_guarantee = "200M"
c.KubeSpawner.environment = {{"HOME": "/home/marie"}}
c.KubeSpawner.working_dir = "/home/marie"
c.KubeSpawner.volumes = [
    {{"name": "home", "persistentVolumeClaim": {{"claimName": "homes"}}}},
    {{"name": "raw", "persistentVolumeClaim": {{"claimName": "raw", "readOnly": True}}}},
]
c.KubeSpawner.volume_mounts = [
    {{"name": "home", "mountPath": "/home/marie", "subPath": "marie"}},
    {{"name": "raw", "mountPath": "/data/exp-1", "subPath": "facility/d22/2025/p1/exp-1", "readOnly": True}},
]
c.KubeSpawner.container_security_context = {{"runAsNonRoot": True, "seccompProfile": {{"type": "RuntimeDefault"}},
                                            "capabilities": {{"drop": ["ALL"]}}}}
"""


def install_proxy() -> None:
    """configurable-http-proxy as in our image, beside the repository's other caches."""
    for program in ("node", "npm"):
        if not shutil.which(program):
            raise SystemExit(f"{program} is not on PATH: install Node.js 20 or later")
    if (PROXY / "node_modules").exists():
        return
    PROXY.mkdir(parents=True, exist_ok=True)
    for file in ("package.json", "package-lock.json"):
        shutil.copy(REPOSITORY / "images" / "proxy" / file, PROXY / file)
    subprocess.run(["npm", "ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=PROXY, check=True)


def proxied(folder: Path, *more: str) -> str:
    """Settings of a hub that starts its own configurable-http-proxy."""
    program = PROXY / "node_modules" / "configurable-http-proxy" / "bin" / "configurable-http-proxy"
    command = ["node", str(program), *more]
    return _CHP.format(command=command, port=free_ports(1)[0], pid=str(folder / "proxy.pid"))


class Ours(ClusterHub):
    """VISA's hub, with TLS between proxy and gateways and what a gateway reserves as the chart has it."""

    gateway_cpu = 0.1

    def backend(self) -> str:
        """As in the tests, with the other proxy."""
        certificate, key = make_authority(self.folder)
        seen = self.folder / "seen"  # as the chart's hub sees the data roots' claims
        seen.mkdir(exist_ok=True)
        (seen / "raw").symlink_to(self.namespace.folder("raw"))
        trust = f"c.VisaKubeSpawner.data_folder = {str(seen)!r}\n"
        trust += f"c.VisaKubeSpawner.ca_certificate, c.VisaKubeSpawner.ca_key = {str(certificate)!r}, {str(key)!r}\n"
        return super().backend() + trust + proxied(self.folder, "--client-ssl-ca", str(certificate))


class Stock(StockHub):
    """A stock JupyterHub with KubeSpawner as shipped, on the same image, mounts and limits."""

    def __init__(self, folder: Path, namespace: cluster.Namespace, cpu: float) -> None:
        super().__init__(folder)
        public, hub = free_ports(2)
        self.url = f"http://127.0.0.1:{public}"
        text = _STOCK.format(
            public=public,
            hub=hub,
            address=cluster.node_address(),
            namespace=namespace.name,
            image=cluster.image("stock"),
            cpu=cpu,
        )
        self.config.write_text(text + proxied(folder))


def cpu_seconds(hub: Any) -> float:
    """User and system time of a hub's own process, by its clock: what /proc counts comes in ticks, often of others."""
    # As clock_getcpuclockid(3) makes it: the process' number inverted, and 2 for the scheduler's clock.
    return time.clock_gettime((~hub.process.pid << 3) | 2)
