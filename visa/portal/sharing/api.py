"""The REST API's operations on people in instances."""

from __future__ import annotations

from visa.portal.models import Nothing
from visa.portal.operations import Call, operation
from visa.portal.problems import not_found
from visa.portal.sharing import models
from visa.portal.sharing.again import AgainService
from visa.portal.sharing.notices import NoticeService
from visa.portal.sharing.service import SharingService
from visa.portal.sharing.startup import StartupService
from visa.portal.sharing.support import SupportService


def _number(call: Call) -> int:
    """The number in the path; raise `Problem` for anything else."""
    text = call.path["n"]
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise not_found("thing")
    return int(text)


@operation("GET", "instances/{id}/members", "People on it", gives=list[models.MemberOut])
async def members(call: Call) -> list[models.MemberOut]:
    """For everybody on it."""
    return await SharingService(call.service).members(call.caller, call.path["id"])


@operation("POST", "instances/{id}/members", "Add a person", gives=models.MemberOut, given=models.MemberIn, status=201)
async def add_member(call: Call) -> models.MemberOut:
    """The owner's."""
    return await SharingService(call.service).add(call.caller, call.path["id"], call.given)


@operation(
    "PATCH",
    "instances/{id}/members/{username}",
    "Change a member's role, end, or presence",
    gives=models.MemberOut,
    given=models.MemberChangeIn,
)
async def change_member(call: Call) -> models.MemberOut:
    """The owner's."""
    path = call.path
    return await SharingService(call.service).change(call.caller, path["id"], path["username"], call.given)


@operation("DELETE", "instances/{id}/members/{username}", "Remove a member", gives=Nothing, status=204)
async def remove_member(call: Call) -> Nothing:
    """The owner's, and each member's of their own name."""
    await SharingService(call.service).remove(call.caller, call.path["id"], call.path["username"])
    return Nothing()


@operation("DELETE", "instances/{id}/membership", "Leave", gives=Nothing, status=204)
async def leave(call: Call) -> Nothing:
    """Each member's own. Names stand in ``members/`` alone, where no word has a meaning of its own."""
    await SharingService(call.service).remove(call.caller, call.path["id"], call.caller.username)
    return Nothing()


@operation("GET", "instances/{id}/sharing", "How it is shared", gives=models.SharingOut)
async def sharing(call: Call) -> models.SharingOut:
    """The owner's."""
    return await SharingService(call.service).sharing(call.caller, call.path["id"])


@operation(
    "PATCH", "instances/{id}/sharing", "Share it in another way", gives=models.SharingOut, given=models.SharingIn
)
async def share(call: Call) -> models.SharingOut:
    """The owner's."""
    return await SharingService(call.service).share(call.caller, call.path["id"], call.given)


@operation("GET", "instances/{id}/invitations", "Its links, without tokens", gives=list[models.InvitationOut])
async def invitations(call: Call) -> list[models.InvitationOut]:
    """The owner's."""
    return await SharingService(call.service).invitations(call.caller, call.path["id"])


@operation(
    "POST",
    "instances/{id}/invitations",
    "Make a link; its token is told this once",
    gives=models.InvitationMadeOut,
    given=models.InvitationIn,
    status=201,
)
async def invite(call: Call) -> models.InvitationMadeOut:
    """The owner's."""
    return await SharingService(call.service).invite(call.caller, call.path["id"], call.given)


@operation("DELETE", "instances/{id}/invitations/{n}", "Withdraw a link", gives=Nothing, status=204)
async def withdraw(call: Call) -> Nothing:
    """The owner's."""
    await SharingService(call.service).withdraw(call.caller, call.path["id"], _number(call))
    return Nothing()


@operation("POST", "invitations/look", "What a link leads to", gives=models.LookOut, given=models.TokenIn)
async def look(call: Call) -> models.LookOut:
    """Uses nothing up."""
    return await SharingService(call.service).look(call.caller, call.given.token)


@operation("POST", "invitations/redeem", "Join by a link", gives=models.JoinedOut, given=models.TokenIn)
async def redeem(call: Call) -> models.JoinedOut:
    """Uses a link for one person up."""
    return await SharingService(call.service).redeem(call.caller, call.given.token)


@operation("GET", "instances/{id}/requests", "Who waits for one's answer", gives=list[models.RequestOut])
async def requests(call: Call) -> list[models.RequestOut]:
    """The owner's, and her approvers'."""
    return await SharingService(call.service).requests(call.caller, call.path["id"])


@operation("POST", "instances/{id}/requests", "Ask to come in", gives=models.AskedOut, given=models.AskIn, status=202)
async def ask(call: Call) -> models.AskedOut:
    """The same answer for instances that do not exist."""
    return await SharingService(call.service).ask(call.caller, call.path["id"], call.given)


@operation("DELETE", "instances/{id}/requests/mine", "Do not ask any more", gives=Nothing, status=204)
async def cancel_mine(call: Call) -> Nothing:
    """The same answer when one did not ask."""
    await SharingService(call.service).cancel_mine(call.caller, call.path["id"])
    return Nothing()


@operation("GET", "instances/{id}/requests/{n}", "One request", gives=models.RequestOut)
async def request(call: Call) -> models.RequestOut:
    """The requester's, and of those who answer."""
    return await SharingService(call.service).request(call.caller, call.path["id"], _number(call))


@operation("DELETE", "instances/{id}/requests/{n}", "Do not ask any more", gives=Nothing, status=204)
async def cancel(call: Call) -> Nothing:
    """The requester's."""
    await SharingService(call.service).cancel(call.caller, call.path["id"], _number(call))
    return Nothing()


@operation("POST", "instances/{id}/requests/{n}", "Answer it", gives=models.RequestOut, given=models.AnswerIn)
async def answer(call: Call) -> models.RequestOut:
    """The owner's; a guest's also her approvers'."""
    return await SharingService(call.service).answer(call.caller, call.path["id"], _number(call), call.given)


@operation(
    "POST", "instances/{id}/support", "Ask to support it", gives=models.SupportOut, given=models.SupportIn, status=202
)
async def support(call: Call) -> models.SupportOut:
    """For staff whom the facility's rules let support it."""
    return await SupportService(call.service).ask(call.caller, call.path["id"], call.given)


@operation(
    "POST",
    "instances/{id}/break-glass",
    "Enter without consent",
    gives=models.JoinedOut,
    given=models.BreakGlassIn,
)
async def break_glass(call: Call) -> models.JoinedOut:
    """For roles that facility.yaml names; the owner is told."""
    return await SupportService(call.service).break_glass(call.caller, call.path["id"], call.given)


@operation(
    "POST",
    "instances/{id}/confirmations",
    "Begin an act that needs another login",
    gives=models.AgainOut,
    given=models.AgainIn,
    status=201,
)
async def begin_again(call: Call) -> models.AgainOut:
    """For the portal's pages: who enters without consent, or makes a link for everybody, logs in again first."""
    return await AgainService(call.service).begin(call.caller, call.path["id"], call.given)


@operation(
    "POST",
    "confirmations/{n}",
    "Do what another login confirmed",
    gives=models.AgainDoneOut,
    given=models.AgainCodeIn,
)
async def finish_again(call: Call) -> models.AgainDoneOut:
    """Once, in the browser where it was begun."""
    return await AgainService(call.service).finish(call.caller, _number(call), call.given.code)


@operation(
    "POST",
    "instances/{id}/startup-files",
    "What changed in start-up files since somebody joined",
    gives=models.StartupOut,
    given=models.StartupIn,
)
async def startup_files(call: Call) -> models.StartupOut:
    """The owner's, of a running instance. The instance itself is asked: what runs there can falsify the answer."""
    return await StartupService(call.service).look(call.caller, call.path["id"], call.given.username)


@operation("POST", "instances/{id}/help", "Ask for help", gives=models.HelpOut, given=models.HelpIn, status=201)
async def ask_help(call: Call) -> models.HelpOut:
    """For everybody on it."""
    return await SupportService(call.service).help(call.caller, call.path["id"], call.given.message)


@operation("DELETE", "instances/{id}/help", "Help is not needed any more", gives=Nothing, status=204)
async def close_help(call: Call) -> Nothing:
    """For who asked, the owner, and who looks after it."""
    await SupportService(call.service).close_help(call.caller, call.path["id"])
    return Nothing()


@operation("POST", "instances/{id}/help/{n}/take", "Look after it", gives=models.HelpOut)
async def take_help(call: Call) -> models.HelpOut:
    """For staff who may support it."""
    return await SupportService(call.service).take(call.caller, call.path["id"], _number(call))


@operation("GET", "instances/{id}/visits", "Who was here", gives=list[models.VisitOut])
async def visits(call: Call) -> list[models.VisitOut]:
    """The owner's."""
    return await SharingService(call.service).visits(call.caller, call.path["id"])


@operation("GET", "people", "Whom one may add to an instance", gives=list[models.PersonOut], given=models.PeopleQuery)
async def people(call: Call) -> list[models.PersonOut]:
    """The owner's: its team, and others by three letters of their name."""
    return await SharingService(call.service).candidates(call.caller, call.given)


@operation("GET", "shared", "Instances that others share with one", gives=list[models.SharedOut])
async def shared(call: Call) -> list[models.SharedOut]:
    """Everybody's."""
    return await NoticeService(call.service).shared(call.caller)


@operation(
    "GET", "support", "Running instances that one may support", gives=models.SupportedPageOut, given=models.SupportQuery
)
async def supported(call: Call) -> models.SupportedPageOut:
    """Those that ask for help first."""
    return await SupportService(call.service).page(call.caller, call.given)


@operation("GET", "beamtime", "Experiments that are measured now, with instances", gives=list[models.BeamtimeOut])
async def beamtime(call: Call) -> list[models.BeamtimeOut]:
    """One's own, and those whose window of support is open."""
    return await SupportService(call.service).beamtimes(call.caller)


@operation("GET", "notifications", "What waits for one, and what one should know", gives=models.NoticesOut)
async def notifications(call: Call) -> models.NoticesOut:
    """Everybody's."""
    return await NoticeService(call.service).notices(call.caller)
