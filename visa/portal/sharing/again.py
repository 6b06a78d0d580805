"""Acts for which a person logs in again first: kept here, confirmed by the hub, done once in the same browser."""

from __future__ import annotations

import asyncio
from functools import partial

from visa.clock import now
from visa.instances.confirming import Grave
from visa.portal.problems import Problem
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models
from visa.portal.sharing.service import SharingService
from visa.portal.sharing.standing import Standings, again, granted
from visa.portal.sharing.support import SupportService
from visa.store.people import People


class AgainService:
    """One object per request; it keeps nothing."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.waiting = service, People(service.store).confirmations

    async def begin(self, caller: Caller, identifier: str, given: models.AgainIn) -> models.AgainOut:
        """Keep the act, and say where its person logs in again; raise `Problem` for what would be refused anyway."""
        if not caller.browser:
            raise again(self.service, identifier)
        await Standings(self.service).on(caller, identifier)
        act, kept = _kept(given)
        begin = partial(self.waiting.begin, caller.username, identifier, act, kept, _secret(caller))
        made = granted(await asyncio.to_thread(begin, self.service.facility, now()))
        return models.AgainOut(id=made.id, login=self.service.login_again(made.id), expires=made.expires)

    async def finish(self, caller: Caller, number: int, code: str) -> models.AgainDoneOut:
        """Do it; raise `Problem` when it is not confirmed, for another browser, over, or refused."""
        use = partial(self.waiting.use, number, caller.username, _secret(caller), code, now())
        kept = granted(await asyncio.to_thread(use))
        identifier, link = kept.instance_id, None
        if kept.act is Grave.BREAK_GLASS:
            glass = models.BreakGlassIn.model_validate(kept.given)
            await SupportService(self.service).break_glass(caller, identifier, glass, confirmed=True)
        else:
            wanted = models.InvitationIn.model_validate(kept.given)
            link = await SharingService(self.service).invite(caller, identifier, wanted, confirmed=True)
        page = f"{self.service.prefix}instances/{identifier}"
        return models.AgainDoneOut(act=kept.act.value, instance=identifier, page=page, invitation=link)


def _kept(given: models.AgainIn) -> tuple[Grave, dict[str, object]]:
    if given.break_glass is not None and given.invitation is None:
        return Grave.BREAK_GLASS, given.break_glass.model_dump(mode="json")
    if given.invitation is not None and given.invitation.kind == "public" and given.break_glass is None:
        return Grave.PUBLIC_LINK, given.invitation.model_dump(mode="json")
    raise Problem(400, "bad-request", "One act is needed.", "Give break_glass, or an invitation of kind public.")


def _secret(caller: Caller) -> str:
    """Of this browser and this login in it: neither another person's page nor another browser has both."""
    return f"{caller.browser}\n{caller.token}"
