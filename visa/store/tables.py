"""Tables of the store. Times are UTC without zone in the database; the API speaks aware datetimes."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Float, ForeignKey, Index, Integer, MetaData, String, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator


class UTCDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept as UTC; a naive one is refused."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("the store takes times with a zone only")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return None if value is None else value.replace(tzinfo=UTC)


_NUMBER = BigInteger().with_variant(Integer, "sqlite")
"""Of rows that count themselves."""


def _of_instance(*, key: bool = False, index: bool = False) -> Mapped[str]:
    """The instance that the row goes with."""
    return mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), primary_key=key, index=index)


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        }
    )


class PersonRow(Base):
    """What the hub last learned about a person when she logged in or was refreshed."""

    __tablename__ = "people"

    username: Mapped[str] = mapped_column(String(128), primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    email: Mapped[str | None] = mapped_column(Text)
    uid: Mapped[int | None] = mapped_column(BigInteger)
    gid: Mapped[int | None] = mapped_column(BigInteger)
    gids: Mapped[list[int]] = mapped_column(JSON)
    groups: Mapped[list[str]] = mapped_column(JSON)
    roles: Mapped[list[str]] = mapped_column(JSON)
    active: Mapped[bool] = mapped_column(default=True)
    verified_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class InstanceRow(Base):
    """One instance: a named server of the hub that passed admission at least once."""

    __tablename__ = "instances"

    id: Mapped[str] = mapped_column(String(16), primary_key=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    name: Mapped[str] = mapped_column(String(64))
    title: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16), index=True)
    experiments: Mapped[list[str]] = mapped_column(JSON)
    environment: Mapped[str] = mapped_column(String(64))
    flavour: Mapped[str] = mapped_column(String(64))
    session: Mapped[str] = mapped_column(String(16))
    cpu: Mapped[float] = mapped_column(Float)
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[int] = mapped_column(Integer)
    maximum: Mapped[int | None] = mapped_column(Integer)
    idle: Mapped[int | None] = mapped_column(Integer)
    holder: Mapped[str | None] = mapped_column(String(64))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    started_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    ended_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    reason: Mapped[str | None] = mapped_column(Text)
    notice: Mapped[str | None] = mapped_column(Text)


class QuotaHoldRow(Base):
    """What a starting or running instance holds, once per scope; gone when the instance ends."""

    __tablename__ = "quota_holds"

    instance_id: Mapped[str] = mapped_column(ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    millicores: Mapped[int] = mapped_column(BigInteger)
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[int] = mapped_column(Integer)


class QuotaUseRow(Base):
    """The sum of `quota_holds` per scope, kept in the same transactions, so that admission reads one row."""

    __tablename__ = "quota_use"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)
    key: Mapped[str] = mapped_column(String(255), primary_key=True)
    instances: Mapped[int] = mapped_column(BigInteger)
    millicores: Mapped[int] = mapped_column(BigInteger)
    memory: Mapped[int] = mapped_column(BigInteger)
    gpu: Mapped[int] = mapped_column(BigInteger)


class MemberRow(Base):
    """Another person on an instance. ``invitation``: the link that made her one."""

    __tablename__ = "members"

    instance_id: Mapped[str] = _of_instance(key=True)
    username: Mapped[str] = mapped_column(String(128), primary_key=True, index=True)
    role: Mapped[str] = mapped_column(String(16))
    way: Mapped[str] = mapped_column(String(16))
    granted_by: Mapped[str] = mapped_column(String(128))
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    until: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)
    with_owner: Mapped[bool]
    invitation: Mapped[int | None] = mapped_column(_NUMBER)


class RemovalRow(Base):
    """Whom the owner removed, and when: links that were made before let them in no more.

    ``since``, ``role``: what the membership was.
    """

    __tablename__ = "removals"

    instance_id: Mapped[str] = _of_instance(key=True)
    username: Mapped[str] = mapped_column(String(128), primary_key=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime)
    since: Mapped[datetime | None] = mapped_column(UTCDateTime)
    role: Mapped[str | None] = mapped_column(String(16))


class SharingRow(Base):
    """How an owner shares one instance, where she changed it."""

    __tablename__ = "sharing"

    instance_id: Mapped[str] = _of_instance(key=True)
    presence: Mapped[str] = mapped_column(String(16))
    on_leave: Mapped[str] = mapped_column(String(16))
    folders: Mapped[list[str]] = mapped_column(JSON)
    support: Mapped[str] = mapped_column(String(16))
    approvers: Mapped[str] = mapped_column(String(16))


class InvitationRow(Base):
    """A link. The token itself is nowhere, only its SHA-256."""

    __tablename__ = "invitations"

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = _of_instance(index=True)
    kind: Mapped[str] = mapped_column(String(16))
    token: Mapped[str] = mapped_column(String(64), unique=True)
    role: Mapped[str] = mapped_column(String(16))
    email: Mapped[str | None] = mapped_column(Text)
    expires: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    created_by: Mapped[str] = mapped_column(String(128))
    created_at: Mapped[datetime] = mapped_column(UTCDateTime)
    redeemed_by: Mapped[str | None] = mapped_column(String(128))
    redeemed_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    withdrawn_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class AccessRequestRow(Base):
    """Somebody asks to come in: a guest, or staff."""

    __tablename__ = "access_requests"
    __table_args__ = (Index(None, "state", "expires"),)

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = _of_instance(index=True)
    requester: Mapped[str] = mapped_column(String(128), index=True)
    kind: Mapped[str] = mapped_column(String(16))
    wanted: Mapped[str] = mapped_column(String(16))
    reason: Mapped[str] = mapped_column(Text)
    state: Mapped[str] = mapped_column(String(16))
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    expires: Mapped[datetime] = mapped_column(UTCDateTime)
    answered_by: Mapped[str | None] = mapped_column(String(128))
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    given: Mapped[str | None] = mapped_column(String(16))
    ended_why: Mapped[str | None] = mapped_column(String(32))


class HelpRow(Base):
    """Somebody on the instance asks support for help."""

    __tablename__ = "help_requests"

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = _of_instance(index=True)
    asked_by: Mapped[str] = mapped_column(String(128))
    message: Mapped[str] = mapped_column(Text)
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    taken_by: Mapped[str | None] = mapped_column(String(128))
    taken_at: Mapped[datetime | None] = mapped_column(UTCDateTime)
    closed_at: Mapped[datetime | None] = mapped_column(UTCDateTime, index=True)


class VisitRow(Base):
    """Somebody was on the instance, in one session and one role."""

    __tablename__ = "visits"
    __table_args__ = (Index(None, "instance_id", "ended"), Index(None, "ended", "seen"))

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = _of_instance()
    username: Mapped[str] = mapped_column(String(128))
    role: Mapped[str] = mapped_column(String(16))
    session: Mapped[str] = mapped_column(String(16))
    began: Mapped[datetime] = mapped_column(UTCDateTime)
    seen: Mapped[datetime] = mapped_column(UTCDateTime)
    ended: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ConfirmationRow(Base):
    """An act that waits for another login of its person. Of both secrets only the SHA-256 is here.

    ``browser``: where it was begun; ``code``: given where the login was, null before.
    """

    __tablename__ = "confirmations"

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    instance_id: Mapped[str] = _of_instance(index=True)
    username: Mapped[str] = mapped_column(String(128), index=True)
    act: Mapped[str] = mapped_column(String(16))
    given: Mapped[dict[str, Any]] = mapped_column(JSON)
    browser: Mapped[str] = mapped_column(String(64))
    code: Mapped[str | None] = mapped_column(String(64))
    expires: Mapped[datetime] = mapped_column(UTCDateTime, index=True)


class StartupLookRow(Base):
    """The owner asks what changed in start-up files since a moment; ``found``: the gateway's answer."""

    __tablename__ = "startup_looks"

    instance_id: Mapped[str] = _of_instance(key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    since: Mapped[datetime] = mapped_column(UTCDateTime)
    asked_at: Mapped[datetime] = mapped_column(UTCDateTime)
    found: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    answered_at: Mapped[datetime | None] = mapped_column(UTCDateTime)


class ChangeRow(Base):
    """How often something changed that the instance's gateway must know."""

    __tablename__ = "changes"

    instance_id: Mapped[str] = _of_instance(key=True)
    number: Mapped[int] = mapped_column(BigInteger)


class CatalogueHeldRow(Base):
    """How much a source of the catalogue held when it was last believed, or whether an experiment had a team (0 or 1).

    ``source`` stands for an address without its password (`visa.catalogue.opening`).
    """

    __tablename__ = "catalogue_held"

    source: Mapped[str] = mapped_column(String(32), primary_key=True)
    what: Mapped[str] = mapped_column(String(96), primary_key=True)
    number: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(UTCDateTime)


class AuditRow(Base):
    """One decision: who, what, on whose behalf, allowed or refused, why. Rows are only ever added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(_NUMBER, primary_key=True, autoincrement=True)
    at: Mapped[datetime] = mapped_column(UTCDateTime, index=True)
    actor: Mapped[str] = mapped_column(String(128), index=True)
    owner: Mapped[str] = mapped_column(String(128), index=True)
    action: Mapped[str] = mapped_column(String(32))
    instance_id: Mapped[str | None] = mapped_column(String(16))
    allowed: Mapped[bool]
    reason: Mapped[str | None] = mapped_column(String(64))
    detail: Mapped[dict[str, Any]] = mapped_column(JSON)
