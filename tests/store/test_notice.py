"""What was noticed in an instance: kept until it is started again, and old databases learn of it."""

from __future__ import annotations

from alembic import command
from sqlalchemy import text

from tests.store.racer import reserve
from visa.identifiers import instance_id
from visa.store.schema import _config, upgrade
from visa.store.store import State, Store

ONE, TWO = instance_id("marie", "n1"), instance_id("marie", "n2")


def noticed(store: Store, identifier: str = ONE) -> str | None:
    found = store.instance(identifier)
    assert found is not None
    return found.notice


def test_a_notice_is_kept_until_the_next_start(store: Store) -> None:
    reserve(store, 1)
    reserve(store, 2)
    assert noticed(store) is None
    store.mark_running(ONE)
    store.notice(ONE, "Its memory was full.")
    store.notice(ONE, "Its memory was full twice.")
    assert noticed(store) == "Its memory was full twice."
    assert noticed(store, TWO) is None, "of this one only"
    assert store.release(ONE)
    assert noticed(store) == "Its memory was full twice.", "still to be read"
    reserve(store, 1)
    assert noticed(store) is None
    found = store.instance(ONE)
    assert found is not None
    assert found.state is State.STARTING


def test_any_text_is_kept_as_it_is(store: Store) -> None:
    reserve(store, 1)
    for said in ("'; DROP TABLE instances; --", "Émile ∞ 🧪", "x" * 5000):
        store.notice(ONE, said)
        assert noticed(store) == said


def test_a_notice_of_nobody_is_harmless(store: Store) -> None:
    store.notice("ffffffffffffffff", "Nobody's.")
    assert store.instances_of("marie") == ()


def test_it_is_on_every_list(store: Store) -> None:
    reserve(store, 1)
    store.mark_running(ONE)
    store.notice(ONE, "Said.")
    assert [i.notice for i in store.instances_of("marie")] == ["Said."]
    assert [i.notice for i in store.holding()] == ["Said."]


def test_an_older_database_keeps_its_rows(store: Store) -> None:
    """From the revision before notices to this one, with an instance that runs."""
    reserve(store, 1)
    store.mark_running(ONE)
    store.notice(ONE, "Gone with the way back.")
    before = store.instance(ONE)
    with store.engine.connect() as connection:
        command.downgrade(_config(connection), "0001")
        connection.commit()
    with store.engine.connect() as connection:
        columns = connection.execute(text("SELECT * FROM instances")).keys()
        assert "notice" not in columns
    upgrade(store.engine)
    store.verify()
    after = store.instance(ONE)
    assert before is not None
    assert after is not None
    assert after.notice is None
    assert (after.id, after.state, after.title, after.started_at) == (
        before.id,
        before.state,
        before.title,
        before.started_at,
    )
    assert [i.id for i in store.holding()] == [ONE]
    store.notice(ONE, "New.")
    assert noticed(store) == "New."
