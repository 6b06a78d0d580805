"""Refusals that are repeated are summed; nothing else in the audit trail is."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import OperationalError

from visa import clock
from visa.store import audit
from visa.store.audit import AuditEntry, Decision
from visa.store.refusals import OF_A_KIND, OF_A_PERSON, SPAN
from visa.store.store import Store

THEN = datetime(2026, 1, 1, 12, tzinfo=UTC)


def refuse(store: Store, actor: str = "eve", *, instance: str | None = "i", after: float = 0, **more: str) -> None:
    decision = Decision(actor, more.get("owner", "marie"), more.get("action", "ask"), False, instance, "no", {"a": 1})
    with clock.wall(lambda: THEN + timedelta(seconds=after)):
        store.record(decision)


def rows(store: Store, actor: str = "eve") -> list[AuditEntry]:
    """The oldest first."""
    return [entry for entry in reversed(store.audit(limit=1000)) if entry.decision.actor == actor]


def summed(store: Store) -> list[int]:
    details = (one.decision.detail or {} for one in rows(store))
    return [detail["times"] for detail in details if "times" in detail]


def test_a_thousand_refusals_of_a_kind_are_six_rows_and_the_last_says_how_many(store: Store) -> None:
    for number in range(1000):
        refuse(store, after=number / 100)
    assert len(rows(store)) == OF_A_KIND
    refuse(store, "pierre", after=SPAN.total_seconds() + 1)
    *own, last = rows(store)
    assert [one.decision.detail for one in own] == [{"a": 1}] * OF_A_KIND
    assert (last.decision.owner, last.decision.action, last.decision.instance_id) == ("marie", "ask", "i")
    assert (last.decision.allowed, last.decision.reason) == (False, "no")
    assert last.decision.detail == {
        "a": 1,
        "times": 1000 - OF_A_KIND,
        "since": (THEN + timedelta(seconds=OF_A_KIND / 100)).isoformat(),
        "until": (THEN + timedelta(seconds=9.99)).isoformat(),
        "some": [],
    }


def test_what_an_act_that_fails_would_have_written_is_written_later(store: Store) -> None:
    for _ in range(100):
        refuse(store)
    late = SPAN.total_seconds() + 1
    at = clock.wall(lambda: THEN + timedelta(seconds=late))
    with at, contextlib.suppress(KeyError), store.exclusive() as session:
        audit.write(session, Decision("marie", "marie", "start", True))
        raise KeyError
    assert rows(store, "marie") == []
    refuse(store, after=late + 1)
    assert summed(store) == [100 - OF_A_KIND]


def test_what_a_store_that_is_away_did_not_take_is_written_later(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(100):
        refuse(store)
    with monkeypatch.context() as away:
        away.setattr(audit, "_insert", _away)
        audit.sum_up(store.engine)
    audit.sum_up(store.engine)
    assert summed(store) == [100 - OF_A_KIND]


def _away(*_: object) -> None:
    raise OperationalError("", None, Exception("it is away"))


def test_many_kinds_of_one_person_are_summed_too(store: Store) -> None:
    for number in range(500):
        refuse(store, instance=f"i{number}")
    refuse(store, "pierre")
    assert len(rows(store)) == OF_A_PERSON
    assert len(rows(store, "pierre")) == 1
    audit.sum_up(store.engine)
    last = rows(store)[-1].decision
    assert last.reason == "many"
    assert last.detail is not None
    assert last.detail["times"] == 500 - OF_A_PERSON
    assert last.detail["some"][0] == f"eve no i{OF_A_PERSON}"
    assert len(last.detail["some"]) == 20


def test_names_that_were_made_up_at_the_login_are_summed_together(store: Store) -> None:
    for number in range(500):
        refuse(store, f"eve{number}", owner=f"eve{number}", instance=None, action="login")
    audit.sum_up(store.engine)
    found = store.audit(limit=1000)
    assert len(found) == OF_A_PERSON + 1
    assert found[0].decision.actor == "(everybody)"
    assert (found[0].decision.detail or {})["times"] == 500 - OF_A_PERSON


def test_what_is_allowed_has_a_row_each_time(store: Store) -> None:
    for _ in range(20):
        store.record(Decision("eve", "eve", "start", True))
    assert len(rows(store)) == 20


def test_after_a_while_all_begins_anew(store: Store) -> None:
    for span in range(3):
        for number in range(10):
            refuse(store, after=span * SPAN.total_seconds() + number)
    assert len(rows(store)) == 3 * OF_A_KIND + 2


def test_what_was_counted_is_written_at_the_end(store: Store) -> None:
    for _ in range(OF_A_KIND + 2):
        refuse(store)
    store.close()
    assert (rows(store)[-1].decision.detail or {})["times"] == 2
