"""The catalogue of now: edits of facility.yaml open another one, and close the former with its last answer."""

from __future__ import annotations

import asyncio
from datetime import tzinfo
from pathlib import Path
from typing import Any

import pytest

from tests.services import facility
from tests.services.facility import experiment
from visa import clock
from visa.catalogue import current
from visa.catalogue.base import Answer
from visa.catalogue.current import CurrentCatalogue
from visa.facility.watch import FacilitySource


class Counted:
    """A source that answers when a test lets it."""

    def __init__(self, config: Any) -> None:
        self.name, self.closed = Path(config.path).name, 0
        self.began, self.answer = asyncio.Event(), asyncio.Event()

    async def experiments(self, ids: Any) -> Answer[Any]:
        self.began.set()
        await self.answer.wait()
        assert not self.closed, "asked a catalogue that is closed"
        return Answer({self.name: experiment()}, clock.now(), False)

    async def close(self) -> None:
        self.closed += 1


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Counted]:
    made: list[Counted] = []

    def open_catalogue(config: Any, zone: tzinfo, memory: Any) -> Counted:
        if "impossible" in str(config.path):
            raise ValueError("settings contradict one another")
        made.append(Counted(config))
        return made[-1]

    monkeypatch.setattr(current, "open_catalogue", open_catalogue)
    return made


def edit(folder: Path, catalogue: str, **changed: Any) -> None:
    facility.write(folder, catalogue={"type": "file", "path": catalogue}, **changed)


async def asked(catalogue: CurrentCatalogue) -> list[str]:
    return list((await catalogue.experiments(["exp-1"])).value)


async def test_the_former_one_closes_with_its_last_answer(tmp_path: Path, opened: list[Counted]) -> None:
    edit(tmp_path, "first.yaml")
    source = FacilitySource(tmp_path / "facility.yaml")
    catalogue = CurrentCatalogue(source)
    first = asyncio.create_task(asked(catalogue))
    await opened[0].began.wait()
    edit(tmp_path, "second.yaml")
    assert await asyncio.to_thread(source.check)
    opened[1].answer.set()
    assert await asked(catalogue) == ["second.yaml"]
    assert (opened[0].closed, opened[1].closed) == (0, 0)
    opened[0].answer.set()
    assert await first == ["first.yaml"]
    await asyncio.sleep(0)
    assert (opened[0].closed, opened[1].closed) == (1, 0)
    await catalogue.close()
    assert (opened[0].closed, opened[1].closed) == (1, 1)


async def test_an_idle_one_closes_at_once(tmp_path: Path, opened: list[Counted]) -> None:
    edit(tmp_path, "first.yaml")
    source = FacilitySource(tmp_path / "facility.yaml")
    catalogue = CurrentCatalogue(source)
    opened[0].answer.set()
    await asked(catalogue)
    edit(tmp_path, "second.yaml")
    await asyncio.to_thread(source.check)
    for _ in range(3):  # the thread's word, then the closing
        await asyncio.sleep(0)
    assert opened[0].closed == 1


async def test_other_edits_keep_it_open(tmp_path: Path, opened: list[Counted]) -> None:
    """A pool and its caches stay; so they do when what the file names cannot be opened."""
    edit(tmp_path, "first.yaml")
    source = FacilitySource(tmp_path / "facility.yaml")
    catalogue = CurrentCatalogue(source)
    opened[0].answer.set()
    edit(tmp_path, "first.yaml", sharing={"members": False})
    assert await asyncio.to_thread(source.check)
    assert not source.current.sharing.members
    edit(tmp_path, "impossible.yaml")
    assert await asyncio.to_thread(source.check)
    assert await asked(catalogue) == ["first.yaml"]
    assert [one.closed for one in opened] == [0]


async def test_another_time_zone_opens_another(tmp_path: Path, opened: list[Counted]) -> None:
    edit(tmp_path, "one.yaml")
    source = FacilitySource(tmp_path / "facility.yaml")
    CurrentCatalogue(source)
    about = {"name": "Test Facility", "contact": "help@example.org", "time_zone": "Europe/Paris"}
    edit(tmp_path, "one.yaml", facility=about)
    source.check()
    assert len(opened) == 2, "its days are other days"
