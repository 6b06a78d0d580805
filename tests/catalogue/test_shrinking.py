"""A table that was emptied, or is half loaded, ends nobody's work; one team that was emptied does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine

from tests.catalogue.test_sql import add_experiment, execute, make
from tests.services.facility import CATALOGUE
from tests.services.waiting import leap
from visa.catalogue.base import CatalogueUnavailable
from visa.catalogue.shrinking import Belief, MemoryFails
from visa.catalogue.sql import SqlCatalogue

IDS = [f"e-{number:02}" for number in range(40)]


class Kept:
    """A memory that another process shares, or that fails."""

    def __init__(self) -> None:
        self.rows: dict[str, int] = {}
        self.fails = False

    def recall(self, source: str) -> dict[str, int]:
        if self.fails:
            raise MemoryFails("away")
        return dict(self.rows)

    def keep(self, source: str, changed: Mapping[str, int | None]) -> None:
        self.rows |= {what: number for what, number in changed.items() if number is not None}


@pytest.fixture
def url(tmp_path: Path) -> str:
    made = f"sqlite:///{tmp_path}/catalogue.sqlite"
    make(made)
    engine = create_engine(made)
    with engine.begin() as connection:
        for identifier in IDS:
            add_experiment(connection, {**CATALOGUE["experiments"][0], "id": identifier})
    engine.dispose()
    return made


async def seen(url: str, kept: Kept) -> SqlCatalogue:
    """A hub that begins after all of them were seen."""
    before = SqlCatalogue(url, belief=Belief("a", kept))
    assert len((await before.experiments(IDS)).value) == len(IDS)
    await before.close()
    return SqlCatalogue(url, belief=Belief("a", kept))


@pytest.mark.parametrize("count", [2, 9])
def test_a_few_that_all_lost_their_team_at_once_are_doubted(count: int) -> None:
    belief, ids = Belief(), IDS[:count]
    assert belief.doubt_teams(ids, dict.fromkeys(ids, True)) is None
    for _ in range(3):
        assert "now 0" in str(belief.doubt_teams(ids, dict.fromkeys(ids, False)))


def test_one_that_is_alone_is_believed() -> None:
    belief = Belief()
    assert belief.doubt_teams(["e-1"], {"e-1": True}) is None
    assert belief.doubt_teams(["e-1"], {"e-1": False}) is None


@pytest.mark.parametrize("asked", [IDS[:1], IDS[:9], IDS[39:]])
@pytest.mark.parametrize("wrong", ["DELETE FROM team", "DELETE FROM team WHERE experiment < 'e-30'",
                                   "DELETE FROM experiments"])  # fmt: skip
async def test_a_table_that_is_emptied_is_doubted_by_a_small_question(url: str, asked: list[str], wrong: str) -> None:
    kept = Kept()
    catalogue = await seen(url, kept)
    remembered = dict(kept.rows)
    assert not (await catalogue.experiments(asked)).stale
    execute(url, wrong)
    for _ in range(3):
        leap(6)
        answer = await catalogue.experiments(asked)
        lost = [one for one in asked if one not in answer.value or not answer.value[one].team]
        assert not lost
    assert kept.rows == remembered, "what later questions compare with"
    await catalogue.close()


@pytest.mark.parametrize("wrong", ["DELETE FROM team WHERE experiment = 'e-03'",
                                   "DELETE FROM experiments WHERE id = 'e-03'"])  # fmt: skip
async def test_one_team_that_is_emptied_is_believed_and_others_do_not_reach_the_answer(url: str, wrong: str) -> None:
    kept = Kept()
    catalogue = await seen(url, kept)
    execute(url, wrong)
    for _ in range(2):
        leap(3)
        answer = await catalogue.experiments(["e-03"])
        assert not answer.stale
        assert [one for one in answer.value.values() if one.team] == []
        assert set(answer.value) <= {"e-03"}
    assert (await catalogue.health()).up
    await catalogue.close()


async def test_experiments_that_were_archived_keep_nobody_on_a_team(url: str) -> None:
    catalogue = await seen(url, Kept())
    execute(
        url, "DELETE FROM experiments WHERE id BETWEEN 'e-05' AND 'e-99'", "DELETE FROM team WHERE experiment = 'e-03'"
    )
    answer = await catalogue.experiments(["e-03"])
    assert (answer.value["e-03"].team, answer.stale) == (frozenset(), False)
    await catalogue.close()


async def test_a_memory_that_does_not_answer_makes_nobody_believe(url: str) -> None:
    kept = Kept()
    catalogue: Any = await seen(url, kept)
    execute(url, "DELETE FROM team WHERE experiment = 'e-03'")
    kept.fails = True
    with pytest.raises(CatalogueUnavailable, match="what it held before is not known: away"):
        await catalogue.experiments(["e-03"])
    await catalogue.close()
