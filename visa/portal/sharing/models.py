"""What the REST API takes and gives about people in instances. Field names are stable."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field

from visa.portal.models import Answer, Given

GuestRole = Literal["collaborator", "observer"]
AnyRole = Literal["owner", "collaborator", "observer", "support", "support-view"]
Text = Annotated[str, Field(max_length=1000)]
Name = Annotated[str, Field(min_length=1, max_length=128)]
Folder = Annotated[str, Field(min_length=1, max_length=300)]


def _in_utc(given: datetime) -> datetime:
    try:
        return given.astimezone(UTC)
    except OverflowError:
        raise ValueError("there is no such time in UTC") from None


Time = Annotated[AwareDatetime, AfterValidator(_in_utc)]
"""Given with its zone, and kept in UTC."""


class HereOut(Answer):
    """One open session of a person."""

    session: str
    role: str
    since: datetime


class MemberOut(Answer):
    """A person on an instance."""

    username: str
    name: str
    role: AnyRole
    way: str | None = Field(description="How she came in; None: she is the owner")
    granted_by: str | None
    since: datetime | None
    until: datetime | None = Field(description="When it ends by itself")
    with_owner: bool = Field(description="Only while the owner is there")
    here: list[HereOut] = Field(description="What she has open now")


class MemberIn(Given):
    """Add a person."""

    username: Name
    role: GuestRole
    until: Time | None = None
    with_owner: bool = False


class MemberChangeIn(Given):
    """Change a member; what is left out stays."""

    role: GuestRole | None = None
    until: Time | None = None
    with_owner: bool | None = None


class SharingOut(Answer):
    """How the instance is shared."""

    presence: Literal["any", "with-owner"]
    on_leave: Literal["disconnect", "read-only"]
    folders: list[str] = Field(description="What members reach through the browser")
    support: Literal["ask", "view", "act"] = Field(description="Standing consent for support")
    approvers: Literal["owner", "collaborators"]


class SharingIn(Given):
    """Change it; what is left out stays."""

    presence: Literal["any", "with-owner"] | None = None
    on_leave: Literal["disconnect", "read-only"] | None = None
    folders: list[Folder] | None = Field(default=None, max_length=50)
    support: Literal["ask", "view", "act"] | None = None
    approvers: Literal["owner", "collaborators"] | None = None


class InvitationIn(Given):
    """Make a link."""

    kind: Literal["once", "public"]
    role: GuestRole
    email: str | None = Field(default=None, min_length=3, max_length=254, description="Works for this address only")
    expires: Time


class InvitationOut(Answer):
    """A link, without its token, which nobody keeps."""

    id: int
    kind: Literal["once", "public"]
    role: GuestRole
    email: str | None
    expires: datetime
    created_by: str
    created: datetime
    state: Literal["open", "redeemed", "withdrawn", "expired"]
    redeemed_by: str | None
    redeemed: datetime | None


class InvitationMadeOut(InvitationOut):
    """A new link: the one time that its token is told."""

    token: str
    path: str = Field(description="The page of the link, on the portal's host")


class BreakGlassIn(Given):
    """Enter without consent."""

    reason: Text
    act: bool = False


class AgainIn(Given):
    """One act for which its person logs in again first."""

    break_glass: BreakGlassIn | None = None
    invitation: InvitationIn | None = Field(default=None, description="Of kind public")


class AgainOut(Answer):
    """What waits for the login."""

    id: int
    login: str = Field(description="The hub's page that asks for it, for the browser that began this")
    expires: datetime


class AgainCodeIn(Given):
    """What the hub gave this browser after the login."""

    code: str = Field(min_length=1, max_length=200)


class AgainDoneOut(Answer):
    """What was done."""

    act: Literal["break-glass", "public-link"]
    instance: str
    page: str = Field(description="The instance's page")
    invitation: InvitationMadeOut | None


class StartupIn(Given):
    """Since when: somebody who is or was on the instance."""

    username: Name


class StartupFileOut(Answer):
    """A file, folder or link that starts with the person's programs."""

    path: str = Field(description="Below the home folder")
    kind: Literal["file", "folder", "link"]
    changed: datetime = Field(description="As the file system noted it")
    why: str = Field(description="What reads it")


class StartupOut(Answer):
    """What changed in start-up files, as the instance tells it."""

    username: str
    since: datetime = Field(description="When they first came")
    told: bool = Field(description="Whether the instance answered; else nothing is known")
    whole: bool = Field(description="Whether all was looked at")
    unread: int = Field(description="How many could not be looked at")
    files: list[StartupFileOut]


class TokenIn(Given):
    """The last part of a link."""

    token: str = Field(min_length=1, max_length=200)


class LookOut(Answer):
    """What a link leads to."""

    title: str
    owner: str
    owner_name: str
    role: GuestRole
    kind: Literal["once", "public"]
    expires: datetime


class JoinedOut(Answer):
    """She is a member now."""

    instance: str
    role: AnyRole
    url: str = Field(description="Where it opens")


class AskIn(Given):
    """Ask the owner."""

    wanted: GuestRole = "observer"
    reason: Text = ""


class AskedOut(Answer):
    """Asked, if there is such an instance: nothing is said of instances that she does not know."""

    state: Literal["asked"]


class RequestOut(Answer):
    """Somebody asks to come in."""

    id: int
    instance: str
    title: str
    kind: Literal["guest", "support"]
    username: str
    name: str
    wanted: AnyRole
    reason: str
    state: Literal["pending", "approved", "refused", "cancelled", "ended"]
    since: datetime
    expires: datetime
    answered_by: str | None
    answered: datetime | None
    given: AnyRole | None


class AnswerIn(Given):
    """Yes or no; ``role``: another one than asked for."""

    answer: Literal["approve", "refuse"]
    role: AnyRole | None = None


class SupportIn(Given):
    """Ask to support an instance."""

    wanted: Literal["view", "act"]
    reason: Text


class SupportOut(Answer):
    """In by standing consent, or asked."""

    joined: bool
    role: AnyRole | None
    request: int | None
    url: str


class HelpIn(Given):
    """Ask support for help."""

    message: Text


class HelpOut(Answer):
    """Somebody asks for help."""

    id: int
    instance: str
    asked_by: str
    name: str
    message: str
    since: datetime
    taken_by: str | None
    taken: datetime | None


class VisitOut(Answer):
    """Somebody was there."""

    username: str
    name: str
    role: str
    session: str
    began: datetime
    ended: datetime | None = Field(description="None: she is there")


class PeopleQuery(Given):
    """Whom to add: the team, or people by name."""

    instance: str = Field(max_length=64, description="One's own instance that they would be added to")
    search: str = Field(default="", max_length=100, description="At least three letters of a name or user name")


class PersonOut(Answer):
    """A person who may be added; nothing but her names is told."""

    username: str
    name: str
    team: bool
    roles: list[GuestRole] = Field(description="What she may be")
    why_not: str | None = Field(description="Why nothing more")


class SharedOut(Answer):
    """Another person's instance that the caller is a member of."""

    id: str
    title: str
    owner: str
    owner_name: str
    state: str
    session: str
    sessions: list[str]
    experiments: list[str] = Field(description="Those that she may see")
    role: AnyRole
    now: str = Field(description="What she may be at this moment: `none` while the owner is away and has to be there")
    since: datetime
    until: datetime | None
    url: str


class SupportQuery(Given):
    """Instances that one may support."""

    search: str = Field(default="", max_length=200)
    instrument: str | None = Field(default=None, max_length=64)
    help: bool | None = Field(default=None, description="Only those where somebody asks for help")
    offset: int = Field(default=0, ge=0, le=1_000_000)
    limit: int = Field(default=50, ge=1, le=200)


class SupportedOut(Answer):
    """An instance that one may support."""

    id: str
    title: str
    owner: str
    owner_name: str
    state: str
    experiments: list[str]
    instruments: list[str]
    session: str
    started: datetime | None
    because: Literal["instrument", "window", "everywhere"] | None
    role: AnyRole | None = Field(description="What one is there already")
    pending: bool = Field(description="One asked already")
    help: HelpOut | None


class SupportedPageOut(Answer):
    """One page, those that ask for help first."""

    instances: list[SupportedOut]
    total: int
    offset: int


class BeamtimeInstanceOut(Answer):
    """A running instance of an experiment that is measured now."""

    id: str
    title: str
    owner: str
    owner_name: str
    session: str
    started: datetime | None
    role: AnyRole | None
    support: bool = Field(description="Whether the caller may support it")


class BeamtimeOut(Answer):
    """An experiment that is measured now, and its instances."""

    experiment: str
    title: str
    instrument: str
    instrument_name: str
    start: date
    end: date
    until: datetime | None = Field(description="When the caller's right to support it ends, where it has a window")
    instances: list[BeamtimeInstanceOut]


class NoticeOut(Answer):
    """Something for the caller to know or to answer."""

    kind: Literal["request", "answered", "help", "break-glass"]
    instance: str
    title: str
    name: str = Field(description="Who")
    username: str
    text: str
    since: datetime
    request: RequestOut | None = None
    help: HelpOut | None = None


class NoticesOut(Answer):
    """All of them, those that wait for an answer first."""

    notices: list[NoticeOut]
    waiting: int
