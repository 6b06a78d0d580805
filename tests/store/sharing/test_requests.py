"""Requests and answers: of this instance, once, by somebody who may, while it makes sense."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from tests.store.sharing.rig import FACTS, HOUR, LISES, MARIES, NOW, done, facts, start, trail, why
from visa.instances.access import Role
from visa.instances.members import Approvers, Membership, Presence, Sharing, Standing, WayIn
from visa.instances.model import Facts, Reason, Refusal
from visa.store.people import People
from visa.store.sharing.records import AccessRequest, Here, RequestState

COLLABORATORS = Sharing(presence=Presence.ANY, approvers=Approvers.COLLABORATORS)


def ask(people: People, who: str = "lise", wanted: Role = Role.OBSERVER, instance: str = MARIES) -> AccessRequest:
    return done(people.requests.ask(who, instance, wanted, "To see the plot", FACTS, NOW))


def answer(
    people: People,
    who: str,
    request: AccessRequest,
    *,
    approve: bool = True,
    role: Role | None = None,
    at: datetime = NOW,
    instance: str = MARIES,
    said: Facts = FACTS,
) -> AccessRequest | Refusal:
    return people.requests.answer(who, instance, request.id, approve, said, at, role=role)


@pytest.mark.parametrize("given", [None, Role.COLLABORATOR])
def test_the_owner_approves(people: People, given: Role | None) -> None:
    asked = ask(people)
    assert (asked.name, asked.reason, asked.state) == ("Lise", "To see the plot", RequestState.PENDING)
    assert people.requests.pending(MARIES) == (asked,)
    answered = done(answer(people, "marie", asked, role=given))
    assert (answered.state, answered.given, answered.answered_by) == (
        RequestState.APPROVED,
        given or Role.OBSERVER,
        "marie",
    )
    (view,) = people.members.of(MARIES)
    assert (view.membership.way, view.membership.role) == (WayIn.REQUEST, given or Role.OBSERVER)
    assert trail(people.store) == [("lise", "request", True), ("marie", "request-answer", True)]


def test_the_owner_refuses_and_an_answer_is_not_replayed(people: People) -> None:
    asked = ask(people)
    assert done(answer(people, "marie", asked, approve=False)).state is RequestState.REFUSED
    for approve in (True, False):
        assert why(answer(people, "marie", asked, approve=approve)) is Reason.REQUEST_OVER
    assert people.members.of(MARIES) == ()
    approved = ask(people)
    done(answer(people, "marie", approved))
    people.members.remove("marie", MARIES, "lise", NOW)
    assert why(answer(people, "marie", approved)) is Reason.REQUEST_OVER
    assert people.members.of(MARIES) == ()


def test_an_answer_for_another_instance_is_none(people: People) -> None:
    """Lise owns an instance of her own: her yes there opens nothing here."""
    asked = ask(people, "irene")
    assert why(answer(people, "lise", asked, instance=LISES)) is Reason.NO_REQUEST
    assert why(answer(people, "marie", asked, instance=LISES)) is Reason.NO_REQUEST
    assert people.requests.one(LISES, asked.id) is None
    assert people.members.of(MARIES) == people.members.of(LISES) == ()


@pytest.mark.parametrize(
    ("who", "reason"), [("irene", Reason.NO_REQUEST), ("grace", Reason.NO_REQUEST), ("lise", Reason.NOT_THE_OWNER)]
)
def test_who_is_not_on_the_instance_does_not_answer(people: People, who: str, reason: Reason) -> None:
    asked = ask(people)
    assert why(answer(people, who, asked)) is reason
    assert trail(people.store)[-1] == (who, "request-answer", False)
    assert people.members.of(MARIES) == ()


def test_collaborators_answer_when_the_owner_lets_them_and_they_may_be_there(people: People) -> None:
    done(people.members.add("marie", MARIES, "irene", Role.COLLABORATOR, FACTS, NOW, until=NOW + HOUR))
    asked = ask(people)
    assert why(answer(people, "irene", asked)) is Reason.NO_REQUEST  # the owner is away, and she with her
    people.visits.here(MARIES, [Here("marie", Role.OWNER, "notebook", NOW)], NOW)
    assert why(answer(people, "irene", asked)) is Reason.NOT_THE_OWNER
    done(people.members.share("marie", MARIES, COLLABORATORS.told(), NOW))
    assert why(answer(people, "irene", asked, at=NOW + HOUR)) is Reason.NO_REQUEST  # over
    people.members.change("marie", MARIES, "irene", FACTS, NOW, role=Role.OBSERVER)
    assert why(answer(people, "irene", asked)) is Reason.NOT_THE_OWNER
    people.members.change("marie", MARIES, "irene", FACTS, NOW, role=Role.COLLABORATOR)
    done(answer(people, "irene", asked))
    assert [one.membership.granted_by for one in people.members.of(MARIES)] == ["marie", "irene"]


def test_collaborators_do_not_let_support_in_nor_themselves_up(people: People) -> None:
    done(people.members.share("marie", MARIES, COLLABORATORS.told(), NOW))
    done(people.members.add("marie", MARIES, "lise", Role.COLLABORATOR, FACTS, NOW))
    wanted = done(people.support.ask("grace", MARIES, False, "Help", FACTS, NOW))
    assert isinstance(wanted, AccessRequest)
    assert why(answer(people, "lise", wanted)) is Reason.NOT_THE_OWNER


def test_rules_are_asked_when_it_is_made_and_when_it_is_answered(people: People) -> None:
    assert why(people.requests.ask("oscar", MARIES, Role.COLLABORATOR, "", FACTS, NOW)) is Reason.OUTSIDE_THE_TEAM
    asked = ask(people, "oscar")
    assert why(answer(people, "marie", asked, said=facts(embargo=True))) is Reason.UNDER_EMBARGO
    assert why(answer(people, "marie", asked, said=facts(stale=True))) is Reason.CATALOGUE_UNAVAILABLE
    assert why(answer(people, "marie", asked, role=Role.COLLABORATOR)) is Reason.OUTSIDE_THE_TEAM
    assert why(answer(people, "marie", asked, role=Role.OWNER)) is Reason.ROLE_NOT_GIVEN
    assert why(answer(people, "marie", asked, role=Role.SUPPORT)) is Reason.ROLE_NOT_GIVEN
    people.store.deactivate_person("oscar")
    assert why(answer(people, "marie", asked)) is Reason.PERSON_NOT_ACTIVE
    assert people.requests.pending(MARIES) == (asked,)  # refusals leave it waiting


def test_what_cannot_be_asked(people: People) -> None:
    def tries(who: str, instance: str = MARIES, wanted: Role = Role.OBSERVER, reason: str = "") -> Reason:
        return why(people.requests.ask(who, instance, wanted, reason, FACTS, NOW))

    assert tries("marie") is Reason.IS_THE_OWNER
    assert tries("pierre") is Reason.PERSON_NOT_VERIFIED
    assert tries("lise", "0" * 16) is Reason.NO_INSTANCE
    assert tries("lise", wanted=Role.SUPPORT) is Reason.ROLE_NOT_GIVEN
    assert tries("lise", wanted=Role.OWNER) is Reason.ROLE_NOT_GIVEN
    assert tries("lise", reason="x" * 1001) is Reason.NO_REASON
    ask(people)
    assert tries("lise") is Reason.REQUEST_PENDING
    done(people.members.add("marie", MARIES, "irene", Role.COLLABORATOR, FACTS, NOW))
    assert tries("irene") is Reason.ALREADY_MEMBER
    people.store.release(LISES)
    assert tries("irene", LISES) is Reason.NOT_RUNNING


def test_nobody_floods_the_facility_with_requests(people: People) -> None:
    from visa.store.sharing import requests

    before, requests.MOST = requests.MOST, 2
    try:
        for number in (1, 2):
            ask(people, "irene", instance=start(people.store, "marie", number))
        assert why(people.requests.ask("irene", MARIES, Role.OBSERVER, "", FACTS, NOW)) is Reason.REQUEST_PENDING
    finally:
        requests.MOST = before


def test_who_asked_cancels(people: People) -> None:
    asked = ask(people)
    assert why(people.requests.cancel("irene", MARIES, asked.id, NOW)) is Reason.NO_REQUEST
    assert why(people.requests.cancel("lise", LISES, asked.id, NOW)) is Reason.NO_REQUEST
    assert people.requests.cancel("lise", MARIES, asked.id, NOW) is None
    assert why(people.requests.cancel("lise", MARIES, asked.id, NOW)) is Reason.REQUEST_OVER
    assert why(answer(people, "marie", asked)) is Reason.REQUEST_OVER


def test_requests_end_with_time_and_with_the_instance(people: People) -> None:
    asked = ask(people)
    late = NOW + timedelta(hours=8)
    assert why(answer(people, "marie", asked, at=late)) is Reason.REQUEST_OVER
    again = done(people.requests.ask("lise", MARIES, Role.OBSERVER, "", FACTS, late))
    old = people.requests.one(MARIES, asked.id)
    assert old is not None
    assert (old.state, old.ended_why) == (RequestState.ENDED, "expired")
    people.store.release(MARIES)
    ended = people.requests.one(MARIES, again.id)
    assert ended is not None
    assert (ended.state, ended.ended_why) == (RequestState.ENDED, "instance-stopped")
    assert why(answer(people, "marie", again, at=late)) is Reason.REQUEST_OVER
    assert trail(people.store)[-2] == ("visa", "request-end", True)


def test_the_owner_leaves_during_a_request(people: People) -> None:
    people.visits.here(MARIES, [Here("marie", Role.OWNER, "notebook", NOW)], NOW)
    asked = ask(people)
    gone = NOW + timedelta(seconds=5)
    people.visits.here(MARIES, [], gone)
    assert people.sweep(gone + timedelta(seconds=29)) == 0  # her page may load again
    assert people.sweep(gone + timedelta(seconds=30)) == 1
    ended = people.requests.one(MARIES, asked.id)
    assert ended is not None
    assert (ended.state, ended.ended_why) == (RequestState.ENDED, "owner-left")
    assert why(answer(people, "marie", asked, at=gone + timedelta(seconds=31))) is Reason.REQUEST_OVER
    assert people.members.of(MARIES) == ()
    waits = done(people.requests.ask("lise", MARIES, Role.OBSERVER, "", FACTS, gone + timedelta(minutes=1)))
    assert people.sweep(gone + timedelta(minutes=5)) == 0  # she was not there when it was made
    people.visits.here(MARIES, [Here("marie", Role.OWNER, "desktop", NOW)], gone + timedelta(minutes=6))
    assert people.sweep(gone + timedelta(minutes=7)) == 0
    assert people.requests.pending(MARIES) == (waits,)


def test_an_approval_takes_nothing_away(people: People) -> None:
    asked = ask(people)
    done(people.members.add("marie", MARIES, "lise", Role.COLLABORATOR, FACTS, NOW))
    assert done(answer(people, "marie", asked)).given is Role.COLLABORATOR
    assert people.members.of(MARIES)[0].membership.way is WayIn.TEAM


# Support


def support(
    people: People, who: str = "grace", act: bool = True, said: Facts = FACTS, reason: str = "Ticket 5"
) -> object:
    return people.support.ask(who, MARIES, act, reason, said, NOW)


def test_support_without_consent_is_a_request_only(people: People) -> None:
    for who in ("grace", "dorothy", "clara"):
        assert isinstance(done(support(people, who)), AccessRequest)
    assert people.members.of(MARIES) == ()
    for who in ("lise", "oscar"):
        assert why(support(people, who)) is Reason.NOT_SUPPORT
    assert why(support(people, "marie")) is Reason.IS_THE_OWNER
    assert why(support(people, "grace", reason=" \n")) is Reason.NO_REASON


def test_the_owner_lets_support_look_or_act_for_a_while(people: People) -> None:
    asked = done(support(people))
    assert isinstance(asked, AccessRequest)
    assert why(answer(people, "marie", asked, role=Role.COLLABORATOR)) is Reason.ROLE_NOT_GIVEN
    assert done(answer(people, "marie", asked, role=Role.SUPPORT_VIEW)).given is Role.SUPPORT_VIEW
    (view,) = people.members.of(MARIES)
    assert (view.membership.way, view.membership.until) == (WayIn.SUPPORT, NOW + timedelta(hours=8))
    more = done(support(people))
    assert isinstance(more, AccessRequest)
    done(answer(people, "marie", more))
    assert people.members.of(MARIES)[0].membership.role is Role.SUPPORT
    assert why(support(people, act=False)) is Reason.ALREADY_MEMBER
    looks = done(people.support.ask("dorothy", MARIES, False, "x", FACTS, NOW))
    assert isinstance(looks, AccessRequest)
    assert why(answer(people, "marie", looks, role=Role.SUPPORT)) is Reason.ROLE_NOT_GIVEN


@pytest.mark.parametrize(
    ("standing", "act", "at_once"),
    [(Standing.VIEW, False, True), (Standing.VIEW, True, False), (Standing.ACT, True, True)],
)
def test_standing_consent(people: People, standing: Standing, act: bool, at_once: bool) -> None:
    done(people.members.share("marie", MARIES, Sharing(support=standing).told(), NOW))
    outcome = done(support(people, act=act))
    assert isinstance(outcome, Membership) == at_once
    if at_once:
        assert people.members.role(MARIES, "grace", NOW) is (Role.SUPPORT if act else Role.SUPPORT_VIEW)
        assert why(people.support.ask("grace", MARIES, act, "x", FACTS, NOW)) is Reason.ALREADY_MEMBER


def test_less_consent_takes_back_what_it_gave(people: People) -> None:
    done(people.members.share("marie", MARIES, Sharing(support=Standing.ACT).told(), NOW))
    done(support(people))
    done(people.members.share("marie", MARIES, Sharing(support=Standing.VIEW).told(), NOW))
    assert people.members.role(MARIES, "grace", NOW) is Role.SUPPORT_VIEW
    done(people.members.share("marie", MARIES, Sharing().told(), NOW))
    assert people.members.role(MARIES, "grace", NOW) is Role.NONE


def test_support_is_asked_again_at_the_answer_and_ends_with_the_window(people: People) -> None:
    asked = done(support(people, "clara"))
    assert isinstance(asked, AccessRequest)
    without = facts(support={"window": {"roles": []}})
    assert why(answer(people, "marie", asked, said=without)) is Reason.NOT_SUPPORT
    assert why(answer(people, "marie", asked, said=facts(stale=True))) is Reason.CATALOGUE_UNAVAILABLE
    last = facts(support={"window": {"around": "3d4h"}})  # over at four
    done(answer(people, "marie", asked, said=last))
    assert people.members.of(MARIES)[0].membership.until == NOW + timedelta(hours=2)


def test_while_the_catalogue_is_down_roles_still_count(people: People) -> None:
    assert why(support(people, "dorothy", said=facts(stale=True))) is Reason.CATALOGUE_UNAVAILABLE
    asked = done(support(people, said=facts(stale=True)))
    assert isinstance(asked, AccessRequest)
    done(answer(people, "marie", asked, said=facts(stale=True)))


def test_consent_is_for_what_runs(people: People) -> None:
    asked = done(support(people))
    assert isinstance(asked, AccessRequest)
    done(answer(people, "marie", asked))
    done(people.members.add("marie", MARIES, "lise", Role.OBSERVER, FACTS, NOW))
    people.store.release(MARIES)
    assert [one.membership.username for one in people.members.of(MARIES)] == ["lise"]
    assert why(support(people)) is Reason.NOT_RUNNING


def test_break_glass_is_told_at_once_and_kept(people: People) -> None:
    for who in ("dorothy", "lise", "clara"):
        assert why(people.support.break_glass(who, MARIES, True, "x", FACTS.facility, NOW)) is Reason.NOT_SUPPORT
    for nothing in ("", " \u200b\u2060 ", "\u202e", "\u2800...", "-"):
        assert (
            why(people.support.break_glass("grace", MARIES, True, nothing, FACTS.facility, NOW)) is Reason.NO_REASON
        ), nothing
    made = done(people.support.break_glass("grace", MARIES, False, "Mining\ncoins?", FACTS.facility, NOW))
    assert (made.role, made.way, made.until) == (Role.SUPPORT_VIEW, WayIn.BREAK_GLASS, NOW + timedelta(hours=8))
    assert people.members.role(MARIES, "grace", NOW) is Role.SUPPORT_VIEW  # the owner is not there
    instance = people.store.instance(MARIES)
    assert instance is not None
    assert instance.notice == ("Grace entered without your consent on 2026-11-26 at 02:00 UTC, to look: Mining coins?")
    assert trail(people.store)[-1] == ("grace", "break-glass", True)
    assert (
        why(people.support.break_glass("grace", MARIES, False, "again", FACTS.facility, NOW)) is Reason.ALREADY_MEMBER
    )
    done(people.support.break_glass("grace", MARIES, True, "To stop it", FACTS.facility, NOW))


def test_the_owner_does_not_throw_break_glass_out(people: People) -> None:
    done(people.support.break_glass("grace", MARIES, True, "x", FACTS.facility, NOW))
    assert why(people.members.remove("marie", MARIES, "grace", NOW)) is Reason.BREAK_GLASS_STAYS
    assert why(people.members.add("marie", MARIES, "grace", Role.OBSERVER, FACTS, NOW)) is Reason.BREAK_GLASS_STAYS
    changed = people.members.change("marie", MARIES, "grace", FACTS, NOW, role=Role.SUPPORT_VIEW)
    assert why(changed) is Reason.BREAK_GLASS_STAYS
    assert people.members.remove("grace", MARIES, "grace", NOW) is None


def test_the_owner_makes_support_less_and_never_more(people: People) -> None:
    asked = done(support(people))
    assert isinstance(asked, AccessRequest)
    done(answer(people, "marie", asked))
    change = people.members.change
    assert why(change("marie", MARIES, "grace", FACTS, NOW, until=None)) is Reason.ROLE_NOT_GIVEN
    assert why(change("marie", MARIES, "grace", FACTS, NOW, role=Role.COLLABORATOR)) is Reason.ROLE_NOT_GIVEN
    assert done(change("marie", MARIES, "grace", FACTS, NOW, role=Role.SUPPORT_VIEW)).role is Role.SUPPORT_VIEW
    assert why(change("marie", MARIES, "grace", FACTS, NOW, role=Role.SUPPORT)) is Reason.ROLE_NOT_GIVEN
    assert done(change("marie", MARIES, "grace", FACTS, NOW, until=NOW + HOUR)).until == NOW + HOUR
    assert people.members.remove("marie", MARIES, "grace", NOW) is None
