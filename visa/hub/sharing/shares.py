"""JupyterHub's own right to open a server, for members: without it nobody can log in at a gateway. It gives no role.

JupyterHub keeps such rights as shares, one for each server and person. What VISA gave bears a scope of its own, which
nobody holds and so nobody can give: only what bears it is taken back, and only what VISA put there.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from jupyterhub import orm
from sqlalchemy.orm import Session

from visa.identifiers import instance_id

MEMBER = "custom:visa:member"
"""Marks a share as VISA's own."""


def access(owner: str, name: str) -> str:
    """The scope that opens a server."""
    return f"access:servers!server={owner}/{name}"


def give(db: Session, spawner: orm.Spawner, user: orm.User) -> bool:
    """Let ``user`` open the server; False when she could already."""
    owner, name = spawner.user.name, spawner.name
    share = orm.Share.find(db, spawner, user)
    if share is not None and access(owner, name) in share.scopes:
        return False
    orm.Share.grant(db, spawner, user, scopes={access(owner, name), f"{MEMBER}!server={owner}/{name}"})
    return True


def take(db: Session, share: Any) -> None:
    """Take back what `give` gave; what somebody else put beside it stays."""
    owner, name = share.owner.name, share.spawner.name
    orm.Share.revoke(db, share.spawner, share.user, scopes=[access(owner, name), f"{MEMBER}!server={owner}/{name}"])


def given(db: Session, identifiers: Container[str] | None = None) -> list[tuple[str, str, Any]]:
    """What VISA gave: ``(instance, username, share)``; of these instances, or of all."""
    found = []
    for share in db.query(orm.Share).filter(orm.Share.user_id.is_not(None)):
        owner, name = share.owner.name, share.spawner.name
        identifier = instance_id(owner, name)
        ours = f"{MEMBER}!server={owner}/{name}" in share.scopes
        if ours and (identifiers is None or identifier in identifiers):
            found.append((identifier, share.user.name, share))
    return found
