"""Pages of people in instances, and the pieces of them that are fetched again when something changed."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from visa.portal.operations import WRITE
from visa.portal.pages import Page, card_of
from visa.portal.problems import Problem
from visa.portal.service import Caller
from visa.portal.sharing import models
from visa.portal.sharing.notices import NoticeService
from visa.portal.sharing.panel import panel
from visa.portal.sharing.service import LETTERS, MOST_FOUND, SharingService
from visa.portal.sharing.standing import Standings
from visa.portal.sharing.support import MOST_IN_BEAMTIME, SupportService

PAGE = 50


class Instance(Page):
    """One instance: its owner's page, a member's or supporter's, or the way to ask."""

    async def show(self, caller: Caller, *args: str) -> None:
        """Whoever has nothing to do with it sees the same page as for an instance that does not exist."""
        standing = await Standings(self.service).maybe(caller, args[0])
        if standing is None or standing.stranger:
            self.render_page("ask.html", caller=caller, id=args[0])
            return
        shown = await panel(self.service, caller, standing)
        if not standing.owner:
            self.render_page("visited.html", caller=caller, panel=shown)
            return
        instance = await self.service.instance(caller, args[0])
        card = await card_of(self, caller, instance)
        self.render_page("instance.html", caller=caller, card=card, instance=instance, panel=shown)


class InstancePeople(Page):
    """Who is on it, who asks, links."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """404 for who has nothing to do with it."""
        standing = await Standings(self.service).of(caller, args[0])
        self.render_page("people.html", caller=caller, panel=await panel(self.service, caller, standing))


class Candidates(Page):
    """Whom the owner may add."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """The team, or people of a name."""
        search = self.get_query_argument("search", "")[:100]
        query = models.PeopleQuery(instance=args[0], search=search)
        found = await SharingService(self.service).candidates(caller, query)
        searches = self.service.facility.sharing.search
        short = len(search.strip()) < LETTERS
        self.render_page(
            "candidates.html", caller=caller, id=args[0], people=found, most=MOST_FOUND, short=short, searches=searches
        )


class Visits(Page):
    """Who was on it."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """The owner's."""
        found = await SharingService(self.service).visits(caller, args[0])
        self.render_page("visits.html", caller=caller, visits=found)


class Open(Page):
    """The way into somebody's instance: the hub lets members log in at its gateway, then it opens."""

    scope = WRITE

    async def show(self, caller: Caller, *args: str) -> None:
        """Lead there; ``?session=`` says which of its kinds."""
        standing = await Standings(self.service).on(caller, args[0])
        if not standing.owner:
            await self.service.hub.enter(caller.token, args[0])
        self.redirect(self.service.way(standing.instance, self.get_query_argument("session", "")))


class Join(Page):
    """An invitation. Looking at it uses nothing up; its button does."""

    scope = WRITE  # as `invitations/look` asks for

    def set_default_headers(self) -> None:
        """The address is a secret."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")

    async def show(self, caller: Caller, *args: str) -> None:
        """What it leads to."""
        token = args[0]
        if len(token) > 200:
            raise Problem(410, "link-not-valid", "This link is not valid.", "Ask for a new one.")
        look = await SharingService(self.service).look(caller, token)
        self.render_page("join.html", caller=caller, look=look, token=token)


class Confirmed(Page):
    """Back from a login for a grave act: the page's script has it done with what stands behind the ``#``."""

    def set_default_headers(self) -> None:
        """The address is a secret."""
        super().set_default_headers()
        self.set_header("Referrer-Policy", "no-referrer")

    async def show(self, caller: Caller, *args: str) -> None:
        """The page, which says what was done."""
        self.render_page("confirmed.html", caller=caller)


class Shared(Page):
    """Instances of others on the home page."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """A piece of HTML."""
        found = await NoticeService(self.service).shared(caller)
        self.render_page("shared.html", caller=caller, shared=found)


class Support(Page):
    """Running instances that one may support."""

    async def show(self, caller: Caller, *args: str) -> None:
        """The page with its first rows."""
        support = SupportService(self.service)
        supports = await support.supports(await self.service.person(caller))
        self.render_page(
            "support.html",
            caller=caller,
            supports=supports,
            instruments=await support.instruments() if supports else [],
            found=await support.page(caller, models.SupportQuery(limit=PAGE)) if supports else None,
            page=PAGE,
            searched=False,
        )


class Supported(Page):
    """Rows of a search in them."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """A piece of HTML."""
        given: dict[str, Any] = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        given = {name: value for name, value in given.items() if value and name in models.SupportQuery.model_fields}
        try:
            query = models.SupportQuery.model_validate({**given, "limit": PAGE})
        except ValidationError as error:
            raise Problem(400, "bad-request", "This search cannot be made.", str(error.errors()[0]["msg"])) from None
        found = await SupportService(self.service).page(caller, query)
        searched = bool(query.search or query.instrument or query.help)
        self.render_page("supported.html", caller=caller, found=found, page=PAGE, searched=searched)


class Beamtime(Page):
    """Experiments that are measured now."""

    template = "beamtime.html"

    async def show(self, caller: Caller, *args: str) -> None:
        """The page, or its rows."""
        found = await SupportService(self.service).beamtimes(caller)
        self.render_page(self.template, caller=caller, beamtimes=found, most=MOST_IN_BEAMTIME)


class Running(Beamtime):
    """The rows alone."""

    piece, template = True, "running.html"


class Notices(Page):
    """What waits for her, in the header of every page."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """A piece of HTML."""
        self.render_page("notices.html", caller=caller, found=await NoticeService(self.service).notices(caller))


INSTANCE = r"instances/([0-9a-f]{16})"
ROUTES: list[tuple[str, type[Page]]] = [
    (INSTANCE, Instance),
    (INSTANCE + "/people", InstancePeople),
    (INSTANCE + "/candidates", Candidates),
    (INSTANCE + "/visits", Visits),
    (INSTANCE + "/open", Open),
    (r"join/([A-Za-z0-9_-]+)", Join),
    ("confirmed", Confirmed),
    ("shared", Shared),
    ("support", Support),
    ("supported", Supported),
    ("beamtime", Beamtime),
    ("running", Running),
    ("notices", Notices),
]
"""Below the portal's own path."""
