"""Keeps store, hub and machine of one mind: at the hub's start, and every minute while it runs.

A hub that was killed in the middle leaves reservations in ``starting``, and perhaps processes that
nobody knows. An instance may end while no hub looks. Lifetimes end. And people leave experiments.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from visa import clock
from visa.catalogue.base import CatalogueUnavailable, Experiment, Reading
from visa.hub import settings
from visa.hub.admitted import RESTARTED, VANISHED
from visa.hub.sharing.looks import MemberLooks
from visa.hub.sharing.watch import Watch
from visa.hub.stuck import Stuck
from visa.identifiers import instance_id
from visa.instances.admission import assured, entitled
from visa.instances.lifetimes import time_left
from visa.instances.withdrawal import Withdrawals
from visa.store.faults import FAULTS, said
from visa.store.store import Decision, Instance, State

log = logging.getLogger(__name__)

_AGAIN = 1.0
_KEPT = "Your files are kept."


class Reconciler:
    """Runs beside one hub application until it ends."""

    def __init__(self, app: Any, watch: Watch) -> None:
        self.app, self.watch = app, watch
        self.hub = settings.get()
        self.members, self.stuck = MemberLooks(self.hub), Stuck(app)
        self.hub.mended = asyncio.Event()
        _log_to(app.log)
        self._vanished: set[str] = set()
        self._withdrawn: set[str] = set()
        self._seen = Withdrawals()

    async def run(self) -> None:
        """Wait for the hub, mend what its predecessor left, then look every minute."""
        watching = asyncio.create_task(self.hub.facility.watch())
        try:
            while getattr(self.app, "http_server", None) is None or self._checking():
                await asyncio.sleep(0.1)
            while not await self._guarded("mending what a former hub left", self.after_restart()):
                await asyncio.sleep(_AGAIN)  # nothing new is started before
            if self.hub.mended is not None:
                self.hub.mended.set()
            while True:
                await asyncio.sleep(self.hub.look_every)
                await self._guarded("looking", self.look())
        finally:
            watching.cancel()

    @staticmethod
    async def _guarded(what: str, work: Awaitable[None]) -> bool:
        """Do it; False when a database was away. What else goes wrong is logged, and tried again in the next round."""
        try:
            await work
        except FAULTS as error:
            log.warning("Nothing was looked at (%s), because a database is away: %s", what, said(error))
            return False
        except Exception:
            log.exception("Reconciling failed (%s); the next round tries again", what)
        return True

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

    def _goes_on(self, identifier: str) -> bool:
        """Whether it runs or starts at this moment; one that is ending does not."""
        found = self._alive().get(identifier)
        return found is not None and found[1].pending != "stop"

    async def after_restart(self) -> None:
        """What a former hub process left: reservations go back, unknown processes end.

        Starts wait for the end of this (`HubSettings.ready`), so nothing new can be mistaken for a leftover.
        """
        alive = self._alive()
        store = self.hub.store
        for instance in await asyncio.to_thread(store.starting_of_others, self.hub.holder):
            if instance.id in alive:
                await asyncio.to_thread(store.mark_running, instance.id)
            else:
                await self._guarded("giving back a quota", self._gone(instance, RESTARTED))
        for instance in await asyncio.to_thread(store.holding):
            if instance.state is State.RUNNING and instance.id not in alive:
                await self._guarded("giving back a quota", self._gone(instance, VANISHED))
        await self._sweep(grace=0.0)

    async def look(self) -> None:
        """One round: whatever disagrees twice in a row is put right."""
        alive = self._alive()
        await asyncio.to_thread(self.hub.owed.pay, self.hub.store, self._goes_on)
        holding = {instance.id: instance for instance in await asyncio.to_thread(self.hub.store.holding)}
        vanished = {identifier for identifier in holding if identifier not in alive}
        for identifier in self._vanished & vanished:
            if identifier not in self._alive():  # it may have been started again while others were put right
                await self._guarded("giving back a quota", self._gone(holding[identifier], VANISHED))
        self._vanished = vanished
        await self._guarded("ending what is stuck", self.stuck.look(self._spawners()))
        await self._guarded("sweeping", self._sweep(grace=2 * self.hub.look_every))
        ready = {i: holding[i] for i, (_user, spawner) in alive.items() if spawner.ready and i in holding}
        experiments = await self._experiments(sorted({e for i in holding.values() for e in i.experiments}))
        for identifier, (code, why) in (await self._over(ready, alive, experiments)).items():
            await self._guarded("ending an instance", self._end(ready[identifier], *alive[identifier], code, why))
        await self._guarded("looking at members", self.members.look(experiments))
        await self._guarded("taking back rights", self.watch.take_back())

    async def _gone(self, instance: Instance, why: str) -> None:
        log.warning("Instance %s of %s is gone; its quota is given back", instance.name, instance.owner)
        await asyncio.to_thread(self.hub.store.release, instance.id, failed=True, reason=why)
        decision = Decision("visa", instance.owner, "end", True, instance.id, "vanished", {"why": why})
        await asyncio.to_thread(self.hub.store.record, decision)

    async def _sweep(self, *, grace: float) -> None:
        ended = await self.app.spawner_class.sweep(self.hub, self._alive(), grace=grace, config=self.app.config)
        for identifier in ended:
            log.warning("Ended processes of instance %s that the hub did not know", identifier)

    # what must end

    async def _over(
        self,
        ready: Mapping[str, Instance],
        alive: Mapping[str, tuple[Any, Any]],
        experiments: Reading | None,
    ) -> dict[str, tuple[str, str]]:
        """Instances that must end now: id to reason code and sentence."""
        over: dict[str, tuple[str, str]] = {}
        for identifier, lost in (await self._left(ready, experiments)).items():
            over[identifier] = ("experiment-withdrawn", f"The instance was ended because {lost}. {_KEPT}")
        for identifier, instance in ready.items():
            because = _lifetime_over(instance, alive[identifier][1])
            if because is not None:
                over[identifier] = because
        return over

    async def _left(self, ready: Mapping[str, Instance], experiments: Reading | None) -> dict[str, str]:
        """Instances on an experiment whose owner may not read it any more, twice in a row; with the reason.

        Only a fresh answer that reads counts: a catalogue that is down, or a row that is broken, ends nothing.
        """
        if experiments is None:
            return {}
        lost: dict[str, str] = {}
        self._seen.begin()
        for identifier, instance in ready.items():
            missing = await asyncio.to_thread(self._lost, instance, experiments)
            if missing is not None:
                lost[identifier] = missing
        twice = {identifier: lost[identifier] for identifier in self._withdrawn & set(lost)}
        self._withdrawn = set(lost)
        return twice

    async def _experiments(self, ids: list[str]) -> Reading | None:
        found: dict[str, Experiment] = {}
        unreadable: set[str] = set()
        try:
            for first in range(0, len(ids), 500):
                answer = await self.hub.catalogue.experiments(ids[first : first + 500])
                if answer.stale:
                    return None
                found.update(answer.value)
                unreadable |= answer.unreadable
        except CatalogueUnavailable as error:
            log.warning("Running instances are not compared with the catalogue: %s", error)
            return None
        return Reading(found, frozenset(unreadable))

    def _lost(self, instance: Instance, reading: Reading) -> str | None:
        person = self.hub.store.person(instance.owner)
        if person is None:
            return None
        today, facility = self.hub.admissions.today(), self.hub.facility.current
        clear = {one for one in instance.experiments if self._seen.clear(person, one, reading)}
        for identifier in instance.experiments:
            experiment = reading.experiments.get(identifier)
            if identifier not in clear:
                continue  # what cannot be read was not withdrawn
            if experiment is None or not entitled(person, experiment, today):
                return f"experiment {identifier} is not one of yours any more"
            if assured(person, [experiment], facility, today) is not None:
                return f"experiment {identifier} is not released and needs a role that you do not have any more"
        return None

    async def _end(self, looked_at: Instance, user: Any, spawner: Any, code: str, why: str) -> None:
        """Stop it as the Stop button does, with the reason on its card and in the audit trail.

        What was stopped and started again since it was looked at, while the catalogue was asked, stays.
        """
        found = await asyncio.to_thread(self.hub.store.instance, looked_at.id)
        if found is None or found.started_at != looked_at.started_at or not spawner.ready:
            return
        log.info("Ending instance %s of %s: %s", spawner.name, user.name, why)
        spawner.ending = why
        spawner._stop_pending = True  # JupyterHub's own mark: nobody else stops or starts it meanwhile
        try:
            identifier = instance_id(user.name, spawner.name)
            decision = Decision("visa", user.name, "end", True, identifier, code, {"why": why})
            await asyncio.to_thread(self.hub.store.record, decision)
            await self.app.proxy.delete_user(user, spawner.name)
            await user.stop(spawner.name)
        finally:
            spawner._stop_pending = False


def _log_to(hub_log: logging.Logger) -> None:
    """What VISA says stands in the hub's log, at its level and in its form."""
    ours = logging.getLogger("visa")
    ours.parent, ours.propagate = hub_log, True
    ours.setLevel(hub_log.level)


def _lifetime_over(instance: Instance, spawner: Any) -> tuple[str, str] | None:
    """Reason code and sentence when its time is over."""
    if instance.started_at is None:
        return None
    last = spawner.orm_spawner.last_activity
    activity = last.replace(tzinfo=UTC) if isinstance(last, datetime) else None
    left = time_left(instance.started_at, activity, instance.maximum, instance.idle, clock.now())
    if left is None or not left.over:
        return None
    what = "it reached its longest life" if left.because == "maximum" else "nobody had used it for too long"
    return (
        f"lifetime-{left.because}",
        f"The instance was ended because {what}. {_KEPT} Start it again when you need it.",
    )
