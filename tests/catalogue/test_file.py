"""The file source: YAML and CSV, every mistake, edits while it is in use."""

from __future__ import annotations

import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.services.facility import CATALOGUE
from visa.catalogue.base import Catalogue, CatalogueUnavailable, Scope, Search, Sort
from visa.catalogue.file import FileCatalogue, load_problems

TODAY = date(2026, 1, 1)

CSV = {
    "people.csv": "\ufeffusername;name;uid;gid;gids;roles\nmarie;Marie Curie;20001;20001;30001, 30002;scientist\n"
    "dorothy;Dorothy Hodgkin;20004;20004;;\n\n",
    "instruments.csv": 'id,name,description,scientists\nd22,D22,"Small angle, neutrons",dorothy\n',
    "proposals.csv": "id,title,principal\np1,Micelles,marie\n",
    "experiments.csv": "id,title,proposal,instrument,start,end,release,doi\n"
    'exp-1,"Micelles; at ""rest""",p1,d22,01.02.2025,03.02.2025,,\n'
    "exp-2,Flow,p1,d22,2025-05-01,,2025-06-01,10.5072/x\n",
    "teams.csv": "experiment,username\nexp-1,marie\nexp-1,dorothy\n",
}


def write(folder: Path, **changed: Any) -> Path:
    path = folder / "catalogue.yaml"
    path.write_text(yaml.safe_dump({**CATALOGUE, **changed}, allow_unicode=True))
    return path


async def ids(catalogue: Catalogue, username: str, **search: Any) -> list[str]:
    found = await catalogue.search(username, Search(**search), TODAY)
    return [str(e.id) for e in found.value.experiments]


async def test_who_sees_what(tmp_path: Path) -> None:
    catalogue = FileCatalogue(write(tmp_path))
    assert await ids(catalogue, "marie") == ["exp-2", "exp-1"]
    assert await ids(catalogue, "rosalind") == ["exp-1"]
    assert await ids(catalogue, "dorothy") == ["exp-2", "exp-1"], "the instrument's scientist"
    assert await ids(catalogue, "grace") == []
    assert await ids(catalogue, "grace", scope=Scope.OPEN) == ["exp-4"]
    assert await ids(catalogue, "lise", scope=Scope.ALL) == ["exp-3", "exp-4"], "each once"


async def test_search_words_filters_and_order(tmp_path: Path) -> None:
    catalogue = FileCatalogue(write(tmp_path))
    assert await ids(catalogue, "marie", text="MICELLES flow") == ["exp-2"]
    assert await ids(catalogue, "marie", text="rosalind") == ["exp-1"], "a team member"
    assert await ids(catalogue, "marie", text="Franklin") == ["exp-1"], "by her name"
    assert await ids(catalogue, "lise", text="10.5072/open.4") == ["exp-4"]
    assert await ids(catalogue, "marie", year=2025, instrument="d22", sort=Sort.OLDEST) == ["exp-1", "exp-2"]
    assert await ids(catalogue, "marie", sort=Sort.TITLE) == ["exp-1", "exp-2"]
    assert await ids(catalogue, "marie", year=2024) == []
    page = (await catalogue.search("marie", Search(limit=1, offset=1), TODAY)).value
    assert ([e.id for e in page.experiments], page.total) == (["exp-1"], 2)
    assert page.instruments == (("d22", "D22"),)
    assert page.years == (2025,)


async def test_accents_do_not_matter(tmp_path: Path) -> None:
    changed = [{**CATALOGUE["experiments"][0], "title": "Mößbauer effect"}]
    catalogue = FileCatalogue(write(tmp_path, experiments=changed))
    assert await ids(catalogue, "marie", text="mossbauer") == ["exp-1"]


async def test_people_instruments_and_experiments_by_id(tmp_path: Path) -> None:
    catalogue = FileCatalogue(write(tmp_path))
    marie = (await catalogue.person("marie")).value
    assert marie is not None
    assert (marie.uid, marie.gids, marie.roles) == (20001, (30001,), frozenset({"scientist"}))
    assert (await catalogue.person("nobody")).value is None
    found = (await catalogue.experiments(["exp-1", "nothing", "../x"])).value
    assert list(found) == ["exp-1"]
    assert found["exp-1"].principal == "marie"
    assert found["exp-1"].instrument_scientists == {"dorothy"}
    assert [i.id for i in (await catalogue.instruments()).value] == ["d22", "id10"]


async def test_csv_as_offices_export_it(tmp_path: Path) -> None:
    for name, text in CSV.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert load_problems(tmp_path) == ([], [])
    catalogue = FileCatalogue(tmp_path)
    found = (await catalogue.experiments(["exp-1", "exp-2"])).value
    assert found["exp-1"].title == 'Micelles; at "rest"'
    assert (found["exp-1"].start, found["exp-1"].end) == (date(2025, 2, 1), date(2025, 2, 3))
    assert found["exp-1"].team == {"marie", "dorothy"}
    assert (found["exp-2"].end, found["exp-2"].release) == (date(2025, 5, 1), date(2025, 6, 1))
    assert (await catalogue.person("marie")).value.gids == (30001, 30002)  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("part", "change", "said"),
    [
        ("experiments", {"id": "a/b"}, "id: experiment 'a/b' is not valid"),
        ("experiments", {"id": "exp-2"}, "'exp-2' is there twice"),
        ("experiments", {"proposal": "p9"}, "proposal: 'p9' is not known"),
        ("experiments", {"instrument": "x"}, "instrument: 'x' is not known"),
        ("experiments", {"start": "soon"}, "start: 'soon' is not a date"),
        ("experiments", {"end": "2020-01-01"}, "is before the start"),
        ("experiments", {"title": ""}, "title: is missing"),
        ("experiments", {"team": ["nobody"]}, "team: 'nobody' is not one of the people"),
        ("experiments", {"colour": "red"}, "colour: is not known in experiments"),
        ("people", {"username": "a b"}, "username: user name 'a b' is not valid"),
        ("people", {"uid": "many"}, "uid: 'many' is not a number"),
        ("people", {"uid": -1}, "uid: -1 is not a number"),
        ("instruments", {"scientists": ["nobody"]}, "scientists: 'nobody' is not one of the people"),
        ("proposals", {"principal": "nobody"}, "principal: 'nobody' is not one of the people"),
    ],
)
def test_each_mistake_is_said_with_its_line(tmp_path: Path, part: str, change: dict[str, Any], said: str) -> None:
    first, *others = CATALOGUE[part]
    path = write(tmp_path, **{part: [{**first, **change}, *others]})
    _, problems = load_problems(path)
    assert any(said in problem for problem in problems), problems
    assert all(problem.startswith(f"{path}:") for problem in problems)


def test_every_mistake_at_once(tmp_path: Path) -> None:
    entries = [{**entry, "start": "never"} for entry in CATALOGUE["experiments"]]
    assert len(load_problems(write(tmp_path, experiments=entries))[1]) == len(entries)


@pytest.mark.parametrize(
    "text", ["", "- a", "people: 7", "people: [7]", "a: [", "x: 1", "people: !!python/name:os.system"]
)
def test_what_is_no_catalogue(tmp_path: Path, text: str) -> None:
    path = tmp_path / "catalogue.yaml"
    path.write_text(text)
    assert any(load_problems(path))


async def test_hostile_text_stays_text(tmp_path: Path) -> None:
    title = "{userid.__class__} <script>\x00\u202e" + "x" * 10_000
    changed = [{**CATALOGUE["experiments"][0], "title": title}]
    catalogue = FileCatalogue(write(tmp_path, experiments=changed))
    found = (await catalogue.experiments(["exp-1"])).value["exp-1"]
    assert found.title.startswith("{userid.__class__} <script>")
    assert found.title.isprintable()
    assert len(found.title) == 300


async def test_an_edit_is_seen_and_a_broken_one_makes_answers_stale(tmp_path: Path) -> None:
    path = write(tmp_path)
    catalogue = FileCatalogue(path)
    assert not (await catalogue.experiments(["exp-1"])).stale
    write(tmp_path, experiments=[{**CATALOGUE["experiments"][0], "title": "A new title"}])
    assert (await catalogue.experiments(["exp-1"])).value["exp-1"].title == "A new title"
    path.write_text("people: [")
    answer = await catalogue.experiments(["exp-1"])
    assert answer.stale
    assert answer.value["exp-1"].title == "A new title"
    health = await catalogue.health()
    assert not health.up
    assert health.fault
    path.unlink()
    assert (await catalogue.experiments(["exp-1"])).stale
    write(tmp_path)
    assert not (await catalogue.experiments(["exp-1"])).stale
    assert (await catalogue.health()).up


async def test_nothing_at_all_is_unavailable(tmp_path: Path) -> None:
    catalogue = FileCatalogue(tmp_path / "none.yaml")
    with pytest.raises(CatalogueUnavailable):
        await catalogue.experiments(["exp-1"])
    assert not (await catalogue.health()).up


async def test_five_thousand_experiments_of_one_person_stay_quick(tmp_path: Path) -> None:
    first = CATALOGUE["experiments"][0]
    many = [{**first, "id": f"e-{n}", "title": f"Number {n} of many"} for n in range(5000)]
    catalogue = FileCatalogue(write(tmp_path, experiments=many))
    assert (await catalogue.search("marie", Search(), TODAY)).value.total == 5000
    began = time.process_time()
    for number in range(10):
        assert (await catalogue.search("marie", Search(text=f"number {number}00 many"), TODAY)).value.total
    assert time.process_time() - began < 2, "not a measurement: a guard against something quadratic"
