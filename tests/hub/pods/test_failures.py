"""What Kubernetes says, as it really says it, and what a person reads of it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.hub.pods.making import spec
from visa.hub.pods import failures
from visa.instances.model import Resources

CONTACT = "help@example.org"
SPEC = spec()
Pod = dict[str, Any]


def pod(**status: Any) -> Pod:
    return {"metadata": {"name": "visa-1", "uid": "u"}, "spec": {}, "status": status}


def waiting(reason: str, message: str = "", name: str = "environment", **more: Any) -> Pod:
    state = {"waiting": {"reason": reason, "message": message}}
    return pod(phase="Pending", containerStatuses=[{"name": name, "image": "scattering:1", "state": state, **more}])


def unschedulable(message: str, reason: str = "Unschedulable") -> Pod:
    condition = {"type": "PodScheduled", "status": "False", "reason": reason, "message": message}
    return pod(phase="Pending", conditions=[condition])


def ended(name: str = "environment", **terminated: Any) -> Pod:
    return pod(phase="Running", containerStatuses=[{"name": name, "state": {"terminated": terminated}}])


def readable(text: str) -> bool:
    return text.isprintable() and len(text) < 1500


def trouble(made: Pod, *events: dict[str, Any], age: float = 3.0) -> failures.Cause | None:
    return failures.start_trouble(made, events, age, SPEC, CONTACT)


def certain(made: Pod, *events: dict[str, Any], age: float = 3.0) -> failures.Cause:
    cause = trouble(made, *events, age=age)
    assert cause is not None
    return cause


def event(reason: str, message: str = "") -> dict[str, Any]:
    return {"reason": reason, "message": message, "lastTimestamp": "2026-11-25T01:00:00Z"}


# no node

AFTER = "preemption: 0/5 nodes are available: 5 No preemption victims found for incoming pod."


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (f"0/1 nodes are available: 1 Insufficient cpu. {AFTER}", ["of 1 nodes 1: too few cores free."]),
        (
            "0/5 nodes are available: 1 Insufficient cpu, 2 Insufficient memory, 2 node(s) had untolerated taint "
            f"{{node-role.kubernetes.io/control-plane: }}. {AFTER}",
            ["of 5 nodes 1: too few cores free; 2: too little memory free; 2: reserved for others."],
        ),
        (
            f"0/1 nodes are available: 1 Insufficient nvidia.com/gpu. no new claims to deallocate, {AFTER}",
            ["1: too few nvidia.com/gpu free."],
        ),
        (
            "0/3 nodes are available: 1 node(s) were unschedulable, 2 node(s) didn't match Pod's node "
            f"affinity/selector. no new claims to deallocate, {AFTER}",
            ["1: closed for maintenance; 2: not of the kind that this flavour needs."],
        ),
        (
            "0/2 nodes are available: 1 Too many pods, 1 node(s) had volume node affinity conflict. "
            "preemption: 0/2 nodes are available: 2 Preemption is not helpful for scheduling.",
            ["1: no place for another instance; 1: away from the storage of your home"],
        ),
        ("0/1 nodes are available: 1 Insufficient ephemeral-storage.", ["1: too little scratch space free."]),
        ("0/1 nodes are available: 1 node(s) had untolerated taint {gpu: a, b}.", ["1: reserved for others."]),
        (
            "0/2 nodes are available: 1 node(s) had untolerated taint {node.kubernetes.io/not-ready: }, 1 node(s) had "
            "untolerated taint {node.kubernetes.io/disk-pressure: }.",
            ["1: not ready; 1: short of memory or disk themselves."],
        ),
        ("0/1 nodes are available: 1 something quite new.", ["1: something quite new."]),
        ("0/0 nodes are available: .", ["of 0 nodes"]),
        ("no nodes available to schedule pods", ["no nodes available to schedule pods", "smaller flavour"]),
    ],
)
def test_the_scheduler_finds_no_node(message: str, said: list[str]) -> None:
    cause = certain(unschedulable(message))
    assert cause.final
    for part in said:
        assert part in str(cause)
    assert "1 cores, 1 GiB of memory" in cause.sentence
    assert "preemption" not in cause.sentence
    assert "claims to deallocate" not in cause.sentence


def test_what_the_flavour_asks_for_is_said_with_its_gpus() -> None:
    wanted = spec(resources=Resources(0.5, 3 * 2**29, 2, 0))
    cause = failures.no_node("0/1 nodes are available: 1 Insufficient nvidia.com/gpu.", wanted, CONTACT)
    assert "0.5 cores, 1.5 GiB of memory, 2 GPU" in cause.sentence
    assert CONTACT in cause.remedy


@pytest.mark.parametrize(("what", "final"), [("not found", True), ("is being deleted", True)])
def test_a_claim_that_is_missing(what: str, final: bool) -> None:
    message = f'0/1 nodes are available: 1 persistentvolumeclaim "raw-data" {what}. {AFTER}'
    cause = certain(unschedulable(message))
    assert cause.sentence == f"The storage volume 'raw-data' {what}."
    assert cause.final is final


def test_a_claim_that_is_being_made_is_waited_for() -> None:
    cause = certain(unschedulable("0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims."))
    assert not cause.final


def test_a_pod_that_was_not_looked_at_yet_has_no_trouble() -> None:
    assert trouble(pod(phase="Pending")) is None
    assert trouble(unschedulable("gated", reason="SchedulingGated")) is None
    assert trouble(waiting("ContainerCreating")) is None
    assert trouble(waiting("PodInitializing")) is None


# images


@pytest.mark.parametrize(
    ("reason", "message"),
    [
        ("ImagePullBackOff", 'Back-off pulling image "scattering:1"'),
        (
            "ErrImagePull",
            'failed to pull and unpack image "scattering:1": failed to resolve reference "scattering:1": not found',
        ),
        ("ErrImageNeverPull", 'Container image "scattering:1" is not present with pull policy of Never'),
        ("InvalidImageName", 'Failed to apply default image tag "x y": couldn\'t parse image reference'),
        ("RegistryUnavailable", "dial tcp 10.0.0.1:443: connect: connection refused"),
    ],
)
def test_an_image_that_cannot_be_had(reason: str, message: str) -> None:
    cause = certain(waiting(reason, message))
    assert cause.sentence == f"The image of the environment cannot be had: scattering:1 ({message})."
    assert cause.remedy == f"Choose another environment, or ask {CONTACT}."
    assert "of the service" in certain(waiting(reason, message, name="gateway")).sentence


def test_a_pull_is_told_while_it_lasts() -> None:
    made = waiting("ContainerCreating")
    assert failures.pulling(made, [event("Pulling"), event("Scheduled")])
    assert not failures.pulling(made, [event("Pulled"), event("Pulling")])
    assert not failures.pulling(pod(), [event("Pulling")])
    assert not failures.pulling(made, [])


# containers that cannot be made


@pytest.mark.parametrize(
    ("reason", "message", "said"),
    [
        (
            "CreateContainerConfigError",
            'failed to prepare subPath for volumeMount "data-0" of container "environment"',
            "The data folder of a chosen experiment is not there",
        ),
        (
            "CreateContainerConfigError",
            'failed to create subPath directory for volumeMount "data-0" of container "environment"',
            "The data folder of a chosen experiment is not there",
        ),
        (
            "CreateContainerConfigError",
            'configmap "visa-environment" not found',
            "A part of the installation is missing: configmap 'visa-environment'.",
        ),
        ("CreateContainerConfigError", 'secret "licence" not found', "missing: secret 'licence'."),
        (
            "CreateContainerConfigError",
            'container has runAsNonRoot and image will run as root (pod: "visa-1_visa(8d)", container: environment)',
            "The image wants to run as root, which is not allowed.",
        ),
        (
            "RunContainerError",
            "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create "
            'failed: unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory',
            "The image has no /bin/sh",
        ),
        (
            "CreateContainerError",
            "container create failed: executable file `/bin/sh` not found in $PATH: No such file or directory",
            "The image has no /bin/sh",
        ),
        ("CreateContainerError", "something quite new", "The instance cannot be made: something quite new."),
    ],
)
def test_a_container_that_cannot_be_made(reason: str, message: str, said: str) -> None:
    cause = certain(waiting(reason, message))
    assert said in cause.sentence
    assert cause.final
    assert CONTACT in cause.remedy


def test_an_image_without_a_shell_ends_at_once_with_restarts_forbidden() -> None:
    message = (
        "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
        'unable to start container process: exec: "/bin/sh": stat /bin/sh: no such file or directory: unknown'
    )
    made = ended(exitCode=128, reason="StartError", message=message)
    assert certain(made).sentence.startswith("The image has no /bin/sh, so it cannot be started.")


def test_a_folder_that_was_looked_for_and_is_not_there() -> None:
    state = {"terminated": {"exitCode": 3, "reason": "Error", "message": "/look/data-1/p1"}}
    cause = certain(pod(initContainerStatuses=[{"name": "look-for-folders", "state": state}]))
    assert cause.sentence.startswith("The data folder of a chosen experiment is not there")
    state["terminated"] = {"exitCode": 0, "reason": "Completed"}
    assert trouble(pod(initContainerStatuses=[{"name": "look-for-folders", "state": state}])) is None


# mounts

NFS = (
    'MountVolume.SetUp failed for volume "data-0-0" : mount failed: exit status 32\nMounting command: mount\n'
    "Output: mount.nfs: Connection timed out"
)


def test_a_mount_that_fails_counts_when_it_stays() -> None:
    assert not certain(pod(), event("FailedMount", NFS), age=2).final
    cause = certain(pod(), event("FailedMount", NFS), age=30)
    assert cause.final
    assert "Connection timed out" in cause.sentence
    assert "(storage)" in cause.sentence


@pytest.mark.parametrize("after", ["Pulling", "Pulled", "Created", "Started"])
def test_a_mount_that_failed_once_and_then_worked_is_no_trouble(after: str) -> None:
    """Volumes are mounted before anything is pulled: an old event must not end a start that goes on."""
    events = [event(after), event("FailedMount", NFS), event("Scheduled")]
    assert trouble(waiting("ContainerCreating"), *events, age=60) is None
    assert trouble(waiting("ContainerCreating"), *reversed(events), age=60) is None, "seconds are all they have"


@pytest.mark.parametrize(
    ("message", "said"),
    [
        ('MountVolume.SetUp failed for volume "home" : stale NFS file handle', "(your home)"),
        (
            'MountVolume.SetUp failed for volume "configuration" : configmap "visa-environment" not found',
            "the service's configuration",
        ),
        (
            'MountVolume.MountDevice failed for volume "pvc-1" : driver name d.example.org not found in the list: '
            "kubernetes.io/csi: driver d.example.org is not registered",
            "is not registered",
        ),
        ('MountVolume.SetUp failed for volume "data-0" : hostPath type check failed: /x is not a directory', "folder"),
        ('MountVolume.SetUp failed for volume "data-0" : mount.nfs: mounting n:/x failed, reason given by server: '
         "No such file or directory", "The data folder of"),
    ],
)  # fmt: skip
def test_what_cannot_be_mounted_is_named(message: str, said: str) -> None:
    assert said in certain(pod(), event("FailedMount", message), age=30).sentence


def test_what_the_kubelet_has_not_heard_of_yet_is_no_trouble() -> None:
    message = 'MountVolume.SetUp failed for volume "configuration" : failed to sync configmap cache: timed out'
    assert trouble(pod(), event("FailedMount", message), age=60) is None


@pytest.mark.parametrize("message", ['configmap "visa-environment" not found', "driver d is not registered"])
def test_what_will_not_come_is_told_at_once(message: str) -> None:
    assert certain(pod(), event("FailedMount", message), age=1).final


def test_a_home_that_another_node_still_holds_is_waited_for() -> None:
    message = (
        'Multi-Attach error for volume "pvc-1" Volume is already exclusively attached to one node and can\'t be '
        "attached to another"
    )
    cause = certain(pod(), event("FailedAttachVolume", message), age=30)
    assert not cause.final
    assert "Multi-Attach" in cause.sentence


def test_a_node_that_cannot_make_a_sandbox_tries_again() -> None:
    message = 'Failed to create pod sandbox: plugin type="cilium-cni" failed (add): no IPs'
    assert not certain(pod(), event("FailedCreatePodSandBox", message), age=60).final


# ends


@pytest.mark.parametrize(
    ("message", "said"),
    [
        (
            'Usage of EmptyDir volume "scratch" exceeds the limit "20Mi". ',
            "its scratch space (/tmp) was full. Choose a flavour with more scratch space.",
        ),
        (
            "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
            "it wrote more outside /tmp and its home than it may.",
        ),
        (
            'Container environment exceeded its local ephemeral storage limit "1Gi". ',
            "it wrote more outside /tmp and its home than it may.",
        ),
        (
            "The node was low on resource: memory. Threshold quantity: 100Mi, available: 80Mi. Container environment "
            "was using 2Gi, request is 1Gi, has larger consumption of memory. ",
            "larger consumption of memory. Your files",
        ),
        (
            "The node was low on resource: ephemeral-storage. Container environment was using 2Gi, which exceeds its "
            "request of 0. ",
            "The node was low on resource: ephemeral-storage.",
        ),
        ("", "no reason is known"),
    ],
)
def test_put_out_by_the_node(message: str, said: str) -> None:
    ending = failures.ending_of(pod(phase="Failed", reason="Evicted", message=message))
    assert ending is not None
    assert said in ending.sentence
    assert ".." not in ending.sentence
    assert ending.sentence.endswith("Your files are kept.")
    assert ending.code


def test_full_memory() -> None:
    ending = failures.ending_of(ended(exitCode=137, reason="OOMKilled"))
    assert ending is not None
    assert "its memory was full" in ending.sentence
    assert not ending.told, "nobody has to be asked who did it"


@pytest.mark.parametrize(
    ("code", "said", "told"),
    [
        (0, "was shut down from within", True),
        (1, "exit code 1", False),
        (137, "by signal SIGKILL", True),
        (143, "by signal SIGTERM", True),
        (139, "by signal SIGSEGV", False),
        (255, "exit code 255", False),
    ],
)
def test_how_a_session_ended(code: int, said: str, told: bool) -> None:
    ending = failures.ending_of(ended(exitCode=code, message="the last\nline"))
    assert ending is not None
    assert said in ending.sentence
    assert ("the last line" in ending.sentence) is (code != 0)
    assert (ending.code, ending.told) == (code, told)


def test_the_session_is_blamed_before_the_gateway() -> None:
    states = [
        {"name": "gateway", "state": {"terminated": {"exitCode": 143}}},
        {"name": "environment", "state": {"terminated": {"exitCode": 1, "reason": "OOMKilled"}}},
    ]
    ending = failures.ending_of(pod(containerStatuses=states))
    assert ending is not None
    assert "memory was full" in ending.sentence


def test_a_pod_that_the_kubelet_rejected() -> None:
    ending = failures.ending_of(pod(phase="Failed", reason="OutOfcpu", message="Pod was rejected: no cpu"))
    assert ending is not None
    assert ending.sentence == "The instance ended: Pod was rejected: no cpu. Your files are kept."


def test_a_pod_that_runs_has_no_end() -> None:
    states = [{"name": name, "state": {"running": {}}} for name in ("environment", "gateway")]
    assert failures.ending_of(pod(phase="Running", containerStatuses=states)) is None
    assert failures.ending_of(pod(phase="Unknown")) is None


TOLD = failures.Ending(143, "The session ended (by signal SIGTERM).", told=True)


def test_what_the_cluster_had_to_do_with_it() -> None:
    put_out = event("Evicted", 'Usage of EmptyDir volume "scratch" exceeds the limit "20Mi". ')
    assert "scratch space" in failures.ending_by_cluster(TOLD, None, [put_out]).sentence
    evicted = pod(phase="Failed", reason="Evicted", message=put_out["message"])
    assert "scratch space" in failures.ending_by_cluster(TOLD, evicted, []).sentence
    assert "higher priority" in failures.ending_by_cluster(TOLD, None, [event("Preempted")]).sentence
    assert failures.ending_by_cluster(TOLD, None, []).sentence == failures.REMOVED
    going = {**pod(), "metadata": {"deletionTimestamp": "2026-11-25T01:00:00Z"}}
    assert failures.ending_by_cluster(TOLD, going, []).sentence == failures.REMOVED
    assert failures.ending_by_cluster(TOLD, pod(phase="Running"), [event("Started")]) is TOLD


# refused by the API server


def status(message: Any, code: int = 403) -> str:
    return json.dumps({"kind": "Status", "status": "Failure", "message": message, "reason": "Forbidden", "code": code})


def test_the_quota_of_the_namespace() -> None:
    message = (
        'pods "visa-1" is forbidden: exceeded quota: small, requested: cpu=1,limits.memory=1Gi, used: cpu=7,'
        "limits.memory=600Mi, limited: cpu=8,limits.memory=1Gi"
    )
    cause = failures.refused_by_api(403, status(message), CONTACT)
    assert cause.sentence == (
        "The facility's space on the cluster is full (small): asked cpu=1,limits.memory=1Gi; used cpu=7,"
        "limits.memory=600Mi of cpu=8,limits.memory=1Gi."
    )


def test_pod_security() -> None:
    message = (
        'pods "visa-1" is forbidden: violates PodSecurity "restricted:latest": restricted volume types (volume "data-0"'
        ' uses restricted volume type "nfs")'
    )
    cause = failures.refused_by_api(403, status(message), CONTACT)
    assert cause.sentence.startswith("The cluster's rules do not allow this instance:")
    assert 'volume type "nfs"' in cause.sentence


def test_rights_of_the_service() -> None:
    message = (
        'pods is forbidden: User "system:serviceaccount:visa:hub" cannot create resource "pods" in API group "" in the '
        'namespace "visa"'
    )
    cause = failures.refused_by_api(403, status(message), CONTACT)
    assert cause.sentence == "The service may not start instances here."


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("<html>502 Bad Gateway</html>", "<html>502 Bad Gateway</html>"),
        (status("failed quota: small: must specify limits.cpu"), "must specify limits.cpu"),
        ("null", ""),
        ("[]", ""),
        ("", ""),
        (status(None), ""),
        ("[" * 100_000, "[["),
        ("\x1b[31m\x00", "[31m"),
    ],
)
def test_any_other_answer_is_shown_with_its_number(body: str, said: str) -> None:
    cause = failures.refused_by_api(500, body, CONTACT)
    assert cause.sentence.startswith("The cluster does not take the instance (500)")
    assert said in cause.sentence
    assert "None" not in cause.sentence
    assert readable(str(cause))
