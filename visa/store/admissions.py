"""Gathers the facts, asks `visa.instances.admission`, and reserves. Used by the hub and by the portal."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from functools import partial

from visa.catalogue.base import Catalogue
from visa.facility.watch import FacilitySource
from visa.identifiers import instance_id
from visa.instances import quotas
from visa.instances.admission import admit
from visa.instances.model import (
    Facts,
    InstanceSpec,
    Person,
    QuotaScope,
    Reason,
    Refusal,
    StartRequest,
    Use,
)
from visa.instances.request import check_name, parse_request
from visa.store.facts import gather
from visa.store.store import Decision, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Case:
    """A request with all that is known about it."""

    person: Person
    request: StartRequest
    facts: Facts
    scopes: tuple[QuotaScope, ...]

    def decide(self, use: Use) -> InstanceSpec | Refusal:
        return admit(self.person, self.request, self.facts, use)


class Admissions:
    """Admission with its facts. ``today`` is the facility's day; it is replaced in tests that look at release dates."""

    def __init__(
        self,
        facility: FacilitySource,
        catalogue: Callable[[], Catalogue],
        store: Store,
        today: Callable[[], date] | None = None,
    ) -> None:
        self.facility = facility
        self.catalogue = catalogue
        self.store = store
        self.today = today or (lambda: facility.current.facility.today())

    async def check(self, username: str, options: object, name: str) -> InstanceSpec | Refusal:
        """Would it be admitted now? The same decision as `reserve`, holding and writing nothing."""
        case = await self._case(username, options, name)
        if isinstance(case, Refusal):
            return case
        use = await asyncio.to_thread(self.store.use, case.scopes, without=instance_id(username, name))
        return case.decide(use)

    async def reserve(
        self, username: str, options: object, name: str, *, actor: str, holder: str, title: str = ""
    ) -> InstanceSpec | Refusal:
        """Decide and, when admitted, hold the quota until `Store.release`. Refusals go to the audit trail too.

        Cancelled, it holds nothing: a thread cannot be stopped, so what it reserved is given back.
        """
        case = await self._case(username, options, name)
        if isinstance(case, Refusal):
            await self.refused(username, case, actor=actor)
            return case
        reserve = partial(self.store.reserve, actor=actor, holder=holder, title=title)
        work = asyncio.ensure_future(asyncio.to_thread(reserve, username, name, case.request, case.scopes, case.decide))
        try:
            return await asyncio.shield(work)
        except asyncio.CancelledError:
            await asyncio.wait({work})
            if work.exception() is None and not isinstance(work.result(), Refusal):
                await asyncio.to_thread(self.store.release, instance_id(username, name))
            raise

    async def refused(self, username: str, refusal: Refusal, *, actor: str) -> None:
        """Write a refusal, decided before a reservation was tried, to the audit trail."""
        detail = {"sentence": refusal.sentence}
        decision = Decision(actor, username, "start", False, None, refusal.reason.value, detail)
        await asyncio.to_thread(self.store.record, decision)

    async def _case(self, username: str, options: object, name: str) -> _Case | Refusal:
        misnamed = check_name(name)
        if misnamed is not None:
            return misnamed
        request = parse_request(options)
        if isinstance(request, Refusal):
            return request
        facts = await gather(self.facility, self.catalogue(), request.experiments, self.today())
        # After the facts, which may take long: an account that was withdrawn meanwhile is seen.
        person = await asyncio.to_thread(self.store.person, username)
        if person is None:
            sentence = "The facility does not know who you are yet."
            return Refusal(Reason.PERSON_NOT_VERIFIED, sentence, "Log in once in the browser, then try again.")
        known = [facts.experiments[i] for i in request.experiments if i in facts.experiments]
        return _Case(person, request, facts, quotas.scopes_of(person, known))


HTTP_STATUS: Mapping[Reason, int] = {
    Reason.MALFORMED: 400,
    Reason.UNKNOWN_OPTION: 400,
    Reason.UNNAMED_SERVER: 400,
    Reason.NO_EXPERIMENT: 400,
    Reason.TOO_MANY_EXPERIMENTS: 400,
    Reason.REPEATED_EXPERIMENT: 400,
    Reason.UNKNOWN_ENVIRONMENT: 400,
    Reason.SESSION_NOT_OFFERED: 400,
    Reason.UNKNOWN_FLAVOUR: 400,
    Reason.NOT_ENTITLED: 403,
    Reason.ENVIRONMENT_NOT_ALLOWED: 403,
    Reason.FLAVOUR_NOT_ALLOWED: 403,
    Reason.NO_ACCOUNT: 403,
    Reason.PERSON_NOT_ACTIVE: 403,
    Reason.PERSON_NOT_VERIFIED: 403,
    Reason.DATA_UNSAFE: 403,
    Reason.QUOTA: 409,
    Reason.CATALOGUE_UNAVAILABLE: 503,
    Reason.NO_INSTANCE: 404,
    Reason.NOT_RUNNING: 409,
    Reason.NOT_THE_OWNER: 403,
    Reason.IS_THE_OWNER: 409,
    Reason.NO_SUCH_PERSON: 404,
    Reason.NOT_A_MEMBER: 404,
    Reason.ALREADY_MEMBER: 409,
    Reason.ROLE_NOT_GIVEN: 400,
    Reason.SHARING_OFF: 403,
    Reason.OUTSIDE_THE_TEAM: 403,
    Reason.UNDER_EMBARGO: 403,
    Reason.NOT_ASSURED: 403,
    Reason.BAD_TIME: 400,
    Reason.LINK_NOT_VALID: 410,
    Reason.LINK_FOR_ANOTHER: 403,
    Reason.NO_REQUEST: 404,
    Reason.REQUEST_OVER: 409,
    Reason.REQUEST_PENDING: 409,
    Reason.NO_REASON: 400,
    Reason.NOT_SUPPORT: 403,
    Reason.BREAK_GLASS_STAYS: 403,
    Reason.HELP_TAKEN: 409,
    Reason.LOGIN_AGAIN: 403,
}
"""The HTTP status that hub and portal answer a refusal with."""
