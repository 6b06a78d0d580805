"""Acts that wait for another login: begun, confirmed, and done once, by one person in one browser."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tests.store.sharing.rig import HOUR, LISES, MARIES, NOW, done, facts, why
from visa.instances.confirming import LASTS, Grave
from visa.instances.model import Reason
from visa.store.people import People
from visa.store.sharing.records import Confirmation

GLASS = {"reason": "The room is on fire", "act": True}
FACILITY = facts().facility


def begun(people: People, actor: str = "grace", act: Grave = Grave.BREAK_GLASS, **given: Any) -> Confirmation:
    kept = {**(GLASS if act is Grave.BREAK_GLASS else {"kind": "public"}), **given}
    return done(people.confirmations.begin(actor, MARIES, act, kept, "browser", FACILITY, NOW))


def test_what_was_confirmed_is_done_once_with_what_was_given(people: People) -> None:
    one = begun(people)
    assert people.confirmations.waiting(one.id, "grace", NOW) == one
    assert people.confirmations.confirm(one.id, "grace", "code", NOW)
    assert people.confirmations.waiting(one.id, "grace", NOW) is None, "one login is enough"
    assert not people.confirmations.confirm(one.id, "grace", "another", NOW)
    assert done(people.confirmations.use(one.id, "grace", "browser", "code", NOW)) == one
    assert one.given == GLASS
    again = people.confirmations.use(one.id, "grace", "browser", "code", NOW)
    assert why(again) is Reason.LOGIN_AGAIN


@pytest.mark.parametrize(
    ("changed", "left"),
    [
        ({"username": "lise"}, True),
        ({"browser": "another"}, False),
        ({"browser": ""}, False),
        ({"code": "another"}, False),
        ({"code": ""}, False),
        ({"at": NOW + LASTS}, False),
    ],
)
def test_another_person_browser_or_code_or_too_late_does_nothing_and_spends_it(
    people: People, changed: dict[str, Any], left: bool
) -> None:
    one = begun(people)
    people.confirmations.confirm(one.id, "grace", "code", NOW)
    right = {"username": "grace", "browser": "browser", "code": "code", "at": NOW}
    assert why(people.confirmations.use(one.id, **{**right, **changed})) is Reason.LOGIN_AGAIN
    after = people.confirmations.use(one.id, **right)  # type: ignore[arg-type]
    assert isinstance(after, Confirmation) is left


def test_without_a_login_nothing_is_done(people: People) -> None:
    one = begun(people)
    for code in ("", "None", "code"):
        assert why(people.confirmations.use(one.id, "grace", "browser", code, NOW)) is Reason.LOGIN_AGAIN


def test_another_s_login_confirms_nothing_nor_does_a_late_one(people: People) -> None:
    one = begun(people)
    assert not people.confirmations.confirm(one.id, "marie", "code", NOW)
    assert people.confirmations.waiting(one.id, "marie", NOW) is None
    assert not people.confirmations.confirm(one.id, "grace", "code", NOW + LASTS)
    assert people.confirmations.waiting(one.id, "grace", NOW + LASTS) is None


def test_a_login_that_failed_ends_it_and_is_in_the_audit_trail(people: People) -> None:
    one = begun(people)
    people.confirmations.refused(one.id, "marie", "not hers", NOW)
    people.confirmations.refused(one.id, "grace", "no auth_time", NOW)
    assert people.confirmations.waiting(one.id, "grace", NOW) is None
    (said,) = [e.decision for e in people.store.audit() if e.decision.action == "login-again"]
    assert (said.actor, said.owner, said.allowed, said.reason) == ("grace", "marie", False, "login-again")
    assert said.detail == {"for": "break-glass", "why": "no auth_time"}


def test_what_would_be_refused_needs_no_login(people: People) -> None:
    begin = people.confirmations.begin
    glass, link = Grave.BREAK_GLASS, Grave.PUBLIC_LINK
    off = facts(public_links=False).facility
    assert why(begin("oscar", MARIES, glass, GLASS, "b", FACILITY, NOW)) is Reason.NOT_SUPPORT
    assert why(begin("marie", MARIES, glass, GLASS, "b", FACILITY, NOW)) is Reason.IS_THE_OWNER
    assert why(begin("grace", MARIES, glass, {"reason": " "}, "b", FACILITY, NOW)) is Reason.NO_REASON
    assert why(begin("lise", MARIES, link, {}, "b", FACILITY, NOW)) is Reason.NO_INSTANCE
    assert why(begin("marie", MARIES, link, {}, "b", off, NOW)) is Reason.SHARING_OFF
    people.store.release(LISES)
    assert why(begin("grace", LISES, glass, GLASS, "b", FACILITY, NOW)) is Reason.NOT_RUNNING


def test_a_new_wish_replaces_the_one_before_and_old_ones_go(people: People) -> None:
    first = begun(people)
    link = begun(people, "marie", Grave.PUBLIC_LINK)
    second = begun(people, reason="Water")
    waiting = people.confirmations.waiting
    assert waiting(first.id, "grace", NOW) is None
    assert waiting(second.id, "grace", NOW) == second
    assert waiting(link.id, "marie", NOW) == link
    later = NOW + LASTS + timedelta(seconds=1)
    done(people.confirmations.begin("marie", MARIES, Grave.PUBLIC_LINK, {}, "b", FACILITY, later))
    with people.confirmations.reading() as session:
        from visa.store.tables import ConfirmationRow

        assert [row.username for row in session.query(ConfirmationRow)] == ["marie"]
    assert later < NOW + HOUR
