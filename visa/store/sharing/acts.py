"""One act on one instance: a transaction of its own, with what it decided in the audit trail."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy.orm import Session

from visa.instances.joining import Experiments, known
from visa.instances.model import Facts, Person, Reason, Refusal
from visa.instances.support import SupportKind, support_kind
from visa.store import audit
from visa.store.audit import Decision
from visa.store.sharing import changes, rows
from visa.store.store import HOLDING, Store, person_of
from visa.store.tables import InstanceRow, MemberRow, PersonRow, RemovalRow

T = TypeVar("T")
_LONGEST_TEXT = 1000
_UNSEEN = re.compile(
    r"[^\n\t\x20-\x7e\xa0-\ud7ff\ue000-\U0010ffff]|[\u061c\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff]"
)


class No(Exception):
    """The act is refused; what it changed so far is undone."""

    def __init__(self, reason: Reason, sentence: str, remedy: str, field: str | None = None) -> None:
        super().__init__(sentence)
        self.refusal = Refusal(reason, sentence, remedy, field)

    @classmethod
    def because(cls, refusal: Refusal) -> No:
        """With a rule's own refusal."""
        return cls(refusal.reason, refusal.sentence, refusal.remedy, refusal.field)


class FactsNeeded(Exception):
    """The act gives something, so the catalogue must be asked first. Nothing was done and nothing is written."""


@dataclass(slots=True)
class Act:
    """``actor`` does ``action`` to an instance at ``at``, inside the transaction ``session``."""

    session: Session
    instance: InstanceRow | None
    actor: str
    action: str
    at: datetime

    @property
    def row(self) -> InstanceRow:
        """The instance; without one the act is refused."""
        if self.instance is None:
            raise No(Reason.NO_INSTANCE, "There is no such instance.", "Ask its owner for its address.")
        return self.instance

    def owned(self) -> InstanceRow:
        """The instance, when the actor is its owner. Who is nobody there does not learn that it exists."""
        row = self.row
        if row.owner != self.actor:
            if rows.live_member(self.session, row, self.actor, self.at) is None:
                raise No(Reason.NO_INSTANCE, "There is no such instance.", "Ask its owner for its address.")
            raise No(Reason.NOT_THE_OWNER, "Only the owner may do this.", f"Ask {row.owner}.")
        return row

    def running(self) -> InstanceRow:
        """The instance, when it runs."""
        if self.row.state not in HOLDING:
            raise No(Reason.NOT_RUNNING, "The instance does not run.", f"Ask {self.row.owner} to start it.")
        return self.row

    def experiments(self, facts: Facts) -> Experiments:
        """The instance's experiments of now; None for each that ``facts`` say nothing about."""
        return known(self.row.experiments, facts.experiments)

    def person(self, username: str, otherwise: Person | None = None) -> Person:
        """As the hub last learned; who never logged in is ``otherwise``, which the catalogue said."""
        row = self.session.get(PersonRow, username)
        if row is not None:
            return person_of(row)
        if otherwise is None or otherwise.username != username:
            sentence = f"Nobody here is called {username[:128]}."
            raise No(Reason.NO_SUCH_PERSON, sentence, "She has to log in once, or be in the catalogue.", "username")
        return otherwise

    def myself(self) -> Person:
        """The actor, who has logged in."""
        row = self.session.get(PersonRow, self.actor)
        if row is None:
            remedy = "Log in once in the browser, then try again."
            raise No(Reason.PERSON_NOT_VERIFIED, "The facility does not know who you are yet.", remedy)
        if not row.active:
            raise No(Reason.PERSON_NOT_ACTIVE, "Your account is not active.", "Log in again.")
        return person_of(row)

    def supports(self, person: Person, facts: Facts) -> tuple[SupportKind, Experiments]:
        """The rule that lets her support the instance. While the catalogue is down only roles count."""
        experiments = known(self.row.experiments, {} if facts.catalogue_stale else facts.experiments)
        kind = support_kind(person, experiments, facts.facility, self.at)
        if kind is None and facts.catalogue_stale:
            raise catalogue_down()
        if kind is None:
            sentence = f"No rule of the facility lets {person.name} support this instance."
            raise No(Reason.NOT_SUPPORT, sentence, f"Ask {facts.facility.facility.contact}.")
        return kind, experiments

    def put(self, member: MemberRow) -> None:
        """She is a member from now on, whatever she was before."""
        self.session.merge(member)
        removed = self.session.get(RemovalRow, (member.instance_id, member.username))
        if removed is not None:
            self.session.delete(removed)
        self.session.flush()
        self.changed()

    def changed(self) -> None:
        """The gateway must know."""
        changes.count(self.session, [self.row.id])

    def allowed(self, **detail: Any) -> None:
        """Into the audit trail."""
        self._write(None, detail)

    def refused(self, refusal: Refusal) -> None:
        """Into the audit trail."""
        self._write(refusal.reason, {"sentence": refusal.sentence})

    def _write(self, reason: Reason | None, detail: dict[str, Any]) -> None:
        there = self.instance
        owner, identifier = (self.actor, None) if there is None else (there.owner, there.id)
        code = None if reason is None else reason.value
        audit.write(self.session, Decision(self.actor, owner, self.action, reason is None, identifier, code, detail))


class Part:
    """Of `visa.store.people.People`."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def perform(self, actor: str, action: str, instance: str, at: datetime, do: Callable[[Act], T]) -> T | Refusal:
        """``do`` in one transaction that no other act runs beside; refused by raising `No`.

        Raise `FactsNeeded` when the act needs facts and was given none.
        """
        with self.store.exclusive() as session:
            act = Act(session, session.get(InstanceRow, instance), actor, action, at)
            try:
                with session.begin_nested():
                    return do(act)
            except No as no:
                act.refused(no.refusal)
                return no.refusal

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """To look only."""
        with Session(self.store.engine) as session:
            yield session


def catalogue_down() -> No:
    """Nothing is granted on what was true before."""
    sentence = "The catalogue of experiments does not answer, so nobody new can be let in."
    return No(Reason.CATALOGUE_UNAVAILABLE, sentence, "Try again in a few minutes.")


def needed(facts: Facts | None) -> Facts:
    """The facts; raise `FactsNeeded` when nobody asked for them: acts that only take away need none."""
    if facts is None:
        raise FactsNeeded
    return facts


def fresh(facts: Facts) -> None:
    """Refuse on stale facts."""
    if facts.catalogue_stale:
        raise catalogue_down()


def text(given: object, *, needed: bool) -> str:
    """What people wrote, without control characters and what turns the order of letters; it can be read."""
    clean = re.sub(r"[^\S\n]+", " ", _UNSEEN.sub("", str(given or ""))).strip()
    if needed and not re.search(r"\w", clean):
        raise No(Reason.NO_REASON, "A reason is missing.", "Say in a few words why.", "reason")
    if len(clean) > _LONGEST_TEXT:
        remedy = f"Use at most {_LONGEST_TEXT} characters."
        raise No(Reason.NO_REASON, "The text is too long.", remedy, "reason")
    return clean


def later(until: datetime, at: datetime, latest: datetime | None) -> None:
    """Refuse an end that is not after ``at``, or after ``latest``."""
    if until <= at:
        raise No(Reason.BAD_TIME, "The end is in the past.", "Choose a later one.", "until")
    if latest is not None and until > latest:
        sentence = "The facility does not allow so long a time."
        raise No(Reason.BAD_TIME, sentence, f"Choose {latest:%Y-%m-%d %H:%M} UTC at the latest.", "until")


def no_owner(act: Act, username: str) -> None:
    """Refuse to make the owner a member of her own instance."""
    if username == act.row.owner:
        raise No(Reason.IS_THE_OWNER, f"{username} is the owner.", "Owners may do everything already.")
