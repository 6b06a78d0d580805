"""What both authenticators do with a person: ask the catalogue, keep her in the store, tell the hub."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from visa import clock
from visa.catalogue.base import CataloguePerson, CatalogueUnavailable, Instrument
from visa.hub import people, settings
from visa.hub.claims import Claims
from visa.instances.model import Person
from visa.store.store import Decision

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resolved:
    """``complete``: the catalogue was asked too; else roles that only it knows are missing.

    ``notes``: what was odd in her claims, each in a sentence.
    ``withdrawals``: how often her account had been withdrawn when this was begun.
    """

    person: Person
    complete: bool
    withdrawals: int
    notes: tuple[str, ...]


async def resolve(given: Mapping[str, Any]) -> Resolved:
    """The person behind claims, with what the catalogue adds; raise `visa.hub.people.BadClaims`.

    A catalogue that does not answer adds nothing: no role is guessed.
    """
    hub = settings.get()
    facility = hub.facility.current
    username = people.username_of(given, facility.people)
    claims = Claims(given)
    before = hub.withdrawals[username]
    known: CataloguePerson | None = None
    instruments: tuple[Instrument, ...] = ()
    try:
        known = (await hub.catalogue.person(username)).value
        instruments = (await hub.catalogue.instruments()).value
    except CatalogueUnavailable as error:
        log.warning("%s is taken from her claims alone: %s", username, error)
        person = await _as_before(people.person_of(claims, None, (), facility, clock.now()))
        return Resolved(person, False, before, _said(username, claims.notes))
    person = people.person_of(claims, known, instruments, facility, clock.now())
    return Resolved(person, True, before, _said(username, claims.notes))


def _said(username: str, notes: list[str]) -> tuple[str, ...]:
    """Log each once: people are asked about every few minutes."""
    said = settings.get().said
    for note in notes:
        if (username, note) not in said:
            log.warning("Login of %s: %s", username, note)
            said.add((username, note))
    return tuple(notes)


async def _as_before(person: Person) -> Person:
    """Numeric ids that only the catalogue gave are remembered while it is down; roles are not."""
    before = await asyncio.to_thread(settings.get().store.person, person.username)
    if before is None or person.uid is not None:
        return person
    return replace(person, uid=before.uid, gid=before.gid, gids=before.gids)


async def keep(resolved: Resolved) -> bool:
    """Admission decides on this from now on; False when the account was withdrawn while the catalogue was asked."""
    hub, person = settings.get(), resolved.person
    async with hub.accounts:
        if hub.withdrawals[person.username] != resolved.withdrawals:
            return False
        await asyncio.to_thread(hub.store.put_person, person)
    return True


async def withdraw(username: str, why: str) -> None:
    """She may not start anything from now on; said in the audit trail."""
    hub = settings.get()
    hub.withdrawals[username] += 1
    async with hub.accounts:
        before = await asyncio.to_thread(hub.store.person, username)
        if before is None or not before.active:
            return
        log.warning("%s is not active any more: %s", username, why)
        await asyncio.to_thread(hub.store.deactivate_person, username)
    decision = Decision(username, username, "refresh", False, None, "person-not-active", {"why": why})
    await asyncio.to_thread(hub.store.record, decision)


async def logged_in(username: str, refused: str | None = None) -> None:
    """A login in the audit trail; ``refused`` says why it was not let through."""
    reason = None if refused is None else "login-refused"
    detail = {} if refused is None else {"why": refused}
    decision = Decision(username or "unknown", username or "unknown", "login", refused is None, None, reason, detail)
    await asyncio.to_thread(settings.get().store.record, decision)


def is_known(user: Any, model: Mapping[str, Any]) -> bool:
    """Whether JupyterHub has ``model`` but its auth_state already: writing it at each start costs ten milliseconds."""
    groups = sorted(group.name for group in user.groups)
    return (user.admin, user.user_info, groups) == (model["admin"], model["user_info"], model["groups"])


def auth_model(person: Person, auth_state: dict[str, Any]) -> dict[str, Any]:
    """The person as JupyterHub wants her: admin by role, groups, and what JupyterLab shows of her."""
    return {
        "name": str(person.username),
        "admin": "administrator" in person.roles,
        "groups": sorted(person.groups),
        "auth_state": auth_state,
        "user_info": {
            "name": person.name,
            "display_name": person.name,
            "initials": people.initials(person.name),
            "color": people.colour(person.username),
        },
    }
