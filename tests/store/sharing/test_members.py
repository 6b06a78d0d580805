"""The owner's acts, leaving, presence, and what ends with something else."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tests.services.facility import person
from tests.store.sharing.rig import (
    FACTS,
    HOUR,
    LISES,
    MARIES,
    NOW,
    PEOPLE,
    done,
    facts,
    trail,
    why,
)
from visa.identifiers import Username
from visa.instances.access import Role
from visa.instances.members import OnLeave, Presence, Sharing, Standing, WayIn
from visa.instances.model import Reason
from visa.store.people import People
from visa.store.sharing.records import Here

ANY = Sharing(presence=Presence.ANY)


def add(people: People, username: str = "lise", role: Role = Role.COLLABORATOR, **more: object) -> object:
    return people.members.add("marie", MARIES, username, role, FACTS, NOW, **more)  # type: ignore[arg-type]


def test_the_owner_adds_changes_and_removes(people: People) -> None:
    made = done(people.members.add("marie", MARIES, "lise", Role.OBSERVER, FACTS, NOW))
    assert (made.way, made.until, made.granted_by, made.since) == (WayIn.TEAM, None, "marie", NOW)
    changed = done(people.members.change("marie", MARIES, "lise", FACTS, NOW, role=Role.COLLABORATOR, until=NOW + HOUR))
    assert (changed.role, changed.until) == (Role.COLLABORATOR, NOW + HOUR)
    (view,) = people.members.of(MARIES)
    assert (view.membership, view.name, view.active) == (changed, "Lise", True)
    assert people.members.remove("marie", MARIES, "lise", NOW) is None
    assert people.members.of(MARIES) == ()
    assert why(people.members.remove("marie", MARIES, "lise", NOW)) is Reason.NOT_A_MEMBER
    assert trail(people.store) == [
        ("marie", "member-add", True),
        ("marie", "member-change", True),
        ("marie", "member-end", True),
        ("marie", "member-remove", False),
    ]


def test_outsiders_stay_for_as_long_as_the_facility_allows(people: People) -> None:
    made = done(people.members.add("marie", MARIES, "oscar", Role.OBSERVER, FACTS, NOW))
    assert (made.way, made.until) == (WayIn.SEARCH, NOW + timedelta(days=30))
    late = NOW + timedelta(days=31)
    assert why(add(people, "oscar", Role.OBSERVER, until=late)) is Reason.BAD_TIME
    assert why(people.members.change("marie", MARIES, "oscar", FACTS, NOW, until=late)) is Reason.BAD_TIME
    assert done(people.members.change("marie", MARIES, "oscar", FACTS, NOW, until=NOW + HOUR)).until == NOW + HOUR
    assert why(people.members.change("marie", MARIES, "oscar", FACTS, NOW, role=Role.COLLABORATOR)) is (
        Reason.OUTSIDE_THE_TEAM
    )


@pytest.mark.parametrize(
    ("username", "role", "reason"),
    [
        ("marie", Role.COLLABORATOR, Reason.IS_THE_OWNER),
        ("lise", Role.OWNER, Reason.ROLE_NOT_GIVEN),
        ("lise", Role.NONE, Reason.ROLE_NOT_GIVEN),
        ("lise", Role.SUPPORT, Reason.ROLE_NOT_GIVEN),
        ("pierre", Role.OBSERVER, Reason.NO_SUCH_PERSON),
        ("oscar", Role.COLLABORATOR, Reason.OUTSIDE_THE_TEAM),
    ],
)
def test_who_is_not_added(people: People, username: str, role: Role, reason: Reason) -> None:
    assert why(add(people, username, role)) is reason
    assert people.members.of(MARIES) == ()
    assert trail(people.store) == [("marie", "member-add", False)]


def test_rules_and_catalogue_are_asked(people: People) -> None:
    def tries(said: object, username: str = "oscar") -> Reason:
        return why(people.members.add("marie", MARIES, username, Role.OBSERVER, said, NOW))  # type: ignore[arg-type]

    assert tries(facts(embargo=True)) is Reason.UNDER_EMBARGO
    assert tries(facts(search=False)) is Reason.SHARING_OFF
    assert tries(facts(members=False), "lise") is Reason.SHARING_OFF
    assert tries(facts(stale=True), "lise") is Reason.CATALOGUE_UNAVAILABLE
    assert tries(replace(FACTS, experiments={}), "lise") is Reason.UNDER_EMBARGO  # no team that is not known


def test_the_catalogue_s_people_may_be_added_before_they_log_in(people: People) -> None:
    pierre = person("pierre")
    assert why(add(people, "pierre", Role.OBSERVER, known=person("oscar"))) is Reason.NO_SUCH_PERSON
    done(add(people, "pierre", Role.OBSERVER, known=pierre))
    assert [one.name for one in people.members.of(MARIES)] == ["pierre"]
    done(people.members.share("marie", MARIES, ANY.told(), NOW))
    assert people.members.role(MARIES, "pierre", NOW) is Role.OBSERVER
    people.store.put_person(replace(pierre, active=False))
    assert people.members.role(MARIES, "pierre", NOW) is Role.NONE
    assert why(people.members.enter("pierre", MARIES, NOW)) is Reason.NOT_A_MEMBER


def test_only_the_owner_and_strangers_learn_nothing(people: People) -> None:
    done(add(people))
    acts = [
        lambda who: people.members.add(who, MARIES, "oscar", Role.OBSERVER, FACTS, NOW),
        lambda who: people.members.change(who, MARIES, "lise", FACTS, NOW, role=Role.OBSERVER),
        lambda who: people.members.remove(who, MARIES, "irene", NOW),
        lambda who: people.members.share(who, MARIES, ANY.told(), NOW),
    ]
    for act in acts:
        assert why(act("lise")) is Reason.NOT_THE_OWNER
        assert why(act("oscar")) is Reason.NO_INSTANCE
        assert why(act("grace")) is Reason.NO_INSTANCE
    assert why(people.members.add("marie", "0" * 16, "lise", Role.OBSERVER, FACTS, NOW)) is Reason.NO_INSTANCE
    assert why(people.members.add("marie", LISES, "irene", Role.OBSERVER, FACTS, NOW)) is Reason.NO_INSTANCE
    assert [one.membership.role for one in people.members.of(MARIES)] == [Role.COLLABORATOR]


def test_a_member_leaves(people: People) -> None:
    done(add(people))
    assert people.members.remove("lise", MARIES, "lise", NOW) is None
    assert trail(people.store)[-1] == ("lise", "member-end", True)
    assert why(people.members.enter("lise", MARIES, NOW)) is Reason.NOT_A_MEMBER


def test_presence_as_the_gateway_said(people: People) -> None:
    done(add(people))
    marie = Here("marie", Role.OWNER, "notebook", NOW)
    assert people.members.role(MARIES, "lise", NOW) is Role.NONE  # the default: with the owner
    people.visits.here(MARIES, [marie], NOW)
    assert people.members.role(MARIES, "lise", NOW) is Role.COLLABORATOR
    assert people.members.role(MARIES, "lise", NOW + timedelta(minutes=4)) is Role.NONE  # nothing heard since
    people.visits.here(MARIES, [], NOW)
    assert people.members.role(MARIES, "lise", NOW) is Role.NONE
    done(people.members.share("marie", MARIES, ANY.told(), NOW))
    assert people.members.role(MARIES, "lise", NOW) is Role.COLLABORATOR
    assert people.members.role(MARIES, "marie", NOW) is Role.OWNER
    assert people.members.role("0" * 16, "marie", NOW) is Role.NONE


def test_entering_is_written_down(people: People) -> None:
    done(add(people, until=NOW + HOUR))
    assert people.members.enter("lise", MARIES, NOW) is Role.COLLABORATOR
    assert people.members.enter("marie", MARIES, NOW) is Role.OWNER
    assert why(people.members.enter("lise", MARIES, NOW + HOUR)) is Reason.NOT_A_MEMBER
    assert why(people.members.enter("grace", MARIES, NOW)) is Reason.NOT_A_MEMBER
    assert [entry for entry in trail(people.store) if entry[1] == "enter"] == [
        ("lise", "enter", True),
        ("lise", "enter", False),
        ("grace", "enter", False),
    ]


def test_sharing_is_kept_and_checked(people: People) -> None:
    assert people.members.sharing(MARIES) == Sharing()
    how = Sharing(Presence.ANY, OnLeave.READ_ONLY, ("home/b", "home/b/c"), Standing.VIEW)
    assert done(people.members.share("marie", MARIES, how.told(), NOW)) == replace(how, folders=("home/b",))
    assert people.members.sharing(MARIES) == replace(how, folders=("home/b",))
    assert why(people.members.share("marie", MARIES, replace(how, folders=("etc",)).told(), NOW)) is Reason.MALFORMED


def test_every_change_is_counted(people: People) -> None:
    numbers = [people.views.numbers().get(MARIES, 0)]

    def grew() -> bool:
        numbers.append(people.views.numbers().get(MARIES, 0))
        return numbers[-1] > numbers[-2]

    done(add(people))
    assert grew()
    done(people.members.change("marie", MARIES, "lise", FACTS, NOW, role=Role.OBSERVER))
    assert grew()
    done(people.members.share("marie", MARIES, ANY.told(), NOW))
    assert grew()
    people.store.deactivate_person("lise")
    assert grew()
    state = people.views.gateway(MARIES)
    assert state is not None
    assert (state.members, state.number) == ((), numbers[-1])
    people.store.put_person(PEOPLE["lise"])
    assert grew()
    people.members.remove("marie", MARIES, "lise", NOW)
    assert grew()
    assert why(add(people, "marie")) is Reason.IS_THE_OWNER
    people.store.put_person(PEOPLE["lise"])
    assert not grew()
    assert LISES not in people.views.numbers()


def test_an_instance_on_other_experiments_has_no_members_of_before(people: People) -> None:
    done(add(people))
    done(people.members.share("marie", MARIES, replace(ANY, folders=("home",)).told(), NOW))
    people.store.release(MARIES)
    assert len(people.members.of(MARIES)) == 1
    _start_on(people, "exp-1")
    assert len(people.members.of(MARIES)) == 1
    _start_on(people, "exp-2")
    assert people.members.of(MARIES) == ()
    assert people.members.sharing(MARIES) == Sharing()
    assert trail(people.store)[-1] == ("visa", "member-end", True)


def _start_on(people: People, experiment: str) -> None:
    from tests.services.facility import experiment as made
    from tests.services.facility import facility
    from visa.instances.admission import admit
    from visa.instances.model import Facts, Refusal
    from visa.instances.request import parse_request

    request = parse_request({"experiments": [experiment], "environment": "scattering", "flavour": "small"})
    assert not isinstance(request, Refusal)
    known = {experiment: made(experiment, team=frozenset({Username("marie")}))}
    said = Facts(facility(), known, NOW.date())
    decide = lambda use: admit(PEOPLE["marie"], request, said, use)  # noqa: E731
    done(people.store.reserve("marie", "n0", request, (), decide, actor="marie", holder="h"))


def test_what_goes_with_the_instance_is_in_the_audit_trail(people: People) -> None:
    done(add(people))
    people.store.forget(MARIES)
    assert people.members.of(MARIES) == ()
    assert trail(people.store)[-1] == ("visa", "member-end", True)


def test_the_hub_ends_and_checks(people: People) -> None:
    done(add(people))
    ((instance, (view,)),) = people.members.to_check()
    assert (instance.id, view.membership.username) == (MARIES, "lise")
    assert people.members.end(MARIES, "lise", "not-on-the-team", NOW)
    assert not people.members.end(MARIES, "lise", "not-on-the-team", NOW)
    assert people.members.to_check() == ()
