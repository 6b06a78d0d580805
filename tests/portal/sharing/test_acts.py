"""Acts on people of an instance while the catalogue does not answer, or answers late."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.portal.sharing.rig import GRACE, LISE, MARIE, OSCAR, HeldCatalogue, service
from tests.store.sharing.rig import FACTS, HOUR, MARIES, done, filled
from visa import clock
from visa.instances.access import Role
from visa.instances.members import Standing
from visa.portal.problems import Problem
from visa.portal.sharing import models
from visa.portal.sharing.service import SharingService
from visa.portal.sharing.support import SupportService
from visa.store.people import People
from visa.store.sharing.records import AccessRequest, InvitationKind
from visa.store.store import Store


class Site:
    """Marie's instance; Lise is a collaborator of it, Oscar an observer for a day; the catalogue is silent."""

    def __init__(self, folder: Path) -> None:
        self.store = Store(f"sqlite:///{folder / 'visa.sqlite'}")
        self.store.upgrade()
        self.people: People = filled(self.store)
        self.catalogue = HeldCatalogue()
        portal = service(self.store, self.catalogue, folder)
        self.sharing, self.support = SharingService(portal), SupportService(portal)
        self.at = clock.now()
        members = self.people.members
        done(members.share("marie", MARIES, {"presence": "any", "support": "act"}, self.at))
        done(members.add("marie", MARIES, "lise", Role.COLLABORATOR, FACTS, self.at))
        done(members.add("marie", MARIES, "oscar", Role.OBSERVER, FACTS, self.at, until=self.at + 24 * HOUR))

    @property
    def members(self) -> dict[str, Role]:
        return {one.membership.username: one.membership.role for one in self.people.members.of(MARIES)}

    def link(self) -> int:
        """A link of Marie's."""
        how = (InvitationKind.ONCE, Role.OBSERVER, self.at + HOUR)
        return done(self.people.invitations.make("marie", MARIES, *how, FACTS.facility, self.at)).invitation.id

    def request(self) -> int:
        """Dorothy asks to support it."""
        self.people.members.share("marie", MARIES, {"support": "ask"}, self.at)
        asked = done(self.people.support.ask("grace", MARIES, False, "To look", FACTS, self.at))
        assert isinstance(asked, AccessRequest)
        return asked.id


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    made = Site(tmp_path)
    yield made
    made.catalogue.answer.set()
    await made.sharing.service.hub.close()
    made.store.close()


async def _help(site: Site) -> None:
    await site.support.help(LISE, MARIES, "Where are my peaks?")
    await site.support.close_help(MARIE, MARIES)


async def _cancel(site: Site) -> None:
    await site.sharing.cancel(GRACE, MARIES, site.request())


async def _cancel_mine(site: Site) -> None:
    site.request()
    await site.sharing.cancel_mine(GRACE, MARIES)


def _less(**given: Any) -> Callable[[Site], Awaitable[object]]:
    return lambda site: site.sharing.change(MARIE, MARIES, "oscar", models.MemberChangeIn(**given))


ACTS: dict[str, Callable[[Site], Awaitable[object]]] = {
    "remove": lambda site: site.sharing.remove(MARIE, MARIES, "lise"),
    "leave": lambda site: site.sharing.remove(LISE, MARIES, LISE.username),
    "withdraw": lambda site: site.sharing.withdraw(MARIE, MARIES, site.link()),
    "share": lambda site: site.sharing.share(MARIE, MARIES, models.SharingIn(support="ask")),
    "invite": lambda site: site.sharing.invite(
        MARIE, MARIES, models.InvitationIn(kind="once", role="observer", expires=site.at + HOUR)
    ),
    "refuse": lambda site: site.sharing.answer(MARIE, MARIES, site.request(), models.AnswerIn(answer="refuse")),
    "less": lambda site: site.sharing.change(MARIE, MARIES, "lise", models.MemberChangeIn(role="observer")),
    "sooner": lambda site: _less(until=site.at + HOUR)(site),
    "with the owner": _less(with_owner=True),
    "help": _help,
    "cancel": _cancel,
    "cancel mine": _cancel_mine,
    "break glass": lambda site: site.support.break_glass(GRACE, MARIES, models.BreakGlassIn(reason="Smoke", act=True)),
    "members": lambda site: site.sharing.members(LISE, MARIES),
    "sharing": lambda site: site.sharing.sharing(MARIE, MARIES),
    "links": lambda site: site.sharing.invitations(MARIE, MARIES),
    "requests": lambda site: site.sharing.requests(MARIE, MARIES),
    "visits": lambda site: site.sharing.visits(MARIE, MARIES),
}


@pytest.mark.looptime
@pytest.mark.parametrize("name", ACTS)
async def test_what_gives_nobody_anything_does_not_ask_the_catalogue(site: Site, name: str) -> None:
    """On a clock that jumps: a catalogue that is asked is waited for in no time, and seen to be asked."""
    await ACTS[name](site)
    assert site.catalogue.asked == []


async def test_removed_is_removed_though_the_catalogue_is_silent(site: Site) -> None:
    await site.sharing.remove(MARIE, MARIES, "lise")
    await site.sharing.change(MARIE, MARIES, "oscar", models.MemberChangeIn(until=site.at + HOUR))
    assert site.members == {"oscar": Role.OBSERVER}
    assert site.catalogue.asked == []


async def test_a_stranger_is_refused_without_the_catalogue_and_learns_nothing(site: Site) -> None:
    await site.sharing.remove(MARIE, MARIES, "oscar")
    for identifier in (MARIES, "i-0000000000"):
        with pytest.raises(Problem) as refused:
            await site.sharing.remove(OSCAR, identifier, "lise")
        assert (refused.value.status, refused.value.reason) == (404, "not-found")
    assert "lise" in site.members
    assert site.catalogue.asked == []


@pytest.mark.parametrize("given", [{"role": "collaborator"}, {"until": timedelta(days=5)}], ids=["role", "end"])
async def test_what_gives_more_waits_for_the_catalogue(site: Site, given: dict[str, Any]) -> None:
    """And is decided by what it says: an outsider may only look."""
    wanted = {name: site.at + one if isinstance(one, timedelta) else one for name, one in given.items()}
    change = site.sharing.change(MARIE, MARIES, "oscar", models.MemberChangeIn(**wanted))
    work = asyncio.ensure_future(change)
    await site.catalogue.began.wait()
    assert not work.done()
    assert site.members["oscar"] is Role.OBSERVER
    site.catalogue.answer.set()
    if "role" in given:
        with pytest.raises(Problem) as refused:
            await work
        assert refused.value.reason == "outside-the-team"
    else:
        assert (await work).until == wanted["until"]


async def test_a_consent_that_was_withdrawn_meanwhile_stays_withdrawn(site: Site) -> None:
    """Two changes that overlap, each of another value."""
    folders = asyncio.ensure_future(site.sharing.share(MARIE, MARIES, models.SharingIn(folders=["home/analysis"])))
    waits = asyncio.ensure_future(site.catalogue.began.wait())
    await asyncio.wait([folders, waits], return_when=asyncio.FIRST_COMPLETED)
    withdrawn = asyncio.ensure_future(site.sharing.share(MARIE, MARIES, models.SharingIn(support="ask")))
    site.catalogue.answer.set()
    await withdrawn
    await folders
    waits.cancel()
    kept = site.people.members.sharing(MARIES)
    assert kept.support is Standing.ASK
    assert kept.folders == ("home/analysis",)
