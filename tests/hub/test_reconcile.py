"""When the reconciler looks. Time is virtual; what its looks find is in test_ends.py and test_restart.py."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visa.catalogue.base import Reading
from visa.clock import elapsed, now
from visa.hub import settings
from visa.hub.owed import Owed
from visa.hub.reconcile import Reconciler
from visa.hub.sharing.looks import MemberLooks
from visa.hub.sharing.watch import Watch
from visa.identifiers import instance_id
from visa.store.store import Decision, Instance, State

pytestmark = pytest.mark.looptime

EVERY = 60.0


class Recorded(Reconciler):
    """Does nothing, and says when; ``lasts``: seconds of a look, ``faults`` so many fail."""

    lasts, faults = 0.0, 0

    def __init__(self, app: Any) -> None:
        super().__init__(app, cast("Watch", None))
        self.did: list[tuple[str, float]] = []

    async def after_restart(self) -> None:
        await self._done("mended")

    async def look(self) -> None:
        await self._done("looked")

    async def _done(self, what: str) -> None:
        self.did.append((what, elapsed()))
        await asyncio.sleep(self.lasts)
        if self.faults:
            self.faults -= 1
            raise RuntimeError("the database is away")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What the hub's plug-ins share, as far as a reconciler that finds nothing needs it."""

    async def watch() -> None:
        await asyncio.Event().wait()

    made = SimpleNamespace(facility=SimpleNamespace(watch=watch), look_every=EVERY, mended=None, owed=Owed())
    monkeypatch.setattr(settings, "_settings", made)
    return made


def application(pending: str | None = None) -> Any:
    """JupyterHub, with one server in state ``pending``."""
    spawner = SimpleNamespace(name="one", pending=pending, active=True)
    users = {1: SimpleNamespace(name="marie", spawners={"one": spawner})}
    return SimpleNamespace(http_server=None, users=users, log=logging.getLogger("hub"), spawner=spawner)


async def runs(reconciler: Reconciler, until: float) -> None:
    """For so long."""
    running = asyncio.create_task(reconciler.run())
    await asyncio.sleep(until - elapsed())
    running.cancel()
    await asyncio.wait({running})


async def test_it_mends_once_the_hub_serves_and_then_looks_every_minute(hub: Any) -> None:
    app = application()
    asyncio.get_running_loop().call_later(3.05, setattr, app, "http_server", object())
    reconciler = Recorded(app)
    await runs(reconciler, 3.2)
    assert reconciler.did == [("mended", pytest.approx(3.1))]
    assert hub.mended.is_set()
    await runs(reconciler, 10)
    reconciler.did.clear()
    began = elapsed()
    await runs(reconciler, began + 3 * EVERY + 1)
    assert [at - began for _, at in reconciler.did] == [0, EVERY, 2 * EVERY, 3 * EVERY]


async def test_servers_that_the_hub_still_checks_are_not_taken_for_gone(hub: Any) -> None:
    app = application("check")
    app.http_server = object()
    asyncio.get_running_loop().call_later(20, setattr, app.spawner, "pending", None)
    reconciler = Recorded(app)
    await runs(reconciler, 30)
    ((what, at),) = reconciler.did
    assert (what, at) == ("mended", pytest.approx(20, abs=0.1))


async def test_starts_wait_for_the_mending_but_not_for_one_that_fails(hub: Any) -> None:
    app = application()
    app.http_server = object()
    reconciler = Recorded(app)
    reconciler.lasts, reconciler.faults = 5, 1
    running = asyncio.create_task(reconciler.run())
    await asyncio.sleep(4.9)
    assert not hub.mended.is_set()
    await asyncio.sleep(0.2)
    assert hub.mended.is_set()
    running.cancel()


async def test_a_look_that_fails_is_the_next_one_s_and_a_long_one_shifts_it(hub: Any) -> None:
    app = application()
    app.http_server = object()
    reconciler = Recorded(app)
    reconciler.lasts, reconciler.faults = 10, 3
    await runs(reconciler, 4 * (EVERY + 10))
    assert [at for _, at in reconciler.did] == [0, 70, 140, 210]


class OneRow:
    """A store with one running instance, whose longest life ended long ago."""

    def __init__(self) -> None:
        self.row = Instance(
            id=instance_id("marie", "one"),
            owner="marie",
            name="one",
            title="One",
            state=State.RUNNING,
            experiments=(),
            environment="scattering",
            flavour="small",
            session="notebook",
            cpu=1.0,
            memory=2**30,
            gpu=0,
            maximum=timedelta(hours=1),
            idle=None,
            holder=None,
            created_at=now() - timedelta(hours=9),
            started_at=now() - timedelta(hours=9),
            ended_at=None,
            reason=None,
            notice=None,
        )
        self.recorded: list[Decision] = []

    def holding(self) -> tuple[Instance, ...]:
        return (self.row,)

    def instance(self, identifier: str) -> Instance | None:
        return self.row if identifier == self.row.id else None

    def person(self, username: str) -> None:
        return None

    def record(self, decision: Decision) -> None:
        self.recorded.append(decision)


class Meanwhile(Reconciler):
    """``meanwhile`` happens after the round looked at what runs, while the catalogue is asked."""

    def __init__(self, app: Any, meanwhile: Callable[[], None]) -> None:
        super().__init__(app, cast("Watch", SimpleNamespace(take_back=_nothing)))
        self.members = cast("MemberLooks", SimpleNamespace(look=_nothing))
        self.meanwhile = meanwhile

    async def _experiments(self, ids: list[str]) -> Reading | None:
        self.meanwhile()
        return Reading({}, frozenset())


async def _nothing(*given: object, **named: object) -> list[str]:
    return []


def running(store: OneRow, ended: list[str]) -> Any:
    """JupyterHub with that instance, which notes what it is told to stop."""

    async def stop(name: str) -> None:
        ended.append(name)

    row = SimpleNamespace(last_activity=None)
    spawner = SimpleNamespace(name="one", pending=None, active=True, ready=True, orm_spawner=row, ending=None)
    user = SimpleNamespace(name=store.row.owner, spawners={"one": spawner}, stop=stop)
    return SimpleNamespace(
        http_server=object(),
        users={1: user},
        log=logging.getLogger("hub"),
        config=None,
        spawner=spawner,
        spawner_class=SimpleNamespace(sweep=_nothing),
        proxy=SimpleNamespace(delete_user=_nothing),
    )


@pytest.mark.parametrize("what", ["nothing", "started again", "forgotten", "not ready"])
async def test_what_became_another_run_while_the_catalogue_was_asked_is_not_ended(hub: Any, what: str) -> None:
    hub.store, ended = OneRow(), list[str]()
    app = running(hub.store, ended)
    row = hub.store.row

    def meanwhile() -> None:
        if what == "started again":
            hub.store.row = replace(row, started_at=now())
        elif what == "forgotten":
            hub.store.instance = lambda identifier: None
        elif what == "not ready":
            app.spawner.ready = False

    await Meanwhile(app, meanwhile).look()
    assert ended == (["one"] if what == "nothing" else [])
    assert [one.reason for one in hub.store.recorded] == (["lifetime-maximum"] if what == "nothing" else [])
    assert bool(app.spawner.ending) is (what == "nothing")
