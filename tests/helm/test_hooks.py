"""What runs before a release is there: facility.yaml is read, images are pulled; what that needs comes first."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.helm.conftest import Object, minimal, one, rendered

PRIORITY: Object = {"scheduling": {"podPriority": {"enabled": True}}}
PULL_SECRET: Object = {
    "imagePullSecret": {"create": True, "registry": "registry.example.org", "username": "u", "password": "p"}
}


def hooks(objects: list[Object]) -> list[Object]:
    """As helm runs them: by weight."""
    found = [o for o in objects if "helm.sh/hook" in (o["metadata"].get("annotations") or {})]
    return sorted(found, key=lambda o: int(o["metadata"]["annotations"]["helm.sh/hook-weight"]))


def pod_of(found: Object) -> Object:
    """The pod of a workload."""
    return dict(found["spec"]["template"]["spec"])


def test_the_new_facility_yaml_is_read_before_anything_else_and_by_the_hubs_own_code() -> None:
    objects = rendered(minimal(**PRIORITY, **PULL_SECRET))
    run = [o["kind"] for o in hooks(objects) if o["kind"] in ("Job", "DaemonSet")]
    assert run[0] == "Job", "before the puller, which may take minutes"
    job = one(objects, "Job", "visa-check")
    annotations = job["metadata"]["annotations"]
    assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
    assert annotations["helm.sh/hook-output-log-policy"] == "hook-failed", "helm prints what it says"
    assert "hook-failed" not in annotations["helm.sh/hook-delete-policy"], "its log can be read"
    (container,) = pod_of(job)["containers"]
    hub = pod_of(one(objects, "Deployment", "visa-hub"))["containers"][0]
    assert container["image"] == hub["image"]
    assert container["args"][-2:] == ["check", "/etc/visa/facility/facility.yaml"]
    read, now = one(objects, "ConfigMap", "visa-check"), one(objects, "ConfigMap", "visa-facility")
    assert read["data"] == now["data"], "the same files at the same place"
    mounts = {mount["mountPath"] for mount in hub["volumeMounts"]}
    assert {mount["mountPath"] for mount in container["volumeMounts"]} <= mounts


def test_it_reads_what_the_hub_reads_of_the_environment() -> None:
    extra = {"hub": {"extraEnv": {"CATALOGUE_PASSWORD": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}}}}
    job = one(rendered(minimal(**extra)), "Job", "visa-check")
    assert "CATALOGUE_PASSWORD" in {entry["name"] for entry in pod_of(job)["containers"][0]["env"]}


@pytest.mark.parametrize("over", [{}, PRIORITY, PULL_SECRET, {**PRIORITY, **PULL_SECRET}], ids=str)
def test_a_hook_needs_nothing_that_comes_with_the_release(over: Object) -> None:
    objects = rendered(minimal(**over))
    there: set[tuple[str, str]] = set()
    for found in hooks(objects):
        there.add((found["kind"], found["metadata"]["name"]))
        if found["kind"] in ("Job", "DaemonSet"):
            pod = pod_of(found)
            assert ({"name": "visa-image-pull-hook"} in pod.get("imagePullSecrets", ())) == ("imagePullSecret" in over)
            missing = needs(pod) - there
            assert not missing, f"{found['metadata']['name']} comes before {missing}"
        policy = found["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
        assert policy == "before-hook-creation,hook-succeeded", "nothing of it is left, and it may run again"


def needs(pod: Object) -> set[tuple[str, str]]:
    """Objects of this release without which a pod does not run, or pulls nothing."""
    found: set[tuple[str, str]] = set()
    if pod.get("priorityClassName"):
        found.add(("PriorityClass", pod["priorityClassName"]))
    if pod.get("serviceAccountName"):
        found.add(("ServiceAccount", pod["serviceAccountName"]))
    for volume in pod.get("volumes", ()):
        if "configMap" in volume:
            found.add(("ConfigMap", volume["configMap"]["name"]))
    if {"name": "visa-image-pull-hook"} in pod.get("imagePullSecrets", ()):
        found.add(("Secret", "visa-image-pull-hook"))
    return found


def test_without_the_check_nothing_of_it_is_there() -> None:
    objects = rendered(minimal(check={"enabled": False}))
    assert not [o for o in objects if o["metadata"]["name"].endswith("-check")]


def test_the_secret_for_hooks_is_that_of_the_release() -> None:
    objects = rendered(minimal(**PULL_SECRET))
    names: list[Any] = ["visa-image-pull", "visa-image-pull-hook"]
    first, second = (one(objects, "Secret", name)["data"] for name in names)
    assert first == second
    assert yaml.safe_dump(first)
