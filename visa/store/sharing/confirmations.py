"""Acts that wait for another login of their person. Each is done once, where it was begun, within ten minutes.

The act is begun in a browser, which holds one secret; the browser in which the person logs in again gets another. Who
has not both does nothing: nobody can make somebody else confirm what they did not begin.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import delete, or_, select, update
from sqlalchemy.orm import Session

from visa.facility.model import Facility
from visa.instances.confirming import LASTS, Grave
from visa.instances.model import Reason, Refusal
from visa.instances.support import may_break_glass
from visa.store import audit
from visa.store.audit import Decision
from visa.store.sharing.acts import Act, No, Part, no_owner, text
from visa.store.sharing.records import Confirmation
from visa.store.tables import ConfirmationRow, InstanceRow

ACTION = "login-again"


class Confirmations(Part):
    """What waits for a login."""

    def begin(
        self,
        actor: str,
        instance_id: str,
        act: Grave,
        given: Mapping[str, Any],
        browser: str,
        facility: Facility,
        at: datetime,
    ) -> Confirmation | Refusal:
        """Keep what is wanted until its person has logged in again. What would be refused anyway is refused now."""

        def do(done: Act) -> Confirmation:
            _may(done, act, given, facility)
            one_s_own = (ConfirmationRow.username == actor) & (ConfirmationRow.act == act.value)
            same = one_s_own & (ConfirmationRow.instance_id == instance_id)
            done.session.execute(delete(ConfirmationRow).where(or_(same, ConfirmationRow.expires <= at)))
            row = ConfirmationRow(
                instance_id=instance_id,
                username=actor,
                act=act.value,
                given=dict(given),
                browser=digest(browser),
                code=None,
                expires=at + LASTS,
            )
            done.session.add(row)
            done.session.flush()
            return _value(row)

        return self.perform(actor, ACTION, instance_id, at, do)

    def waiting(self, number: int, username: str, at: datetime) -> Confirmation | None:
        """The one of that number, when it is ``username``'s and waits for a login."""
        with self.reading() as session:
            row = session.scalar(select(ConfirmationRow).where(_open(number, username, at)))
            return None if row is None else _value(row)

    def confirm(self, number: int, username: str, code: str, at: datetime) -> bool:
        """They logged in again; ``code`` is given to that browser. False: it waits no more."""
        with self.store.exclusive() as session:
            row = session.scalar(select(ConfirmationRow).where(_open(number, username, at)))
            if row is None:
                return False
            session.execute(update(ConfirmationRow).where(ConfirmationRow.id == number).values(code=digest(code)))
            _write(session, row, None, {"for": row.act})
            return True

    def refused(self, number: int, username: str, why: str, at: datetime) -> None:
        """The login did not confirm it: it is gone."""
        with self.store.exclusive() as session:
            row = session.scalar(select(ConfirmationRow).where(_open(number, username, at)))
            if row is not None:
                _write(session, row, Reason.LOGIN_AGAIN, {"for": row.act, "why": why})
                session.delete(row)

    def use(self, number: int, username: str, browser: str, code: str, at: datetime) -> Confirmation | Refusal:
        """What is to be done now. It is gone with the question, whatever the answer."""
        with self.store.exclusive() as session:
            row = session.get(ConfirmationRow, number)
            if row is None or row.username != username:
                return _over()
            found = _value(row)
            same = hmac.compare_digest(row.browser, digest(browser))
            known = hmac.compare_digest(row.code or "", digest(code)) and same
            if known and row.expires > at:
                session.delete(row)
                return found
            _write(session, row, Reason.LOGIN_AGAIN, {"for": row.act, "why": "another browser, no login, or too late"})
            session.delete(row)
            return _over()


def digest(secret: str) -> str:
    """What is kept of a secret."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _open(number: int, username: str, at: datetime) -> Any:
    mine = (ConfirmationRow.id == number) & (ConfirmationRow.username == username)
    return mine & ConfirmationRow.code.is_(None) & (ConfirmationRow.expires > at)


def _may(done: Act, act: Grave, given: Mapping[str, Any], facility: Facility) -> None:
    """Refuse what needs no login to be refused; the act itself asks everything again."""
    contact = facility.facility.contact
    if act is Grave.PUBLIC_LINK:
        done.owned()
        if not (facility.sharing.members and facility.sharing.public_links):
            raise No(Reason.SHARING_OFF, "The facility does not allow links of this kind.", f"Ask {contact}.")
        return
    person = done.myself()
    no_owner(done, done.actor)
    done.running()
    if not may_break_glass(person, facility):
        raise No(Reason.NOT_SUPPORT, "You may not enter without the owner's consent.", f"Ask {contact}.")
    text(given.get("reason"), needed=True)


def _value(row: ConfirmationRow) -> Confirmation:
    return Confirmation(row.id, row.instance_id, row.username, Grave(row.act), dict(row.given), row.expires)


def _over() -> Refusal:
    remedy = "Begin again on the instance's page, and stay in the same browser."
    return Refusal(Reason.LOGIN_AGAIN, "This login confirms nothing, or not any more.", remedy)


def _write(session: Session, row: ConfirmationRow, reason: Reason | None, detail: dict[str, Any]) -> None:
    instance = session.get(InstanceRow, row.instance_id)
    owner = instance.owner if instance is not None else row.username
    code = None if reason is None else reason.value
    audit.write(session, Decision(row.username, owner, ACTION, reason is None, row.instance_id, code, detail))
