"""Facts gathered and a decision made: with files, a store, and a catalogue that may be down."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.services import facility
from visa.catalogue.base import Answer, Catalogue, CatalogueUnavailable, Experiment
from visa.catalogue.opening import open_catalogue
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
        work = asyncio.create_task(admissions.reserve("marie", OPTIONS, "one", actor="marie", holder="h"))
        done, _ = await asyncio.wait({work}, timeout=0.5)
        assert not done, "it waits"
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
