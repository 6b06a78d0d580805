"""Facts gathered and a decision made: with files, a store, and a catalogue that may be down."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path

import pytest
import yaml
from sqlalchemy import event

from tests.services import facility
from tests.services.waiting import eventually
from visa import clock
from visa.catalogue.base import Answer, Catalogue, CatalogueUnavailable, Experiment
from visa.catalogue.current import CurrentCatalogue
from visa.catalogue.opening import open_catalogue
from visa.clock import now
from visa.facility.watch import FacilitySource
from visa.instances.model import InstanceSpec, QuotaScope, Reason, Refusal
from visa.store.admissions import HTTP_STATUS, Admissions
from visa.store.store import Store

OPTIONS = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}


@pytest.fixture
def admissions(tmp_path: Path) -> Admissions:
    source = FacilitySource(facility.write(tmp_path))
    store = Store(f"sqlite:///{tmp_path / 'visa.sqlite'}")
    store.upgrade()
    store.put_person(facility.person())
    catalogue = open_catalogue(source.current.catalogue)
    return Admissions(source, lambda: catalogue, store)


async def test_a_check_holds_and_writes_nothing(admissions: Admissions) -> None:
    assert isinstance(await admissions.check("marie", OPTIONS, "one"), InstanceSpec)
    assert admissions.store.holding() == ()
    assert admissions.store.audit() == ()


async def test_a_reservation_holds_and_is_audited(admissions: Admissions) -> None:
    spec = await admissions.reserve("marie", OPTIONS, "one", actor="grace", holder="h", title="Mine")
    assert isinstance(spec, InstanceSpec)
    (instance,) = admissions.store.holding()
    assert (instance.title, instance.experiments) == ("Mine", ("exp-1",))
    (entry,) = admissions.store.audit()
    assert (entry.decision.actor, entry.decision.owner, entry.decision.allowed) == ("grace", "marie", True)


async def test_a_cancelled_reservation_holds_nothing(admissions: Admissions) -> None:
    """Cancelled while it waits for the database: its thread goes on, and what it got is given back."""
    with admissions.store.engine.connect() as busy:
        busy.exec_driver_sql("BEGIN IMMEDIATE")
        asked = threading.Event()

        @event.listens_for(admissions.store.engine, "before_cursor_execute")
        def begins(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
            if statement == "BEGIN IMMEDIATE":
                asked.set()

        work = asyncio.create_task(admissions.reserve("marie", OPTIONS, "one", actor="marie", holder="h"))
        await eventually(asked.is_set, "the question")
        assert not work.done(), "it waits"
        work.cancel()
        await asyncio.sleep(0)
        busy.exec_driver_sql("ROLLBACK")
        with pytest.raises(asyncio.CancelledError):
            await work
    assert admissions.store.holding() == ()
    assert [i.state for i in admissions.store.instances_of("marie")] == ["stopped"]


@pytest.mark.parametrize(
    ("options", "name", "reason"),
    [
        (OPTIONS, "", Reason.UNNAMED_SERVER),
        ({"image": "x"}, "one", Reason.UNKNOWN_OPTION),
        ({**OPTIONS, "experiments": ["exp-3"]}, "one", Reason.NOT_ENTITLED),
        ([], "one", Reason.MALFORMED),
    ],
)
async def test_refusals_are_audited_and_hold_nothing(
    admissions: Admissions, options: object, name: str, reason: Reason
) -> None:
    for outcome in (
        await admissions.check("marie", options, name),
        await admissions.reserve("marie", options, name, actor="marie", holder="h"),
    ):
        assert isinstance(outcome, Refusal)
        assert outcome.reason is reason
    assert admissions.store.holding() == ()
    assert [entry.decision.reason for entry in admissions.store.audit()] == [reason.value]


async def test_nobody_starts_who_never_logged_in(admissions: Admissions) -> None:
    outcome = await admissions.check("lise", OPTIONS, "one")
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.PERSON_NOT_VERIFIED


@pytest.mark.parametrize("name", ["..", "a/b", "x" * 300, "a\x00b", "\ud800"])
async def test_names_that_no_instance_may_have(admissions: Admissions, name: str) -> None:
    outcome = await admissions.reserve("marie", OPTIONS, name, actor="marie", holder="h")
    assert isinstance(outcome, Refusal)
    assert (outcome.reason, outcome.field) == (Reason.MALFORMED, "name")
    assert admissions.store.holding() == ()
    assert [entry.decision.allowed for entry in admissions.store.audit()] == [False]


async def test_nobody_learns_which_experiments_exist(admissions: Admissions) -> None:
    """Of others, and not there at all: the same words but for the id that she gave herself."""
    answers = []
    for identifier in ("exp-3", "exp-9"):
        outcome = await admissions.check("marie", {**OPTIONS, "experiments": [identifier]}, "one")
        assert isinstance(outcome, Refusal)
        answers.append((outcome.reason, str(outcome).replace(identifier, "ID"), outcome.field))
    assert answers[0] == answers[1]


class Waiting:
    """A catalogue that answers when it is told to."""

    def __init__(self) -> None:
        self.asked, self.answer = asyncio.Event(), asyncio.Event()

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        self.asked.set()
        await self.answer.wait()
        return Answer({"exp-1": facility.experiment()}, now())


async def test_an_account_withdrawn_while_the_catalogue_thinks_starts_nothing(admissions: Admissions) -> None:
    waiting = Waiting()
    admissions.catalogue = lambda: waiting  # type: ignore[assignment, return-value]
    work = asyncio.create_task(admissions.reserve("marie", OPTIONS, "one", actor="marie", holder="h"))
    await waiting.asked.wait()
    admissions.store.deactivate_person("marie")
    waiting.answer.set()
    outcome = await work
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.PERSON_NOT_ACTIVE
    assert admissions.store.holding() == ()


async def test_a_catalogue_that_never_answers_is_given_up(
    admissions: Admissions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("visa.store.facts.PATIENCE", 0.05)
    admissions.catalogue = Waiting  # type: ignore[assignment]
    outcome = await admissions.check("marie", OPTIONS, "one")
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.CATALOGUE_UNAVAILABLE


class Faulty:
    """A catalogue whose source cannot be asked, with or without something kept."""

    def __init__(self, kept: dict[str, Experiment] | None) -> None:
        self.kept = kept

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        if self.kept is None:
            raise CatalogueUnavailable("down")
        return Answer(self.kept, facility.person().verified_at, stale=True)  # type: ignore[arg-type]


@pytest.mark.parametrize("kept", [None, {"exp-1": facility.experiment()}])
async def test_a_catalogue_that_is_down_never_grants(
    admissions: Admissions, kept: dict[str, Experiment] | None
) -> None:
    faulty: Catalogue = Faulty(kept)  # type: ignore[assignment]
    admissions.catalogue = lambda: faulty
    outcome = await admissions.check("marie", OPTIONS, "one")
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.CATALOGUE_UNAVAILABLE


async def test_withdrawn_people_are_refused(admissions: Admissions) -> None:
    admissions.store.put_person(replace(facility.person(), active=False))
    outcome = await admissions.check("marie", OPTIONS, "one")
    assert isinstance(outcome, Refusal)
    assert outcome.reason is Reason.PERSON_NOT_ACTIVE


async def test_the_instruments_own_total_is_seen(admissions: Admissions) -> None:
    await admissions.reserve("marie", OPTIONS, "one", actor="marie", holder="h")
    use = admissions.store.use([QuotaScope("instrument", "d22")])
    assert use.held[QuotaScope("instrument", "d22")].instances == 1


def test_every_reason_has_an_http_status() -> None:
    assert set(HTTP_STATUS) == set(Reason)


@pytest.mark.parametrize(
    ("zone", "moment", "expected"),
    [
        ("UTC", "2026-06-30T23:30:00+00:00", date(2026, 6, 30)),
        ("Europe/Paris", "2026-06-30T21:59:59+00:00", date(2026, 6, 30)),
        ("Europe/Paris", "2026-06-30T22:00:00+00:00", date(2026, 7, 1)),
        ("Europe/Paris", "2026-12-31T22:59:59+00:00", date(2026, 12, 31)),
        ("Europe/Paris", "2026-12-31T23:00:00+00:00", date(2027, 1, 1)),
        ("America/Los_Angeles", "2026-01-02T07:59:59+00:00", date(2026, 1, 1)),
        ("America/Los_Angeles", "2026-01-02T08:00:00+00:00", date(2026, 1, 2)),
    ],
)
def test_today_is_the_facilitys_day(tmp_path: Path, zone: str, moment: str, expected: date) -> None:
    about = {"name": "Test Facility", "contact": "help@example.org", "time_zone": zone}
    source = FacilitySource(facility.write(tmp_path, facility=about))
    asked = Admissions(source, lambda: CurrentCatalogue(source), Store(f"sqlite:///{tmp_path / 'visa.sqlite'}"))
    with clock.wall(lambda: datetime.fromisoformat(moment)):
        assert asked.today() == expected


async def test_the_catalogues_days_are_the_facilitys(tmp_path: Path) -> None:
    changed = [{**facility.CATALOGUE["experiments"][0], "start": "2026-02-01T23:30:00Z"}]
    about = {"name": "Test Facility", "contact": "help@example.org", "time_zone": "Europe/Paris"}
    path = facility.write(tmp_path, facility=about)
    tmp_path.joinpath("catalogue.yaml").write_text(yaml.safe_dump({**facility.CATALOGUE, "experiments": changed}))
    found = (await CurrentCatalogue(FacilitySource(path)).experiments(["exp-1"])).value
    assert found["exp-1"].start == date(2026, 2, 2)
