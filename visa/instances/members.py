"""Who is what on an instance at this moment. Pure, and free of pydantic: the gateway calls `role_now`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from visa.instances.access import Role

OWNER_AWAY = timedelta(seconds=15)
"""For so long an owner without an open websocket still counts as there: a page may load again."""

GUESTS = (Role.OBSERVER, Role.COLLABORATOR)
"""What owners make other people, the weaker first."""

STAFF = (Role.SUPPORT_VIEW, Role.SUPPORT)
"""What staff may be, the weaker first."""


class WayIn(StrEnum):
    """How a member came to be one."""

    TEAM = "team"  # added by the owner, and of the experiments' teams
    SEARCH = "search"  # added by the owner by name
    INVITATION = "invitation"
    LINK = "link"
    REQUEST = "request"
    SUPPORT = "support"  # the owner consented
    STANDING = "standing"  # the owner consented beforehand
    BREAK_GLASS = "break-glass"


UNBOUND = frozenset({WayIn.STANDING, WayIn.BREAK_GLASS})
"""Ways that do not ask whether the owner is there."""


class Presence(StrEnum):
    """When members may be there."""

    ANY = "any"
    WITH_OWNER = "with-owner"


class OnLeave(StrEnum):
    """What happens to members that are bound to the owner's presence when she leaves."""

    DISCONNECT = "disconnect"
    READ_ONLY = "read-only"


class Standing(StrEnum):
    """What support may do without asking each time."""

    ASK = "ask"
    VIEW = "view"
    ACT = "act"


class Approvers(StrEnum):
    """Who answers guests' requests."""

    OWNER = "owner"
    COLLABORATORS = "collaborators"  # and the owner


@dataclass(frozen=True, slots=True)
class Membership:
    """Another person on an instance. ``until`` None: no end; ``with_owner``: only while the owner is there."""

    instance_id: str
    username: str
    role: Role
    way: WayIn
    granted_by: str
    since: datetime
    until: datetime | None = None
    with_owner: bool = False

    def over(self, now: datetime) -> bool:
        """Whether its time is up."""
        return self.until is not None and self.until <= now

    def told(self) -> dict[str, Any]:
        """As JSON for the gateway; `membership` reads it back."""
        return {
            "username": self.username,
            "role": self.role.value,
            "way": self.way.value,
            "granted_by": self.granted_by,
            "since": self.since.isoformat(),
            "until": None if self.until is None else self.until.isoformat(),
            "with_owner": self.with_owner,
        }


@dataclass(frozen=True, slots=True)
class Sharing:
    """How an owner shares one instance. ``folders``: what others reach through the browser."""

    presence: Presence = Presence.WITH_OWNER
    on_leave: OnLeave = OnLeave.DISCONNECT
    folders: tuple[str, ...] = ("shared",)
    support: Standing = Standing.ASK
    approvers: Approvers = Approvers.OWNER

    def told(self) -> dict[str, Any]:
        """As JSON; `sharing` reads it back."""
        return {
            "presence": self.presence.value,
            "on_leave": self.on_leave.value,
            "folders": list(self.folders),
            "support": self.support.value,
            "approvers": self.approvers.value,
        }


def membership(instance_id: str, told: Mapping[str, Any]) -> Membership:
    """From `Membership.told`; raise ``ValueError`` when it is something else."""
    role = Role(told["role"])
    if role not in (*GUESTS, *STAFF):
        raise ValueError(f"{role} is no role of a member")
    until = told["until"]
    return Membership(
        instance_id=instance_id,
        username=str(told["username"]),
        role=role,
        way=WayIn(told["way"]),
        granted_by=str(told.get("granted_by", "")),
        since=_time(told["since"]),
        until=None if until is None else _time(until),
        with_owner=told["with_owner"] is not False,
    )


def sharing(told: Mapping[str, Any]) -> Sharing:
    """From `Sharing.told`; what is absent has its default. Raise ``ValueError`` when it is something else."""
    usual = Sharing()
    return Sharing(
        presence=Presence(told.get("presence", usual.presence)),
        on_leave=OnLeave(told.get("on_leave", usual.on_leave)),
        folders=folders(told.get("folders", usual.folders)),
        support=Standing(told.get("support", usual.support)),
        approvers=Approvers(told.get("approvers", usual.approvers)),
    )


def _time(text: object) -> datetime:
    time = datetime.fromisoformat(str(text))
    if time.tzinfo is None:
        raise ValueError(f"{text} has no zone")
    return time


# Folders

_TOPS = ("home", "shared", "data")
_MOST_FOLDERS = 50
_LONGEST_PATH = 1000


def folders(given: Iterable[Any]) -> tuple[str, ...]:
    """``given`` without repetition and what lies below another; raise ``ValueError`` with what is wrong."""
    if isinstance(given, str):
        raise ValueError("give a list of folders")
    checked = sorted({_folder(path) for path in given})
    if len(checked) > _MOST_FOLDERS:
        raise ValueError(f"there may be at most {_MOST_FOLDERS} folders")
    return tuple(path for path in checked if not any(path.startswith(f"{other}/") for other in checked))


def _folder(path: object) -> str:
    text = path.strip("/") if isinstance(path, str) else ""
    parts = text.split("/")
    if parts[0] not in _TOPS or any(part in ("", ".", "..") for part in parts):
        raise ValueError(f"{str(path)[:100]!r} is no folder below home, shared or data")
    if len(text) > _LONGEST_PATH or re.search(r"[\x00-\x1f\x7f\\]", text):
        raise ValueError("the folder's name is too long or has a character that is not allowed")
    return text


def opened(path: str | None, folders: Iterable[str]) -> bool:
    """Whether ``path``, as in ``desktop/files`` without its first slash, is one of ``folders`` or below; None: no."""
    if path is None:
        return False
    parts = path.rstrip("/").split("/")
    if any(part in ("", ".", "..") for part in parts):
        return False
    return any(parts[: len(top)] == top for top in (folder.split("/") for folder in folders))


# The role


def role_now(
    username: str,
    owner: str,
    membership: Membership | None,
    sharing: Sharing,
    owner_here: bool,
    was_here: bool,
    now: datetime,
) -> Role:
    """The role of ``username`` at this moment; whatever is not clearly given is `Role.NONE`.

    ``was_here``: whether she was in when the owner left; it says nothing while the owner is there.
    """
    if username == owner:
        return Role.OWNER
    if membership is None or membership.username != username or membership.over(now):
        return Role.NONE
    role = membership.role
    if role not in (*GUESTS, *STAFF):
        return Role.NONE
    if owner_here or not bound(membership, sharing):
        return role
    if sharing.on_leave is OnLeave.READ_ONLY and was_here:
        return Role.OBSERVER if role in GUESTS else Role.SUPPORT_VIEW
    return Role.NONE


def bound(membership: Membership, sharing: Sharing) -> bool:
    """Whether she may be there only while the owner is."""
    if membership.way in UNBOUND:
        return False
    return membership.with_owner or sharing.presence is Presence.WITH_OWNER


def suffices(has: Role, wanted: Role) -> bool:
    """Whether who is ``has`` may do all that ``wanted`` may."""
    acts = (Role.COLLABORATOR, Role.SUPPORT)
    return has is Role.OWNER or has in acts or (has in (Role.OBSERVER, Role.SUPPORT_VIEW) and wanted not in acts)
