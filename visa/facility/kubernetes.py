"""The ``kubernetes:`` parts of facility.yaml. Words are Kubernetes' own, in snake case."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from visa.facility.section import Form, Section, Text, one_of
from visa.facility.units import Cpu, Memory

_KEY = r"([a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
_PART = "[A-Za-z0-9_][A-Za-z0-9._-]*"

ObjectName = Annotated[
    str,
    Form("[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "give the name of an object: small letters, digits, '-' and '.'", 253),
]
Folder = Annotated[str, Form(f"({_PART}(/{_PART})*)?", "give a relative folder without '..', as raw/2026", 400)]
Absolute = Annotated[str, Form(f"(/{_PART})+", "give an absolute folder without '..', as /export/raw", 400)]
Host = Annotated[str, Form("[A-Za-z0-9]([A-Za-z0-9.:-]*[A-Za-z0-9])?", "give a host name or an address", 253)]
Image = Annotated[
    str,
    Form("[A-Za-z0-9][A-Za-z0-9._:/-]*", "give an image reference, as registry.example.org/scattering:2026.1", 400),
]
Digest = Annotated[str, Form("sha256:[0-9a-f]{64}", "give sha256: and 64 hexadecimal digits", 71)]
Key = Annotated[str, Form(_KEY, "give a name, or a domain, '/' and a name, as nvidia.com/gpu", 317)]
LabelValue = Annotated[
    str,
    Form("([A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?)?", "give at most 63 letters, digits, '-', '_' and '.'", 63),
]


class Nfs(Section):
    """An NFS export, mounted by the node."""

    server: Host = Field(description="Host name or address.", examples=["nfs.example.org"])
    path: Absolute = Field(description="Exported folder.", examples=["/export/raw"])


class Csi(Section):
    """A volume of a CSI driver that takes volumes in a pod (`volumeLifecycleModes` has `Ephemeral`)."""

    driver: Text = Field(description="The driver's name.", examples=["cvmfs.csi.cern.ch"])
    attributes: dict[Text, str] = Field(
        default={}, description="The driver's `volumeAttributes`.", examples=[{"repository": "raw.example.org"}]
    )
    secret: ObjectName | None = Field(
        default=None, description="Secret that the driver gets (`nodePublishSecretRef`).", examples=["raw-credentials"]
    )


class Storage(Section):
    """A data root on Kubernetes. Exactly one of `claim`, `nfs`, `csi`, `host_path`."""

    sources: ClassVar = ("claim", "nfs", "csi", "host_path")
    model_config = one_of("oneOf", *sources)

    claim: ObjectName | None = Field(
        default=None,
        description="Name of a PersistentVolumeClaim in the instances' namespace.",
        examples=["raw-data"],
    )
    nfs: Nfs | None = Field(
        default=None, description="An NFS export (pod security `restricted` forbids it: use a claim there)."
    )
    csi: Csi | None = Field(default=None, description="A CSI volume written into the pod.")
    host_path: Absolute | None = Field(
        default=None,
        description="Folder of the nodes; only where the operator allows this data root by name.",
        examples=["/data/raw"],
    )
    sub_path: Folder = Field(
        default="",
        description="Folder of the volume that `path` is under.",
        examples=["raw"],
    )

    @model_validator(mode="after")
    def _one_source(self) -> Storage:
        if fault := source_fault([key for key in self.sources if getattr(self, key) is not None], self.sources):
            raise ValueError(fault)
        return self


class NewClaim(Section):
    """A claim that is made for each person at her first start."""

    size: Memory = Field(description="Size of the claim, as 20Gi.", examples=["20Gi"])
    storage_class: ObjectName | None = Field(
        default=None, description="StorageClass; absent: the cluster's default.", examples=["fast"]
    )
    access_mode: Literal["ReadWriteOnce", "ReadWriteMany", "ReadWriteOncePod"] = Field(
        default="ReadWriteOnce", description="How it may be mounted; ReadWriteOnce keeps a person on one node."
    )


class HomeStorage(Section):
    """Where home folders lie on Kubernetes. Exactly one of `claim`, `nfs`, `new_claim`."""

    sources: ClassVar = ("claim", "nfs", "new_claim")
    model_config = one_of("oneOf", *sources)

    claim: ObjectName | None = Field(
        default=None, description="A claim that holds everybody's homes, one folder each.", examples=["homes"]
    )
    nfs: Nfs | None = Field(default=None, description="An NFS export that holds everybody's homes.")
    new_claim: NewClaim | None = Field(default=None, description="A claim for each person.")
    sub_path: Folder = Field(
        default="",
        description="Folder of the volume that the homes are under, each named as its owner.",
        examples=["home"],
    )
    missing: Literal["refuse", "make"] = Field(
        default="refuse",
        description="What happens to a person whose folder in `claim` is not there: `refuse` the start, or let "
        "Kubernetes `make` it, owned by root and with the mode of the volume's own folder.",
    )
    set_group: bool = Field(
        default=False,
        strict=True,
        description="Give a fresh volume to the person's group (`fsGroup`); for `new_claim` on block storage.",
    )

    @model_validator(mode="after")
    def _one_source(self) -> HomeStorage:
        if fault := source_fault([key for key in self.sources if getattr(self, key) is not None], self.sources):
            raise ValueError(fault)
        return self


def source_fault(given: list[str], choices: tuple[str, ...]) -> str | None:
    """What is wrong with a storage that names ``given``; it must name one of ``choices``."""
    if len(given) == 1:
        return None
    right = f"give exactly one of {', '.join(choices)}"
    return f"names {', '.join(given)} at once; {right}" if given else f"does not say where it lies; {right}"


class Homes(Section):
    """Home folders. On one machine they lie in the state folder."""

    kubernetes: HomeStorage | None = Field(
        default=None, description="For Kubernetes. Absent: homes are gone with the instance."
    )


class ImageEnvironment(Section):
    """An environment on Kubernetes."""

    image: Image = Field(
        description="Image reference.",
        examples=["registry.example.org/scattering:2026.1"],
    )
    digest: Digest | None = Field(
        default=None,
        description="Digest that pins the image, whatever the tag says later.",
        examples=["sha256:" + "0123456789abcdef" * 4],
    )
    pull_policy: Literal["IfNotPresent", "Always", "Never"] = Field(
        default="IfNotPresent", description="When nodes ask the registry."
    )
    pull_secrets: tuple[ObjectName, ...] = Field(
        default=(), description="Secrets with the registry's credentials.", examples=[["registry-login"]]
    )
    path: Text | None = Field(
        default=None,
        description="PATH inside; absent: the image's own.",
        examples=["/opt/conda/bin:/usr/local/bin:/usr/bin:/bin"],
    )
    read_only_root: bool = Field(
        default=True,
        strict=True,
        description="Whether the image's own folders cannot be written to; `false` for an image that must.",
    )


class Toleration(Section):
    """A taint of nodes that instances of a flavour tolerate."""

    key: Key = Field(description="The taint's key.", examples=["nvidia.com/gpu"])
    operator: Literal["Exists", "Equal"] = Field(default="Exists", description="`Equal` compares the value too.")
    value: LabelValue | None = Field(default=None, description="The taint's value, with `Equal`.", examples=["a40"])
    effect: Literal["NoSchedule", "NoExecute", "PreferNoSchedule"] | None = Field(
        default=None, description="Absent: every effect.", examples=["NoSchedule"]
    )

    @model_validator(mode="after")
    def _value_with_equal(self) -> Toleration:
        if (self.operator == "Equal") != (self.value is not None):
            raise ValueError("operator and value do not go together; give a value with Equal, and none with Exists")
        return self


class Reserved(Section):
    """What the scheduler keeps free for an instance (`requests`), where that is less than all of it."""

    cpu: Cpu | None = Field(default=None, description="Cores; absent: all of the flavour's.", examples=["100m"])
    memory: Memory | None = Field(default=None, description="Memory; absent: all of the flavour's.")


class FlavourOnKubernetes(Section):
    """Where instances of a flavour are placed."""

    node_selector: dict[Key, LabelValue] = Field(
        default={}, description="Node labels that must match.", examples=[{"visa/gpu": "a40"}]
    )
    tolerations: tuple[Toleration, ...] = Field(default=(), description="Taints of nodes that are tolerated.")
    reserved: Reserved | None = Field(
        default=None, description="Absent: requests equal limits, so that nobody's work slows anybody else's."
    )
    gpu_resource: Key = Field(default="nvidia.com/gpu", description="Name of the resource that `gpu` counts.")
    runtime_class: ObjectName | None = Field(
        default=None, description="RuntimeClass; absent: the nodes' default.", examples=["nvidia"]
    )
    priority_class: ObjectName | None = Field(
        default=None, description="PriorityClass; absent: the chart's.", examples=["beamtime"]
    )
