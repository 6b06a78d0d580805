"""The pod: who has the token, what it may do, and that nothing of a catalogue is ever a template."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.hub.pods.making import (
    BRACES,
    HUBS,
    PLAIN,
    SITE,
    TOKEN,
    base,
    container,
    facilities,
    mount,
    on_kubernetes,
    parts_of,
    pod,
    spec,
    specs,
    unrestricted,
    volume,
    with_flavour,
    with_storage,
)
from tests.services import cluster
from visa.facility.model import Facility
from visa.hub.pods import manifest
from visa.identifiers import EnvironmentId, ExperimentId, FlavourId, Username
from visa.instances.model import InstanceSpec, Resources

NAMES = st.one_of(
    st.sampled_from(["HOME", "PATH", "VISA_RUN", "JUPYTERHUB_API_TOKEN", "JUPYTERHUB_X", "JPY_API_TOKEN", "MINE"]),
    st.text("ABCDEFGHIJUPYTERHUB_", min_size=1, max_size=20),
)


def env(one: dict[str, Any]) -> dict[str, Any]:
    return {variable["name"]: variable.get("value") for variable in one["env"]}


# secrets


@given(facilities(), specs(), st.dictionaries(NAMES, st.text(max_size=10), max_size=6))
def test_the_environment_never_has_what_is_the_hubs(
    where: Facility, wanted: InstanceSpec, operators: dict[str, str]
) -> None:
    theirs = [{"name": name, "value": value} for name, value in {**HUBS, "JPY_API_TOKEN": TOKEN, **operators}.items()]
    made = pod(wanted, where, base=base(env=theirs), operators=frozenset(operators))
    inside = container(made, "environment")
    assert TOKEN not in json.dumps(inside)
    assert not [name for name in env(inside) if name.startswith(("JUPYTERHUB_", "JPY_"))]
    assert len(env(inside)) == len(inside["env"]), "each once"
    assert env(container(made, "gateway"))["JUPYTERHUB_API_TOKEN"] == TOKEN
    kept = {name for name in operators if not name.startswith(("JUPYTERHUB_", "JPY_"))}
    assert kept <= set(env(inside))
    assert env(inside)["VISA_RUN"] == "/run/visa", "ours win"


def test_what_the_operator_did_not_name_does_not_reach_the_environment() -> None:
    """JupyterHub adds variables of its own, today's and tomorrow's."""
    theirs = [*base()["spec"]["containers"][0]["env"], {"name": "MEM_LIMIT", "value": "1"}, {"name": "A", "value": "b"}]
    inside = env(container(pod(base=base(env=theirs), operators=frozenset({"A"})), "environment"))
    assert inside["A"] == "b"
    assert "MEM_LIMIT" not in inside


def test_a_facilitys_variables_reach_a_pod_as_they_are() -> None:
    made = pod(where=on_kubernetes(variables={"A": "$(HOME) {username} $B"}))
    assert env(container(made, "environment"))["A"] == "$$(HOME) {username} $B", "Kubernetes takes one $ away"


def test_neither_container_has_an_account_of_the_cluster() -> None:
    made = pod()["spec"]
    assert made["automountServiceAccountToken"] is False
    assert made["enableServiceLinks"] is False
    assert made["restartPolicy"] == "Always"


def test_what_a_gateway_keeps_is_its_own_and_the_next_ones() -> None:
    made = pod(base=base(volumeMounts=[{"name": "theirs", "mountPath": "/theirs"}]))
    (kept,) = [volume for volume in made["spec"]["volumes"] if volume["name"] == "kept"]
    assert kept["emptyDir"]["medium"] == "Memory", "logins are written to no disk"
    (mount,) = [one for one in container(made, "gateway")["volumeMounts"] if one["name"] == "kept"]
    assert env(container(made, "gateway"))["VISA_KEPT"] == mount["mountPath"] + "/kept"
    assert "kept" not in {one["name"] for one in container(made, "environment")["volumeMounts"]}
    assert env(container(made, "environment"))["VISA_ONCE"] == "1"


# what it may do


@given(facilities(), specs(), st.booleans())
def test_the_cluster_may_enforce_restricted(where: Facility, wanted: InstanceSpec, look: bool) -> None:
    parts = parts_of(wanted, where)
    made = pod(wanted, where, look_for=tuple(parts.data.looked_for) if look else ())
    assert unrestricted(made) == []
    for one in made["spec"]["containers"]:
        assert one["securityContext"]["runAsUser"] >= 1000
        assert one["securityContext"]["runAsGroup"] == wanted.identity.gid, "Jupyter's socket is for both"
    assert container(made, "environment")["securityContext"]["runAsUser"] == wanted.identity.uid
    assert container(made, "gateway")["securityContext"]["runAsUser"] == manifest.GATEWAY_ACCOUNT
    assert container(made, "gateway")["securityContext"]["readOnlyRootFilesystem"] is True
    assert made["spec"]["securityContext"]["supplementalGroups"] == list(wanted.identity.gids)


def test_the_operators_loose_security_does_not_count() -> None:
    theirs = base(securityContext={"privileged": True, "capabilities": {"add": ["SYS_ADMIN"]}, "runAsUser": 0})
    theirs["spec"]["securityContext"] = {
        "runAsNonRoot": False,
        "runAsUser": 0,
        "seccompProfile": {"type": "Unconfined"},
    }
    theirs["spec"]["automountServiceAccountToken"] = True
    made = pod(base=theirs)
    assert unrestricted(made) == []
    assert made["spec"]["automountServiceAccountToken"] is False


def test_the_rules_of_restricted_in_these_tests_find_what_is_forbidden() -> None:
    made = pod(spec(), with_storage("raw", nfs={"server": "n", "path": "/x"}))
    assert unrestricted(made) == ["volume nfs"]
    assert unrestricted(made, besides=frozenset({"nfs"})) == []
    made["spec"]["containers"][0]["securityContext"] = {}
    assert len(unrestricted(made)) >= 3


@given(facilities(), specs())
def test_everything_mounted_is_there_once_and_read_only_where_it_should(where: Facility, wanted: InstanceSpec) -> None:
    made = pod(wanted, where)
    names = [v["name"] for v in made["spec"]["volumes"]]
    assert len(set(names)) == len(names)
    mounts = container(made, "environment")["volumeMounts"]
    targets = [m["mountPath"] for m in mounts]
    assert len(set(targets)) == len(targets)
    assert {m["name"] for m in mounts} <= set(names)
    written = {m["mountPath"] for m in mounts if not m.get("readOnly")}
    shared = {m.target for m in wanted.mounts if not m.read_only}
    assert written == shared | {f"/home/{wanted.identity.username}", "/tmp", "/dev/shm", "/run/visa"}
    own = {"name": "kept", "mountPath": "/run/visa-gateway"}
    assert container(made, "gateway")["volumeMounts"] == [{"name": "run", "mountPath": "/run/visa"}, own]


def test_passwd_and_group_come_from_annotations_of_the_pod() -> None:
    made = pod()
    files, seen = volume(made, "/etc/passwd")
    assert seen["readOnly"]
    assert seen["subPath"] == "passwd"
    (item,) = [i for i in files["downwardAPI"]["items"] if i["path"] == "passwd"]
    assert item["fieldRef"]["fieldPath"] == "metadata.annotations['visa/passwd']"
    assert "marie:x:20001:20001:Marie Curie:/home/marie:/bin/bash\n" in made["metadata"]["annotations"]["visa/passwd"]
    assert "visa/group" in made["metadata"]["annotations"]


# names and labels

LABEL = re.compile(r"(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?")


@given(
    st.text("abcXYZ019._-", max_size=63).map(lambda text: ExperimentId("e" + text.replace("..", "._"))),
    PLAIN,
    PLAIN,
    specs(),
)
def test_labels_are_label_values_whatever_the_ids(
    experiment: ExperimentId, environment: str, flavour: str, wanted: InstanceSpec
) -> None:
    parts = cluster.parts()
    where = on_kubernetes(
        environments={environment: parts["environments"]["scattering"]}, flavours={flavour: parts["flavours"]["small"]}
    )
    wanted = replace(
        wanted,
        experiments=(experiment,),
        mounts=(),
        environment=EnvironmentId(environment),
        flavour=FlavourId(flavour),
    )
    meta = pod(wanted, where)["metadata"]
    for key, value in meta["labels"].items():
        assert len(value) <= 63, key
        assert LABEL.fullmatch(value), key
        assert type(value) is str, key
    assert re.fullmatch(r"[a-z0-9-]{1,63}", meta["name"])
    assert meta["annotations"]["visa/owner"] == wanted.identity.username
    assert json.loads(meta["annotations"]["visa/experiments"]) == [experiment]


def test_the_labels_by_which_the_watch_finds_it() -> None:
    labels = pod()["metadata"]["labels"]
    for pair in manifest.selector("visa").split(","):
        key, _, value = pair.partition("=")
        assert labels[key] == value
    assert labels["visa/experiment"] == "exp-1"
    assert labels["visa/instance"] == "0123456789abcdef"


def test_people_with_similar_names_have_different_labels() -> None:
    assert manifest.owner_hash("marie.c@x") != manifest.owner_hash("marie-c@x")
    theirs = base()
    theirs["metadata"]["labels"] = {"hub.jupyter.org/username": "marie-c"}
    labels = pod(base=theirs)["metadata"]["labels"]
    assert "hub.jupyter.org/username" not in labels


# templates


@pytest.mark.parametrize("text", BRACES)
def test_text_with_braces_passes_as_it_is(text: str) -> None:
    parts = cluster.parts()
    parts["environments"]["scattering"]["title"] = text
    parts["environments"]["scattering"]["kubernetes"] |= {"path": text}
    parts["data"]["raw"]["kubernetes"] = {"csi": {"driver": "d", "attributes": {text: text}}}
    identity = replace(spec().identity, name=text)
    made = pod(spec(identity=identity, mounts=(mount("raw", text),)), on_kubernetes(**parts))
    assert env(container(made, "environment"))["PATH"] == text.replace("$(", "$$("), "Kubernetes takes one $ away"
    found, seen = volume(made, "/data/exp-1")
    assert found["csi"]["volumeAttributes"] == {text: text}
    assert seen["subPath"] == text
    assert f":{text.replace(':', ' ')}:" in made["metadata"]["annotations"]["visa/passwd"]


# resources


@given(specs())
def test_requests_are_limits_so_that_nobody_slows_anybody(wanted: InstanceSpec) -> None:
    resources = container(pod(wanted, with_flavour()), "environment")["resources"]
    assert resources["requests"] == resources["limits"]
    assert resources["limits"]["memory"] == str(wanted.resources.memory)
    assert resources["limits"]["cpu"] == f"{round(1000 * wanted.resources.cpu)}m"
    assert ("nvidia.com/gpu" in resources["limits"]) is (wanted.resources.gpu > 0)


def test_what_is_reserved_is_less_where_the_facility_says_so() -> None:
    where = with_flavour(reserved={"cpu": "100m"}, gpu_resource="amd.com/gpu")
    made = pod(spec(resources=Resources(2.0, 2**30, 3, 0)), where)
    resources = container(made, "environment")["resources"]
    assert resources["limits"] == {"cpu": "2000m", "memory": str(2**30), "amd.com/gpu": "3"}
    assert resources["requests"] == {"cpu": "100m", "memory": str(2**30), "amd.com/gpu": "3"}


def test_operators_resources_stay_where_admission_decides_nothing() -> None:
    theirs = base(resources={"limits": {"hugepages-2Mi": "4Mi", "memory": "9Gi"}, "requests": {"memory": "8Gi"}})
    resources = container(pod(spec(), with_flavour(), base=theirs), "environment")["resources"]
    assert resources["limits"] == {"hugepages-2Mi": "4Mi", "memory": str(2**30), "cpu": "1000m"}
    assert resources["requests"] == resources["limits"]


def test_scratch_and_shared_memory_are_bounded() -> None:
    made = pod(spec(resources=Resources(1.0, 2**30, 0, 5 * 2**30)))
    assert volume(made, "/tmp")[0]["emptyDir"] == {"sizeLimit": str(5 * 2**30)}
    assert volume(made, "/dev/shm")[0]["emptyDir"] == {"medium": "Memory", "sizeLimit": str(2**29)}
    assert volume(made, "/run/visa")[0]["emptyDir"]["medium"] == "Memory"


# the operator's own


def test_what_the_operator_adds_stays() -> None:
    theirs = base(
        env=[{"name": "PROXY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        volumeMounts=[{"name": "licences", "mountPath": "/licences"}],
        livenessProbe={"exec": {"command": ["true"]}},
    )
    theirs["metadata"] |= {"labels": {"team": "x"}, "annotations": {"a": "b"}, "namespace": "n"}
    theirs["spec"] |= {
        "volumes": [{"name": "licences", "configMap": {"name": "licences"}}],
        "tolerations": [{"key": "theirs", "operator": "Exists"}],
        "nodeSelector": {"theirs": "1", "both": "theirs"},
        "imagePullSecrets": [{"name": "theirs"}],
        "initContainers": [{"name": "first"}],
        "affinity": {"nodeAffinity": {}},
        "serviceAccountName": "someone",
        "priorityClassName": "low",
        "securityContext": {"fsGroup": 7},
    }
    theirs["spec"]["containers"].append({"name": "sidecar"})
    parts = cluster.parts()
    parts["environments"]["scattering"]["kubernetes"] |= {"pull_secrets": ["ours"]}
    parts["flavours"]["small"]["kubernetes"] = {
        "node_selector": {"both": "ours"},
        "tolerations": [{"key": "gpu", "operator": "Equal", "value": "a40", "effect": "NoSchedule"}],
        "priority_class": "beamtime",
    }
    made = pod(spec(), on_kubernetes(**parts), base=theirs, operators=frozenset({"PROXY"}))
    inside, whole = container(made, "environment"), made["spec"]
    assert made["metadata"]["namespace"] == "n"
    assert made["metadata"]["labels"]["team"] == "x"
    assert made["metadata"]["annotations"]["a"] == "b"
    assert {"name": "PROXY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}} in inside["env"]
    assert {"name": "licences", "mountPath": "/licences"} in inside["volumeMounts"]
    assert inside["livenessProbe"]
    assert [c["name"] for c in whole["containers"]] == ["environment", "gateway", "sidecar"]
    assert [c["name"] for c in whole["initContainers"]] == ["first"]
    assert whole["volumes"][0]["name"] == "licences"
    assert whole["tolerations"] == [
        {"key": "theirs", "operator": "Exists"},
        {"key": "gpu", "operator": "Equal", "value": "a40", "effect": "NoSchedule"},
    ]
    assert whole["nodeSelector"] == {"theirs": "1", "both": "ours"}
    assert whole["imagePullSecrets"] == [{"name": "theirs"}, {"name": "ours"}]
    assert (whole["priorityClassName"], whole["serviceAccountName"]) == ("beamtime", "someone")
    assert whole["affinity"] == {"nodeAffinity": {}}
    assert whole["securityContext"]["fsGroup"] == 7


def test_ours_win_where_both_speak() -> None:
    theirs = base(command=["sleep"], ports=[{"containerPort": 8888}], resources={"limits": {"memory": "99Gi"}})
    theirs["metadata"]["labels"] = {"visa/instance": "another", "app.kubernetes.io/name": "x"}
    theirs["spec"] |= {"restartPolicy": "Never", "hostname": "x"}
    made = pod(base=theirs)
    inside = container(made, "environment")
    assert inside["command"] == ["/bin/sh", "/etc/visa/launch"]
    assert "args" not in inside
    assert "ports" not in inside
    assert made["metadata"]["labels"]["visa/instance"] == "0123456789abcdef"
    assert made["metadata"]["labels"]["app.kubernetes.io/name"] == "visa"
    assert made["spec"]["restartPolicy"] == "Always"
    assert made["metadata"]["name"] == "visa-0123456789abcdef"


def test_what_it_was_given_is_left_as_it_was() -> None:
    theirs = base()
    before = json.dumps(theirs)
    pod(base=theirs)
    assert json.dumps(theirs) == before


# folders that have to be there


def test_folders_that_the_hub_cannot_see_are_looked_for_as_the_person() -> None:
    looked = tuple(parts_of(spec()).data.looked_for)
    made = pod(look_for=looked)
    (first,) = made["spec"]["initContainers"]
    assert first["name"] == "look-for-folders"
    assert first["command"][-2:] == ["/look/data-0/facility/d22/2025/p1/exp-1", "/look/data-1/p1"]
    assert first["volumeMounts"] == [
        {"name": f"data-{number}", "mountPath": f"/look/data-{number}", "readOnly": True} for number in (0, 1)
    ]
    assert first["securityContext"]["runAsUser"] == 20001
    assert first["image"] == SITE.gateway_image
    assert pod()["spec"]["initContainers"] == []


def test_a_folder_is_an_argument_and_never_a_part_of_the_script() -> None:
    wanted = spec(mounts=(mount("shared", "$(touch x);'", read_only=False),))
    made = pod(wanted, look_for=tuple(parts_of(wanted).data.looked_for))
    shell, option, script, name, place = made["spec"]["initContainers"][0]["command"]
    assert (shell, option, name) == ("/bin/sh", "-c", "sh")
    assert place == "/look/data-1/$(touch x);'"
    assert "touch" not in script


# the rest


def test_groups_and_policies_of_the_pod() -> None:
    where = on_kubernetes(homes={"kubernetes": {"new_claim": {"size": "1Gi"}, "set_group": True}})
    made = pod(spec(), where)["spec"]["securityContext"]
    assert (made["fsGroup"], made["fsGroupChangePolicy"]) == (20001, "OnRootMismatch")
    assert made["supplementalGroupsPolicy"] == "Strict"
    plain = pod(site=replace(SITE, groups_policy=""))["spec"]["securityContext"]
    assert "fsGroup" not in plain
    assert "supplementalGroupsPolicy" not in plain


def test_a_digest_pins_the_image() -> None:
    image = on_kubernetes().environments[EnvironmentId("scattering")].kubernetes
    assert image is not None
    pinned = image.model_copy(update={"digest": f"sha256:{'0' * 64}"})
    assert manifest.environment_image(image) == image.image
    assert manifest.environment_image(pinned) == f"{image.image}@sha256:{'0' * 64}"


def test_the_gateway_knows_its_address_and_where_to_listen() -> None:
    gateway = container(pod(), "gateway")
    assert env(gateway)["VISA_LISTEN"] == "0.0.0.0:8888"
    (address,) = [v for v in gateway["env"] if v["name"] == "VISA_ADDRESS"]
    assert address["valueFrom"]["fieldRef"]["fieldPath"] == "status.podIP"
    assert gateway["resources"] == SITE.gateway_resources


def test_a_long_user_name_is_a_home_folder() -> None:
    identity = replace(spec().identity, username=Username("m+c@example.org"))
    found, seen = volume(pod(spec(identity=identity)), "/home/m+c@example.org")
    assert found["persistentVolumeClaim"] == {"claimName": "homes"}
    assert seen["subPath"] == "m+c@example.org"
