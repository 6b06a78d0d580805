"""The pod of an instance: what KubeSpawner made of the operator's settings, completed by what was admitted.

Pure, and on plain dicts in Kubernetes' own spelling: nothing of the catalogue or of a person passes
KubeSpawner's templates (it calls ``str.format`` on every string it is given).
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from visa.facility.model import Environment, Facility, Flavour
from visa.hub import inside
from visa.hub.pods.volumes import Dict, LookedFor, Volumes
from visa.instances.model import InstanceSpec

GATEWAY, ENVIRONMENT, CHECK = "gateway", "environment", "look-for-folders"
PORT = 8888
GATEWAY_ACCOUNT = 65500
GATEWAY_COMMAND = ["/opt/visa/bin/python", "-P", "-m", "visa.session"]
_RUN_SIZE = "64Mi"
_KEPT, _KEPT_SIZE = "/run/visa-gateway", "8Mi"
_LABEL = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?")
_LOOK = (
    'for folder in "$@"; do '
    '[ -d "$folder" ] && [ ! -L "$folder" ] || { printf %s "$folder" >/dev/termination-log; exit 3; }; done'
)


@dataclass(frozen=True, slots=True)
class Site:
    """What does not change from instance to instance."""

    release: str
    gateway_image: str
    gateway_pull_policy: str
    gateway_resources: Dict
    configuration: str
    groups_policy: str = ""


@dataclass(frozen=True, slots=True)
class Parts:
    """One start. ``gateway_environ`` has the hub's token; ``data`` and ``home`` are of `visa.hub.pods.volumes`.

    ``look_for``: folders that the hub could not see itself. ``operators``: variables that the operator adds.
    """

    identifier: str
    spec: InstanceSpec
    facility: Facility
    gateway_environ: Mapping[str, str]
    data: Volumes
    home: tuple[Dict, Dict]
    look_for: tuple[LookedFor, ...] = ()
    operators: frozenset[str] = frozenset()

    @property
    def environment(self) -> Environment:
        """As facility.yaml says."""
        return self.facility.environments[self.spec.environment]

    @property
    def flavour(self) -> Flavour:
        """As facility.yaml says."""
        return self.facility.flavours[self.spec.flavour]


def pod_name(identifier: str) -> str:
    """Fixed by owner and server name, so that two of one instance cannot run."""
    return f"visa-{identifier}"


def owner_hash(owner: str) -> str:
    """A label value that stands for a user name, whatever characters that has."""
    return hashlib.sha256(owner.encode()).hexdigest()[:16]


def selector(release: str) -> str:
    """Of all instances of a release."""
    return f"app.kubernetes.io/name=visa,app.kubernetes.io/component=instance,app.kubernetes.io/instance={release}"


def complete(base: Dict, site: Site, parts: Parts) -> Dict:
    """``base`` (KubeSpawner's pod) with everything of VISA's; ours wins where both speak."""
    spec: Dict = dict(base.get("spec", {}))
    (theirs, *others) = spec.pop("containers")
    volumes = _volumes(site, parts)
    environment = _environment(theirs, parts, volumes)
    return {
        **base,
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": _metadata(base.get("metadata", {}), site, parts),
        "spec": {
            **spec,
            **_placement(spec, parts),
            # In this order: the kubelet makes them one after the other, and Jupyter's imports take longest.
            "containers": [environment, _gateway(site, parts), *others],
            "initContainers": [*_check(site, parts), *spec.get("initContainers", [])],
            "volumes": [*spec.get("volumes", []), *volumes.volumes],
            # For the gateway. What became of an environment that ended is told once, and the pod goes (`failures`).
            "restartPolicy": "Always",
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "hostname": f"visa-{parts.identifier[:8]}",
            "securityContext": _pod_security(spec.get("securityContext") or {}, site, parts),
        },
    }


def _metadata(base: Dict, site: Site, parts: Parts) -> Dict:
    spec = parts.spec
    labels = {
        **base.get("labels", {}),
        "app.kubernetes.io/name": "visa",
        "app.kubernetes.io/component": "instance",
        "app.kubernetes.io/instance": site.release,
        "app.kubernetes.io/managed-by": "visa",
        "visa/instance": parts.identifier,
        "visa/owner": owner_hash(spec.identity.username),
        "visa/session": spec.session,
    }
    first = spec.experiments[0] if spec.experiments else ""
    for key, value in (("environment", spec.environment), ("flavour", spec.flavour), ("experiment", first)):
        if _LABEL.fullmatch(value):
            labels[f"visa/{key}"] = str(value)
    # KubeSpawner's own would make of two people with similar names one.
    for key in ("hub.jupyter.org/username", "hub.jupyter.org/servername"):
        labels.pop(key, None)
    if labels.get("component") == "instance":  # unless an operator says otherwise for policies of an existing hub
        del labels["component"]
    annotations = {
        **base.get("annotations", {}),
        "visa/owner": str(spec.identity.username),
        "visa/experiments": json.dumps([str(experiment) for experiment in spec.experiments]),
        "visa/passwd": inside.passwd(spec.identity, "/bin/bash"),
        "visa/group": inside.group(spec.identity),
    }
    return {**base, "name": pod_name(parts.identifier), "labels": labels, "annotations": annotations}


def _volumes(site: Site, parts: Parts) -> Volumes:
    resources, identity = parts.spec.resources, parts.spec.identity
    made = Volumes()
    volume, mount = parts.home
    made.add(volume, {**mount, "mountPath": inside.home(identity)})
    made.add({"name": "scratch", "emptyDir": _sized(resources.scratch)}, {"mountPath": "/tmp"})
    shared_memory = {"medium": "Memory", "sizeLimit": str(resources.memory // 2)}
    made.add({"name": "shared-memory", "emptyDir": shared_memory}, {"mountPath": "/dev/shm"})
    made.add({"name": "run", "emptyDir": {"medium": "Memory", "sizeLimit": _RUN_SIZE}}, {"mountPath": inside.RUN})
    made.volumes.append({"name": "kept", "emptyDir": {"medium": "Memory", "sizeLimit": _KEPT_SIZE}})
    configuration = {"name": "configuration", "configMap": {"name": site.configuration, "defaultMode": 0o444}}
    made.add(configuration, {"mountPath": inside.CONFIGURATION, "readOnly": True})
    accounts = {"name": "accounts", "downwardAPI": {"defaultMode": 0o444, "items": [_item("passwd"), _item("group")]}}
    for file in ("passwd", "group"):
        made.add(accounts, {"mountPath": f"/etc/{file}", "subPath": file, "readOnly": True})
    made.volumes += parts.data.volumes
    made.mounts += parts.data.mounts
    return made


def _sized(size: int) -> Dict:
    return {"sizeLimit": str(size)} if size else {}


def _item(file: str) -> Dict:
    return {"path": file, "fieldRef": {"fieldPath": f"metadata.annotations['visa/{file}']"}}


def _literal(name: str, value: str) -> Dict:
    """A variable as it is: Kubernetes would put another one's value in place of ``$(NAME)``."""
    return {"name": name, "value": value.replace("$(", "$$(")}


def _environment(theirs: Dict, parts: Parts, volumes: Volumes) -> Dict:
    """KubeSpawner's container: what the operator added stays, the hub's variables go."""
    spec, image = parts.spec, parts.environment.kubernetes
    assert image is not None
    values = inside.variables(spec, parts.facility, parts.gateway_environ["JUPYTERHUB_SERVICE_PREFIX"])
    values["VISA_ONCE"] = "1"
    if image.path is not None:
        values["PATH"] = image.path
    wanted = {name for name in parts.operators if not name.startswith(("JUPYTERHUB_", "JPY_"))} - set(values)
    kept = [variable for variable in theirs.get("env") or [] if variable["name"] in wanted]
    kept_keys = {key: value for key, value in theirs.items() if key not in ("args", "ports", "env", "command")}
    return {
        **kept_keys,
        "name": ENVIRONMENT,
        "command": list(inside.LAUNCH),
        "env": [*kept, *(_literal(name, value) for name, value in sorted(values.items()))],
        "resources": _resources(theirs.get("resources") or {}, parts),
        "volumeMounts": [*theirs.get("volumeMounts", []), *volumes.mounts],
        "securityContext": {
            **_closed(image.read_only_root),
            "runAsUser": spec.identity.uid,
            "runAsGroup": spec.identity.gid,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _resources(theirs: Dict, parts: Parts) -> Dict:
    resources, place = parts.spec.resources, parts.flavour.kubernetes
    limits = {**(theirs.get("limits") or {}), "cpu": f"{round(resources.cpu * 1000)}m", "memory": str(resources.memory)}
    if resources.gpu:
        limits[place.gpu_resource] = str(resources.gpu)
    requests = dict(limits)
    if place.reserved is not None:
        if place.reserved.cpu is not None:
            requests["cpu"] = f"{round(float(place.reserved.cpu) * 1000)}m"
        if place.reserved.memory is not None:
            requests["memory"] = str(int(place.reserved.memory))
    return {"limits": limits, "requests": {**(theirs.get("requests") or {}), **requests}}


def _gateway(site: Site, parts: Parts) -> Dict:
    """The only container that gets the hub's token. Its group is the person's: Jupyter's socket is for both."""
    environ = {
        **parts.gateway_environ,
        **inside.gateway_variables(parts.spec, parts.facility),
        "VISA_LISTEN": f"0.0.0.0:{PORT}",
        "VISA_KEPT": f"{_KEPT}/kept",
    }
    address = {"name": "VISA_ADDRESS", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return {
        "name": GATEWAY,
        "image": site.gateway_image,
        "imagePullPolicy": site.gateway_pull_policy,
        "command": GATEWAY_COMMAND,
        "env": [*({"name": name, "value": value} for name, value in sorted(environ.items())), address],
        "ports": [{"name": "gateway", "containerPort": PORT}],
        "resources": site.gateway_resources,
        # The second is its own: people's logins, for the gateway that takes over when this one dies.
        "volumeMounts": [{"name": "run", "mountPath": inside.RUN}, {"name": "kept", "mountPath": _KEPT}],
        "securityContext": {
            **_closed(True),
            "runAsUser": GATEWAY_ACCOUNT,
            "runAsGroup": parts.spec.identity.gid,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
    }


def _check(site: Site, parts: Parts) -> list[Dict]:
    """Looks for folders before Kubernetes would make them; as the person, who has to get there too."""
    if not parts.look_for:
        return []
    places = [f"/look/{looked.volume}/{looked.folder}" for looked in parts.look_for]
    names = sorted({looked.volume for looked in parts.look_for})
    container = {
        "name": CHECK,
        "image": site.gateway_image,
        "imagePullPolicy": site.gateway_pull_policy,
        "command": ["/bin/sh", "-c", _LOOK, "sh", *places],
        "resources": site.gateway_resources,
        "volumeMounts": [{"name": name, "mountPath": f"/look/{name}", "readOnly": True} for name in names],
        "securityContext": {
            **_closed(True),
            "runAsUser": parts.spec.identity.uid,
            "runAsGroup": parts.spec.identity.gid,
        },
    }
    return [container]


def _closed(read_only_root: bool) -> Dict:
    return {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": read_only_root,
        "runAsNonRoot": True,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def _pod_security(theirs: Dict, site: Site, parts: Parts) -> Dict:
    identity, homes = parts.spec.identity, parts.facility.homes.kubernetes
    made = {
        **theirs,
        "runAsNonRoot": True,
        "runAsUser": identity.uid,
        "runAsGroup": identity.gid,
        "supplementalGroups": list(identity.gids),
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if homes is not None and homes.set_group:
        made |= {"fsGroup": identity.gid, "fsGroupChangePolicy": "OnRootMismatch"}
    if site.groups_policy:
        made["supplementalGroupsPolicy"] = site.groups_policy
    return made


def _placement(spec: Dict, parts: Parts) -> Dict:
    place, image = parts.flavour.kubernetes, parts.environment.kubernetes
    assert image is not None
    made: Dict = {"nodeSelector": {**(spec.get("nodeSelector") or {}), **place.node_selector}}
    made["tolerations"] = [
        *(spec.get("tolerations") or []),
        *(toleration.model_dump(exclude_none=True) for toleration in place.tolerations),
    ]
    made["imagePullSecrets"] = [
        *(spec.get("imagePullSecrets") or []),
        *({"name": name} for name in image.pull_secrets),
    ]
    if place.runtime_class is not None:
        made["runtimeClassName"] = place.runtime_class
    if place.priority_class is not None:
        made["priorityClassName"] = place.priority_class
    return made


def environment_image(image: Any) -> str:
    """The reference that nodes pull: by digest when one is given (the tag stays for people to read)."""
    return f"{image.image}@{image.digest}" if image.digest else str(image.image)
