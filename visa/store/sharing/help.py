"""Somebody on an instance asks for help, and somebody of support looks after it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select

from visa.instances.access import Role
from visa.instances.model import Facts, Reason, Refusal
from visa.store.sharing import rows
from visa.store.sharing.acts import Act, No, Part, no_owner, text
from visa.store.sharing.records import HelpRequest
from visa.store.tables import HelpRow


class Help(Part):
    """Requests for help; an instance has one at a time."""

    def open(self, instance_id: str) -> HelpRequest | None:
        """The one that is not closed."""
        with self.reading() as session:
            query = select(HelpRow).where(HelpRow.instance_id == instance_id, HelpRow.closed_at.is_(None))
            return next(iter(rows.helps(session, session.scalars(query.limit(1)))), None)

    def ask(self, username: str, instance_id: str, message: str, at: datetime) -> HelpRequest | Refusal:
        """The owner or a collaborator asks; again: with another message."""

        def do(act: Act) -> HelpRequest:
            _on_it(act)
            act.running()
            said = text(message, needed=True)
            row = _open(act)
            if row is None:
                row = HelpRow(instance_id=act.row.id, asked_by=username, message=said, asked_at=at)
                act.session.add(row)
            else:
                row.asked_by, row.message, row.asked_at = username, said, at
            act.session.flush()
            act.changed()
            act.allowed(help=row.id, message=said)
            return rows.helps(act.session, [row])[0]

        return self.perform(username, "help", instance_id, at, do)

    def take(self, username: str, number: int, facts: Facts, at: datetime) -> HelpRequest | Refusal:
        """Somebody who may support the instance looks after it. This lets her in nowhere: see `Support.ask`."""
        with self.reading() as session:
            found = session.get(HelpRow, number)
            instance = "" if found is None else found.instance_id

        def do(act: Act) -> HelpRequest:
            person = act.myself()
            no_owner(act, username)
            act.supports(person, facts)
            row = act.session.get(HelpRow, number)
            if row is None or row.closed_at is not None:
                raise _none()
            if row.taken_by not in (None, username):
                raise No(Reason.HELP_TAKEN, f"{row.taken_by} looks after it.", "Ask there first.")
            row.taken_by, row.taken_at = username, row.taken_at or at
            act.session.flush()
            act.changed()
            act.allowed(help=number)
            return rows.helps(act.session, [row])[0]

        return self.perform(username, "help-take", instance, at, do)

    def close(self, username: str, instance_id: str, at: datetime) -> Refusal | None:
        """The owner, who asked, or who looks after it says that it is done."""

        def do(act: Act) -> None:
            row = _open(act)
            if row is None or username not in (act.row.owner, row.asked_by, row.taken_by):
                raise _none()
            row.closed_at = at
            act.session.flush()
            act.changed()
            act.allowed(help=row.id)

        return self.perform(username, "help-close", instance_id, at, do)


def _open(act: Act) -> HelpRow | None:
    query = select(HelpRow).where(HelpRow.instance_id == act.row.id, HelpRow.closed_at.is_(None))
    return act.session.scalar(query.limit(1))


def _none() -> No:
    return No(Reason.NO_REQUEST, "Nobody asks for help there now.", "Look at the list again.")


def _on_it(act: Act) -> None:
    """Who may ask for this instance: its owner, and collaborators."""
    row = act.row
    if act.actor == row.owner:
        return
    if rows.role(act.session, row, act.actor, act.at) is not Role.COLLABORATOR:
        raise No(Reason.NOT_THE_OWNER, "The owner and collaborators ask for help.", f"Ask {row.owner}.")
