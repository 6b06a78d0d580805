"""Keeps store, hub and machine of one mind: at the hub's start, and every minute while it runs.

A hub that was killed in the middle leaves reservations in ``starting``, and perhaps processes that
nobody knows. An instance may end while no hub looks. And lifetimes end.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from visa.hub import settings
from visa.identifiers import instance_id
from visa.instances.lifetimes import time_left
from visa.store.store import Decision, Instance, State, now

log = logging.getLogger(__name__)

INTERVAL = 60.0
GRACE = 120.0
_RESTARTED = "The service was restarted while this instance was starting. Start it again."
_VANISHED = "The instance ended while the service was not looking."


class Reconciler:
    """Runs beside one hub application until it ends."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.hub = settings.get()
        self._suspects: set[str] = set()

    async def run(self) -> None:
        """Wait for the hub, mend what its predecessor left, then look every minute."""
        watching = asyncio.create_task(self.hub.facility.watch())
        try:
            while getattr(self.app, "http_server", None) is None or self._checking():
                await asyncio.sleep(0.1)
            await self._guarded(self.after_restart())
            while True:
                await asyncio.sleep(INTERVAL)
                await self._guarded(self.look())
        finally:
            watching.cancel()

    @staticmethod
    async def _guarded(work: Any) -> None:
        try:
            await work
        except Exception:
            log.exception("Reconciling failed; the next round tries again")

    def _checking(self) -> bool:
        return any(spawner.pending == "check" for _user, spawner in self._spawners())

    def _spawners(self) -> Iterator[tuple[Any, Any]]:
        users = getattr(self.app, "users", None) or {}
        for user in list(users.values()):
            for spawner in list(user.spawners.values()):
                yield user, spawner

    def _alive(self) -> dict[str, tuple[Any, Any]]:
        """Instances that the hub counts as running or busy, by id."""
        return {
            instance_id(user.name, spawner.name): (user, spawner)
            for user, spawner in self._spawners()
            if spawner.active
        }

    async def after_restart(self) -> None:
        """What a former hub process left: reservations go back, unknown processes end."""
        alive = self._alive()
        store = self.hub.store
        for instance in await asyncio.to_thread(store.starting_of_others, self.hub.holder):
            if instance.id in alive:
                await asyncio.to_thread(store.mark_running, instance.id)
            else:
                await asyncio.to_thread(store.release, instance.id, failed=True, reason=_RESTARTED)
        for instance in await asyncio.to_thread(store.holding):
            if instance.state is State.RUNNING and instance.id not in alive:
                await self._gone(instance)
        await self._sweep(grace=0.0)

    async def look(self) -> None:
        """One round: whatever disagrees twice in a row is put right."""
        alive = self._alive()
        suspects = {i.id: i for i in await asyncio.to_thread(self.hub.store.holding) if i.id not in alive}
        for identifier in self._suspects & set(suspects):
            await self._gone(suspects[identifier])
        self._suspects = set(suspects)
        await self._sweep(grace=GRACE)
        for identifier, (user, spawner) in alive.items():
            if spawner.ready:
                await self._lifetime(identifier, user, spawner)

    async def _gone(self, instance: Instance) -> None:
        log.warning("Instance %s of %s is gone; its quota is given back", instance.name, instance.owner)
        await asyncio.to_thread(self.hub.store.release, instance.id, failed=True, reason=_VANISHED)

    async def _sweep(self, *, grace: float) -> None:
        ended = await self.app.spawner_class.sweep(self.hub, self._alive(), grace=grace)
        for identifier in ended:
            log.warning("Ended processes of instance %s that the hub did not know", identifier)

    async def _lifetime(self, identifier: str, user: Any, spawner: Any) -> None:
        instance = await asyncio.to_thread(self.hub.store.instance, identifier)
        if instance is None or instance.started_at is None:
            return
        last = spawner.orm_spawner.last_activity
        activity = last.replace(tzinfo=UTC) if isinstance(last, datetime) else None
        left = time_left(instance.started_at, activity, instance.maximum, instance.idle, now())
        if left is None or not left.over:
            return
        what = "it reached its longest life" if left.because == "maximum" else "nobody had used it for too long"
        log.info("Ending instance %s of %s: %s", instance.name, instance.owner, what)
        spawner.failure = (
            f"The instance was ended because {what}. Your files are kept; start it again when you need it."
        )
        decision = Decision("visa", instance.owner, "end", True, identifier, f"lifetime-{left.because}", {})
        await asyncio.to_thread(self.hub.store.record, decision)
        await self.app.proxy.delete_user(user, spawner.name)
        await user.stop(spawner.name)
