"""A namespace on the Kubernetes that KUBECONFIG points to: with the test facility's data in claims."""

from __future__ import annotations

import json
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.services import facility

REPOSITORY = Path(__file__).parents[2]
IMAGES = "localhost/visa"
TAG = "dev"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
CLAIMS = ("raw", "shared", "homes")


def image(name: str) -> str:
    """Of this repository, as `images/build` names it."""
    return f"{IMAGES}/{name}:{TAG}"


def kubectl(*arguments: str, text: str | None = None, check: bool = True, seconds: float = 120) -> str:
    """Run kubectl; its output. What it says on failure is the error."""
    done = subprocess.run(["kubectl", *arguments], input=text, capture_output=True, text=True, timeout=seconds)
    if check and done.returncode:
        raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stdout}{done.stderr}")
    return done.stdout


class Namespace:
    """One namespace and what is in it."""

    def __init__(self, name: str) -> None:
        self.name = name

    def run(self, *arguments: str, text: str | None = None, check: bool = True, seconds: float = 120) -> str:
        """kubectl in this namespace."""
        return kubectl("-n", self.name, *arguments, text=text, check=check, seconds=seconds)

    def apply(self, *objects: dict[str, Any]) -> None:
        """Make or change objects."""
        self.run("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}))

    def instances(self) -> list[dict[str, Any]]:
        """Pods of instances that are not on their way out."""
        found = json.loads(self.run("get", "pods", "-l", "app.kubernetes.io/component=instance", "-o", "json"))["items"]
        return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, pod: str, *command: str, container: str = "environment", check: bool = True) -> str:
        """Run a command in a container."""
        return self.run("exec", pod, "-c", container, "--", *command, check=check)

    def claim(self, name: str, size: str = "1Gi") -> None:
        """A claim of the default class."""
        spec = {"accessModes": ["ReadWriteMany"], "resources": {"requests": {"storage": size}}}
        self.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": name}, "spec": spec})

    def script(self, name: str, script: str, claims: tuple[str, ...] = CLAIMS, seconds: int = 90) -> str:
        """Run a shell script in a pod that has ``claims`` under /claims; what it printed."""
        volumes = [{"name": c, "persistentVolumeClaim": {"claimName": c}} for c in claims]
        container = {
            "name": "main",
            "image": image("gateway"),
            "command": ["/bin/sh", "-ec", script],
            "volumeMounts": [{"name": c, "mountPath": f"/claims/{c}"} for c in claims],
            "resources": {"requests": {"cpu": "10m"}},
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
        security = {"runAsNonRoot": True, "runAsUser": 65500, "seccompProfile": {"type": "RuntimeDefault"}}
        spec = {"containers": [container], "volumes": volumes, "restartPolicy": "Never", "securityContext": security}
        self.apply({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec})
        phase = "{.status.phase}"
        try:
            self.run("wait", f"--for=jsonpath={phase}=Succeeded", f"pod/{name}", f"--timeout={seconds}s")
            return self.run("logs", name)
        except AssertionError as error:
            said = self.run("describe", "pod", name, check=False) + self.run("logs", name, check=False)
            raise AssertionError(f"{error}\n{said}") from error
        finally:
            self.run("delete", "pod", name, "--grace-period=0", "--force", check=False)

    def folder(self, claim: str) -> Path:
        """Where a claim lies, on a cluster whose node is this machine."""
        volume = self.run("get", "pvc", claim, "-o", "jsonpath={.spec.volumeName}")
        place = "jsonpath={.spec.local.path}{.spec.hostPath.path}"
        return Path(kubectl("get", "pv", volume, "-o", place))

    def fill(self) -> None:
        """Claims with the folders of the test facility's experiments, as a storage would have them."""
        for name in CLAIMS:
            self.claim(name)
        lines = ["umask 0"]
        for entry in facility.CATALOGUE["experiments"]:
            year = str(entry["start"])[:4]
            folder = f"/claims/raw/facility/{entry['instrument']}/{year}/{entry['proposal']}/{entry['id']}"
            lines += [f"mkdir -p {folder}", f"echo 'data of {entry['id']}' >{folder}/run.txt"]
            lines += [f"mkdir -p /claims/shared/{entry['proposal']}"]
        lines += [f"mkdir -p /claims/homes/{person['username']}" for person in facility.PEOPLE]
        self.script("fill", "\n".join(lines))

    def environment_files(self, name: str = "visa-environment") -> None:
        """The ConfigMap that the chart makes."""
        source = REPOSITORY / "visa" / "session" / "environment"
        data = {file.name: file.read_text() for file in source.iterdir() if file.is_file()}
        self.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


@contextmanager
def namespace(prefix: str, *, filled: bool = True) -> Iterator[Namespace]:
    """A namespace that enforces pod security `restricted`, for the length of the block."""
    made = Namespace(f"{prefix}-{secrets.token_hex(3)}")
    meta = {"name": made.name, "labels": RESTRICTED}
    kubectl("apply", "-f", "-", text=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": meta}))
    try:
        if filled:
            made.fill()
            made.environment_files()
        yield made
    finally:
        kubectl("delete", "namespace", made.name, "--wait=false", check=False)


def node_address() -> str:
    """The node's address, at which pods reach programs on this machine."""
    path = "{.items[0].status.addresses[?(@.type=='InternalIP')].address}"
    return kubectl("get", "nodes", "-l", "visa.cluster/hollow!=true", "-o", f"jsonpath={path}").strip()


def parts(environment_image: str = "scattering") -> dict[str, Any]:
    """Top-level parts of the test facility's facility.yaml, for Kubernetes."""
    known = facility.document()
    raw, shared = dict(known["data"]["raw"]), dict(known["data"]["shared"])
    raw["kubernetes"] = {"claim": "raw", "sub_path": "facility"}
    shared["kubernetes"] = {"claim": "shared"}
    # What an image holds is said in facility.yaml: the portal does not look into images.
    software = {"jupyterlab": "4.6", "numpy": "2", "scipp": "26"}
    environments = {
        name: {**entry, "software": dict(software), "kubernetes": {"image": image(environment_image)}}
        for name, entry in known["environments"].items()
    }
    # The nodes of tests are small.
    flavours = {
        name: {**entry, "kubernetes": {"reserved": {"cpu": "20m", "memory": "200Mi"}}}
        for name, entry in known["flavours"].items()
    }
    homes = {"kubernetes": {"claim": "homes"}}
    return {"data": {"raw": raw, "shared": shared}, "environments": environments, "flavours": flavours, "homes": homes}
