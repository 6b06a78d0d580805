"""The probe in a pod that is closed as an instance's is (visa/hub/pods/manifest.py), and deleted at the end."""

from __future__ import annotations

import asyncio
import json
import os
import secrets
from pathlib import Path
from typing import Any

from aiohttp import ClientError
from kubernetes_asyncio import client, config
from kubernetes_asyncio.client.exceptions import ApiException

from visa.cli.check_image.running import (
    HOME,
    PASSWD,
    PATIENCE,
    RUN,
    TMP,
    UID,
    VARIABLES,
    CannotRun,
    NoShell,
    Ran,
    arguments,
    is_about_the_shell,
)
from visa.clock import elapsed

_PULL = ("ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull")
_NOT_MADE = ("CreateContainerConfigError", "CreateContainerError", "RunContainerError")
_ENDED = ("Succeeded", "Failed")
CONTAINER = "environment"
_ANNOTATION = "visa/passwd"
_NAMESPACE_FILE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


def run(image: str, namespace: str | None, pull_secret: str | None) -> Ran:
    """The probe in the image; raise `CannotRun` or `NoShell`."""
    return asyncio.run(_run(image, namespace, pull_secret))


def manifest(image: str, name: str, pull_secret: str | None) -> dict[str, Any]:
    """The pod."""
    folders = {"tmp": TMP, "run": RUN, "home": HOME}
    container = {
        "name": CONTAINER,
        "image": image,
        "imagePullPolicy": "IfNotPresent",
        "command": ["/bin/sh", *arguments()],
        "env": [{"name": key, "value": value} for key, value in VARIABLES.items()],
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}, "limits": {"cpu": "2", "memory": "2Gi"}},
        "volumeMounts": [
            *({"name": key, "mountPath": place} for key, place in folders.items()),
            {"name": "account", "mountPath": "/etc/passwd", "subPath": "passwd", "readOnly": True},
        ],
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        },
    }
    passwd = {"path": "passwd", "fieldRef": {"fieldPath": f"metadata.annotations['{_ANNOTATION}']"}}
    account = {"runAsNonRoot": True, "runAsUser": UID, "runAsGroup": UID, "fsGroup": UID}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "labels": {"app.kubernetes.io/name": "visa-check-image"},
            "annotations": {_ANNOTATION: PASSWD},
        },
        "spec": {
            "containers": [container],
            "volumes": [
                *({"name": key, "emptyDir": {}} for key in folders),
                {"name": "account", "downwardAPI": {"defaultMode": 0o444, "items": [passwd]}},
            ],
            "securityContext": {**account, "seccompProfile": {"type": "RuntimeDefault"}},
            "imagePullSecrets": [{"name": pull_secret}] if pull_secret else [],
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            # Ends it even where this program cannot.
            "activeDeadlineSeconds": int(2 * PATIENCE),
        },
    }


async def _run(image: str, namespace: str | None, pull_secret: str | None) -> Ran:
    current = await _connect()
    wanted = namespace or current
    async with client.ApiClient() as api:
        pods = client.CoreV1Api(api)
        name = f"visa-check-{secrets.token_hex(4)}"
        try:
            # Bounded, since an address that nobody answers at would hold it up for minutes.
            await pods.create_namespaced_pod(wanted, manifest(image, name, pull_secret), _request_timeout=20)
        except ApiException as error:
            raise CannotRun(f"no pod can be made in namespace {wanted}: {_message(error)}") from error
        except (ClientError, TimeoutError, OSError) as error:
            host = api.configuration.host
            wrong = f"the cluster at {host} does not answer ({error or type(error).__name__})"
            raise CannotRun(f"{wrong}; check KUBECONFIG and the current context") from error
        try:
            await _until_ended(pods, wanted, name, image)
            output: str = await pods.read_namespaced_pod_log(name, wanted, container=CONTAINER)
            return _judged(output, image)
        finally:
            await asyncio.shield(_delete(pods, wanted, name))


def _own_namespace() -> str | None:
    """Of the pod that this runs in; None outside a cluster."""
    try:
        config.load_incluster_config()
    except config.ConfigException:
        return None
    return _NAMESPACE_FILE.read_text().strip()


async def _connect() -> str:
    """Set the client up, from the pod that this runs in or from KUBECONFIG; the current namespace."""
    if own := _own_namespace():
        return own
    file = os.environ.get("KUBECONFIG") or None
    try:
        await config.load_kube_config(config_file=file)
        _, current = config.list_kube_config_contexts(config_file=file)
    except (config.ConfigException, OSError) as error:
        raise CannotRun(f"no cluster is configured: {error}; set KUBECONFIG") from error
    return str(current["context"].get("namespace", "default"))


def _message(error: ApiException) -> str:
    try:
        return str(json.loads(error.body or "{}")["message"])
    except (TypeError, ValueError, KeyError):
        return f"{error.status} {error.reason}"


async def _until_ended(pods: client.CoreV1Api, namespace: str, name: str, image: str) -> None:
    """Wait; raise what keeps it from running."""
    end = elapsed() + 2 * PATIENCE
    wrong = ""
    while elapsed() < end:
        pod = await pods.read_namespaced_pod(name, namespace)
        if pod.status.phase in _ENDED:
            return
        for status in pod.status.container_statuses or []:
            waiting = status.state.waiting
            if waiting is not None and waiting.reason in _PULL:
                right = "check the name, and give --pull-secret for a registry that asks for a login"
                raise CannotRun(f"the node cannot pull {image}: {waiting.message or waiting.reason}; {right}")
            if waiting is not None and waiting.reason in _NOT_MADE:
                _raise_not_made(image, waiting.message or waiting.reason)
        wrong = next((c.message for c in pod.status.conditions or [] if c.status == "False" and c.message), wrong)
        await asyncio.sleep(0.5)
    raise CannotRun(f"the pod did not come to an end within {2 * PATIENCE:.0f} s: {wrong or 'it ran all the time'}")


def _raise_not_made(image: str, wrong: str) -> None:
    if is_about_the_shell(wrong):
        raise NoShell
    raise CannotRun(f"{image} cannot be run: {wrong}")


def _judged(output: str, image: str) -> Ran:
    if "fact begin" in output:
        return Ran(output, True)
    if not output.strip() or is_about_the_shell(output):
        raise NoShell
    raise CannotRun(f"{image} ended before it began: {output[-300:]}")


async def _delete(pods: client.CoreV1Api, namespace: str, name: str) -> None:
    try:
        await pods.delete_namespaced_pod(name, namespace, grace_period_seconds=0)
    except ApiException as error:
        if error.status != 404:
            raise CannotRun(f"pod {name} could not be deleted: {_message(error)}; delete it yourself") from error
