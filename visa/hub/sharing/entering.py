"""A member gets JupyterHub's right to open the server, at the moment when she wants to go there."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from jupyterhub import orm
from sqlalchemy.orm import Session

from visa import clock
from visa.hub import settings
from visa.hub.sharing import shares
from visa.identifiers import instance_id
from visa.instances.model import Refusal
from visa.store.people import People


async def enter(db: Session, user: orm.User, spawner: orm.Spawner) -> bool:
    """Whether ``user`` may go to somebody else's server: a member gets what she needs. Said in the audit trail."""
    identifier, username = instance_id(spawner.user.name, spawner.name), user.name
    people = settings.get().people
    if isinstance(await asyncio.to_thread(people.members.enter, username, identifier, clock.now()), Refusal):
        return False
    if shares.give(db, spawner, user):
        # Removed while JupyterHub was told? The watch may have looked before the right was there.
        take_back(db, await members_of([identifier]))
    return True


async def members_of(identifiers: Iterable[str]) -> dict[str, frozenset[str]]:
    """Who is a member of these instances, and may be there."""
    return await asyncio.to_thread(_members_of, settings.get().people, sorted(identifiers))


def _members_of(people: People, identifiers: list[str]) -> dict[str, frozenset[str]]:
    at = clock.now()
    return {
        identifier: frozenset(
            one.membership.username
            for one in people.members.of(identifier)
            if one.active and not one.membership.over(at)
        )
        for identifier in identifiers
    }


def take_back(db: Session, members: Mapping[str, frozenset[str]]) -> list[tuple[str, str]]:
    """Take from everybody what VISA gave for these instances, but from their ``members``; from whom."""
    taken = []
    for identifier, holder, share in shares.given(db, members):
        if holder not in members[identifier]:
            shares.take(db, share)
            taken.append((identifier, holder))
    return taken


def spawner_of(db: Session, owner: str, name: str) -> Any:
    """JupyterHub's row of a server, or None."""
    user = orm.User.find(db, name=owner)
    return user.orm_spawners.get(name) if user is not None else None
