"""From mounts to a pod's volumes. Pure; whatever reaches Kubernetes was parsed into safe identifiers before.

Kubernetes makes a ``subPath`` that is missing, unless the volume itself is mounted read-only, and follows
a link at its end. So what is read is read-only as a volume, and folders are looked for first (`Volumes.looked_for`).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from visa.facility.kubernetes import HomeStorage, NewClaim, Nfs, Storage
from visa.facility.model import Facility
from visa.instances.model import InstanceSpec, Mount

Dict = dict[str, Any]


class NotOffered(Exception):
    """A data root cannot be had here. The message says what an operator has to change."""


@dataclass(frozen=True, slots=True)
class LookedFor:
    """A folder that must be there before the pod's main containers are made: in a volume, for an experiment."""

    volume: str
    folder: str
    experiment: str


@dataclass(slots=True)
class Volumes:
    """Volumes of the pod, and mounts of its environment."""

    volumes: list[Dict] = field(default_factory=list)
    mounts: list[Dict] = field(default_factory=list)
    looked_for: list[LookedFor] = field(default_factory=list)

    def add(self, volume: Dict, mount: Dict) -> None:
        """A volume (once, by its name) and where it appears."""
        if all(known["name"] != volume["name"] for known in self.volumes):
            self.volumes.append(volume)
        self.mounts.append({"name": volume["name"], **mount})


def data_volumes(spec: InstanceSpec, facility: Facility, host_paths: frozenset[str]) -> Volumes:
    """Every mount of ``spec``; ``host_paths`` names the data roots that may be folders of the nodes.

    Raise `NotOffered`.
    """
    made = Volumes()
    order = list(facility.data)
    for number, mount in enumerate(spec.mounts):
        storage = facility.data[mount.root].kubernetes
        if storage is None:
            raise NotOffered(f"give data root '{mount.root}' a place: data.{mount.root}.kubernetes")
        if storage.host_path is not None and mount.root not in host_paths:
            raise NotOffered(
                f"data root '{mount.root}' is a folder of the nodes (hostPath), which is allowed by name only: "
                f"VisaKubeSpawner.host_paths"
            )
        _add(made, storage, mount, root=order.index(mount.root), number=number)
    return made


def _add(made: Volumes, storage: Storage, mount: Mount, *, root: int, number: int) -> None:
    folder = joined(storage.sub_path, mount.path)
    seen: Dict = {"mountPath": mount.target, "readOnly": mount.read_only}
    if mount.read_only:
        seen["recursiveReadOnly"] = "IfPossible"
    if storage.nfs is not None:
        # One volume for each folder: a missing one cannot be mounted, and none is made.
        made.add({"name": f"data-{root}-{number}", "nfs": _nfs(storage.nfs, folder, mount.read_only)}, seen)
        return
    if storage.host_path is not None:
        path = f"{storage.host_path}/{folder}"
        made.add({"name": f"data-{root}-{number}", "hostPath": {"path": path, "type": "Directory"}}, seen)
        return
    name = f"data-{root}"
    made.add({"name": name, **_whole(storage, mount.read_only)}, {**seen, "subPath": folder})
    made.looked_for.append(LookedFor(name, folder, mount.experiment))


def _whole(storage: Storage, read_only: bool) -> Dict:
    if storage.csi is None:
        return {"persistentVolumeClaim": {"claimName": storage.claim, "readOnly": read_only}}
    csi: Dict = {"driver": storage.csi.driver, "readOnly": read_only, "volumeAttributes": dict(storage.csi.attributes)}
    if storage.csi.secret is not None:
        csi["nodePublishSecretRef"] = {"name": storage.csi.secret}
    return {"csi": csi}


def _nfs(nfs: Nfs, folder: str, read_only: bool) -> Dict:
    return {"server": nfs.server, "path": f"{nfs.path}/{folder}", "readOnly": read_only}


def home_volume(storage: HomeStorage | None, owner: str, claim: str) -> tuple[Dict, Dict]:
    """Volume and mount (without its path) of ``owner``'s home; ``claim`` is the name of a claim of her own."""
    if storage is None:
        return {"name": "home", "emptyDir": {}}, {}
    folder = joined(storage.sub_path, owner)
    if storage.nfs is not None:
        return {"name": "home", "nfs": _nfs(storage.nfs, folder, False)}, {}
    if storage.claim is not None:
        return {"name": "home", "persistentVolumeClaim": {"claimName": storage.claim}}, {"subPath": folder}
    inner = {"subPath": storage.sub_path} if storage.sub_path else {}
    return {"name": "home", "persistentVolumeClaim": {"claimName": claim}}, inner


def joined(*parts: str) -> str:
    """A relative folder."""
    return "/".join(part for part in parts if part)


def home_claim(wanted: NewClaim, name: str, owner: str) -> Dict:
    """A claim of ``owner``'s own."""
    kind = {"storageClassName": wanted.storage_class} if wanted.storage_class else {}
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolumeClaim",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "visa", "app.kubernetes.io/component": "home"},
            "annotations": {"visa/owner": owner},
        },
        "spec": {
            "accessModes": [wanted.access_mode],
            "resources": {"requests": {"storage": str(int(wanted.size))}},
            **kind,
        },
    }
