"""When the reconciler looks. Time is virtual; what its looks find is in test_ends.py and test_restart.py."""

from __future__ import annotations

import asyncio
import logging
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visa.clock import elapsed
from visa.hub import settings
from visa.hub.reconcile import Reconciler
from visa.hub.sharing.watch import Watch

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

    made = SimpleNamespace(facility=SimpleNamespace(watch=watch), look_every=EVERY, mended=None)
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
