"""What Kubernetes says of a pod, in plain words. Pure: dicts as the API gives them.

Every sentence names the cause and who can do something; what Kubernetes said itself follows, shortened.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from visa import clock
from visa.hub.pods.manifest import CHECK, ENVIRONMENT, GATEWAY
from visa.hub.words import how_ended, shown
from visa.instances.model import InstanceSpec

Dict = dict[str, Any]

KEPT = "Your files are kept."
_PULL = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull", "RegistryUnavailable"})
_CONFIG = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
_NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
_KILLED = 137
_PORT_TAKEN = 98
"""A gateway's exit code (`visa.session.__main__`)."""
_GIVEN_UP = 7
"""Restarts of a gateway: the kubelet waits 10 s before the second, then twice as long each time, some five minutes."""
_WELL = 180.0
"""Seconds after which a gateway that lives counts as a good one: more than those for which it asks a hub in vain."""
_PREPARED = 3
_TOLD = (_KILLED, 143)
_SILENT = 30.0
_STAYS = 7.0
"""Seconds after which a fault that may pass by itself counts."""


@dataclass(frozen=True, slots=True)
class Cause:
    """``sentence`` says what is wrong, ``remedy`` who can do what. ``final``: waiting does not help."""

    sentence: str
    remedy: str
    final: bool = True

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}".strip()


@dataclass(frozen=True, slots=True)
class Ending:
    """``code``: for the hub's ``poll``; the cause for people. ``told``: it was told to end, perhaps by the cluster."""

    code: int
    sentence: str
    told: bool = False


def _status(pod: Dict) -> Dict:
    return pod.get("status") or {}


# while it starts


def start_trouble(
    pod: Dict, events: Iterable[Dict], age: float, spec: InstanceSpec, contact: str, patience: float = 0.0
) -> Cause | None:
    """Why the pod, ``age`` seconds old, does not start, or None while it may.

    ``patience``: seconds in which a node may still come (an autoscaler makes one).
    """
    status = _status(pod)
    checks = (
        _looked_for(status, contact),
        _scheduling(status, spec, contact, final=age >= patience),
        _waiting(status, contact),
        _never_ran(status, contact),
        _ended(pod),
        _silent(status, contact),
        _from_events(events, age, contact),
    )
    return next((cause for cause in checks if cause is not None), None)


def _scheduling(status: Dict, spec: InstanceSpec, contact: str, *, final: bool) -> Cause | None:
    for condition in status.get("conditions") or ():
        if condition.get("type") == "PodScheduled" and condition.get("status") == "False":
            if condition.get("reason") != "Unschedulable":
                return None
            cause = no_node(str(condition.get("message") or ""), spec, contact)
            return replace(cause, final=cause.final and final)
    return None


def no_node(message: str, spec: InstanceSpec, contact: str) -> Cause:
    """The scheduler's ``0/3 nodes are available: 2 Insufficient cpu, 1 node(s) had untolerated taint …``."""
    missing = re.search(r'persistentvolumeclaim "([^"]+)" (not found|is being deleted)', message)
    if missing:
        return Cause(f"The storage volume {shown(missing[1])!r} {missing[2]}.", f"An operator has to look: {contact}.")
    if "unbound immediate PersistentVolumeClaims" in message:
        return Cause("A storage volume is not ready yet.", f"If this stays so, ask {contact}.", final=False)
    asked = [f"{spec.resources.cpu:g} cores", f"{spec.resources.memory / 2**30:.3g} GiB of memory"]
    asked += [f"{spec.resources.gpu} GPU"] if spec.resources.gpu else []
    found = re.match(r"(\d{1,6})/(\d{1,6}) nodes are available: (.*)", message, re.DOTALL)
    if found is None:
        return Cause(f"No node has room for {', '.join(asked)}: {shown(message)}", "Choose a smaller flavour.")
    free = _reasons(found[3])
    sentence = f"No node has room for this flavour: it asks for {', '.join(asked)}; of {found[2]} nodes {free}."
    return Cause(sentence, f"Choose a smaller flavour, stop an instance, or ask {contact}.")


_ELSEWHERE = "away from the storage of your home or the data"
_TRANSLATED = (
    (r"Insufficient cpu", "too few cores free"),
    (r"Insufficient memory", "too little memory free"),
    (r"Insufficient ephemeral-storage", "too little scratch space free"),
    (r"Insufficient (\S+)", "too few {0} free"),
    (r"Too many pods", "no place for another instance"),
    (r"node\(s\) had untolerated taint\S* \{node\.kubernetes\.io/(?:not-ready|unreachable|network-).*", "not ready"),
    (r"node\(s\) had untolerated taint\S* \{node\.kubernetes\.io/\w+-pressure.*", "short of memory or disk themselves"),
    (r"node\(s\) had untolerated taint\S* \{node\.kubernetes\.io/unschedulable.*", "closed for maintenance"),
    (r"node\(s\) had untolerated taint.*", "reserved for others"),
    (r"node\(s\) didn't match Pod's node affinity/selector", "not of the kind that this flavour needs"),
    (r"node\(s\) were unschedulable", "closed for maintenance"),
    (r"node\(s\) (had volume node affinity conflict|didn't match PersistentVolume's node affinity)", _ELSEWHERE),
)


def _reasons(text: str) -> str:
    """``2 have too few cores free, 1 …``."""
    said = []
    for part in re.split(r",\s*(?=\d)|(?<=\w)\.\s", text.partition(" preemption:")[0].strip(" .")):
        found = re.match(r"(\d+) (.*?)\.?$", part.strip(), re.DOTALL)
        if found is None:
            continue
        words = shown(found[2])
        for pattern, translation in _TRANSLATED:
            matched = re.fullmatch(pattern, words)
            if matched:
                words = translation.format(*matched.groups())
                break
        said.append(f"{found[1]}: {words}")
    return shown("; ".join(said) or text)


def _waiting(status: Dict, contact: str) -> Cause | None:
    for container in [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]:
        waiting = (container.get("state") or {}).get("waiting") or {}
        reason, message = waiting.get("reason"), waiting.get("message")
        if reason in _PULL:
            what = "environment" if container.get("name") == ENVIRONMENT else "service"
            image = shown(container.get("image"))
            sentence = f"The image of the {what} cannot be had: {image} ({shown(message)})."
            return Cause(sentence, f"Choose another environment, or ask {contact}.")
        if reason in _CONFIG:
            return _not_made(str(message or ""), contact)
    return None


def _never_ran(status: Dict, contact: str) -> Cause | None:
    """Pods of one try show a container that could not be started as ended."""
    for _, ended in _terminated(status):
        if ended.get("reason") in _NEVER_RAN:
            return _not_made(str(ended.get("message") or ""), contact)
    return None


def _not_made(message: str, contact: str) -> Cause:
    folder = re.search(r"failed to (?:create subPath directory|prepare subPath) for volumeMount \"([^\"]+)\"", message)
    if folder:
        return no_home(contact) if folder[1] == "home" else no_folder("", contact)
    configuration = re.search(r'(configmap|secret) "([^"]+)" not found', message)
    if configuration:
        sentence = f"A part of the installation is missing: {configuration[1]} {shown(configuration[2])!r}."
        return Cause(sentence, f"An operator has to look: {contact}.")
    if "runAsNonRoot" in message:
        return Cause("The image wants to run as root, which is not allowed.", f"Ask {contact} for another image.")
    if re.search(r"exec(?:utable file)?.*(?:not found|no such file)", message):
        return Cause("The image has no /bin/sh, so it cannot be started.", f"Ask {contact} for another image.")
    return Cause(f"The instance cannot be made: {shown(message)}.", f"Ask {contact}.")


def no_folder(experiment: str, contact: str) -> Cause:
    """A data folder that is in the catalogue but not on the storage."""
    whose = f"experiment '{experiment}'" if experiment else "a chosen experiment"
    sentence = f"The data folder of {whose} is not there, or not yours to enter."
    return Cause(sentence, f"Ask {contact}: it may not have been made or may have been archived.")


def no_home(contact: str) -> Cause:
    """Home folders of a shared storage are made by whoever keeps accounts, not by us."""
    return Cause("Your home folder is not there, or not yours to enter.", f"Ask {contact} to have it made.")


def _looked_for(status: Dict, contact: str) -> Cause | None:
    """The look for folders said no, or a preparation of the operator's fails again and again."""
    for container in status.get("initContainerStatuses") or ():
        ended = _end_of(container) or {}
        if not ended.get("exitCode"):
            continue
        if container.get("name") == CHECK:
            return no_folder("", contact)
        if container.get("restartCount", 0) >= _PREPARED:
            what, how = shown(container.get("name")), how_ended(int(ended["exitCode"]))
            said = shown(ended.get("message"))
            sentence = f"A preparation of the instance fails ({what}, {how}){f': {said}' if said else ''}."
            return Cause(sentence, f"An operator has to look: {contact}.")
    return None


def _silent(status: Dict, contact: str) -> Cause | None:
    """Everything runs and the gateway says nothing: it is kept from the hub, or waits for the launcher's sign."""
    since = []
    for container in status.get("containerStatuses") or ():
        running = (container.get("state") or {}).get("running") or {}
        if not running.get("startedAt"):
            return None
        since.append(datetime.fromisoformat(running["startedAt"]))
    if len(since) < 2 or (clock.now() - max(since)).total_seconds() < _SILENT:
        return None
    return Cause(
        "The instance runs, but its gateway does not report to the hub.", f"An operator has to look: {contact}."
    )


def pulling(pod: Dict, events: Iterable[Dict]) -> bool:
    """Whether a node fetches an image for it now."""
    waits = any((c.get("state") or {}).get("waiting") for c in _status(pod).get("containerStatuses") or ())
    pulls = [event["reason"] for event in events if event.get("reason") in ("Pulling", "Pulled")]
    return waits and pulls[:1] == ["Pulling"]


_MOUNT = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_MOUNTED = frozenset({"Pulling", "Pulled", "Created", "Started"})


def _from_events(events: Iterable[Dict], age: float, contact: str) -> Cause | None:
    known = list(events)
    if any(event.get("reason") in _MOUNTED for event in known):
        return None  # what failed before worked in the end
    for event in known:
        message = str(event.get("message") or "")
        if event.get("reason") in _MOUNT:
            return _not_mounted(message, age, contact)
        if event.get("reason") == "FailedCreatePodSandBox":
            return Cause(f"The node cannot make the instance: {shown(message)}.", f"Ask {contact}.", final=False)
    return None


def _not_mounted(message: str, age: float, contact: str) -> Cause | None:
    """The kubelet tries again by itself, so most faults of a mount count only when they stay."""
    if "failed to sync" in message:  # it has only just heard of the pod
        return None
    if re.search(r"hostPath type check failed|No such file or directory", message):
        return no_folder("", contact)
    what = re.search(r'for volume "([^"]+)"', message)
    name = what[1] if what else ""
    part = {"home": "your home", "configuration": "the service's configuration"}.get(name, "storage")
    # A volume that another node still holds comes, but may take a minute or two.
    stays = age > _STAYS and "Multi-Attach" not in message
    final = stays or re.search(r'(configmap|secret) "[^"]+" not found|is not registered', message) is not None
    return Cause(f"A volume cannot be mounted ({part}): {shown(message)}.", f"Ask {contact}.", final=final)


def refused_by_api(status: int, body: str, contact: str) -> Cause:
    """Why the API server did not take the pod (or a claim)."""
    try:
        message = str(json.loads(body).get("message") or "")
    except (ValueError, AttributeError, RecursionError):
        message = body
    quota = re.search(r"exceeded quota: (\S+), requested: (.+?), used: (.+?), limited: (.+)", message)
    if quota:
        name, asked, used, limit = map(shown, quota.groups())
        sentence = f"The facility's space on the cluster is full ({name}): asked {asked}; used {used} of {limit}."
        return Cause(sentence, f"Stop an instance, wait until somebody else does, or ask {contact}.")
    if "violates PodSecurity" in message:
        return Cause(f"The cluster's rules do not allow this instance: {shown(message)}.", f"Ask {contact}.")
    if status == 403 and "is forbidden: User" in message:
        return Cause("The service may not start instances here.", f"An operator has to look at its rights: {contact}.")
    return Cause(f"The cluster does not take the instance ({status}): {shown(message)}.", f"Ask {contact}.")


# afterwards


def _end_of(container: Dict) -> Dict | None:
    """How a container ended, the first time that is known: it is started again at once."""
    for state in ("lastState", "state"):
        ended: Dict | None = (container.get(state) or {}).get("terminated")
        if ended:
            return ended
    return None


def _terminated(status: Dict) -> Iterable[tuple[str, Dict]]:
    for container in status.get("containerStatuses") or ():
        ended = _end_of(container)
        if ended is not None:
            yield str(container.get("name")), ended


def _ended(pod: Dict) -> Cause | None:
    """While it starts any end is one: also that of a gateway, which may never come up."""
    ending = ending_of(pod)
    if ending is None:
        for name, ended in _terminated(_status(pod)):
            ending = _gateway_ended(ended, "") if name == GATEWAY else ending
    return None if ending is None else Cause(ending.sentence, "")


def ending_of(pod: Dict) -> Ending | None:
    """How a pod ended, None while it runs.

    The kubelet starts all that ends again. For a gateway that is meant so, unless it cannot help. An environment waits
    then for the end of its pod (`launch`).
    """
    status = _status(pod)
    if status.get("reason") == "Evicted":
        return Ending(1, _put_out(status))
    for container in status.get("containerStatuses") or ():
        ended = _end_of(container)
        if container.get("name") == ENVIRONMENT and ended is not None:
            return _environment_ended(ended)
    for container in status.get("containerStatuses") or ():
        if container.get("name") == GATEWAY and (ending := _gateway_lost(container)) is not None:
            return ending
    if status.get("phase") in ("Failed", "Succeeded"):
        why = shown(status.get("message") or status.get("reason")) or "no reason is known"
        return Ending(1, f"The instance ended: {why}. {KEPT}")
    return None


def _gateway_lost(container: Dict) -> Ending | None:
    """A gateway that is given up."""
    ended = (container.get("state") or {}).get("terminated") or (container.get("lastState") or {}).get("terminated")
    if ended is None:
        return None
    if ended.get("exitCode") == _PORT_TAKEN:
        taken = "Another program in the instance has taken the gateway's port, so nobody could reach it any more."
        return Ending(_PORT_TAKEN, f"{taken} {KEPT}")
    waits = ((container.get("state") or {}).get("waiting") or {}).get("reason") == "CrashLoopBackOff"
    if waits and container.get("restartCount", 0) >= _GIVEN_UP and not _lived_well(ended):
        return _gateway_ended(ended, " again and again")
    return None


def _lived_well(ended: Mapping[str, Any]) -> bool:
    """The kubelet's count has the deaths of a whole pod's life in it."""
    try:
        began, over = (datetime.fromisoformat(str(ended[when])) for when in ("startedAt", "finishedAt"))
        return (over - began).total_seconds() >= _WELL
    except (KeyError, ValueError, TypeError):
        return False


def _gateway_ended(ended: Mapping[str, Any], times: str) -> Ending:
    code = int(ended.get("exitCode") or 1)
    said = shown(ended.get("message"))
    last = f"Last it said: {said} " if said else ""
    return Ending(code, f"The instance's gateway ended{times} ({how_ended(code)}). {last}{KEPT}")


def _evicted(status: Mapping[str, Any]) -> str:
    message = str(status.get("message") or "")
    if re.search(r'(?i)emptyDir volume "scratch" exceeds', message):
        return "its scratch space (/tmp) was full. Choose a flavour with more scratch space."
    if re.search("ephemeral local storage usage exceeds|exceeded its local ephemeral storage", message):
        return "it wrote more outside /tmp and its home than it may."
    return f"{shown(message).rstrip('. ') or 'no reason is known'}."


def _environment_ended(ended: Mapping[str, Any]) -> Ending:
    code = ended.get("exitCode")
    code = 1 if code is None else int(code)
    if ended.get("reason") == "OOMKilled":
        full = "The session ended because its memory was full. Choose a flavour with more memory."
        return Ending(code or _KILLED, f"{full} {KEPT}")
    said = shown(ended.get("message"))
    if code == 0:
        return Ending(0, f"The session was shut down from within. {KEPT}", told=True)
    last = f" Last it said: {said}" if said else ""
    return Ending(code, f"The session ended ({how_ended(code)}). {KEPT}{last}", told=code in _TOLD)


REMOVED = f"The instance was removed from the cluster, by an operator or because its node went away. {KEPT}"


def ending_by_cluster(ending: Ending, pod: Dict | None, events: Iterable[Dict]) -> Ending:
    """``ending``, or what the cluster had to do with it: ``pod`` as it is now, None when it is gone."""
    if pod is not None and _status(pod).get("reason") == "Evicted":
        return ending_of(pod) or ending
    for event in events:
        if event.get("reason") == "Evicted":
            return Ending(ending.code or 1, _put_out(event))
        if event.get("reason") in ("Preempted", "Preempting"):
            sentence = f"The instance had to make room for one of higher priority. {KEPT}"
            return Ending(ending.code or 1, sentence)
    if pod is None or pod["metadata"].get("deletionTimestamp"):
        return Ending(ending.code or 1, REMOVED)
    return ending


def _put_out(status: Mapping[str, Any]) -> str:
    return f"The node ran short and put the instance out: {_evicted(status)} {KEPT}"
