"""The store's records as answers of the API."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from visa.clock import now
from visa.instances.access import Role
from visa.instances.members import Membership, Sharing
from visa.portal.sharing import models
from visa.store.sharing.records import AccessRequest, HelpRequest, Invitation, Invited, Made, MemberView, Visit


def role(word: Role | None) -> Any:
    """A role as it stands in answers; None for none."""
    return None if word is None or word is Role.NONE else word.value


def members(owner: str, owner_name: str, views: Iterable[MemberView], there: Sequence[Visit]) -> list[models.MemberOut]:
    """The owner, then the others as they came."""
    first = models.MemberOut(
        username=owner,
        name=owner_name,
        role="owner",
        way=None,
        granted_by=None,
        since=None,
        until=None,
        with_owner=False,
        here=_here(owner, there),
    )
    others = sorted((view for view in views if view.active), key=lambda view: view.membership.since)
    return [first, *(member(view, there) for view in others)]


def member(view: MemberView, there: Sequence[Visit]) -> models.MemberOut:
    """One member."""
    shown = plain_member(view.membership)
    shown.name, shown.here = view.name, _here(view.membership.username, there)
    return shown


def plain_member(one: Membership) -> models.MemberOut:
    """A membership alone."""
    return models.MemberOut(
        username=one.username,
        name=one.username,
        role=role(one.role),
        way=one.way.value,
        granted_by=one.granted_by,
        since=one.since,
        until=one.until,
        with_owner=one.with_owner,
        here=[],
    )


def _here(username: str, there: Sequence[Visit]) -> list[models.HereOut]:
    return [
        models.HereOut(session=one.session, role=one.role.value, since=one.began)
        for one in there
        if one.username == username
    ]


def sharing(one: Sharing) -> models.SharingOut:
    """The rules of an instance."""
    return models.SharingOut.model_validate(one.told())


def invitation(one: Invitation) -> models.InvitationOut:
    """A link."""
    return models.InvitationOut.model_validate(_invitation(one))


def made(one: Made, prefix: str) -> models.InvitationMadeOut:
    """A new link, with its token."""
    told = {"token": one.token, "path": f"{prefix}join/{one.token}"}
    return models.InvitationMadeOut.model_validate({**_invitation(one.invitation), **told})


def _invitation(one: Invitation) -> dict[str, Any]:
    state = "withdrawn" if one.withdrawn_at else "redeemed" if one.redeemed_by else "open"
    return {
        "id": one.id,
        "kind": one.kind.value,
        "role": one.role.value,
        "email": one.email,
        "expires": one.expires,
        "created_by": one.created_by,
        "created": one.created_at,
        "state": "expired" if state == "open" and not one.live(now()) else state,
        "redeemed_by": one.redeemed_by,
        "redeemed": one.redeemed_at,
    }


def look(one: Invited) -> models.LookOut:
    """What a link leads to."""
    return models.LookOut(
        title=one.instance.title,
        owner=one.instance.owner,
        owner_name=one.owner_name,
        role=role(one.invitation.role),
        kind=one.invitation.kind.value,
        expires=one.invitation.expires,
    )


def request(one: AccessRequest, title: str) -> models.RequestOut:
    """Somebody asks to come in."""
    return models.RequestOut(
        id=one.id,
        instance=one.instance_id,
        title=title,
        kind=one.kind.value,
        username=one.requester,
        name=one.name,
        wanted=role(one.wanted),
        reason=one.reason,
        state=one.state.value,
        since=one.asked_at,
        expires=one.expires,
        answered_by=one.answered_by,
        answered=one.answered_at,
        given=role(one.given),
    )


def help_wanted(one: HelpRequest) -> models.HelpOut:
    """Somebody asks for help."""
    return models.HelpOut(
        id=one.id,
        instance=one.instance_id,
        asked_by=one.asked_by,
        name=one.name,
        message=one.message,
        since=one.asked_at,
        taken_by=one.taken_by,
        taken=one.taken_at,
    )


def visit(one: Visit) -> models.VisitOut:
    """Somebody was there."""
    return models.VisitOut(
        username=one.username,
        name=one.name,
        role=one.role.value,
        session=one.session,
        began=one.began,
        ended=one.ended,
    )
