"""Specs, facilities and sites for tests of pods, and pod security `restricted` as its documentation says it."""

from __future__ import annotations

import string
from typing import Any

from hypothesis import strategies as st

from tests.services import cluster, facility
from visa.facility.model import Facility
from visa.hub.pods import manifest, volumes
from visa.identifiers import DataRootId, EnvironmentId, ExperimentId, FlavourId, Username
from visa.instances.model import Identity, InstanceSpec, Mount, Resources

IDENTIFIER = "0123456789abcdef"
TOKEN = "the hub's own token"
PREFIX = "/user/marie/work/"
HUBS = {"JUPYTERHUB_API_TOKEN": TOKEN, "JUPYTERHUB_SERVICE_PREFIX": PREFIX, "JUPYTERHUB_USER": "marie"}
SITE = manifest.Site(
    "visa", "visa/gateway:1", "IfNotPresent", {"limits": {"memory": "256Mi"}}, "visa-environment", "Strict"
)
MARIE = Identity(Username("marie"), "Marie Curie", 20001, 20001, (30001,))
BRACES = ("{username}", "{0}", "{user.__class__}", "}{", "{proposal", "%s$(X)")


def mount(root: str, path: str, experiment: str = "exp-1", *, read_only: bool = True) -> Mount:
    """As admission makes it."""
    folder = "/data" if read_only else "/shared"
    return Mount(DataRootId(root), path, f"{folder}/{experiment}", read_only, ExperimentId(experiment))


RAW = mount("raw", "d22/2025/p1/exp-1")
SHARED = mount("shared", "p1", read_only=False)


def spec(**changed: Any) -> InstanceSpec:
    """Marie's notebook on one experiment, or as ``changed``."""
    values: dict[str, Any] = {
        "identity": MARIE,
        "experiments": (ExperimentId("exp-1"),),
        "environment": EnvironmentId("scattering"),
        "flavour": FlavourId("small"),
        "session": "notebook",
        "resources": Resources(1.0, 2**30, 0, 10 * 2**30),
        "mounts": (RAW, SHARED),
        "scopes": (),
    }
    return InstanceSpec(**{**values, **changed})


def on_kubernetes(**changed: Any) -> Facility:
    """The test facility on Kubernetes; ``changed`` replaces top-level parts."""
    return facility.facility(**{**cluster.parts(), **changed})


def with_storage(root: str, **storage: Any) -> Facility:
    """One data root lies elsewhere."""
    parts = cluster.parts()["data"]
    parts[root] = {**parts[root], "kubernetes": storage}
    return on_kubernetes(data=parts)


def with_flavour(**kubernetes: Any) -> Facility:
    """The flavour `small` is placed so."""
    parts = cluster.parts()["flavours"]
    parts["small"] = {**parts["small"], "kubernetes": kubernetes}
    return on_kubernetes(flavours=parts)


def parts_of(wanted: InstanceSpec, where: Facility | None = None, **changed: Any) -> manifest.Parts:
    """What the spawner gives to the manifest."""
    where = where or on_kubernetes()
    values: dict[str, Any] = {
        "identifier": IDENTIFIER,
        "spec": wanted,
        "facility": where,
        "gateway_environ": HUBS,
        "data": volumes.data_volumes(wanted, where, frozenset(where.data)),
        "home": volumes.home_volume(where.homes.kubernetes, wanted.identity.username, "visa-home-x"),
    }
    return manifest.Parts(**{**values, **changed})


def base(**container: Any) -> dict[str, Any]:
    """What KubeSpawner makes, with the operator's ``container``."""
    env = [{"name": name, "value": value} for name, value in {**HUBS, "JPY_API_TOKEN": TOKEN}.items()]
    theirs = {"name": "notebook", "image": "scattering:1", "env": env, "args": ["jupyterhub-singleuser"], **container}
    return {"metadata": {"name": "jupyter-marie", "labels": {}}, "spec": {"containers": [theirs]}}


def pod(wanted: InstanceSpec | None = None, where: Facility | None = None, **changed: Any) -> dict[str, Any]:
    """The whole manifest of ``wanted``."""
    theirs = changed.pop("base", None) or base()
    return manifest.complete(theirs, changed.pop("site", SITE), parts_of(wanted or spec(), where, **changed))


def container(made: dict[str, Any], name: str) -> dict[str, Any]:
    """One of its containers."""
    (found,) = [c for c in [*made["spec"]["initContainers"], *made["spec"]["containers"]] if c["name"] == name]
    return found


def volume(made: dict[str, Any], target: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """What the environment sees at ``target``: the volume and its mount."""
    (seen,) = [m for m in container(made, "environment")["volumeMounts"] if m["mountPath"] == target]
    (found,) = [v for v in made["spec"]["volumes"] if v["name"] == seen["name"]]
    return found, seen


_ALLOWED = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
_HOST = ("hostNetwork", "hostPID", "hostIPC")


def unrestricted(made: dict[str, Any], *, besides: frozenset[str] = frozenset()) -> list[str]:
    """What pod security `restricted` forbids in a pod; ``besides`` are volume types that are taken all the same."""
    wanted, faults = made["spec"], []
    faults += [key for key in _HOST if wanted.get(key)]
    for one in wanted["volumes"]:
        faults += [f"volume {kind}" for kind in set(one) - {"name"} - _ALLOWED - besides]
    of_pod = wanted.get("securityContext") or {}
    for one in [*wanted.get("initContainers", []), *wanted["containers"]]:
        its = one.get("securityContext") or {}
        name = one["name"]
        faults += [f"{name} escalates"] if its.get("allowPrivilegeEscalation") is not False else []
        faults += [f"{name} is privileged"] if its.get("privileged") else []
        capabilities = its.get("capabilities") or {}
        faults += [f"{name} keeps capabilities"] if capabilities.get("drop") != ["ALL"] else []
        faults += [f"{name} adds capabilities"] if set(capabilities.get("add", [])) - {"NET_BIND_SERVICE"} else []
        faults += [f"{name} may be root"] if its.get("runAsNonRoot", of_pod.get("runAsNonRoot")) is not True else []
        faults += [f"{name} is root"] if its.get("runAsUser", of_pod.get("runAsUser")) == 0 else []
        seccomp = its.get("seccompProfile") or of_pod.get("seccompProfile") or {}
        faults += [f"{name} has no seccomp"] if seccomp.get("type") not in ("RuntimeDefault", "Localhost") else []
        faults += [f"{name} sees /proc"] if its.get("procMount", "Default") != "Default" else []
        faults += [f"{name} has ports of the host"] if any(p.get("hostPort") for p in one.get("ports") or []) else []
    return faults


# hypothesis

_LETTERS = string.ascii_letters + string.digits
PLAIN = st.text(_LETTERS + "._-", min_size=0, max_size=62).map(lambda text: "x" + text.replace("..", "._"))
TEXT = st.one_of(st.text(max_size=40), st.sampled_from(BRACES))
IDENTITIES = st.builds(
    Identity,
    username=st.text(_LETTERS + "._@+-", max_size=100).map(lambda text: Username("u" + text.replace("..", "._"))),
    name=TEXT,
    uid=st.integers(1000, 2**31 - 1),
    gid=st.integers(1000, 2**31 - 1),
    gids=st.lists(st.integers(1000, 2**31 - 1), max_size=4).map(tuple),
)
RESOURCES = st.builds(
    Resources, st.floats(0.01, 512), st.integers(2**20, 2**43), st.integers(0, 16), st.integers(0, 2**43)
)


@st.composite
def specs(draw: st.DrawFn) -> InstanceSpec:
    """What admission may make of the test facility, with ids as catalogues have them."""
    experiments = draw(st.lists(PLAIN.map(ExperimentId), max_size=4, unique=True))
    mounts = []
    for experiment in experiments:
        mounts.append(mount("raw", f"d22/{draw(PLAIN)}/{experiment}", experiment))
        if draw(st.booleans()):
            mounts.append(mount("shared", draw(PLAIN), experiment, read_only=False))
    return spec(
        identity=draw(IDENTITIES),
        experiments=tuple(experiments),
        session=draw(st.sampled_from(["notebook", "desktop"])),
        resources=draw(RESOURCES),
        mounts=tuple(mounts),
    )


_CSI = st.fixed_dictionaries(
    {"driver": st.just("cvmfs.csi.cern.ch"), "attributes": st.dictionaries(st.sampled_from(BRACES), TEXT, max_size=3)},
    optional={"secret": st.just("raw-credentials")},
)
STORAGES = st.one_of(
    st.fixed_dictionaries({"claim": st.just("raw"), "sub_path": st.sampled_from(["", "facility", "a/b"])}),
    st.fixed_dictionaries({"csi": _CSI}),
)
HOMES = st.one_of(
    st.none(),
    st.just({"claim": "homes", "sub_path": "home"}),
    st.builds(lambda grouped: {"new_claim": {"size": "1Gi"}, "set_group": grouped}, st.booleans()),
)


@st.composite
def facilities(draw: st.DrawFn) -> Facility:
    """The test facility on storage of any kind that `restricted` takes, with reserved shares or without."""
    parts = cluster.parts()
    data = {name: {**parts["data"][name], "kubernetes": draw(STORAGES)} for name in ("raw", "shared")}
    environments = {**parts["environments"]}
    kubernetes = {"image": "scattering:1", "read_only_root": draw(st.booleans())}
    if draw(st.booleans()):
        kubernetes["path"] = draw(st.sampled_from(BRACES))
    environments["scattering"] = {**environments["scattering"], "title": "{title}", "kubernetes": kubernetes}
    flavours = {**parts["flavours"]}
    if draw(st.booleans()):
        flavours["small"] = {**flavours["small"], "kubernetes": {}}
    homes = draw(HOMES)
    return on_kubernetes(
        data=data, environments=environments, flavours=flavours, homes={"kubernetes": homes} if homes else {}
    )
