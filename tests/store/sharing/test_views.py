"""Help, visits and lists: what the portal shows and the hub watches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text
from sqlalchemy.orm import Session

from tests.store.sharing.rig import FACTS, HOUR, LISES, MARIES, NOW, PEOPLE, done, facts, start, trail, why
from visa.clock import now
from visa.identifiers import Username
from visa.instances.access import Role
from visa.instances.members import Approvers, Presence, Sharing
from visa.instances.model import Reason
from visa.instances.support import Cover
from visa.store.people import People
from visa.store.sharing.records import AccessRequest, Here, InvitationKind, RequestState
from visa.store.tables import AccessRequestRow, AuditRow, HelpRow, InstanceRow

ALL = Cover(everywhere=True)


def ids(people: People, cover: Cover = ALL, who: str = "grace", **more: object) -> list[str]:
    return [row.instance.id for row in people.views.supportable(who, cover, **more).rows]  # type: ignore[arg-type]


# Help


def test_help_is_asked_taken_and_done(people: People) -> None:
    asked = done(people.help.ask("marie", MARIES, "The fit\x00 diverges", NOW))
    assert (asked.message, asked.name, people.help.open(MARIES)) == ("The fit diverges", "Marie", asked)
    again = done(people.help.ask("marie", MARIES, "Still", NOW))
    assert (again.id, again.message) == (asked.id, "Still")
    assert why(people.help.take("lise", asked.id, FACTS, NOW)) is Reason.NOT_SUPPORT
    assert why(people.help.take("marie", asked.id, FACTS, NOW)) is Reason.IS_THE_OWNER
    assert done(people.help.take("dorothy", asked.id, FACTS, NOW)).taken_by == "dorothy"
    assert why(people.help.take("grace", asked.id, FACTS, NOW)) is Reason.HELP_TAKEN
    assert people.members.of(MARIES) == ()  # that let nobody in
    assert why(people.help.close("lise", MARIES, NOW)) is Reason.NO_REQUEST
    assert people.help.close("dorothy", MARIES, NOW) is None
    assert why(people.help.close("marie", MARIES, NOW)) is Reason.NO_REQUEST
    assert why(people.help.take("grace", asked.id, FACTS, NOW)) is Reason.NO_REQUEST
    assert why(people.help.take("grace", 10**6, FACTS, NOW)) is Reason.NO_INSTANCE
    assert people.help.open(MARIES) is None


def test_who_asks_for_help(people: People) -> None:
    done(people.members.share("marie", MARIES, Sharing(presence=Presence.ANY).told(), NOW))
    done(people.members.add("marie", MARIES, "lise", Role.OBSERVER, FACTS, NOW))
    for who in ("lise", "oscar", "grace"):
        assert why(people.help.ask(who, MARIES, "x", NOW)) is Reason.NOT_THE_OWNER
    done(people.members.change("marie", MARIES, "lise", FACTS, NOW, role=Role.COLLABORATOR))
    done(people.help.ask("lise", MARIES, "x", NOW))
    assert why(people.help.ask("lise", MARIES, "", NOW)) is Reason.NO_REASON
    people.store.release(MARIES)
    assert people.help.open(MARIES) is None


# Visits


def test_visits_are_what_the_gateway_said(people: People) -> None:
    marie = Here("marie", Role.OWNER, "notebook", NOW)
    lise = Here("lise", Role.OBSERVER, "desktop", NOW - HOUR)
    people.visits.here(MARIES, [marie, lise], NOW)
    people.visits.here(MARIES, [marie, lise], NOW + HOUR)
    first, second = people.visits.now(MARIES)
    assert [(one.name, one.session, one.began, one.seen) for one in (first, second)] == [
        ("Lise", "desktop", NOW - HOUR, NOW + HOUR),
        ("Marie", "notebook", NOW, NOW + HOUR),
    ]
    people.visits.here(MARIES, [replace(lise, role=Role.COLLABORATOR)], NOW + 2 * HOUR)
    assert [(one.username, one.role) for one in people.visits.now(MARIES)] == [("lise", Role.COLLABORATOR)]
    assert [one.ended for one in people.visits.of(MARIES)] == [None, NOW + 2 * HOUR, NOW + 2 * HOUR]
    assert trail(people.store) == [("lise", "visit", True), ("lise", "visit-end", True), ("lise", "visit", True)]
    people.visits.here("0" * 16, [marie], NOW)
    people.store.release(MARIES)
    assert people.visits.now(MARIES) == ()


def test_a_gateway_that_says_nothing_any_more(people: People) -> None:
    people.visits.here(MARIES, [Here("lise", Role.OBSERVER, "desktop", NOW)], NOW)
    assert people.sweep(NOW + timedelta(seconds=179)) == 0
    assert people.sweep(NOW + timedelta(seconds=180)) == 1
    assert people.visits.of(MARIES)[0].ended == NOW


def test_memberships_that_are_over_are_swept(people: People) -> None:
    done(people.members.add("marie", MARIES, "lise", Role.OBSERVER, FACTS, NOW, until=NOW + HOUR))
    done(people.members.add("marie", MARIES, "irene", Role.OBSERVER, FACTS, NOW))
    before = people.views.numbers()[MARIES]
    assert people.sweep(NOW + HOUR - timedelta(seconds=1)) == 0
    assert people.sweep(NOW + HOUR) == 1
    assert [one.membership.username for one in people.members.of(MARIES)] == ["irene"]
    assert people.views.numbers()[MARIES] > before
    assert trail(people.store)[-1] == ("visa", "member-end", True)
    assert people.sweep(NOW + HOUR) == 0


# The hub's


def test_what_a_gateway_is_told(people: People) -> None:
    assert people.views.gateway("0" * 16) is None
    done(people.members.add("marie", MARIES, "lise", Role.OBSERVER, FACTS, NOW))
    done(people.requests.ask("irene", MARIES, Role.OBSERVER, "x", FACTS, NOW))
    done(people.help.ask("marie", MARIES, "x", NOW))
    state = people.views.gateway(MARIES)
    assert state is not None
    assert [(one.name, one.membership.role) for one in state.members] == [("Lise", Role.OBSERVER)]
    assert [one.name for one in state.requests] == ["Irene"]
    assert (state.sharing, state.help, state.number) == (Sharing(), True, people.views.numbers()[MARIES])


# The portal's


def test_shared_with_her(people: People) -> None:
    second = start(people.store, "marie", 1)
    for instance, since in ((MARIES, NOW), (second, NOW + HOUR)):
        done(people.members.add("marie", instance, "lise", Role.OBSERVER, FACTS, since, until=NOW + 2 * HOUR))
    people.store.release(second)
    found = people.views.shared_with("lise", NOW)
    assert [(one.instance.id, one.owner_name) for one in found] == [(MARIES, "Marie"), (second, "Marie")]
    assert found[0].membership is not None
    assert people.views.shared_with("lise", NOW + 2 * HOUR) == ()


def test_supportable_instances(people: People) -> None:
    assert ids(people) == sorted([MARIES, LISES], key=lambda one: ids(people).index(one))
    assert set(ids(people)) == {MARIES, LISES}
    assert ids(people, who="marie") == [LISES]
    assert ids(people, Cover()) == []
    assert set(ids(people, Cover(instruments=frozenset({"d22"})))) == {MARIES, LISES}
    assert ids(people, Cover(instruments=frozenset({"id10"}))) == []
    assert set(ids(people, Cover(experiments=frozenset({"exp-1"})))) == {MARIES, LISES}
    assert ids(people, Cover(experiments=frozenset({"exp-11", "exp"}))) == []
    people.store.release(LISES)
    assert ids(people) == [MARIES]


@pytest.mark.parametrize(
    ("search", "found"),
    [
        ("MARIE", True),
        ("d22", True),
        ("exp-1 marie", True),
        ("n0", True),
        ("%", False),
        ("_", False),
        ("lise marie", False),
    ],
)
def test_search(people: People, search: str, found: bool) -> None:
    assert (MARIES in ids(people, search=search)) is found


def test_ten_words_of_a_search_count(people: People) -> None:
    nine = "marie " * 9
    assert MARIES not in ids(people, search=f"{nine} nowhere")
    assert MARIES in ids(people, search=f"{nine} marie nowhere")


def test_who_asks_for_help_comes_first(people: People) -> None:
    last = ids(people)[-1]
    owner = "marie" if last == MARIES else "lise"
    done(people.help.ask(owner, last, "x", NOW))
    assert ids(people)[0] == last
    assert ids(people, help_only=True) == [last]
    assert ids(people, instrument="d22", limit=1, offset=1) == [one for one in ids(people) if one != last]
    page = people.views.supportable("grace", ALL, limit=1)
    assert (page.total, len(page.rows)) == (2, 1)
    assert page.rows[0].help is not None


def test_the_list_says_what_she_has_asked(people: People) -> None:
    done(people.support.ask("grace", MARIES, True, "x", FACTS, NOW))
    (row,) = people.views.supportable("grace", ALL, search="marie").rows
    assert isinstance(row.request, AccessRequest)
    assert row.membership is None


def test_running_instances_of_experiments(people: People) -> None:
    assert people.views.running_experiments() == frozenset({"exp-1"})
    assert [one.instance.owner for one in people.views.on_experiments("marie", ["exp-1"])] == ["lise", "marie"]
    assert people.views.on_experiments("marie", ["exp", "exp_1", "%"]) == ()
    assert people.views.on_experiments("marie", []) == ()


def test_people_are_found_by_name(people: People) -> None:
    assert [one.username for one in people.views.find_people("LIS")] == ["lise"]
    assert people.views.find_people("%") == people.views.find_people(" ") == ()
    people.store.deactivate_person("lise")
    assert people.views.find_people("lis") == ()


def test_twenty_people_are_found_unless_more_are_asked_for(people: People) -> None:
    for number in range(22):
        people.store.put_person(replace(PEOPLE["lise"], username=Username(f"many{number:02}"), name="Many"))
    names = [f"many{number:02}" for number in range(22)]
    assert [one.username for one in people.views.find_people("many")] == names[:20]
    assert [one.username for one in people.views.find_people("many", limit=21)] == names[:21]


def copies(people: People, table: type[Any], count: int, **changed: Callable[[int], object]) -> None:
    """So many rows more like the only one of ``table``, with what is ``changed`` of each."""
    columns = [column.name for column in table.__table__.columns]
    with Session(people.store.engine) as session:
        row = session.scalars(select(table).order_by(table.id.desc())).first()
        base = {name: getattr(row, name) for name in columns if name != "id" or name in changed}
        session.execute(insert(table), [{**base, **{k: make(i) for k, make in changed.items()}} for i in range(count)])
        session.commit()


def test_a_hundred_notifications_of_a_kind_are_shown(people: People) -> None:
    """The oldest of what waits for her; the newest of what was done."""
    real = now()
    done(people.requests.ask("lise", MARIES, Role.OBSERVER, "first", FACTS, real))
    copies(people, AccessRequestRow, 100, requester=lambda i: f"p{i}")
    asked = people.views.notifications("marie", Cover(), real).asked
    assert [one.request.requester for one in asked] == ["lise", *(f"p{i}" for i in range(99))]

    done(people.support.break_glass("grace", LISES, True, "first", FACTS.facility, real))
    copies(people, AuditRow, 100)
    entered = people.views.notifications("lise", Cover(), real).entered
    assert len(entered) == 100

    (own,) = [one.id for one in people.requests.pending(MARIES) if one.requester == "lise"]
    done(people.requests.answer("marie", MARIES, own, False, FACTS, real))
    copies(
        people, AccessRequestRow, 100, requester=lambda i: "lise", state=lambda i: "refused", answered_at=lambda i: real
    )
    answers = people.views.notifications("lise", Cover(), real).answers
    assert len(answers) == 100
    assert own not in [one.request.id for one in answers]

    copies(people, InstanceRow, 101, id=lambda i: f"{i:016}", name=lambda i: f"c{i}")
    done(people.help.ask("lise", LISES, "x", real))
    copies(people, HelpRow, 101, instance_id=lambda i: f"{i:016}")
    assert len(people.views.notifications("grace", ALL, real).help) == 100


def test_notifications(people: People) -> None:
    real = now()
    asked = done(people.requests.ask("lise", MARIES, Role.OBSERVER, "x", FACTS, real))
    done(people.support.ask("grace", MARIES, False, "x", FACTS, real))
    done(people.help.ask("lise", LISES, "x", real))
    done(people.support.break_glass("grace", LISES, True, "Fire", FACTS.facility, real))

    marie = people.views.notifications("marie", Cover(), real)
    assert [one.request.requester for one in marie.asked] == ["lise", "grace"]
    assert (marie.help, marie.answers, marie.entered) == ((), (), ())
    lise = people.views.notifications("lise", Cover(), real)
    assert [(one.by, one.name, one.reason, one.role) for one in lise.entered] == [
        ("grace", "Grace", "Fire", Role.SUPPORT)
    ]
    grace = people.views.notifications("grace", ALL, real)
    assert [one.instance.id for one in grace.help] == [LISES]
    assert grace.asked == ()

    done(people.help.take("grace", grace.help[0].help.id if grace.help[0].help else 0, FACTS, real))
    assert people.views.notifications("grace", ALL, real).help == ()
    done(people.requests.answer("marie", MARIES, asked.id, False, FACTS, real))
    (answered,) = people.views.notifications("lise", Cover(), real).answers
    assert (answered.request.state, answered.instance.owner) == (RequestState.REFUSED, "marie")
    assert people.views.notifications("lise", Cover(), real + timedelta(days=2)).answers == ()


def test_collaborators_who_may_answer_are_told_of_guests_only(people: People) -> None:
    done(people.members.add("marie", MARIES, "irene", Role.COLLABORATOR, FACTS, NOW))
    done(people.requests.ask("lise", MARIES, Role.OBSERVER, "x", FACTS, NOW))
    done(people.support.ask("grace", MARIES, False, "x", FACTS, NOW))
    assert people.views.notifications("irene", Cover(), NOW).asked == ()
    done(people.members.share("marie", MARIES, Sharing(Presence.ANY, approvers=Approvers.COLLABORATORS).told(), NOW))
    assert [one.request.requester for one in people.views.notifications("irene", Cover(), NOW).asked] == ["lise"]


def test_lists_of_ten_thousand(people: People) -> None:
    """A page reads no more instances than it shows, in as many questions, however many there are."""
    kept = [c.name for c in InstanceRow.__table__.columns if c.name not in ("id", "name", "title")]
    numbers = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 9999) "
    identifier = "CAST(1000000000000000 + i AS TEXT)"
    made = f"SELECT {identifier}, 'm' || i, 'Run ' || i, {', '.join(kept)} FROM instances, n WHERE id = '{MARIES}'"
    with people.store.engine.begin() as connection:
        connection.execute(text(f"{numbers} INSERT INTO instances (id, name, title, {', '.join(kept)}) {made}"))
        hold = f"SELECT {identifier}, 'instrument', 'd22', 1, 1, 0 FROM n"
        columns = "instance_id, kind, key, millicores, memory, gpu"
        connection.execute(text(f"{numbers} INSERT INTO quota_holds ({columns}) {hold}"))
    for cover in (ALL, Cover(instruments=frozenset({"d22"})), Cover(experiments=frozenset({"exp-1"}))):
        with questions(people) as (statements, read):
            page = people.views.supportable("grace", cover, search="run 777", limit=10)
        assert (page.total, len(page.rows), len(read)) == (19, 10, 10)
        assert len(statements) <= 7
    assert len(people.views.supportable("grace", ALL, offset=9_990).rows) == 12
    assert len(people.views.supportable("grace", ALL).rows) == 50


@contextmanager
def questions(people: People) -> Iterator[tuple[list[str], list[InstanceRow]]]:
    """What the database is asked meanwhile, and the instances that are read from it."""
    statements, read = list[str](), list[InstanceRow]()

    def asked(_connection: object, _cursor: object, statement: str, *_rest: object) -> None:
        statements.append(statement)

    def loaded(row: InstanceRow, _context: object) -> None:
        read.append(row)

    event.listen(people.store.engine, "before_cursor_execute", asked)
    event.listen(InstanceRow, "load", loaded)
    try:
        yield statements, read
    finally:
        event.remove(people.store.engine, "before_cursor_execute", asked)
        event.remove(InstanceRow, "load", loaded)


def test_public_and_other_links_stay_apart(people: People) -> None:
    """A link's end is its members' end, whatever else is swept."""
    made = done(
        people.invitations.make("marie", MARIES, InvitationKind.PUBLIC, Role.OBSERVER, NOW + HOUR, FACTS.facility, NOW)
    )
    done(people.invitations.redeem("lise", made.token, facts(), NOW))
    assert people.sweep(NOW + HOUR) == 1
    assert people.members.of(MARIES) == ()
    assert PEOPLE["lise"].active
