"""What changed in an instance's start-up files since somebody joined: asked of its gateway by way of the store."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from functools import partial

from visa.clock import elapsed, now
from visa.portal.problems import Problem
from visa.portal.service import Caller, PortalService
from visa.portal.sharing import models
from visa.portal.sharing.standing import Standings, granted
from visa.store.people import People
from visa.store.sharing.records import StartupLook

PATIENCE = 20.0
"""Seconds for which the gateway's answer is waited for."""
_LOOKS = 0.25


class StartupService:
    """One object per request; it keeps nothing."""

    def __init__(self, service: PortalService) -> None:
        self.service, self.startup = service, People(service.store).startup

    async def look(self, caller: Caller, identifier: str, username: str) -> models.StartupOut:
        """The owner's question and the answer; raise `Problem`, also when none comes."""
        await Standings(self.service).owned(caller, identifier)
        ask = partial(self.startup.ask, caller.username, identifier, username, now())
        asked = granted(await asyncio.to_thread(ask))
        end = elapsed() + PATIENCE
        while elapsed() < end:
            last = await asyncio.to_thread(self.startup.look, identifier)
            if last is not None and last.number == asked.number and last.found is not None:
                return _out(username, last)
            await asyncio.sleep(_LOOKS)
        raise Problem(503, "not-answered", "The instance does not answer.", "Restart it, then look again.")


def _out(username: str, look: StartupLook) -> models.StartupOut:
    found = look.found or {}
    files = [
        models.StartupFileOut(
            path=one["path"],
            kind=one["kind"],
            changed=datetime.fromtimestamp(one["changed"], UTC),
            why=one["why"],
        )
        for one in found.get("found", [])
    ]
    told = found.get("told") is True
    return models.StartupOut(
        username=username,
        since=look.since,
        told=told,
        whole=told and found["whole"],
        unread=found["unread"],
        files=files,
    )
