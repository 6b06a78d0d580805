"""The store: people, instances, what they hold, and the audit trail.

Synchronous; callers on an event loop use ``asyncio.to_thread``. A reservation is one transaction that
nobody else can interleave with: ``BEGIN IMMEDIATE`` on SQLite, an advisory lock on PostgreSQL.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, cast

from sqlalchemy import Engine, Table, create_engine, delete, event, select, text, update
from sqlalchemy.orm import Session

from visa.clock import now
from visa.identifiers import Username, instance_id
from visa.instances.model import InstanceSpec, Person, QuotaScope, Refusal, StartRequest, Use
from visa.instances.texts import for_hub, shown
from visa.store import audit, connecting, holds, schema
from visa.store.audit import AuditEntry, Decision
from visa.store.sharing import ends
from visa.store.tables import AuditRow, InstanceRow, PersonRow
from visa.store.upserts import upsert

__all__ = ["HOLDING", "AuditEntry", "Decision", "Instance", "InstanceIdTaken", "State", "Store", "now"]

_RESERVATION_LOCK = 811002
_WAL_ATTEMPTS = 500  # ten seconds


class State(StrEnum):
    """Of an instance. Only the first two hold quota."""

    STARTING = "starting"
    RUNNING = "running"
    STOPPED = "stopped"
    FAILED = "failed"


HOLDING = (State.STARTING, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Instance:
    """An instance as the store knows it.

    ``reason`` says in words why it ended, when it was not asked to; ``notice`` what was noticed in this run.
    """

    id: str
    owner: str
    name: str
    title: str
    state: State
    experiments: tuple[str, ...]
    environment: str
    flavour: str
    session: str
    cpu: float
    memory: int
    gpu: int
    maximum: timedelta | None
    idle: timedelta | None
    holder: str | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    reason: str | None
    notice: str | None


class InstanceIdTaken(Exception):
    """Two names gave one instance id (it is a short hash). The message says whose it is."""


class Store:
    """All that VISA keeps. One object per process; safe to use from several threads."""

    def __init__(self, url: str) -> None:
        """``url``: any SQLAlchemy URL of SQLite (a file) or PostgreSQL."""
        self.engine = _engine(url)

    def upgrade(self) -> None:
        """Bring the schema up to date and count anew what is held. The hub calls this once at its start."""
        schema.upgrade(self.engine)
        with self.exclusive() as session:
            holds.recount(session, HOLDING)

    def verify(self) -> None:
        """Raise `visa.store.schema.SchemaMismatch` unless the schema is this version's."""
        schema.verify(self.engine)

    def close(self) -> None:
        """What was only counted is written first."""
        audit.sum_up(self.engine)
        self.engine.dispose()

    @contextmanager
    def exclusive(self) -> Iterator[Session]:
        """A transaction that no other reservation runs beside, in whatever process."""
        with Session(self.engine) as session:
            if self.engine.dialect.name == "postgresql":
                session.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _RESERVATION_LOCK})
            else:
                session.connection().exec_driver_sql("BEGIN IMMEDIATE")
            yield session
            session.commit()

    # people

    def put_person(self, person: Person) -> None:
        """Keep what the identity provider and the catalogue say about ``person`` now."""
        with Session(self.engine) as session:
            row = {
                "username": str(person.username),
                "name": person.name,
                "email": person.email,
                "uid": person.uid,
                "gid": person.gid,
                "gids": list(person.gids),
                "groups": sorted(person.groups),
                "roles": sorted(person.roles),
                "active": person.active,
                "verified_at": person.verified_at,
            }
            before = session.scalar(select(PersonRow.active).where(PersonRow.username == person.username))
            session.execute(upsert(session, cast("Table", PersonRow.__table__)), row)
            session.commit()
        if before is not None and before != person.active:
            self._account_changed(person.username)

    def deactivate_person(self, username: str) -> None:
        """The identity provider no longer vouches for her: she starts nothing until it does again."""
        with Session(self.engine) as session:
            session.execute(update(PersonRow).where(PersonRow.username == username).values(active=False))
            session.commit()
        self._account_changed(username)

    def _account_changed(self, username: str) -> None:
        """Gateways of instances that she is a member of must know."""
        with self.exclusive() as session:
            ends.account_changed(session, username)

    def person(self, username: str) -> Person | None:
        """The person, or None when she never logged in."""
        with Session(self.engine) as session:
            row = session.get(PersonRow, username)
            return None if row is None else person_of(row)

    # quotas and reservations

    def use(self, scopes: Iterable[QuotaScope], *, without: str | None = None) -> Use:
        """What is held in ``scopes`` now, but for instance ``without``."""
        with Session(self.engine) as session:
            return holds.use(session, scopes, without)

    def reserve(
        self,
        owner: str,
        name: str,
        request: StartRequest,
        scopes: Iterable[QuotaScope],
        decide: Callable[[Use], InstanceSpec | Refusal],
        *,
        actor: str,
        holder: str,
        title: str = "",
    ) -> InstanceSpec | Refusal:
        """Decide and hold in one transaction, and write the decision to the audit trail.

        ``decide`` sees what ``scopes`` hold without this instance. On a refusal nothing is held.
        Raise `InstanceIdTaken` when the id is another instance's.
        ``holder`` names the hub process; what it leaves in ``starting`` is given back at the next start.
        """
        identifier = instance_id(owner, name)
        with self.exclusive() as session:
            row = session.get(InstanceRow, identifier)
            if row is not None and (row.owner, row.name) != (owner, name):
                raise InstanceIdTaken(f"Instance {identifier} is {row.owner}'s, not {owner}'s; choose another name.")
            again = row is not None and row.state in HOLDING
            outcome = decide(holds.use(session, scopes, identifier if again else None))
            if isinstance(outcome, InstanceSpec):
                if row is None:
                    row = InstanceRow(id=identifier, owner=owner, name=name, title=name, created_at=now())
                    session.add(row)
                elif set(row.experiments) != set(outcome.experiments):
                    ends.other_experiments(session, row, now())
                _fill(row, title, outcome, holder)
                session.flush()
                holds.take(session, identifier, outcome, again=again)
            refused = isinstance(outcome, Refusal)
            decision = Decision(
                actor,
                owner,
                "start",
                not refused,
                identifier,
                outcome.reason.value if isinstance(outcome, Refusal) else None,
                {
                    "experiments": [str(e) for e in request.experiments],
                    "environment": str(request.environment),
                    "flavour": str(request.flavour),
                },
            )
            audit.write(session, decision)
        return outcome

    def mark_running(self, identifier: str) -> None:
        """The instance answers."""
        with Session(self.engine) as session:
            session.execute(
                update(InstanceRow)
                .where(InstanceRow.id == identifier, InstanceRow.state == State.STARTING.value)
                .values(state=State.RUNNING.value)
            )
            session.commit()

    def release(self, identifier: str, *, failed: bool = False, reason: str | None = None) -> bool:
        """Give back what the instance holds; False when it held nothing. Calling it twice is harmless.

        A reason already known is kept: the first one is the cause.
        """
        with self.exclusive() as session:
            row = session.get(InstanceRow, identifier)
            if row is None or row.state not in HOLDING:
                return False
            holds.give_back(session, identifier)
            row.state = (State.FAILED if failed else State.STOPPED).value
            row.ended_at, row.reason = now(), reason
            ends.stopped(session, row, now())
        return True

    def starting_of_others(self, holder: str) -> tuple[Instance, ...]:
        """Reservations of hub processes that are gone: all in ``starting`` that ``holder`` did not make."""
        with Session(self.engine) as session:
            rows = session.scalars(
                select(InstanceRow).where(InstanceRow.state == State.STARTING.value, InstanceRow.holder != holder)
            )
            return tuple(instance_of(row) for row in rows)

    # instances

    def instance(self, identifier: str) -> Instance | None:
        with Session(self.engine) as session:
            row = session.get(InstanceRow, identifier)
            return None if row is None else instance_of(row)

    def instances_of(self, owner: str) -> tuple[Instance, ...]:
        """All of ``owner``'s instances, newest first."""
        with Session(self.engine) as session:
            rows = session.scalars(
                select(InstanceRow)
                .where(InstanceRow.owner == owner)
                .order_by(InstanceRow.created_at.desc(), InstanceRow.id)
            )
            return tuple(instance_of(row) for row in rows)

    def holding(self) -> tuple[Instance, ...]:
        """Every instance that holds quota."""
        with Session(self.engine) as session:
            rows = session.scalars(select(InstanceRow).where(InstanceRow.state.in_([s.value for s in HOLDING])))
            return tuple(instance_of(row) for row in rows)

    def rename(self, identifier: str, title: str) -> None:
        with Session(self.engine) as session:
            session.execute(update(InstanceRow).where(InstanceRow.id == identifier).values(title=title))
            session.commit()

    def notice(self, identifier: str, notice: str) -> None:
        """Something happened in the instance that its owner should know; kept until it is started again."""
        with Session(self.engine) as session:
            session.execute(update(InstanceRow).where(InstanceRow.id == identifier).values(notice=notice))
            session.commit()

    def forget(self, identifier: str, *, ended_only: bool = False) -> bool:
        """Delete the instance and what it holds; the audit trail stays. False: it is not ended, and stays."""
        with self.exclusive() as session:
            row = session.get(InstanceRow, identifier)
            if ended_only and row is not None and row.state in HOLDING:
                return False
            holds.give_back(session, identifier)
            ends.deleted(session, identifier, now())
            session.execute(delete(InstanceRow).where(InstanceRow.id == identifier))
        return True

    # audit

    def record(self, decision: Decision) -> None:
        """Add one decision to the audit trail."""
        with Session(self.engine) as session:
            audit.write(session, decision)
            session.commit()

    def audit(self, *, before: int | None = None, limit: int = 100) -> tuple[AuditEntry, ...]:
        """The newest decisions first; ``before`` is the id of the last one seen."""
        with Session(self.engine) as session:
            query = select(AuditRow).order_by(AuditRow.id.desc()).limit(limit)
            if before is not None:
                query = query.where(AuditRow.id < before)
            return tuple(
                AuditEntry(
                    row.id,
                    row.at,
                    Decision(row.actor, row.owner, row.action, row.allowed, row.instance_id, row.reason, row.detail),
                )
                for row in session.scalars(query)
            )


def _engine(url: str) -> Engine:
    parsed = connecting.parsed(url)
    if parsed.get_backend_name() != "sqlite":
        bounds = {"pool_pre_ping": True, **connecting.options(parsed, connecting.OTHERS)}
        return create_engine(parsed, pool_size=10, max_overflow=20, **bounds)
    engine = create_engine(parsed, connect_args={"timeout": 60})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, record: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves: the driver's own is not IMMEDIATE
        _into_wal(connection)
        for pragma in ("synchronous=NORMAL", "foreign_keys=ON", "busy_timeout=60000"):
            connection.execute(f"PRAGMA {pragma}")

    return engine


def _into_wal(connection: sqlite3.Connection) -> None:
    """Let readers and a writer work at once. The file remembers it; while several processes switch a new
    file at once SQLite says that it is locked without waiting, so we wait."""
    for attempt in range(_WAL_ATTEMPTS):
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if attempt == _WAL_ATTEMPTS - 1:
                raise
            time.sleep(0.02)
        else:
            return


def _fill(row: InstanceRow, title: str, spec: InstanceSpec, holder: str) -> None:
    """``row`` is starting as ``spec`` says; an empty title changes nothing, nor does what JupyterHub made of ours."""
    if title and title != for_hub(row.title):
        row.title = title
    row.state = State.STARTING.value
    row.experiments = [str(experiment) for experiment in spec.experiments]
    row.environment, row.flavour, row.session = str(spec.environment), str(spec.flavour), spec.session
    row.cpu, row.memory, row.gpu = spec.resources.cpu, spec.resources.memory, spec.resources.gpu
    row.maximum = None if spec.maximum is None else int(spec.maximum.total_seconds())
    row.idle = None if spec.idle is None else int(spec.idle.total_seconds())
    row.holder, row.started_at, row.ended_at, row.reason, row.notice = holder, now(), None, None, None


def person_of(row: PersonRow) -> Person:
    """The person that the row keeps."""
    return Person(
        username=Username(row.username),
        name=row.name,
        uid=row.uid,
        gid=row.gid,
        gids=tuple(row.gids),
        groups=frozenset(row.groups),
        roles=frozenset(row.roles),
        email=row.email,
        active=row.active,
        verified_at=row.verified_at,
    )


def instance_of(row: InstanceRow) -> Instance:
    """The instance that the row keeps."""
    return Instance(
        id=row.id,
        owner=row.owner,
        name=row.name,
        title=shown(row.title, row.name),
        state=State(row.state),
        experiments=tuple(row.experiments),
        environment=row.environment,
        flavour=row.flavour,
        session=row.session,
        cpu=row.cpu,
        memory=row.memory,
        gpu=row.gpu,
        maximum=None if row.maximum is None else timedelta(seconds=row.maximum),
        idle=None if row.idle is None else timedelta(seconds=row.idle),
        holder=row.holder,
        created_at=row.created_at,
        started_at=row.started_at,
        ended_at=row.ended_at,
        reason=row.reason,
        notice=row.notice,
    )
