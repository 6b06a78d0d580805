"""How PostgreSQL is connected to and asked: with bounds, so that one that hangs holds nobody up for long.

JupyterHub asks its database on its event loop. A server that died without a word, a network that drops packets or a
pooler that is stuck would else stop the hub for minutes: libpq's own bounds begin with what TCP does not acknowledge,
and a server that hangs keeps acknowledging. So each wait for an answer has a bound here too, and while the server
does not answer a thread asks it once a second, and everybody else is told so at once.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import Any

from sqlalchemy import URL
from sqlalchemy.engine import make_url

from visa import clock

log = logging.getLogger(__name__)

HUB, OTHERS = 10.0, 20.0
"""Seconds for which an answer is waited for: on JupyterHub's event loop, and in threads."""
_CONNECT = 3
_PAUSE = 1.0
_POOL = 5.0
_TCP: dict[str, Any] = {
    "connect_timeout": _CONNECT,
    "tcp_user_timeout": 5000,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 3,
    "keepalives_count": 3,
}
"""libpq's: seconds for a connection, milliseconds for what is not acknowledged, seconds between signs of life."""


def is_postgresql(url: str | URL) -> bool:
    """Whether it is a database that may be away."""
    return make_url(url).get_backend_name() == "postgresql"


def parsed(url: str | URL) -> URL:
    """With the driver that VISA brings, where none is named."""
    made = make_url(url)
    return made.set(drivername="postgresql+psycopg") if made.drivername in ("postgresql", "postgres") else made


def options(url: str | URL, patience: float) -> dict[str, Any]:
    """For SQLAlchemy's ``create_engine`` and ``JupyterHub.db_kwargs``; nothing for another database or driver."""
    made = parsed(url)
    if made.drivername != "postgresql+psycopg":
        return {}
    return {"creator": Connector(made, patience), "pool_pre_ping": True, "pool_timeout": _POOL}


def wait_for(url: str | URL, seconds: float) -> None:
    """Until the database answers, at most ``seconds``: a hub that starts while it is away need not end at once.

    Says why it waits. What is wrong for good is the next step's to say.
    """
    made = parsed(url)
    if made.drivername != "postgresql+psycopg":
        return
    import psycopg

    connector, end, said = Connector(made, OTHERS), clock.elapsed() + seconds, ""
    while clock.elapsed() < end:
        try:
            connector._connect().close()
            return
        except psycopg.OperationalError as error:
            if (why := " ".join(str(error).split())[:300]) != said:
                log.warning("Waiting for the database %s: %s", made.render_as_string(), why)
                said = why
        threading.Event().wait(_PAUSE)


class Connector:
    """Makes connections to one database, for SQLAlchemy's ``creator``. One for each engine; used by many threads.

    After a connection failed, or an answer did not come, the next ones fail at once with the same words until a
    thread of its own got through.
    """

    def __init__(self, url: URL, patience: float) -> None:
        self._where = url.render_as_string()
        self._arguments = {**_TCP, **_psycopg_arguments(url)}
        self._patience = patience
        self._lock = threading.Lock()
        self._away: str | None = None

    def __deepcopy__(self, memo: object) -> Connector:
        """Itself: traitlets copies configuration, and one database has one state."""
        return self

    @property
    def away(self) -> bool:
        """Whether the server did not answer when it was asked last."""
        return self._away is not None

    def __call__(self) -> Any:
        """A connection; raise the driver's ``OperationalError``."""
        import psycopg

        if (why := self._away) is not None:
            raise psycopg.OperationalError(f"{why} (a moment ago; it is asked again every second)")
        try:
            return self._connect()
        except psycopg.OperationalError as error:
            self.lost(str(error))
            raise

    def lost(self, why: str) -> None:
        """The server does not answer: ask it until it does."""
        with self._lock:
            if self._away is not None:
                return
            self._away = " ".join(why.split())[:300]
        log.warning("The database %s does not answer: %s", self._where, self._away)
        try:
            threading.Thread(target=self._ask, name="database", daemon=True).start()
        except RuntimeError as error:  # no more threads: whoever comes next asks it
            log.error("The database %s is not asked in the background: %s", self._where, error)
            self._away = None

    def _ask(self) -> None:
        pause = threading.Event()
        while self._away is not None:
            pause.wait(_PAUSE)
            try:
                self._connect().close()
            except Exception as error:  # whatever it is: were this thread to end, nobody would ask again
                log.debug("The database %s does not answer yet: %r", self._where, error)
            else:
                self._away = None
        log.warning("The database %s answers again", self._where)

    def _connect(self) -> Any:
        made = _patient().connect(**self._arguments, autocommit=True)
        try:
            made.begin(self._patience, self.lost)
            # Said, not given as an option of the connection, which poolers refuse. The server's bound is the shorter
            # one: what is merely slow says so, and its connection stays.
            milliseconds = int(800 * self._patience)
            made.execute(f"SET statement_timeout = {milliseconds}")
            made.execute(f"SET lock_timeout = {milliseconds}")
            made.autocommit = False
        except BaseException:
            made.close()
            raise
        return made


def without_bounds(connection: Any) -> None:
    """For what may take long, as bringing tables up to date: of SQLAlchemy's ``connection``, for this transaction."""
    if connection.dialect.driver != "psycopg":
        return
    connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
    connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
    connection.connection.driver_connection.unbounded()


def _psycopg_arguments(url: URL) -> dict[str, Any]:
    """As SQLAlchemy gives them to the driver; the operator's own words in the URL's query stay."""
    from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg

    dialect: Any = PGDialect_psycopg
    return dict(dialect().create_connect_args(url)[1])


_made: list[Any] = []


def _patient() -> Any:
    """The class of connections, made when the first is needed: one machine with SQLite has no driver."""
    if not _made:
        _made.append(_class())
    return _made[0]


def _class() -> Any:
    import psycopg

    class Patient(psycopg.Connection[Any]):
        """A connection that is given up when an answer does not come in time."""

        _seconds: float | None = float(_CONNECT)
        _lost: Callable[[str], None] | None = None

        def begin(self, patience: float, lost: Callable[[str], None]) -> None:
            """The server answers: wait ``patience`` seconds from now on, and tell ``lost``."""
            self._seconds, self._lost = patience, lost

        def unbounded(self) -> None:
            """Until it is closed."""
            self._seconds = None

        def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
            """As the driver's, which waits for ever."""
            seconds, began = timeout or self._seconds, clock.elapsed()
            try:
                return super().wait(gen, interval, seconds)
            except psycopg.OperationalError as error:
                if timeout is not None or seconds is None or clock.elapsed() - began < seconds:
                    raise
                self.close()
                why = f"no answer within {seconds:g} s"
                if self._lost is not None:
                    self._lost(why)
                raise psycopg.OperationalError(why) from error

    return Patient
