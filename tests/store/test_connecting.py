"""PostgreSQL that hangs, ends or refuses: how long anybody waits, and when it is asked again."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import OperationalError

from tests.services.network import Network, Weather
from tests.services.postgresql import PostgreSQL
from tests.services.waiting import until
from visa.store import connecting, schema
from visa.store.faults import is_fault
from visa.store.store import Store


@pytest.fixture
def network(postgres: PostgreSQL) -> Iterator[Network]:
    """Between this test and the server."""
    with Network(postgres.folder / ".s.PGSQL.5432").running() as running:
        yield running


@pytest.fixture
def url(network: Network, postgres: PostgreSQL) -> str:
    """An empty database, behind the network."""
    name = postgres.database().partition("@/")[2].partition("?")[0]
    return f"postgresql://{postgres.user}@127.0.0.1:{network.port}/{name}"


def test_an_answer_that_does_not_come_is_given_up_and_the_next_questions_wait_for_nothing(
    url: str, network: Network
) -> None:
    options = connecting.options(url, 0.5)
    engine, connector = create_engine(connecting.parsed(url), **options), options["creator"]
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 1")) == 1
        network.becomes(Weather.SILENT)
        with pytest.raises(OperationalError, match=r"no answer within 0\.5 s") as caught:
            connection.scalar(text("SELECT 2"))
        assert is_fault(caught.value)
        assert connection.invalidated
    assert connector.away
    with pytest.raises(OperationalError, match="a moment ago"):
        engine.connect()
    network.becomes(Weather.CLEAR)
    until(lambda: not connector.away, what="an answer")
    with engine.connect() as connection:
        assert connection.scalar(text("SELECT 3")) == 3
    engine.dispose()


def test_a_server_that_is_gone_is_asked_again_until_it_is_there(url: str, network: Network) -> None:
    store = Store(url)
    store.upgrade()
    network.becomes(Weather.GONE)
    for _ in range(3):
        with pytest.raises(OperationalError) as caught:
            store.holding()
        assert is_fault(caught.value)
    network.becomes(Weather.CLEAR)

    def there() -> bool:
        try:
            return store.holding() == ()
        except OperationalError:
            return False

    until(there, what="the store")
    store.close()


def test_a_statement_that_is_slow_is_ended_by_the_server_and_its_connection_stays(url: str) -> None:
    engine = create_engine(connecting.parsed(url), **connecting.options(url, 1.0))
    with engine.connect() as connection:
        with pytest.raises(OperationalError, match="statement timeout") as caught:
            connection.execute(text("SELECT pg_sleep(60)"))
        assert is_fault(caught.value)
        assert not connection.invalidated
        connection.rollback()
        assert connection.scalar(text("SELECT 1")) == 1
    engine.dispose()


def test_bringing_tables_up_to_date_waits_as_long_as_it_takes(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connecting, "OTHERS", 0.5)
    store, other = Store(url), create_engine(connecting.parsed(url))
    with other.connect() as holding:
        holding.execute(text("SELECT pg_advisory_xact_lock(811001)"))
        upgrade = threading.Thread(target=schema.upgrade, args=(store.engine,))
        upgrade.start()
        waiting = text(
            "SELECT now() - query_start > interval '1.5 s' FROM pg_stat_activity WHERE wait_event = 'advisory'"
        )
        with other.connect() as looking:
            looking.execution_options(isolation_level="AUTOCOMMIT")
            until(lambda: looking.scalar(waiting), what="a wait that is longer than the bound")
    upgrade.join(60)
    store.verify()
    store.close()
    other.dispose()


def test_who_starts_while_it_is_away_waits_for_it(url: str, network: Network, caplog: pytest.LogCaptureFixture) -> None:
    network.becomes(Weather.GONE)
    waiting = threading.Thread(target=connecting.wait_for, args=(url, 60))
    waiting.start()
    until(lambda: "Waiting for the database" in caplog.text, what="a word of it")
    network.becomes(Weather.CLEAR)
    waiting.join(60)
    assert not waiting.is_alive()
    connecting.wait_for("sqlite:///x", 60)


def test_other_databases_and_drivers_are_left_as_they_are() -> None:
    assert connecting.options("sqlite:///x", 1) == {}
    assert connecting.options("postgresql+psycopg2://u@h/d", 1) == {}


def connector(monkeypatch: pytest.MonkeyPatch, *answers: Any) -> connecting.Connector:
    """Each connection in turn fails so, or is one; there is no server."""
    made, left = connecting.Connector(connecting.parsed("postgresql://u@h/d"), 1.0), iter(answers)

    def connect() -> Any:
        if isinstance(answer := next(left), Exception):
            raise answer
        return answer

    monkeypatch.setattr(connecting, "_PAUSE", 0.0)
    monkeypatch.setattr(made, "_connect", connect)
    return made


class Connection:
    """One whose settings are refused."""

    closed, autocommit = False, True

    def begin(self, *_: object) -> None: ...

    def execute(self, statement: str) -> None:
        raise psycopg.errors.FeatureNotSupported(statement)

    def close(self) -> None:
        self.closed = True


def test_whatever_goes_wrong_it_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    made = connector(monkeypatch, psycopg.errors.FeatureNotSupported("pooler"), OSError("files"), Connection())
    made._away = "no answer"
    made._ask()
    assert not made.away


def test_without_a_thread_the_next_one_asks(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    made = connector(monkeypatch, psycopg.OperationalError("refused"), there := Connection())

    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(psycopg.OperationalError, match="refused"):
        made()
    assert "can't start new thread" in caplog.text
    assert made() is there


def test_a_connection_that_refuses_its_bounds_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    there = Connection()

    class Patient:
        connect = staticmethod(lambda **_: there)

    monkeypatch.setattr(connecting, "_patient", lambda: Patient)
    made = connecting.Connector(connecting.parsed("postgresql://u@h/d"), 1.0)
    with pytest.raises(psycopg.errors.FeatureNotSupported):
        made()
    assert there.closed
