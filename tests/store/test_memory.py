"""What a catalogue held before outlives the process: a source that lost its rows while nobody looked is doubted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, func, select
from sqlalchemy.orm import Session

from tests.catalogue.test_file import write
from tests.catalogue.test_sql import add_experiment, execute, make
from tests.services import facility
from tests.services.facility import CATALOGUE
from tests.services.waiting import leap
from visa.catalogue.base import Catalogue, CatalogueUnavailable
from visa.catalogue.current import CurrentCatalogue
from visa.catalogue.opening import open_catalogue, source_of
from visa.catalogue.shrinking import REMEMBERED, Belief
from visa.facility.model import FileCatalogue, SqlCatalogue
from visa.facility.watch import FacilitySource
from visa.store import memory as memories
from visa.store.memory import CatalogueMemory
from visa.store.store import Store
from visa.store.tables import CatalogueHeldRow

MANY = [{**CATALOGUE["experiments"][0], "id": f"e-{number}"} for number in range(20)]


def opened(store: Store, path: Path, believe: str = "") -> Catalogue:
    """As another process opens it."""
    return open_catalogue(FileCatalogue(type="file", path=path, believe=believe), memory=CatalogueMemory(store))


async def test_files_that_shrank_while_nobody_looked_are_doubted(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, experiments=MANY)
    assert not (await opened(store, path).experiments(["e-3"])).stale
    write(tmp_path, experiments=MANY[:2])
    doubting = opened(store, path)
    with pytest.raises(CatalogueUnavailable, match="experiments: there were 20, now 2"):
        await doubting.experiments(["e-3"])
    health = await doubting.health()
    assert not health.up
    assert "catalogue.believe" in str(health.fault)
    believing = opened(store, path, "2026-11-29: it is so")
    assert set((await believing.experiments(["e-1", "e-3"])).value) == {"e-1"}
    write(tmp_path, experiments=[])
    with pytest.raises(CatalogueUnavailable, match="now 0"):
        await opened(store, path, "2026-11-29: it is so").experiments(["e-1"])
    write(tmp_path, experiments=MANY)
    leap(5.001)
    assert not (await doubting.experiments(["e-3"])).stale


async def test_another_process_may_have_believed_it_step_by_step(store: Store, tmp_path: Path) -> None:
    path = write(tmp_path, experiments=MANY)
    idle, busy = opened(store, path), opened(store, path)
    await idle.experiments(["e-1"])
    for left in (15, 10, 6):
        write(tmp_path, experiments=MANY[:left])
        assert not (await busy.experiments(["e-1"])).stale
    assert not (await idle.experiments(["e-1"])).stale


async def test_a_database_that_shrank_while_nobody_looked_is_doubted(store: Store, tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make(url)
    engine = create_engine(url)
    with engine.begin() as connection:
        for one in MANY:
            add_experiment(connection, one)
    engine.dispose()
    ids = [one["id"] for one in MANY]

    def another(believe: str = "") -> Catalogue:
        config = SqlCatalogue(type="sql", url=url, believe=believe)
        return open_catalogue(config, memory=CatalogueMemory(store))

    first = another()
    assert len((await first.experiments(ids)).value) == 20
    await first.close()
    execute(url, "DELETE FROM team")
    second = another()
    with pytest.raises(CatalogueUnavailable, match="experiments with a team: there were 20, now 0"):
        await second.experiments(ids)
    await second.close()
    third = another("it is so")
    assert (await third.experiments(ids)).value["e-3"].team == frozenset()
    await third.close()
    execute(url, "DELETE FROM instrument_scientists")
    fourth = another("it is so")
    with pytest.raises(CatalogueUnavailable, match="instrument scientists"):
        await fourth.instruments()
    await fourth.close()


async def test_an_edit_of_facility_yaml_says_that_it_is_so(store: Store, tmp_path: Path) -> None:
    path = facility.write(tmp_path)
    write(tmp_path, experiments=MANY)
    source = FacilitySource(path)
    catalogue = CurrentCatalogue(source, CatalogueMemory(store))
    assert not (await catalogue.experiments(["e-3"])).stale
    write(tmp_path, experiments=MANY[:1])
    assert (await catalogue.experiments(["e-3"])).stale
    kept = (tmp_path / "catalogue.yaml").read_text()
    facility.write(tmp_path, catalogue={"type": "file", "path": "catalogue.yaml", "believe": "so it is"})
    (tmp_path / "catalogue.yaml").write_text(kept)
    assert source.check()
    answer = await catalogue.experiments(["e-3", "e-0"])
    assert (set(answer.value), answer.stale) == ({"e-0"}, False)


def test_a_store_that_does_not_answer_makes_nobody_believe(tmp_path: Path) -> None:
    store = Store(f"sqlite:///{tmp_path / 'none' / 'visa.sqlite'}")
    said = Belief("a", CatalogueMemory(store)).doubt({"people": 5})
    assert "what it held before is not known" in str(said)


def test_a_new_password_is_no_new_source_and_a_new_word_is() -> None:
    def source(url: str, **more: Any) -> str:
        return source_of(SqlCatalogue(type="sql", url=url, **more))

    one = source("postgresql+psycopg://reader:secret@db/office")
    assert one == source("postgresql+psycopg://reader:another@db/office")
    assert one != source("postgresql+psycopg://reader:secret@db/office", believe="so it is")
    assert one != source("postgresql+psycopg://reader:secret@db/another")
    assert one != source("postgresql+psycopg://reader:secret@db/office", queries={"team": "SELECT 1"})


def test_what_is_kept_is_bounded(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memories, "SOURCES", 3)
    monkeypatch.setattr(memories, "REMEMBERED", 10)
    monkeypatch.setattr(memories, "_ROWS", 12)
    kept = CatalogueMemory(store)
    for number in range(5):
        kept.keep(f"source-{number}", {"people": number})
    assert [number for number in range(5) if kept.recall(f"source-{number}")] == [2, 3, 4]
    for number in range(20):
        kept.keep("source-4", {f"experiment e-{number}": 1})
    found = kept.recall("source-4")
    assert found["people"] == 4, "it is older than all of them, and stays"
    assert len(found) <= 12
    assert "experiment e-19" in found
    kept.keep("source-4", {"experiment e-19": None})
    assert "experiment e-19" not in kept.recall("source-4")


def test_experiments_of_any_name_are_remembered_up_to_a_bound(store: Store) -> None:
    belief = Belief("a", CatalogueMemory(store))
    ids = [f"e-{number}" for number in range(REMEMBERED + 500)]
    assert belief.doubt_teams(ids, dict.fromkeys(ids, True)) is None
    assert belief.doubt_teams(["x" * 10_000, "\x00"], {"x" * 10_000: True, "\x00": True}) is None
    with Session(store.engine) as session:
        assert session.scalar(select(func.count()).select_from(CatalogueHeldRow)) <= REMEMBERED + 1000  # type: ignore[operator]
    assert belief.doubt_teams(ids[-100:], {}) is not None
    assert CatalogueMemory(store).recall("another") == {}
