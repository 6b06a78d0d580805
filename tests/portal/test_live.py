"""What changes after a page was told that it is listened to is told."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from visa.portal.live import Heart, Watcher
from visa.portal.problems import Problem
from visa.portal.service import Caller, PortalService
from visa.store.store import Store


class Service:
    """One instance, which is read only as fast as the test lets it."""

    def __init__(self) -> None:
        self.state, self.may_read = "starting", asyncio.Event()

    async def instances(self, caller: Caller) -> list[Any]:
        await self.may_read.wait()
        return [SimpleNamespace(id="one", state=self.state, title="", reason="", notice="")]

    async def person(self, caller: Caller) -> Any:
        raise Problem(403, "person-not-verified", "Nobody knows her.", "")


async def test_nobody_is_told_that_she_listens_before_the_first_look(tmp_path: Path) -> None:
    store, service = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}"), Service()
    watcher = Watcher(cast("PortalService", service), Caller("marie", "token"), Heart(store))
    listener = watcher.listen()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(watcher.begun(), 0.3)
    service.may_read.set()
    await asyncio.wait_for(watcher.begun(), 10)
    service.state = "running"
    await asyncio.wait_for(listener.woken.wait(), 10)
    assert listener.told() == ["changed"]
    watcher.leave(listener)


async def test_what_changed_while_nothing_could_be_looked_at_is_told(tmp_path: Path) -> None:
    class Refusing(Service):
        async def instances(self, caller: Caller) -> list[Any]:
            if not self.may_read.is_set():
                raise Problem(503, "hub-unavailable", "The hub does not answer.", "")
            return await super().instances(caller)

    store, service = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}"), Refusing()
    watcher = Watcher(cast("PortalService", service), Caller("marie", "token"), Heart(store))
    first = watcher.listen()
    await asyncio.wait_for(watcher.begun(), 10)
    service.may_read.set()
    second = watcher.listen()
    for listener in (first, second):
        await asyncio.wait_for(listener.woken.wait(), 10)
        assert listener.told() == ["changed"]
        watcher.leave(listener)
