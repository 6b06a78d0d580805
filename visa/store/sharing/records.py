"""What the store knows of people in one instance, as values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Literal

from visa.instances.access import Role
from visa.instances.confirming import Grave
from visa.instances.members import Membership, Sharing
from visa.store.store import Instance


class Keep(Enum):
    """For a value that may be None: leave it as it is."""

    KEEP = "keep"


KEEP: Literal[Keep.KEEP] = Keep.KEEP


@dataclass(frozen=True, slots=True)
class MemberView:
    """A membership, with what people read. Who is not ``active`` has no role for now."""

    membership: Membership
    name: str
    active: bool


@dataclass(frozen=True, slots=True)
class Confirmation:
    """An act that waits for another login of ``username``; ``given``: what they gave with it."""

    id: int
    instance_id: str
    username: str
    act: Grave
    given: dict[str, Any]
    expires: datetime


@dataclass(frozen=True, slots=True)
class StartupLook:
    """The owner asks what changed in start-up files after ``since``; ``found``: the gateway's answer, None before."""

    number: int
    since: datetime
    found: dict[str, Any] | None
    answered_at: datetime | None


@dataclass(frozen=True, slots=True)
class Removed:
    """Whom the owner removed, who could act on the instance."""

    username: str
    name: str
    role: Role
    at: datetime


class InvitationKind(StrEnum):
    """Of links: for one person, or for whoever has it."""

    ONCE = "once"
    PUBLIC = "public"


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link that an owner made. ``email``: the only person who may use it."""

    id: int
    instance_id: str
    kind: InvitationKind
    role: Role
    email: str | None
    expires: datetime
    created_by: str
    created_at: datetime
    redeemed_by: str | None
    redeemed_at: datetime | None
    withdrawn_at: datetime | None

    def live(self, at: datetime) -> bool:
        """Whether it still lets somebody in."""
        return self.withdrawn_at is None and self.redeemed_by is None and at < self.expires


@dataclass(frozen=True, slots=True)
class Made:
    """A new link; the token is told this once."""

    invitation: Invitation
    token: str


@dataclass(frozen=True, slots=True)
class Invited:
    """What a link leads to, for the person who holds it."""

    invitation: Invitation
    instance: Instance
    owner_name: str


class RequestKind(StrEnum):
    """Who asks: somebody with no share, or staff."""

    GUEST = "guest"
    SUPPORT = "support"


class RequestState(StrEnum):
    """Only ``pending`` waits for an answer; the others are final."""

    PENDING = "pending"
    APPROVED = "approved"
    REFUSED = "refused"
    CANCELLED = "cancelled"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class AccessRequest:
    """Somebody asks to come in. ``ended_why``: `expired`, `owner-left`, `instance-stopped`, `experiments-changed`."""

    id: int
    instance_id: str
    requester: str
    name: str
    kind: RequestKind
    wanted: Role
    reason: str
    state: RequestState
    asked_at: datetime
    expires: datetime
    answered_by: str | None
    answered_at: datetime | None
    given: Role | None
    ended_why: str | None


@dataclass(frozen=True, slots=True)
class HelpRequest:
    """Somebody on an instance asks support for help."""

    id: int
    instance_id: str
    asked_by: str
    name: str
    message: str
    asked_at: datetime
    taken_by: str | None
    taken_at: datetime | None
    closed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Here:
    """Somebody who is there now, as the gateway says."""

    username: str
    role: Role
    session: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """Somebody who is or was there."""

    id: int
    instance_id: str
    username: str
    name: str
    role: Role
    session: str
    began: datetime
    seen: datetime
    ended: datetime | None


@dataclass(frozen=True, slots=True)
class GatewayState:
    """All that a gateway must know of people, as of ``number``."""

    number: int
    members: tuple[MemberView, ...]
    sharing: Sharing
    requests: tuple[AccessRequest, ...]
    help: bool
    look: StartupLook | None = None


@dataclass(frozen=True, slots=True)
class Listed:
    """An instance in a list for somebody who is not its owner; ``membership`` and ``request`` are hers."""

    instance: Instance
    owner_name: str
    membership: Membership | None
    request: AccessRequest | None
    help: HelpRequest | None


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list of ``total``."""

    rows: tuple[Listed, ...]
    total: int


@dataclass(frozen=True, slots=True)
class Asked:
    """A request, and the instance that it is about."""

    request: AccessRequest
    instance: Instance


@dataclass(frozen=True, slots=True)
class Entered:
    """Somebody came in by break-glass."""

    instance_id: str
    by: str
    name: str
    at: datetime
    role: Role
    reason: str


@dataclass(frozen=True, slots=True)
class Notifications:
    """What a person should see on any page."""

    asked: tuple[Asked, ...]  # wait for her answer
    help: tuple[Listed, ...]  # instances that she may support, where nobody looks after it yet
    answers: tuple[Asked, ...]  # to her own requests, of the last day
    entered: tuple[Entered, ...]  # break-glass on her instances, of the last week
