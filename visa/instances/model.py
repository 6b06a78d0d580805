"""What admission speaks about: a person, a request, an `InstanceSpec` or a `Refusal`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Literal

from visa.catalogue.base import Experiment
from visa.facility.model import Facility, SessionKind
from visa.identifiers import DataRootId, EnvironmentId, ExperimentId, FlavourId, Username


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks. Built by the hub from the identity provider's claims and the catalogue, never from a request.

    ``uid``/``gid`` None: nobody could say them; admission refuses. ``gids`` are supplementary groups.
    ``verified_at`` is when the identity provider last vouched for her (UTC).
    """

    username: Username
    name: str
    uid: int | None = None
    gid: int | None = None
    gids: tuple[int, ...] = ()
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    email: str | None = None
    active: bool = True
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class StartRequest:
    """The start options, parsed: ids only, nothing that names a path, a uid, an image or a resource."""

    experiments: tuple[ExperimentId, ...]
    environment: EnvironmentId
    flavour: FlavourId
    session: SessionKind


class Reason(StrEnum):
    """Why a request was refused: the stable ``reason`` codes of the API (docs list them)."""

    MALFORMED = "malformed-options"
    UNKNOWN_OPTION = "unknown-option"
    UNNAMED_SERVER = "unnamed-server"
    NO_EXPERIMENT = "no-experiment"
    TOO_MANY_EXPERIMENTS = "too-many-experiments"
    REPEATED_EXPERIMENT = "repeated-experiment"
    NOT_ENTITLED = "experiment-not-available"
    UNKNOWN_ENVIRONMENT = "unknown-environment"
    ENVIRONMENT_NOT_ALLOWED = "environment-not-allowed"
    SESSION_NOT_OFFERED = "session-not-offered"
    UNKNOWN_FLAVOUR = "unknown-flavour"
    FLAVOUR_NOT_ALLOWED = "flavour-not-allowed"
    QUOTA = "quota-exceeded"
    NO_ACCOUNT = "no-account"
    PERSON_NOT_ACTIVE = "person-not-active"
    PERSON_NOT_VERIFIED = "person-not-verified"
    CATALOGUE_UNAVAILABLE = "catalogue-unavailable"
    DATA_UNSAFE = "data-path-unsafe"

    # of people in one instance
    NO_INSTANCE = "no-such-instance"
    NOT_RUNNING = "not-running"
    NOT_THE_OWNER = "not-the-owner"
    IS_THE_OWNER = "is-the-owner"
    NO_SUCH_PERSON = "no-such-person"
    NOT_A_MEMBER = "not-a-member"
    ALREADY_MEMBER = "already-a-member"
    ROLE_NOT_GIVEN = "role-not-given"
    SHARING_OFF = "sharing-off"
    OUTSIDE_THE_TEAM = "outside-the-team"
    UNDER_EMBARGO = "under-embargo"
    NOT_ASSURED = "not-assured"
    BAD_TIME = "bad-time"
    LINK_NOT_VALID = "link-not-valid"
    LINK_FOR_ANOTHER = "link-for-another"
    NO_REQUEST = "no-such-request"
    REQUEST_OVER = "request-over"
    REQUEST_PENDING = "request-pending"
    NO_REASON = "no-reason"
    NOT_SUPPORT = "not-support"
    BREAK_GLASS_STAYS = "break-glass-stays"
    HELP_TAKEN = "help-taken"
    LOGIN_AGAIN = "login-again"


@dataclass(frozen=True, slots=True)
class Refusal:
    """No, and why: a code for programs, a sentence and a remedy (who can change it) for people."""

    reason: Reason
    sentence: str
    remedy: str
    field: str | None = None

    def __str__(self) -> str:
        return f"{self.sentence} {self.remedy}"


@dataclass(frozen=True, slots=True)
class Amount:
    """How much is held or allowed. ``cpu`` in cores, ``memory`` in bytes; None in a limit: no limit."""

    instances: int | None = None
    cpu: float | None = None
    memory: int | None = None
    gpu: int | None = None


ScopeKind = Literal["user", "role", "group", "instrument", "proposal"]


@dataclass(frozen=True, slots=True, order=True)
class QuotaScope:
    """One pot that running instances are counted in: a person's own, a group's, an instrument's, ..."""

    kind: ScopeKind
    key: str


@dataclass(frozen=True, slots=True)
class Use:
    """What is held now by starting and running instances, per scope; a scope that is absent holds nothing."""

    held: Mapping[QuotaScope, Amount] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Facts:
    """All that admission may know besides the person and the request.

    ``experiments``: those of the requested ids that the catalogue knows. ``catalogue_stale``: the
    source did not answer now, so nothing new is granted.
    """

    facility: Facility
    experiments: Mapping[str, Experiment]
    today: date
    catalogue_stale: bool = False


@dataclass(frozen=True, slots=True)
class Mount:
    """One folder of one experiment: ``path`` is relative to the data root ``root``; ``target`` is absolute."""

    root: DataRootId
    path: str
    target: str
    read_only: bool
    experiment: ExperimentId


@dataclass(frozen=True, slots=True)
class Identity:
    """The POSIX account inside: never 0, never below the facility's minimum, never from a request."""

    username: Username
    name: str
    uid: int
    gid: int
    gids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Resources:
    """The flavour, resolved. ``cpu`` in cores, ``memory`` and ``scratch`` in bytes."""

    cpu: float
    memory: int
    gpu: int
    scratch: int


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """An admitted request. A spawner only translates it."""

    identity: Identity
    experiments: tuple[ExperimentId, ...]
    environment: EnvironmentId
    flavour: FlavourId
    session: SessionKind
    resources: Resources
    mounts: tuple[Mount, ...]
    scopes: tuple[QuotaScope, ...]
    maximum: timedelta | None = None
    idle: timedelta | None = None
