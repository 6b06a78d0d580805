"""The owner asks what changed in start-up files since somebody joined; the instance's gateway answers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from visa.instances.access import Role
from visa.instances.model import Reason, Refusal
from visa.store.sharing import rows
from visa.store.sharing.acts import Act, No, Part
from visa.store.sharing.records import Removed, StartupLook
from visa.store.tables import MemberRow, RemovalRow, StartupLookRow, VisitRow

ACTING = frozenset({Role.COLLABORATOR.value, Role.SUPPORT.value})


class Startup(Part):
    """Looks at start-up files."""

    def ask(self, actor: str, instance_id: str, username: str, at: datetime) -> StartupLook | Refusal:
        """The owner wants to know what changed since ``username`` came to the instance first, as far as is known."""

        def do(act: Act) -> StartupLook:
            row = act.owned()
            since = _since(act.session, row.id, username)
            if since is None:
                raise No(Reason.NOT_A_MEMBER, f"{username[:128]} was never on it.", "Look at who was.", "username")
            act.running()
            before = act.session.get(StartupLookRow, row.id)
            number = 1 + (before.number if before is not None else 0)
            look = StartupLookRow(instance_id=row.id, number=number, since=since, asked_at=at)
            look.found = look.answered_at = None
            act.session.merge(look)
            act.session.flush()
            act.changed()
            act.allowed(since=since.isoformat(), username=username)
            return StartupLook(number, since, None, None)

        return self.perform(actor, "startup-look", instance_id, at, do)

    def answer(self, instance_id: str, number: int, found: Mapping[str, Any], at: datetime) -> None:
        """What the gateway found for look ``number``; another look's answer is nobody's."""
        with self.store.exclusive() as session:
            row = session.get(StartupLookRow, instance_id)
            if row is not None and row.number == number and row.found is None:
                row.found, row.answered_at = dict(found), at

    def look(self, instance_id: str) -> StartupLook | None:
        """The last one."""
        with self.reading() as session:
            row = session.get(StartupLookRow, instance_id)
            return None if row is None else _value(row)

    def removed(self, instance_id: str) -> tuple[Removed, ...]:
        """Whom the owner removed and who could act as the owner, the last one first."""
        with self.reading() as session:
            query = select(RemovalRow).where(RemovalRow.instance_id == instance_id, RemovalRow.role.in_(ACTING))
            found = list(session.scalars(query.order_by(RemovalRow.at.desc()).limit(50)))
            names = rows.names(session, (one.username for one in found))
            return tuple(
                Removed(one.username, names.get(one.username, one.username), Role(one.role or "none"), one.at)
                for one in found
            )


def asked(session: Session, instance_id: str) -> StartupLook | None:
    """The look that waits for the gateway's answer."""
    row = session.get(StartupLookRow, instance_id)
    return None if row is None or row.found is not None else _value(row)


def _value(row: StartupLookRow) -> StartupLook:
    return StartupLook(row.number, row.since, row.found, row.answered_at)


def _since(session: Session, instance_id: str, username: str) -> datetime | None:
    """The first that is known of a person there: a visit, or a membership that is or was."""
    member = session.get(MemberRow, (instance_id, username))
    removal = session.get(RemovalRow, (instance_id, username))
    visits = select(func.min(VisitRow.began)).where(VisitRow.instance_id == instance_id, VisitRow.username == username)
    known = [
        member.since if member is not None else None,
        removal.since if removal is not None else None,
        session.scalar(visits),
    ]
    return min((one for one in known if one is not None), default=None)
