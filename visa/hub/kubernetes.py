"""`VisaKubeSpawner`: instances as pods. What a pod is stands in `visa.hub.pods`."""

from __future__ import annotations

import asyncio
import json
import logging
import weakref
from collections.abc import Iterable
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

from jupyterhub.utils import maybe_future
from kubernetes_asyncio.client.exceptions import ApiException
from kubespawner import KubeSpawner
from traitlets import Enum, Float, List, Unicode, default

from visa import clock
from visa.hub.admitted import AdmittedSpawner, StartFailed
from visa.hub.pods import failures, folders, manifest, volumes
from visa.hub.pods.certificates import Authority, BadAuthority
from visa.hub.pods.cluster import Cluster, NoAnswer
from visa.hub.pods.watch import PodWatch
from visa.hub.settings import HubSettings
from visa.instances.model import InstanceSpec

log = logging.getLogger(__name__)

_LOADED = 20.0
"""Seconds that the API server may take to list the instances."""
_LOOK = 2.0
"""Seconds between two looks at the events of a pod that is slow to start."""
_STORAGE = 10.0
_SETTLES = 1.5
"""Seconds in which the cluster says why it ended a pod."""
_STEPS = {
    "PodScheduled": ("A node was found; preparing your home and the experiment's data", 0.45),
    "Initialized": ("Starting the session", 0.6),
}


class VisaKubeSpawner(AdmittedSpawner, KubeSpawner):  # type: ignore[misc]
    """A pod with a gateway and the facility's environment.

    KubeSpawner's own settings count as far as admission does not decide: what the operator adds (labels,
    node affinity, extra volumes, containers) stays; image, resources, mounts and identity are admission's.
    """

    release = Unicode("visa", config=True, help="Name of the Helm release; keeps apart two hubs in one namespace.")
    gateway_image = Unicode("localhost/visa/gateway:dev", config=True, help="Image of the gateway's container.")
    gateway_image_pull_policy = Enum(["IfNotPresent", "Always", "Never"], "IfNotPresent", config=True)
    gateway_cpu_request = Float(
        0.1,
        config=True,
        help="Cores that the scheduler keeps for a gateway; also its share of a node that is fully used.",
    )
    gateway_cpu_limit = Float(1.0, config=True, help="Cores that a gateway may use.")
    gateway_memory_request = Unicode("48Mi", config=True, help="Memory that the scheduler keeps for a gateway.")
    gateway_memory_limit = Unicode("256Mi", config=True, help="Memory that a gateway may use.")
    environment_config_map = Unicode(
        "visa-environment", config=True, help="ConfigMap with `launch` and `jupyter_server_config.py`."
    )
    host_paths = List(Unicode(), config=True, help="Data roots that may be folders of the nodes (hostPath), by name.")
    data_folder = Unicode(
        "",
        config=True,
        help="Folder in which the hub sees data roots' claims, by name, read-only: missing folders are told at once.",
    )
    supplemental_groups_policy = Enum(
        ["", "Merge", "Strict"],
        "",
        config=True,
        help="supplementalGroupsPolicy of the pods; Strict only where all nodes offer it.",
    )
    node_patience = Float(
        3.0,
        config=True,
        help="Seconds for which an instance waits for a node with room; on a cluster that adds nodes, as long as that "
        "takes (below Spawner.start_timeout).",
    )
    ca_certificate = Unicode("", config=True, help="PEM file of the authority that signs gateways' certificates.")
    ca_key = Unicode("", config=True, help="PEM file of that authority's key.")
    _watches: ClassVar[dict[tuple[str, str], PodWatch]] = {}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.pod_name = manifest.pod_name(self.instance_id)

    @default("delete_grace_period")
    def _delete_grace_period(self) -> int:
        """As long as the gateway lets requests finish."""
        return 5

    @default("component_label")
    def _component_label(self) -> str:
        return "instance"

    # start

    async def start_instance(self, spec: InstanceSpec) -> str:
        """Make the pod; the gateway's URL as soon as it reports."""
        hub = self.hub_settings
        watch = await self._watch()
        address = hub.gateways.expect(self.instance_id, self.api_token, self.gateway_authority())
        try:
            await self.load_user_options()
            parts = await self._parts(spec)
            pod = await self._manifest(parts)
            self.report("Asking the cluster for the instance", 0.2)
            cluster, claim = self._cluster(watch), self._home_manifest()
            if claim is not None:
                await cluster.have_claim(claim)
            await cluster.create(pod)
            url = await self._wait(address, watch, spec)
        finally:
            hub.gateways.forget(self.instance_id)
        self.report("The gateway answers; the session is starting behind it", 0.9)
        return url

    async def load_user_options(self) -> None:
        """Translate the admitted spec into KubeSpawner's traits. Options themselves set nothing."""
        if self.spec is None:
            raise StartFailed("The instance was not admitted.", "Start it from the portal or the hub's API.")
        spec, facility = self.spec, self.hub_settings.facility.current
        environment = facility.environments[spec.environment]
        if environment.kubernetes is None:
            raise StartFailed(
                f"The environment {environment.title!r} is not offered on this cluster.",
                f"An operator has to give it an image in facility.yaml: environments.{spec.environment}.kubernetes.",
            )
        if spec.identity.uid == manifest.GATEWAY_ACCOUNT:
            raise StartFailed(
                f"Your account has the number {spec.identity.uid}, which is the gateways' own.",
                "The facility has to give you another one.",
            )
        self.image = manifest.environment_image(environment.kubernetes)
        self.image_pull_policy = environment.kubernetes.pull_policy
        self.uid, self.gid = spec.identity.uid, spec.identity.gid

    async def get_pod_manifest(self) -> Any:
        """The whole pod, as a Kubernetes model: KubeSpawner's, completed by `visa.hub.pods.manifest`."""
        if self.spec is None:
            raise StartFailed("The instance was not admitted.", "Start it from the portal or the hub's API.")
        return self._model(await self._manifest(await self._parts(self.spec)))

    async def _manifest(self, parts: manifest.Parts) -> dict[str, Any]:
        base = await super().get_pod_manifest()
        pod = manifest.complete(self.api.api_client.sanitize_for_serialization(base), self._site(), parts)
        if self.modify_pod_hook:
            changed = await maybe_future(self.modify_pod_hook(self, self._model(pod)))
            pod = self.api.api_client.sanitize_for_serialization(changed)
        return pod

    def _model(self, pod: dict[str, Any]) -> Any:
        return self.api.api_client.deserialize(SimpleNamespace(data=json.dumps(pod)), "V1Pod")

    def _site(self) -> manifest.Site:
        resources = {
            "requests": {"cpu": f"{round(1000 * self.gateway_cpu_request)}m", "memory": self.gateway_memory_request},
            "limits": {"cpu": f"{round(1000 * self.gateway_cpu_limit)}m", "memory": self.gateway_memory_limit},
        }
        return manifest.Site(
            self.release,
            self.gateway_image,
            self.gateway_image_pull_policy,
            resources,
            self.environment_config_map,
            self.supplemental_groups_policy,
        )

    async def _parts(self, spec: InstanceSpec) -> manifest.Parts:
        facility = self.hub_settings.facility.current
        try:
            data = volumes.data_volumes(spec, facility, frozenset(self.host_paths))
        except volumes.NotOffered as error:
            raise StartFailed("The experiment's data cannot be shown here.", f"An operator has to {error}.") from error
        home = volumes.home_volume(facility.homes.kubernetes, spec.identity.username, self._home_claim)
        unseen = await self._look_for(spec)
        environ = {**self.gateway_environ(), "VISA_TLS": "1" if self.ca_certificate else ""}
        look_for = tuple(looked for looked in data.looked_for if (looked.experiment, looked.folder) in unseen)
        operators = frozenset(self.environment)
        return manifest.Parts(self.instance_id, spec, facility, environ, data, home, look_for, operators)

    async def _look_for(self, spec: InstanceSpec) -> set[tuple[str, str]]:
        """Folders that the hub itself cannot see; raise `StartFailed` for one that is not there."""
        looking = asyncio.ensure_future(asyncio.to_thread(self._seen, spec))
        done, _ = await asyncio.wait({looking}, timeout=_STORAGE)
        if not done:
            raise StartFailed("The storage that holds the data does not answer.", f"Try later, or ask {self._contact}.")
        missing, unseen = looking.result()
        if missing is not None:
            raise StartFailed(missing.sentence, missing.remedy)
        return unseen

    def _seen(self, spec: InstanceSpec) -> tuple[failures.Cause | None, set[tuple[str, str]]]:
        """What is missing, and the folders that the hub cannot see."""
        facility = self.hub_settings.facility.current
        unseen: set[tuple[str, str]] = set()
        home = facility.homes.kubernetes
        if home is not None and home.claim is not None and home.missing == "refuse":
            folder = volumes.joined(home.sub_path, spec.identity.username)
            if folders.there(self.data_folder, folders.HOMES, folder) is False:
                return failures.no_home(self._contact), unseen
        for mount in spec.mounts:
            storage = facility.data[mount.root].kubernetes
            folder = volumes.joined(storage.sub_path if storage else "", mount.path)
            there = folders.there(self.data_folder, mount.root, folder)
            if there is False:
                return failures.no_folder(mount.experiment, self._contact), unseen
            if there is None:
                # Not the hub's to see, perhaps the person's: it is looked for as her.
                unseen.add((str(mount.experiment), folder))
        return None, unseen

    @property
    def _contact(self) -> str:
        return str(self.hub_settings.facility.current.facility.contact)

    # homes

    @property
    def _home_claim(self) -> str:
        return f"visa-home-{manifest.owner_hash(self.user.name)}"

    def _home_manifest(self) -> dict[str, Any] | None:
        """A claim of her own, where facility.yaml says so: made at the first start and never deleted by us."""
        homes = self.hub_settings.facility.current.homes.kubernetes
        if homes is None or homes.new_claim is None:
            return None
        return volumes.home_claim(homes.new_claim, self._home_claim, self.user.name)

    # until it listens

    async def _wait(self, address: asyncio.Future[str], watch: PodWatch, spec: InstanceSpec) -> str:
        """Until the gateway reports; raise `StartFailed` with the cause as soon as it is sure that it will not."""
        told: set[str] = set()
        cluster, looked = self._cluster(watch), clock.elapsed()
        while not address.done():
            changed = asyncio.ensure_future(watch.changed(self.pod_name, _LOOK))
            both: set[asyncio.Future[Any]] = {address, changed}
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            changed.cancel()
            if address.done():
                break
            pod = watch.pods.get(self.pod_name)
            if pod is None:
                continue
            self._tell_steps(pod, told)
            events = []
            if clock.elapsed() - looked >= _LOOK:
                looked, events = clock.elapsed(), await cluster.events(pod)
            if failures.pulling(pod, events) and "pulling" not in told:
                told.add("pulling")
                self.report("The node fetches the environment's image; only its first use takes this long", 0.5)
            cause = failures.start_trouble(pod, events, _age(pod), spec, self._contact, self.node_patience)
            if cause is not None and cause.final:
                await cluster.delete(self.pod_name, grace=0)
                raise StartFailed(cause.sentence, cause.remedy)
            if cause is not None and str(cause) not in told:
                told.add(str(cause))
                self.report(str(cause), 0.4)
        return address.result()

    def _tell_steps(self, pod: dict[str, Any], told: set[str]) -> None:
        for condition in pod["status"].get("conditions") or ():
            step = _STEPS.get(condition.get("type", ""))
            if step is not None and condition.get("status") == "True" and condition["type"] not in told:
                told.add(condition["type"])
                self.report(*step)

    # afterwards

    async def poll(self) -> int | None:
        """None while the pod runs, also while the cluster cannot say; else how it ended, and `failure` says why."""
        if not self.gateway_key:
            return 0
        watch = await self._watch(wait=False)
        if not await watch.loaded(_LOADED):
            log.warning("The cluster does not say whether instance %s runs: it is taken to", self.instance_id)
            return None
        pod = watch.pods.get(self.pod_name)
        if pod is None:
            return await self._missing(watch)
        ending = failures.ending_of(pod)
        if ending is None:
            return None
        if ending.told and not (self.stop_asked or self.ending):
            # The cluster tells containers to end before it says why.
            await watch.changed(self.pod_name, _SETTLES)
            events = await self._cluster(watch).events(pod)
            ending = failures.ending_by_cluster(ending, watch.pods.get(self.pod_name), events)
        self.failure = self.failure or ending.sentence
        return ending.code

    async def _missing(self, watch: PodWatch) -> int | None:
        """The watch does not know the pod: ask about it before anything is given up."""
        try:
            if await self._cluster(watch).exists(self.pod_name):
                return None
        except (ApiException, NoAnswer) as error:
            log.warning("The cluster does not say whether instance %s runs: %s", self.instance_id, error)
            return None
        if not self.stop_asked:
            self.failure = self.failure or failures.REMOVED
        return 1

    async def stop_instance(self, now: bool) -> None:
        """Delete the pod: gently, or at once."""
        watch = await self._watch(wait=False)
        await self._cluster(watch).delete(self.pod_name, grace=0 if now else self.delete_grace_period)

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what a former hub started."""
        super().load_state(state)
        self.pod_name = manifest.pod_name(self.instance_id)
        self._began = bool(self.gateway_key)  # KubeSpawner keeps a state of stopped servers too

    def clear_state(self) -> None:
        """Forget."""
        super().clear_state()
        self.pod_name = manifest.pod_name(self.instance_id)

    # trust

    def gateway_authority(self) -> Authority | None:
        """As ``ca_certificate`` and ``ca_key`` say."""
        if not self.ca_certificate:
            return None
        try:
            return _authority(self.ca_certificate, self.ca_key)
        except BadAuthority as error:
            log.error("%s", error)
            raise StartFailed("The service's certificates cannot be used.", "An operator has to look.") from error

    def _trust(self) -> None:
        """JupyterHub asks a gateway whether it is up: it has to take its certificate, and no public authority's.

        Its own way, internal TLS, would load all public authorities for every start (0.09 s of CPU).
        """
        authority, server = self.gateway_authority(), self.server
        if authority is not None and server is not None:
            up = type(server).wait_up
            server.wait_up = lambda **how: up(server, **{**how, "ssl_context": authority.context})

    # all instances

    async def _watch(self, *, wait: bool = True) -> PodWatch:
        """The namespace's watch, begun by whoever needs it first; raise `StartFailed` when it knows nothing yet."""
        self._trust()
        watch = self._begun_watch()
        _spawners[self.pod_name] = self
        if wait and not await watch.loaded(_LOADED):
            raise StartFailed("The cluster does not answer.", f"Try again in a few minutes, or ask {self._contact}.")
        return watch

    def _cluster(self, watch: PodWatch, contact: str | None = None) -> Cluster:
        timeout, patience = self.k8s_api_request_timeout, self.k8s_api_request_retry_timeout
        return Cluster(
            self.api, self.namespace, watch, timeout, patience, self._contact if contact is None else contact
        )

    def _begun_watch(self) -> PodWatch:
        key = (self.namespace, self.release)
        if key not in self._watches:
            self._watches[key] = PodWatch(self.api, self.namespace, manifest.selector(self.release))
            self._watches[key].on_change.append(_look_at)
        self._watches[key].start()
        return self._watches[key]

    @classmethod
    async def sweep(cls, hub: HubSettings, known: Iterable[str], *, grace: float, config: Any) -> list[str]:
        """Delete pods that nobody knows."""
        own = cls(_mock=True, config=config)
        watch = own._begun_watch()
        if not await watch.loaded(_LOADED):
            log.warning("Instances that nobody knows are not looked for: the cluster does not answer")
            return []
        cluster = own._cluster(watch, contact="")
        alive, ended = set(known), []
        for name, pod in list(watch.pods.items()):
            identifier = pod["metadata"]["labels"].get("visa/instance", "")
            if identifier not in alive and _age(pod) >= grace:
                try:
                    await cluster.delete(name, grace=own.delete_grace_period)
                except (ApiException, TimeoutError) as error:  # none of the others waits for it
                    log.warning("Pod %s, which nobody knows, stays: %s", name, error)
                else:
                    ended.append(identifier)
        return ended


_spawners: weakref.WeakValueDictionary[str, VisaKubeSpawner] = weakref.WeakValueDictionary()
_looks: set[asyncio.Task[Any]] = set()


def _look_at(name: str, pod: dict[str, Any] | None) -> None:
    """A pod changed: when it ended and nobody is at it, the hub hears of it now instead of at its next round."""
    spawner = _spawners.get(name)
    if spawner is None or not spawner.ready or (pod is not None and failures.ending_of(pod) is None):
        return
    task = asyncio.ensure_future(spawner.poll_and_notify())
    _looks.add(task)
    task.add_done_callback(_looked)


def _looked(task: asyncio.Task[Any]) -> None:
    _looks.discard(task)
    if not task.cancelled() and task.exception() is not None:
        log.error("An instance's end could not be looked at; the next round tries again", exc_info=task.exception())


@lru_cache(maxsize=4)
def _authority(certificate: str, key: str) -> Authority:
    return Authority(Path(certificate), Path(key))


def _age(pod: dict[str, Any]) -> float:
    made = str(pod["metadata"]["creationTimestamp"])
    return (clock.now() - datetime.fromisoformat(made)).total_seconds()
