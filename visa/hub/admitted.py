"""What all of VISA's spawners share: a start passes admission and holds its quota, whoever asks and however."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import timedelta
from typing import Any

from jupyterhub.spawner import Spawner, SpawnException
from traitlets import default

from visa.hub import settings
from visa.identifiers import instance_id
from visa.instances.model import InstanceSpec, Reason, Refusal
from visa.store.admissions import HTTP_STATUS
from visa.store.store import now

VERIFIED_WITHIN = timedelta(minutes=2)
"""How fresh the identity provider's word must be. The hub asks it at every start (``refresh_pre_spawn``)."""


class StartRefused(SpawnException):  # type: ignore[misc]
    """Admission said no. The message is the refusal's sentence and remedy."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(str(refusal), reason=refusal.reason.value, status_code=HTTP_STATUS[refusal.reason])
        self.refusal = refusal


class StartFailed(SpawnException):  # type: ignore[misc]
    """The instance could not be started; the message says why and what can be done."""

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(f"{sentence} {remedy}".strip(), reason="start-failed", status_code=500)


class AdmittedSpawner(Spawner):  # type: ignore[misc]
    """A backend implements `start_instance`, `stop_instance`, `poll` and, where it can, `sweep`."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec: InstanceSpec | None = None
        self.failure: str | None = None
        self._steps: list[dict[str, Any]] = []
        self._step_added = asyncio.Event()

    @default("apply_user_options")
    def _apply_user_options(self) -> Any:
        """Nothing: options only pass through admission, they never set a trait."""
        return lambda spawner, options: None

    @property
    def hub_settings(self) -> settings.HubSettings:
        """What the hub's plug-ins share."""
        return settings.get()

    @property
    def instance_id(self) -> str:
        """Of this server: fixed by owner and name."""
        return instance_id(self.user.name, self.name)

    # for backends

    async def start_instance(self, spec: InstanceSpec) -> str:
        """Start what ``spec`` says; the URL of the gateway. Raise `StartFailed` with words for people."""
        raise TypeError(f"{type(self).__name__} does not start instances")

    async def stop_instance(self, now: bool) -> None:
        """End it, whatever state it is in; harmless when it never began."""
        raise TypeError(f"{type(self).__name__} does not stop instances")

    async def poll(self) -> int | None:
        """None while it runs, else its exit code; sets `failure` when nobody asked for the end."""
        raise TypeError(f"{type(self).__name__} does not know whether its instances run")

    @classmethod
    async def sweep(cls, hub: settings.HubSettings, known: Iterable[str], *, grace: float) -> list[str]:
        """End instances older than ``grace`` seconds whose ids are not ``known``; the ids ended."""
        return []

    def report(self, step: str, fraction: float) -> None:
        """A step of the start in plain words; ``fraction`` of the way is 0..1."""
        self._steps.append({"message": step, "progress": int(100 * fraction)})
        self._step_added.set()

    # for JupyterHub

    async def start(self) -> str:
        """Admit and start. Whatever goes wrong, the reservation is given back."""
        self._steps, self.failure, self.spec = [], None, None
        self.report("Checking your experiments, the environment and the quota", 0.05)
        self.spec = await self._admit()
        try:
            url = await self.start_instance(self.spec)
        except BaseException as error:
            # Cancelled starts too: the person pressed Stop, or the start took too long.
            self.failure = self.failure or _words(error)
            await self._release(failed=not isinstance(error, asyncio.CancelledError))
            raise
        await asyncio.to_thread(self.hub_settings.store.mark_running, self.instance_id)
        self.report("The instance is up; opening it", 0.95)
        return url

    async def _admit(self) -> InstanceSpec:
        hub, owner = self.hub_settings, self.user.name
        actor = getattr(getattr(self.handler, "current_user", None), "name", None) or owner
        unverified = await asyncio.to_thread(self._unverified)
        if unverified is not None:
            await hub.admissions.refused(owner, unverified, actor=actor)
            raise StartRefused(unverified)
        title = self.orm_spawner.display_name or self.name
        outcome = await hub.admissions.reserve(
            owner, self.user_options, self.name, actor=actor, holder=hub.holder, title=title
        )
        if isinstance(outcome, Refusal):
            raise StartRefused(outcome)
        return outcome

    def _unverified(self) -> Refusal | None:
        """The refusal when nobody vouched for her just now: a removed account, or a provider that is down."""
        person = self.hub_settings.store.person(self.user.name)
        if person is None or not person.active:
            return None  # admission says it better
        if person.verified_at is not None and now() - person.verified_at <= VERIFIED_WITHIN:
            return None
        sentence = "The identity provider cannot be asked who you are, so nothing new can be started."
        return Refusal(Reason.PERSON_NOT_VERIFIED, sentence, "Running work goes on. Try again in a few minutes.")

    async def stop(self, now: bool = False) -> None:
        """End the instance and give back what it holds."""
        try:
            await self.stop_instance(now)
        finally:
            await self._release(failed=self.failure is not None)

    async def _release(self, *, failed: bool) -> None:
        store = self.hub_settings.store
        await asyncio.shield(asyncio.to_thread(store.release, self.instance_id, failed=failed, reason=self.failure))

    async def delete_forever(self) -> None:
        """The server is removed: forget the instance."""
        if self.name:
            await asyncio.to_thread(self.hub_settings.store.forget, self.instance_id)

    async def progress(self) -> AsyncIterator[dict[str, Any]]:
        """Every step so far, then new ones as they come."""
        seen = 0
        while True:
            while seen < len(self._steps):
                yield self._steps[seen]
                seen += 1
            self._step_added.clear()
            await self._step_added.wait()


def _words(error: BaseException) -> str:
    """Why a start ended, for the instance's card."""
    if isinstance(error, asyncio.CancelledError):
        return "The start was cancelled or took too long."
    if isinstance(error, SpawnException):
        return str(error.message)
    return "The instance could not be started because of a fault in the service; its operators see it in the log."
