"""A hub on this machine whose instances are pods of a real cluster."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from tests.services import cluster, facility
from tests.services.hub import Backend, RunningHub
from visa.identifiers import instance_id

CONFIG = """
c.JupyterHub.hub_bind_url = "http://0.0.0.0:{port}"
c.JupyterHub.hub_connect_url = "http://127.0.0.1:{port}"
c.Spawner.hub_connect_url = "http://{address}:{port}"
c.KubeSpawner.namespace = {namespace!r}
c.VisaKubeSpawner.release = {release!r}
c.VisaKubeSpawner.gateway_image = {gateway!r}
c.VisaKubeSpawner.gateway_cpu_request = {gateway_cpu}
"""


class ClusterHub(RunningHub):
    """Pods reach it at the node's address; the proxy reaches pods as the node does."""

    spawner = "visa-kubernetes"
    spawner_class = "visa.hub.kubernetes.VisaKubeSpawner"
    namespace: ClassVar[cluster.Namespace]
    gateway_cpu: ClassVar[float] = 0.01
    """Cores: twenty instances at once fit a machine of two."""

    @property
    def release(self) -> str:
        """A name of its own for each, so that hubs in one namespace leave one another's pods alone."""
        return f"h{self.hub_port}"

    def backend(self) -> str:
        """Where the cluster is, and where pods find this hub."""
        return CONFIG.format(
            port=self.hub_port,
            address=cluster.node_address(),
            namespace=self.namespace.name,
            release=self.release,
            gateway=cluster.image("gateway"),
            gateway_cpu=self.gateway_cpu,
        )

    def alive(self) -> set[str]:
        """Ids of instances that have a pod."""
        labels = (pod["metadata"]["labels"] for pod in self.namespace.instances())
        return {found["visa/instance"] for found in labels if found["app.kubernetes.io/instance"] == self.release}

    def end_gateway(self, owner: str, name: str) -> None:
        """SIGTERM, which is all that the first process of a container hears from within; it ends for the kubelet."""
        pod = f"visa-{instance_id(owner, name)}"
        code = "import os, signal; os.kill(1, signal.SIGTERM)"
        self.namespace.inside(pod, "/opt/visa/bin/python", "-c", code, container="gateway", check=False)

    def end(self) -> None:
        """End it and its pods."""
        super().end()
        label = f"app.kubernetes.io/instance={self.release}"
        self.namespace.run("delete", "pods", "-l", label, "--grace-period=1", "--wait=false", check=False)


class ClusterBackend(Backend):
    """Instances start in ``namespace``."""

    def __init__(self, namespace: cluster.Namespace) -> None:
        self.namespace = namespace
        self.hub = type("ClusterHubHere", (ClusterHub,), {"namespace": namespace})

    def facility(self, folder: Path) -> Path:
        """facility.yaml of the test facility, with images and claims."""
        return facility.write(folder / "facility", **cluster.parts())
