"""What all of VISA's spawners share: a start passes admission and holds its quota, whoever asks and however."""

from __future__ import annotations

import asyncio
import html
import inspect
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any

import jupyterhub
from jupyterhub.spawner import Spawner, SpawnException
from sqlalchemy.orm import object_session
from traitlets import default

from visa import clock
from visa.addresses import host_of
from visa.hub import settings
from visa.hub.gateways import key_of
from visa.hub.owed import Ended, give_back
from visa.hub.pods.certificates import Authority
from visa.identifiers import instance_id
from visa.instances.model import InstanceSpec, Reason, Refusal
from visa.store.admissions import HTTP_STATUS
from visa.store.faults import FAULTS, INTERRUPTED, is_fault, said
from visa.store.store import HOLDING, State

VERIFIED_WITHIN = timedelta(minutes=2)
"""How fresh the identity provider's word must be. The hub asks it at every start (``refresh_pre_spawn``);
this also catches a hub that is configured not to."""

RESTARTED = "The service was restarted while this instance was starting. Start it again."
VANISHED = "The instance ended while the service was not looking. Start it again."


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
    """A backend implements `start_instance`, `stop_instance`, `poll` and, where it can, `sweep`.

    ``failure`` says why the instance ended although nobody asked for it, ``ending`` why the service ended it;
    both are for people. ``stop_asked``: somebody pressed Stop. ``origin``: the instance's own, as
    ``https://visa-0123456789abcdef.visa.example.org``; empty where it is on the hub's host. A running instance keeps
    the one that it was started with.
    """

    proxy_spec: Any
    public_url: Any

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.spec: InstanceSpec | None = None
        self.failure: str | None = None
        self.ending: str | None = None
        self.stop_asked = False
        self._gateway_key = ""
        self._began = False
        self._start_began = 0.0
        self._unkept = False
        """Whether it started, and JupyterHub has not written that down yet."""
        self.tidies = False
        """Whether what is left of an end is being taken away, which may last."""
        self._steps: list[dict[str, Any]] = []
        self._step_added = asyncio.Event()
        # JupyterHub's, on its own host.
        self._path, self._shared_url = str(self.proxy_spec), str(self.public_url)
        self.origin = self._own_origin()

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return self._origin

    @origin.setter
    def origin(self, origin: str) -> None:
        self._origin = origin
        self.proxy_spec = f"{host_of(origin.partition('://')[2])}/" if origin else self._path
        self.public_url = self.address if origin else self._shared_url

    @property
    def address(self) -> str:
        """Where browsers go: absolute where the instance has a host of its own, else a path on the hub's."""
        return self.origin + self._path

    def _own_origin(self) -> str:
        """Of the next start, as the service is configured now; JupyterHub's unnamed server, never started, has none."""
        return self.hub_settings.origins.origin(self.user.name, self.name) if self.name else ""

    def gateway_environ(self) -> dict[str, str]:
        """What gateways are told on all backends: JupyterHub's variables, and where the instance is seen."""
        told = {name: str(value) for name, value in self.get_env().items() if name.startswith("JUPYTERHUB_")}
        if self.origin:
            told["JUPYTERHUB_OAUTH_CALLBACK_URL"] = f"{self.address}oauth_callback"
        return {**told, "VISA_HUB_VERSION": jupyterhub.__version__, "VISA_ORIGIN": self.origin}

    def _tell_where_logins_return(self) -> None:
        """JupyterHub has just written down the address on its own host."""
        client = self.orm_spawner.oauth_client
        if self.origin and client is not None:
            client.redirect_uri = f"{self.address}oauth_callback"
            session = object_session(client)
            if session is not None:
                session.commit()

    @default("progress_ready_hook")
    def _progress_ready_hook(self) -> Any:
        """The last event of a start says where the instance is."""

        def told(spawner: Any, event: dict[str, Any]) -> dict[str, Any]:
            there = html.escape(spawner.address)
            words = {"message": f"Server ready at {spawner.address}", "url": spawner.address}
            return {**event, **words, "html_message": f'Server ready at <a href="{there}">{there}</a>'}

        return told

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

    @property
    def gateway_key(self) -> str:
        """`key_of` its gateway's token; the hub's handlers know it too."""
        return self._gateway_key

    @gateway_key.setter
    def gateway_key(self, key: str) -> None:
        self._gateway_key = key
        self.hub_settings.gateways.know(self.instance_id, key)

    # for backends

    async def start_instance(self, spec: InstanceSpec) -> str:
        """Start what ``spec`` says; the URL of the gateway. Raise `StartFailed` with words for people."""
        raise TypeError(f"{type(self).__name__} does not start instances")

    def gateway_authority(self) -> Authority | None:
        """Whose certificates gateways show; None: they speak plain HTTP. Raise `StartFailed`."""
        return None

    async def stop_instance(self, now: bool) -> None:
        """End it, whatever state it is in; harmless when it never began."""
        raise TypeError(f"{type(self).__name__} does not stop instances")

    async def poll(self) -> int | None:
        """None while it runs, else its exit code; sets `failure` when nobody asked for the end."""
        raise TypeError(f"{type(self).__name__} does not know whether its instances run")

    @classmethod
    async def sweep(cls, hub: settings.HubSettings, known: Iterable[str], *, grace: float, config: Any) -> list[str]:
        """End instances older than ``grace`` seconds whose ids are not ``known``; the ids ended.

        ``config``: the hub's, for backends that have settings of their own.
        """
        return []

    def report(self, step: str, fraction: float) -> None:
        """A step of the start in plain words; ``fraction`` of the way is 0..1."""
        self._steps.append({"message": step, "progress": int(100 * fraction)})
        self._step_added.set()

    # for JupyterHub

    async def start(self) -> str:
        """Admit and start. Whatever goes wrong, the reservation is given back."""
        self._steps, self.failure, self.ending, self.spec = [], None, None, None
        self.stop_asked = self._began = False
        self.origin = self._own_origin()
        self._tell_where_logins_return()
        self._start_began = clock.elapsed()
        self.report("Checking your experiments, the environment and the quota", 0.05)
        await self.hub_settings.ready()
        self.spec = await self._admit()
        try:
            self._began = True
            self.gateway_key = key_of(self.api_token)
            url = await self.start_instance(self.spec)
            await asyncio.to_thread(self.hub_settings.store.mark_running, self.instance_id)
        except BaseException as error:
            # Cancelled starts too: somebody pressed Stop, or the start took too long.
            self.failure = self.failure or self._why(error)
            await self._release()
            raise
        self.report("The instance is up; opening it", 0.95)
        self._unkept = True
        return url

    def start_polling(self) -> None:
        """Called by JupyterHub once it has written down where the instance is."""
        self._unkept = False
        super().start_polling()

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
        """The refusal when nobody vouched for her just now: a provider that is down, or was not asked."""
        person = self.hub_settings.store.person(self.user.name)
        if person is None or not person.active:
            return None  # admission says it better
        fresh = person.verified_at is not None and clock.now() - person.verified_at <= VERIFIED_WITHIN
        if fresh and self.user.name not in self.hub_settings.unanswered:
            return None
        sentence = "The identity provider cannot be asked who you are, so nothing new can be started."
        return Refusal(Reason.PERSON_NOT_VERIFIED, sentence, "Running work goes on. Try again in a few minutes.")

    def _why(self, error: BaseException) -> str | None:
        """Why a start ended, for the instance's card; None when somebody pressed Stop."""
        if isinstance(error, asyncio.CancelledError):
            if self.stop_asked:
                return None
            if clock.elapsed() - self._start_began < self.start_timeout:
                return RESTARTED  # the hub ends, which cancels all that it does
            return f"The start took longer than {self.start_timeout} seconds and was given up. Start it again."
        if isinstance(error, SpawnException):
            return str(error.message)
        if is_fault(error):
            return INTERRUPTED
        return "The instance could not be started because of a fault in the service; its operators see it in the log."

    async def stop(self, now: bool = False) -> None:
        """End the instance and give back what it holds."""
        if not self.stop_asked and not self.ending and (self._waiting_for_response or self._proxy_pending):
            what = "did not answer" if self._waiting_for_response else "could not be reached through the proxy"
            self.failure = self.failure or f"The session {what}, so it was ended. Start it again."
        if self._unkept and not self.stop_asked and not self.ending:
            self.failure = self.failure or INTERRUPTED
        self._unkept = False
        try:
            await self.stop_instance(now)
            self._began = False
        finally:
            await self._release()

    async def run_post_stop_hook(self) -> None:
        """Called by JupyterHub after every end, also after one that nobody asked for: `stop` is not called then."""
        self.tidies = True
        try:
            if self._began:
                self._began = False
                await self.stop_instance(True)
        finally:
            try:
                await self._release()
            finally:
                self.tidies = False
            result = super().run_post_stop_hook()
            if inspect.isawaitable(result):
                await result

    async def _release(self) -> None:
        if self.spec is None and not (self.failure or self.ending or self.stop_asked):
            with suppress(*FAULTS):  # the reconciler finds it
                self.failure = await asyncio.to_thread(self._missed)  # a former hub process had started it
        failed = self.failure is not None and self.ending is None and not self.stop_asked
        reason = self.ending or (self.failure if failed else None)
        end = Ended(self.instance_id, failed, reason)
        try:
            await asyncio.shield(asyncio.to_thread(give_back, self.hub_settings.store, end))
        except FAULTS as error:
            self.log.warning("The quota of %s is given back later: %s", self.instance_id, said(error))
            self.hub_settings.owed.add(end)

    def _missed(self) -> str | None:
        before = self.hub_settings.store.instance(self.instance_id)
        if before is None or before.state not in HOLDING:
            return None
        return RESTARTED if before.state is State.STARTING else VANISHED

    def get_state(self) -> dict[str, Any]:
        """What a restarted hub needs."""
        state: dict[str, Any] = super().get_state()
        return {**state, "gateway_key": self.gateway_key, "origin": self.origin} if self.gateway_key else state

    def load_state(self, state: dict[str, Any]) -> None:
        """Take up what a former hub process started."""
        super().load_state(state)
        self.gateway_key = str(state.get("gateway_key", ""))
        if state:
            self.origin = str(state.get("origin", ""))
        self._began = bool(state)

    def clear_state(self) -> None:
        """Forget."""
        super().clear_state()
        self.gateway_key, self.origin = "", self._own_origin()

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
