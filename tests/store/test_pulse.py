"""What wakes one person's pages, and what does not."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from datetime import timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from tests.services.facility import person
from visa.clock import now
from visa.instances.access import Role
from visa.instances.members import Approvers, Sharing
from visa.store.people import People
from visa.store.pulse import heartbeat, pulse
from visa.store.sharing.records import Here
from visa.store.store import Store
from visa.store.tables import (
    AccessRequestRow,
    ChangeRow,
    HelpRow,
    InstanceRow,
    InvitationRow,
    MemberRow,
    VisitRow,
)

MINE, OTHERS = "1" * 16, "2" * 16


@pytest.fixture
def store(store_url: str) -> Store:
    """Marie's instance and one of Lise's."""
    made = Store(store_url)
    made.upgrade()
    with Session(made.engine) as session:
        for identifier, owner in ((MINE, "marie"), (OTHERS, "lise")):
            session.add(
                InstanceRow(
                    id=identifier,
                    owner=owner,
                    name="n",
                    title="t",
                    state="running",
                    experiments=["exp-1"],
                    environment="e",
                    flavour="f",
                    session="notebook",
                    cpu=1,
                    memory=1,
                    gpu=0,
                    created_at=now(),
                )
            )
            session.flush()
            session.add(ChangeRow(instance_id=identifier, number=1))
        session.commit()
    return made


def rows(instance: str) -> dict[str, Callable[[], object]]:
    moment = now()
    soon = moment + timedelta(hours=1)
    return {
        "member": lambda: MemberRow(
            instance_id=instance, username="rosalind", role=Role.OBSERVER.value, way="team", granted_by="marie",
            since=moment, with_owner=False,
        ),
        "visit": lambda: VisitRow(
            instance_id=instance, username="rosalind", role="observer", session="notebook", began=moment, seen=moment
        ),
        "request": lambda: AccessRequestRow(
            instance_id=instance, requester="rosalind", kind="guest", wanted="observer", reason="", state="pending",
            asked_at=moment, expires=soon,
        ),
        "help": lambda: HelpRow(instance_id=instance, asked_by="rosalind", message="m", asked_at=moment),
        "invitation": lambda: InvitationRow(
            instance_id=instance, kind="once", token="t" * 64, role="observer", expires=soon, created_by="marie",
            created_at=moment,
        ),
    }  # fmt: skip


def add(store: Store, row: object) -> None:
    with Session(store.engine) as session:
        session.add(row)
        session.commit()


def seen(store: Store, username: str = "marie", *, supports: bool = False) -> Hashable:
    return pulse(store, username, supports=supports)


@pytest.mark.parametrize("what", ["visit", "request", "help", "invitation"])
def test_what_happens_on_ones_own_instance(store: Store, what: str) -> None:
    before, others = seen(store), seen(store, "lise")
    assert seen(store) == before, "nothing happened"
    add(store, rows(MINE)[what]())
    assert seen(store) != before
    assert seen(store, "lise") == others, "it is nothing of hers"


def test_the_heart_beats_for_everything(store: Store) -> None:
    """By the store's own acts, each with its row in the audit trail; an owner's coming and going has none."""
    people, moment = People(store), now()
    store.put_person(person("marie"))
    told = [heartbeat(store)]

    def another() -> None:
        told.append(heartbeat(store))
        assert told[-1] not in told[:-1], "it is like none before"

    people.members.share("marie", MINE, Sharing(approvers=Approvers.COLLABORATORS).told(), moment)
    another()
    people.help.ask("marie", MINE, "Help", moment)
    another()
    people.help.close("marie", MINE, moment)
    another()
    owner = Here("marie", Role.OWNER, "notebook", moment)
    people.visits.here(MINE, [owner], moment)
    another()
    people.visits.here(MINE, [], moment)
    another()
    assert heartbeat(store) == told[-1]


def test_a_change_that_a_gateway_must_know(store: Store) -> None:
    before = seen(store)
    with Session(store.engine) as session:
        session.execute(update(ChangeRow).where(ChangeRow.instance_id == MINE).values(number=2))
        session.commit()
    assert seen(store) != before


def test_becoming_a_member_and_what_happens_there(store: Store) -> None:
    before = seen(store, "rosalind")
    add(store, rows(OTHERS)["member"]())
    joined = seen(store, "rosalind")
    assert joined != before
    add(store, rows(OTHERS)["visit"]())
    assert seen(store, "rosalind") != joined


def test_an_answer_to_ones_own_request(store: Store) -> None:
    add(store, rows(OTHERS)["request"]())
    before = seen(store, "rosalind")
    with Session(store.engine) as session:
        session.execute(update(AccessRequestRow).values(state="refused"))
        session.commit()
    assert seen(store, "rosalind") != before


def test_help_wakes_supporters(store: Store) -> None:
    before, staff = seen(store, "rosalind"), seen(store, "dorothy", supports=True)
    add(store, rows(OTHERS)["help"]())
    assert seen(store, "rosalind") == before
    assert seen(store, "dorothy", supports=True) != staff
