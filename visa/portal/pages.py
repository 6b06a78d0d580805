"""The pages people see. Each shows what `service` says; parts that change are fetched again as HTML."""

from __future__ import annotations

import logging
import secrets
from typing import Any

from pydantic import ValidationError
from tornado import web

from visa.addresses import SHARED
from visa.catalogue.base import Experiment, Search
from visa.clock import now
from visa.navigation import navigated, refusal
from visa.portal import views
from visa.portal.handlers import BROWSER, Guard
from visa.portal.models import ExperimentQuery, InstanceOut
from visa.portal.problems import UNAVAILABLE, Problem
from visa.portal.service import Caller
from visa.portal.sharing.notices import NoticeService
from visa.store.faults import AGAIN

log = logging.getLogger(__name__)

PAGE = 50
_SHOWN_PROBLEMS = 20


class Page(Guard):
    """A page for a person who is logged in; problems become pages too."""

    piece = False
    """Whether it is a part that the portal's own pages fetch."""

    async def get(self, *args: str) -> None:
        """Show it."""
        why = None if self.piece else refusal(self.request.headers)
        if why is not None:
            self.set_status(403)
            self.finish(why)
            return
        caller = self.caller
        if caller is None:
            outsider = self.kept_out or self.current_user is not None
            if outsider or self.piece:
                self.set_status(403 if outsider else 401)
                self.finish()
                return
            self.redirect(self.get_login_url())
            return
        try:
            if self.piece:
                self.own_page()
            await self.show(self.permitted(self.scope), *args)
        except Problem as problem:
            self.fail(problem)

    def fail(self, problem: Problem) -> None:
        """A page, or a line for the page that fetched a piece. What will be there in a moment comes back by itself."""
        self.set_status(problem.status)
        if self.piece:
            self.set_header("Content-Type", "text/plain; charset=utf-8")
            self.finish(f"{problem.detail} {problem.remedy}")
            return
        again = problem.reason in UNAVAILABLE and self.request.method == "GET"
        if again:
            self.set_header("Retry-After", str(AGAIN))
            self.set_header("Refresh", str(AGAIN))
        self.render_page("problem.html", caller=self.caller, problem=problem, again=again)

    async def show(self, caller: Caller, *args: str) -> None:
        """Each page's own."""
        raise TypeError("a page without content")

    def render_page(self, template: str, **values: Any) -> None:
        """A template with what every page needs, and a secret for this browser."""
        if not self.piece and not self.get_cookie(BROWSER):
            self.set_cookie(
                BROWSER,
                secrets.token_urlsafe(32),
                path=self.settings["prefix"],
                httponly=True,
                samesite="Lax",
                secure=self.request.protocol == "https",
                expires_days=None,
            )
        facility = self.service.facility.facility
        content = self.settings["templates"].get_template(template)
        self.finish(
            content.render(
                facility=facility,
                prefix=self.settings["prefix"],
                base=self.settings["base"],
                page_token=self.page_token if self._whole() else "",
                views=views,
                now=now(),
                **values,
            )
        )

    def _whole(self) -> bool:
        """Whether this answer is a page that a person went to: only such a one may carry the token, no error either
        that a script provoked (by another method, or a piece without the token)."""
        return not self.piece and self.request.method == "GET" and navigated(self.request.headers)

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """What nobody foresaw."""
        problem = Problem(status_code, "fault", self._reason, "Go back, or ask the facility's contact.")
        self.render_page("problem.html", caller=None, problem=problem, again=False)


class Home(Page):
    """My instances as cards."""

    async def show(self, caller: Caller, *args: str) -> None:
        """The page."""
        person = await self.service.person(caller)
        health = await self.service.catalogue_health()
        broken = self.service.source.problems if "administrator" in person.roles else ()
        self.render_page(
            "home.html",
            caller=caller,
            person=person,
            cards=await cards(self, caller),
            shared=await NoticeService(self.service).shared(caller),
            quotas=await self.service.quotas(caller),
            stale=not health.up,
            as_of=health.as_of,
            broken=broken[:_SHOWN_PROBLEMS],
            left_out=health.left_out[:_SHOWN_PROBLEMS] if "administrator" in person.roles else (),
            left_out_rows=health.counts.get("rows left out", 0),
            catalogue_fault=health.fault if "administrator" in person.roles else None,
            shared_host=SHARED if "administrator" in person.roles and not self.service.origins else "",
        )


class Cards(Page):
    """The cards alone, when something changed."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """A piece of HTML."""
        found = await cards(self, caller)
        self.render_page("cards.html", caller=caller, cards=found, quotas=await self.service.quotas(caller))


class New(Page):
    """Choose experiments, environment, flavour; start."""

    async def show(self, caller: Caller, *args: str) -> None:
        """The page; ``?experiments=A,B`` chooses them already."""
        ids = [i for i in self.get_query_argument("experiments", "").split(",") if i][:20]
        chosen, unknown = await self.service.experiments(caller, list(dict.fromkeys(ids)))
        preselected = await self.service.preselection(caller, chosen)
        found = await self.service.search(caller, Search(limit=PAGE))
        self.render_page(
            "new.html",
            caller=caller,
            chosen=chosen,
            unknown=unknown,
            preselected=preselected,
            environments=await self.service.environments(caller),
            flavours=await self.service.flavours(caller),
            suited={i: list(map(str, e.instruments)) for i, e in self.service.facility.environments.items()},
            without=bool(
                set(self.service.facility.people.without_experiment) & (await self.service.person(caller)).roles
            ),
            found=found.value,
            stale=found.stale,
            as_of=found.as_of,
            offset=0,
            page=PAGE,
        )


class Experiments(Page):
    """Rows of a search, for the new-instance page."""

    piece = True

    async def show(self, caller: Caller, *args: str) -> None:
        """A piece of HTML."""
        given = {name: self.get_query_argument(name) for name in self.request.query_arguments}
        given = {name: value for name, value in given.items() if value and name in ExperimentQuery.model_fields}
        try:
            query = ExperimentQuery.model_validate({**given, "limit": PAGE})
        except ValidationError as error:
            raise Problem(400, "bad-request", "This search cannot be made.", str(error.errors()[0]["msg"])) from None
        found = await self.service.search(caller, Search(**query.model_dump()))
        self.render_page(
            "experiments.html", caller=caller, found=found.value, stale=found.stale, offset=query.offset, page=PAGE
        )


class Accent(web.RequestHandler):
    """The facility's colour."""

    def get(self) -> None:
        """A style sheet."""
        self.set_header("Content-Type", "text/css; charset=utf-8")
        self.set_header("Cache-Control", "max-age=300")
        self.finish(views.accent_css(self.settings["service"].facility.facility.colour))


class NotFound(Page):
    """An address that leads nowhere."""

    async def show(self, caller: Caller, *args: str) -> None:
        """Say so."""
        raise Problem(404, "not-found", "There is nothing at this address.", "Look at your home page.")


class Logout(web.RequestHandler):
    """Out of the hub, which asks once more; the portal's login ends with the hub's."""

    def get(self) -> None:
        """Whoever leads a browser here does nothing yet."""
        self.redirect(f"{self.settings['base']}hub/logout")


async def cards(page: Page, caller: Caller) -> list[views.Card]:
    """All of her instances, those that need attention first."""
    order = {"starting": 0, "running": 1, "stopping": 2, "failed": 3, "stopped": 4}
    instances = await page.service.instances(caller)
    return await _cards_of(page, caller, sorted(instances, key=lambda i: order[i.state]))


async def card_of(page: Page, caller: Caller, instance: InstanceOut) -> views.Card:
    """One of hers."""
    (card,) = await _cards_of(page, caller, [instance])
    return card


async def _cards_of(page: Page, caller: Caller, instances: list[InstanceOut]) -> list[views.Card]:
    ids = sorted({experiment for instance in instances for experiment in instance.experiments})
    found, _ = await page.service.experiments(caller, ids) if ids else ([], [])
    known: dict[str, Experiment] = {experiment.id: experiment for experiment in found}
    facility = page.service.facility
    moment = now()
    made = []
    for instance in instances:
        environment = {str(k): v for k, v in facility.environments.items()}.get(instance.environment)
        flavour = {str(k): v for k, v in facility.flavours.items()}.get(instance.flavour)
        made.append(
            views.Card(
                instance=instance,
                state=views.STATES[instance.state],
                experiments=tuple(
                    (i, known[i].title, known[i].instrument_name) if i in known else (i, "", "")
                    for i in instance.experiments
                ),
                environment=environment.title if environment else instance.environment,
                flavour=(flavour.title or instance.flavour) if flavour else instance.flavour,
                since=views.ago(instance.started, moment),
                left=views.left(instance, moment),
            )
        )
    return made
