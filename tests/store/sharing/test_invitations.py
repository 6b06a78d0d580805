"""Links: once, for whom, until when, and what becomes of those whom they let in."""

from __future__ import annotations

import subprocess
import sys
from datetime import datetime, timedelta

import pytest
from sqlalchemy import text

from tests.conftest import REPOSITORY
from tests.services.facility import person
from tests.store.sharing.rig import FACTS, HOUR, LISES, MARIES, NOW, done, facts, trail, why
from visa.instances.access import Role
from visa.instances.members import Membership, WayIn
from visa.instances.model import Facts, Reason, Refusal
from visa.store.people import People
from visa.store.sharing.records import InvitationKind, Made

ONCE, PUBLIC = InvitationKind.ONCE, InvitationKind.PUBLIC


def make(people: People, kind: InvitationKind = ONCE, role: Role = Role.OBSERVER, **more: str) -> Made:
    made = people.invitations.make(
        "marie", MARIES, kind, role, NOW + HOUR, FACTS.facility, NOW, email=more.get("email")
    )
    return done(made)


def redeem(people: People, username: str, made: Made, at: datetime = NOW, said: Facts = FACTS) -> Membership | Refusal:
    return people.invitations.redeem(username, made.token, said, at)


def test_a_link_works_once(people: People) -> None:
    made = make(people, role=Role.COLLABORATOR)
    seen = done(people.invitations.look("lise", made.token, FACTS, NOW))
    assert (seen.instance.id, seen.owner_name, seen.invitation.role) == (MARIES, "Marie", Role.COLLABORATOR)
    member = done(redeem(people, "lise", made))
    assert (member.role, member.way, member.granted_by, member.until) == (
        Role.COLLABORATOR,
        WayIn.INVITATION,
        "marie",
        None,
    )
    assert why(redeem(people, "irene", made)) is Reason.LINK_NOT_VALID
    assert why(redeem(people, "lise", made)) is Reason.ALREADY_MEMBER
    (left,) = people.invitations.of(MARIES)
    assert (left.redeemed_by, left.live(NOW)) == ("lise", False)
    assert trail(people.store) == [
        ("marie", "invitation", True),
        ("lise", "invitation-redeem", True),
        ("irene", "invitation-redeem", False),
        ("lise", "invitation-redeem", False),
    ]


def test_the_token_is_not_kept(people: People) -> None:
    made = make(people)
    with people.store.engine.connect() as connection:
        kept = str(list(connection.execute(text("SELECT * FROM invitations"))))
        kept += str(list(connection.execute(text("SELECT * FROM audit"))))
    assert len(made.token) >= 43
    assert made.token not in kept


def test_not_after_its_end_and_not_without_token(people: People) -> None:
    made = make(people)
    assert why(redeem(people, "lise", made, NOW + HOUR)) is Reason.LINK_NOT_VALID
    assert why(people.invitations.look("lise", made.token, FACTS, NOW + HOUR)) is Reason.LINK_NOT_VALID
    assert why(people.invitations.redeem("lise", made.token[:-1], FACTS, NOW)) is Reason.LINK_NOT_VALID
    assert why(people.invitations.redeem("lise", "", FACTS, NOW)) is Reason.LINK_NOT_VALID
    done(redeem(people, "lise", made, NOW + HOUR - timedelta(seconds=1)))


def test_forwarded_to_somebody_whom_the_rules_exclude(people: People) -> None:
    made = make(people, role=Role.COLLABORATOR)
    assert why(redeem(people, "oscar", made)) is Reason.OUTSIDE_THE_TEAM
    look = make(people)
    assert why(redeem(people, "oscar", look, said=facts(embargo=True))) is Reason.UNDER_EMBARGO
    assert why(redeem(people, "oscar", look, said=facts(stale=True))) is Reason.CATALOGUE_UNAVAILABLE
    assert people.members.of(MARIES) == ()
    member = done(redeem(people, "oscar", look))  # the link is unspent
    assert member.until == NOW + timedelta(days=30)


def test_whom_a_link_does_not_let_in_reads_nothing_of_the_instance(people: People) -> None:
    def look(username: str, made: Made, said: Facts = FACTS) -> Reason:
        return why(people.invitations.look(username, made.token, said, NOW))

    to_all, bound = make(people), make(people, email="somebody@example.org")
    assert look("oscar", to_all, facts(embargo=True)) is Reason.UNDER_EMBARGO
    assert look("oscar", make(people, role=Role.COLLABORATOR)) is Reason.OUTSIDE_THE_TEAM
    assert look("lise", to_all, facts(stale=True)) is Reason.CATALOGUE_UNAVAILABLE
    assert look("lise", bound) is Reason.LINK_FOR_ANOTHER
    assert done(people.invitations.look("marie", bound.token, FACTS, NOW)).instance.id == MARIES, "it is hers"
    done(redeem(people, "lise", to_all))
    late = make(people)
    assert people.members.remove("marie", MARIES, "lise", NOW) is None
    assert look("lise", late) is Reason.LINK_NOT_VALID


def test_bound_to_a_mail_address(people: People) -> None:
    made = make(people, email=" lise@EXAMPLE.org ")
    for other in ("oscar", "irene"):
        assert why(redeem(people, other, made)) is Reason.LINK_FOR_ANOTHER
    done(redeem(people, "lise", made))


@pytest.mark.parametrize(
    "hers", ["\u212aate@example.org", "kate@example.org.evil.org", "", None, "kate@example.org\n.x"]
)
def test_no_look_alike_of_a_mail_address(people: People, hers: str | None) -> None:
    """The Kelvin sign becomes a k in small letters."""
    people.store.put_person(person("kate", email=hers))
    made = make(people, email="kate@example.org")
    assert why(redeem(people, "kate", made)) is Reason.LINK_FOR_ANOTHER


@pytest.mark.parametrize("email", ["nobody", "a@b c", "\u212aate@example.org", "a@b@c"])
def test_strange_mail_addresses_are_refused(people: People, email: str) -> None:
    made = people.invitations.make("marie", MARIES, ONCE, Role.OBSERVER, NOW + HOUR, FACTS.facility, NOW, email=email)
    assert why(made) is Reason.MALFORMED


def test_what_links_cannot_be(people: People) -> None:
    def tries(
        kind: InvitationKind = ONCE,
        role: Role = Role.OBSERVER,
        expires: datetime = NOW + HOUR,
        said: Facts = FACTS,
        actor: str = "marie",
        email: str | None = None,
    ) -> Reason:
        return why(people.invitations.make(actor, MARIES, kind, role, expires, said.facility, NOW, email=email))

    for role in (Role.OWNER, Role.NONE, Role.SUPPORT, Role.SUPPORT_VIEW):
        assert tries(role=role) is Reason.ROLE_NOT_GIVEN
    assert tries(expires=NOW) is Reason.BAD_TIME
    assert tries(expires=NOW + timedelta(days=31)) is Reason.BAD_TIME
    assert tries(said=facts(invitations=False)) is Reason.SHARING_OFF
    assert tries(PUBLIC, said=facts(public_links=False)) is Reason.SHARING_OFF
    assert tries(PUBLIC, said=facts(members=False)) is Reason.SHARING_OFF
    assert tries(PUBLIC, email="a@b.org") is Reason.MALFORMED
    assert tries(actor="lise") is Reason.NO_INSTANCE
    assert people.invitations.of(MARIES) == ()


def test_a_public_link_is_bound_to_the_owner_s_presence_and_its_own_end(people: People) -> None:
    made = make(people, PUBLIC)
    for who in ("lise", "oscar"):
        member = done(redeem(people, who, made))
        assert (member.way, member.until, member.with_owner) == (WayIn.LINK, NOW + HOUR, True)
    assert people.invitations.withdraw("marie", MARIES, made.invitation.id, NOW) is None
    assert people.members.of(MARIES) == ()
    assert why(redeem(people, "irene", made)) is Reason.LINK_NOT_VALID
    assert trail(people.store)[-4:-1] == [
        ("marie", "member-end", True),
        ("marie", "member-end", True),
        ("marie", "invitation-withdraw", True),
    ]


def test_a_link_that_the_facility_no_longer_allows(people: People) -> None:
    made = make(people, PUBLIC)
    assert why(redeem(people, "lise", made, said=facts(public_links=False))) is Reason.SHARING_OFF


def test_withdrawn_by_its_owner_only_and_not_when_used(people: People) -> None:
    made = make(people)
    number = made.invitation.id
    assert why(people.invitations.withdraw("lise", MARIES, number, NOW)) is Reason.NO_INSTANCE
    assert why(people.invitations.withdraw("lise", LISES, number, NOW)) is Reason.LINK_NOT_VALID
    done(redeem(people, "lise", made))
    assert why(people.invitations.withdraw("marie", MARIES, number, NOW)) is Reason.LINK_NOT_VALID
    assert len(people.members.of(MARIES)) == 1


def test_who_was_removed_does_not_come_back_by_a_link_from_before(people: People) -> None:
    public, other = make(people, PUBLIC), make(people)
    done(redeem(people, "lise", public))
    people.members.remove("marie", MARIES, "lise", NOW)
    assert why(redeem(people, "lise", public)) is Reason.LINK_NOT_VALID
    assert why(redeem(people, "lise", other)) is Reason.LINK_NOT_VALID
    later = NOW + timedelta(seconds=1)
    new = done(people.invitations.make("marie", MARIES, ONCE, Role.OBSERVER, NOW + HOUR, FACTS.facility, later))
    done(redeem(people, "lise", new, later))


def test_who_left_may_come_back(people: People) -> None:
    public = make(people, PUBLIC)
    done(redeem(people, "lise", public))
    people.members.remove("lise", MARIES, "lise", NOW)
    done(redeem(people, "lise", public))


def test_the_owner_and_better_members_spend_no_link(people: People) -> None:
    made = make(people)
    assert why(redeem(people, "marie", made)) is Reason.IS_THE_OWNER
    done(people.members.add("marie", MARIES, "lise", Role.COLLABORATOR, FACTS, NOW))
    assert why(redeem(people, "lise", made)) is Reason.ALREADY_MEMBER
    assert people.members.of(MARIES)[0].membership.role is Role.COLLABORATOR
    assert people.invitations.of(MARIES)[0].live(NOW)


def test_who_never_logged_in_or_is_not_active_redeems_nothing(people: People) -> None:
    made = make(people)
    assert why(redeem(people, "pierre", made)) is Reason.PERSON_NOT_VERIFIED
    people.store.deactivate_person("lise")
    assert why(redeem(people, "lise", made)) is Reason.PERSON_NOT_ACTIVE


def test_of_two_who_redeem_at_the_same_instant_one_wins(people: People, store_url: str) -> None:
    made = [make(people) for _ in range(10)]
    racers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.store.sharing.racer", store_url, who, *(one.token for one in made)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=REPOSITORY,
        )
        for who in ("lise", "irene")
    ]
    for racer in racers:
        assert racer.stdout is not None
        assert racer.stdout.readline() == "ready\n"
    for racer in racers:
        assert racer.stdin is not None
        racer.stdin.write("\n")
        racer.stdin.flush()
    lise, irene = (racer.communicate(timeout=120)[0].split() for racer in racers)
    assert [sorted(pair) for pair in zip(lise, irene, strict=True)] == [["in", "link-not-valid"]] * len(made)
    winners = ["lise" if said == "in" else "irene" for said in lise]
    assert [one.redeemed_by for one in reversed(people.invitations.of(MARIES))] == winners
