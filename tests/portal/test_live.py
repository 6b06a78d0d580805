"""What changes after a page was told that it is listened to is told, and when is looked. Time is virtual."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from visa.clock import elapsed
from visa.portal import live
from visa.portal.live import Heart, Watcher
from visa.portal.problems import Problem
from visa.portal.service import Caller, PortalService
from visa.store.faults import REASON
from visa.store.store import Store

pytestmark = [pytest.mark.looptime, pytest.mark.usefixtures("at_once")]

MARIE = Caller("marie", "token")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The store is read in the loop's own thread: virtual time would not wait for another."""

    async def called(function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        return function(*arguments, **named)

    monkeypatch.setattr(asyncio, "to_thread", called)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}")
    made.upgrade()
    return made


class Service:
    """One instance, which is read only as fast as the test lets it; ``looks``: when it was."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.state, self.may_read = "starting", asyncio.Event()
        self.looks: list[float] = []
        self.asked: list[float] = []

    async def instances(self, caller: Caller) -> list[Any]:
        self.looks.append(elapsed())
        await self.may_read.wait()
        return [SimpleNamespace(id="one", state=self.state, title="", reason="", notice="")]

    async def person(self, caller: Caller) -> Any:
        self.asked.append(elapsed())
        raise Problem(403, "person-not-verified", "Nobody knows her.", "")


def watched(service: Service) -> Watcher:
    return Watcher(cast("PortalService", service), MARIE, Heart(service.store))


async def test_nobody_is_told_that_she_listens_before_the_first_look(store: Store) -> None:
    service = Service(store)
    watcher = watched(service)
    listener = watcher.listen()
    begun = asyncio.create_task(watcher.begun())
    await asyncio.sleep(3600)
    assert not begun.done()
    service.may_read.set()
    await begun
    service.state = "running"
    await listener.woken.wait()
    assert listener.told() == ["changed"]
    watcher.leave(listener)


async def test_what_changed_while_nothing_could_be_looked_at_is_told(store: Store) -> None:
    class Refusing(Service):
        async def instances(self, caller: Caller) -> list[Any]:
            if not self.may_read.is_set():
                raise Problem(503, "hub-unavailable", "The hub does not answer.", "")
            return await super().instances(caller)

    service = Refusing(store)
    watcher = watched(service)
    first = watcher.listen()
    await watcher.begun()
    service.may_read.set()
    second = watcher.listen()
    for listener in (first, second):
        await listener.woken.wait()
        assert listener.told() == ["changed"]
        watcher.leave(listener)


@pytest.mark.parametrize(
    "fault",
    [OperationalError("SELECT", {}, Exception("gone")), Problem(503, REASON, "", "")],
    ids=["store", "hub's database"],
)
async def test_a_page_that_stays_open_while_a_database_is_away_is_told_what_changed(
    store: Store, fault: Exception
) -> None:
    class Away(Service):
        away = False

        async def instances(self, caller: Caller) -> list[Any]:
            if self.away:
                raise fault
            return await super().instances(caller)

    service = Away(store)
    service.may_read.set()
    watcher = watched(service)
    listener = watcher.listen()
    await watcher.begun()
    service.away = True
    await asyncio.sleep(3600)
    service.state, service.away = "running", False
    await asyncio.wait_for(listener.woken.wait(), 60)
    assert listener.told() == ["changed"]
    watcher.leave(listener)


@pytest.mark.parametrize(("state", "every"), [("starting", 1.0), ("stopping", 1.0), ("running", 4.0), ("stopped", 4.0)])
async def test_what_is_under_way_is_looked_at_every_second_and_the_rest_every_four(
    store: Store, state: str, every: float
) -> None:
    service = Service(store)
    service.state = state
    service.may_read.set()
    watcher = watched(service)
    tabs = [watcher.listen() for _ in range(3)]
    await asyncio.sleep(4 * every + 0.5)
    assert service.looks == pytest.approx([0, every, 2 * every, 3 * every, 4 * every]), "once for all her tabs"
    assert [watcher.leave(one) for one in tabs] == [False, False, True]
    service.looks.clear()
    await asyncio.sleep(60)
    assert service.looks == [], "nobody listens"


async def test_twenty_tabs_listen_and_no_more(store: Store) -> None:
    watcher = watched(Service(store))
    for _ in range(20):
        watcher.listen()
    with pytest.raises(Problem, match="Too many pages are open"):
        watcher.listen()


class Supports:
    """Instead of `SupportService`: she supports nobody."""

    def __init__(self, service: Service) -> None: ...

    async def supports(self, person: Any) -> bool:
        return False


class Known(Service):
    """Somebody whom the portal knows."""

    async def person(self, caller: Caller) -> Any:
        self.asked.append(elapsed())
        return object()


async def test_people_are_looked_at_when_anything_changed_and_whom_she_supports_once_a_minute(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    beats, pulses = [0], list[float]()

    def pulse(store: Store, username: str, *, supports: bool) -> Any:
        pulses.append(elapsed())
        return beats[0]

    monkeypatch.setattr(live, "SupportService", Supports)
    monkeypatch.setattr(live, "heartbeat", lambda store: beats[0])
    monkeypatch.setattr(live, "pulse", pulse)
    service = Known(store)
    service.state = "running"
    service.may_read.set()
    watcher = watched(service)
    listener = watcher.listen()
    await asyncio.sleep(10.1)
    assert pulses == [0], "nothing changed"
    beats[0] += 1
    await listener.woken.wait()
    assert elapsed() == pytest.approx(10.5), "fifteen times 0.7 s"
    assert listener.told() == ["people"]
    await asyncio.sleep(60)
    assert service.asked == pytest.approx([0, 60.2]), "the first look after a minute"
    assert pulses == pytest.approx([0, 10.5, 60.2])
    assert listener.told() == []
    watcher.leave(listener)


async def test_people_who_cannot_be_looked_at_are_tried_again_every_four_seconds(store: Store) -> None:
    service = Service(store)
    service.may_read.set()
    watcher = watched(service)
    listener = watcher.listen()
    await asyncio.sleep(9)
    assert service.asked == [0, 4, 8]
    watcher.leave(listener)


async def test_one_look_at_what_changed_is_all_watchers(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[float] = []
    monkeypatch.setattr(live, "heartbeat", lambda store: looked.append(elapsed()))
    heart = Heart(store)
    for _ in range(7):
        await asyncio.gather(*(heart.beat() for _ in range(50)))
        await asyncio.sleep(0.1)
    assert looked == pytest.approx([0, 0.4])
