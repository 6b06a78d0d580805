"""What a start that went wrong says, and what is given back when the store is there again."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from sqlalchemy.exc import OperationalError

from visa.hub.admitted import RESTARTED, AdmittedSpawner
from visa.hub.owed import Ended, Owed
from visa.store.faults import INTERRUPTED
from visa.store.store import Store

FAULT = OperationalError("SELECT", {}, Exception("the server closed the connection"))
pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    ("after", "stop_asked", "error", "says"),
    [
        (3, False, asyncio.CancelledError(), RESTARTED),
        (120, False, asyncio.CancelledError(), "The start took longer than 120 seconds"),
        (3, True, asyncio.CancelledError(), None),
        (3, False, FAULT, INTERRUPTED),
        (3, False, RuntimeError("no"), "a fault in the service"),
    ],
)
async def test_a_start_says_what_ended_it(
    after: float, error: BaseException, says: str | None, *, stop_asked: bool
) -> None:
    spawner: Any = SimpleNamespace(stop_asked=stop_asked, start_timeout=120, _start_began=0.0)
    await asyncio.sleep(after)
    why = AdmittedSpawner._why(cast("AdmittedSpawner", spawner), error)
    assert (why is None) if says is None else says in (why or "")


class Away:
    """A store that is away for the first ``faults`` questions."""

    def __init__(self, store: Store, faults: int) -> None:
        self._store, self._faults = store, faults

    def instance(self, identifier: str) -> Any:
        self._faults -= 1
        if self._faults >= 0:
            raise FAULT
        return self._store.instance(identifier)


def test_what_is_owed_is_tried_until_it_is_written_and_not_when_it_lives_again(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}")
    store.upgrade()
    owed, away = Owed(), cast("Store", Away(store, 1))
    owed.add(Ended("one", True, INTERRUPTED))
    owed.add(Ended("one", False, None))
    with pytest.raises(OperationalError):
        owed.pay(away, lambda identifier: False)
    assert owed._ends == {"one": Ended("one", True, INTERRUPTED)}
    owed.pay(away, lambda identifier: False)
    assert owed._ends == {}
    owed.add(Ended("two", True, None))
    owed.pay(cast("Store", Away(store, 9)), lambda identifier: True)
    assert owed._ends == {}
