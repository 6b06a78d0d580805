"""The gateway's own few addresses: login, logout, health, and whether Jupyter is there."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from visa.addresses import respelled
from visa.instances.access import Role, coded, may
from visa.session import headers
from visa.session.crowd import TooMany
from visa.session.guard import Guard, Refused, refusing
from visa.session.hub import HubUnavailable

log = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for which a page's question whether Jupyter is there is held open."""


class Callback(Guard):
    """Back from the hub with a login code."""

    @refusing
    async def get(self) -> None:
        """Exchange it for a session."""
        token, target = await self._log_in()
        visitor = await self.visitor(token)
        self.own_cookie(headers.OWN_COOKIE, self.gateway.sessions.open(token, visitor.name))
        self.set_header("Cache-Control", "no-store")
        self.redirect(target)

    async def _log_in(self) -> tuple[str, str]:
        browsers = self.values_of(headers.STATE_COOKIE)
        state, code = self.get_argument("state", ""), self.get_argument("code", "")
        attempt = self.gateway.sessions.claim(state, browsers)
        if attempt is None:
            await self._spend(code, self.gateway.sessions.verifier(state))
            raise Refused(400, "This login was not begun here or took too long. Open the instance again.")
        try:
            token = await self.gateway.hub.token_for(code, attempt.verifier)
        except HubUnavailable as error:
            log.warning("The hub does not answer: %s", error)
            raise Refused(503, "The hub does not answer. Try again soon.") from None
        if token is None:
            raise Refused(403, "The hub did not confirm the login. Open the instance again.")
        return token, attempt.next

    async def _spend(self, code: str, verifier: str) -> None:
        """Use a code up for nothing: who led somebody here in the course of a login of their own may know it."""
        hub = self.gateway.hub

        async def once() -> bool:
            try:
                await hub.token_for(code, verifier)
            except HubUnavailable as error:
                log.warning("A login code could not be used up: %s", error)
                return False
            return True

        if code:
            await self.gateway.again.until_done(once)


class Logout(Guard):
    """Ends the session here and goes on to the hub's logout."""

    async def get(self) -> None:
        """Forget it, and close what is open with it; pages of other sites only lead on, to the hub, which asks."""
        settings = self.gateway.settings
        if self.request.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin"):
            self.gateway.log_out(self.values_of(headers.OWN_COOKIE))
            self.clear_cookie(settings.cookie(headers.OWN_COOKIE), path=settings.cookie_path, secure=settings.bound)
        self.redirect(f"{settings.public_hub}{settings.hub_path}logout")


class Health(Guard):
    """Says that the gateway runs, and nothing else."""

    async def get(self) -> None:
        """For probes."""
        self.finish({"ok": True})


class HeldOpen(Guard):
    """A question that is answered later."""

    @contextmanager
    def held_open(self, who: str) -> Iterator[None]:
        """One of so many of ``who``'s; raise `Refused`."""
        try:
            self.gateway.waiting.enter(who)
        except TooMany as error:
            raise Refused(429, str(error)) from None
        try:
            yield
        finally:
            self.gateway.waiting.leave(who)


class Ready(HeldOpen):
    """Waits a while until Jupyter accepts connections."""

    @refusing
    async def get(self) -> None:
        """``{"ready": true or false}``."""
        admitted = await self.admit()
        self.set_header("Cache-Control", "no-store")
        with self.held_open(admitted.visitor.name):
            ready = await self.gateway.wait_for_jupyter(PATIENCE)
        self.finish({"ready": ready})


class People(HeldOpen):
    """``_visa/people``: who the visitor is here, who else is, who asks to come in."""

    @refusing
    async def get(self) -> None:
        """JSON; with ``?after=N`` as soon as its number is another one."""
        admitted = await self.admit()
        people, after = self.gateway.people, self.get_query_argument("after", "")
        if after.isascii() and after.isdigit() and len(after) < 16:
            with self.held_open(admitted.visitor.name):
                await people.wait(int(after), PATIENCE)
        visitor = admitted.visitor.in_role(people.role(admitted.visitor.name))
        if not may(visitor.role, "GET", admitted.path):
            raise self.stranger(visitor)
        self.set_header("Cache-Control", "no-store")
        self.finish(
            {
                "number": people.number,
                "you": {"username": visitor.name, "role": visitor.role.value},
                "here": [{**asdict(one), "role": one.role.value} for one in people.here()],
                "requests": people.requests(visitor.role),
                "help": people.help,
                "portal": self.gateway.page,
            }
        )


class Root(Guard):
    """The instance's own address leads to its session."""

    @refusing
    async def get(self) -> None:
        """To the session asked for; in the notebook others than the owner begin in what she opened to them."""
        admitted = await self.admit()
        path = self.gateway.settings.open_path
        if admitted.visitor.role is not Role.OWNER and path.startswith("lab"):
            first = next(iter(self.gateway.places.folders()), "").removeprefix("home").strip("/")
            path = f"lab/tree/{coded(first)}" if first else "lab"
        self.redirect(self.gateway.settings.prefix + path)


class OtherHost(Guard):
    """A name that is not this instance's own: nothing is served there."""

    def prepare(self) -> Awaitable[None] | None:
        """Lead who navigates to the same address on the own host."""
        settings = self.gateway.settings
        self.set_header("Connection", "close")  # what else it brings is not read
        if self.navigates and not self.has_body:
            here = (self.request.uri or "").startswith(settings.prefix)
            self.redirect(settings.origin + (self.request.uri if here and self.request.uri else settings.prefix))
            return None
        self.refuse(Refused(421, f"This instance is at {settings.origin}{settings.prefix}"))
        return None


class Elsewhere(Guard):
    """A path that is not this instance's, or not the gateway's to have."""

    def prepare(self) -> Awaitable[None] | None:
        """Lead to the instance from other spellings of its address, for which browsers keep other cookies."""
        target = respelled(self.request.path, self.gateway.settings.prefix)
        if target is None:
            return super().prepare()
        if self.has_body:
            self.set_header("Connection", "close")
        query = f"?{self.request.query}" if self.request.query else ""
        self.redirect(target + query, status=307)
        return None

    @refusing
    async def get(self) -> None:
        """Nothing is there; who is not logged in is not told even that."""
        settings = self.gateway.settings
        if settings.origin and self.request.path == "/":
            self.redirect(settings.prefix)
            return
        if self.request.path.startswith(settings.prefix):
            await self.admit()
        raise Refused(404, "There is nothing at this address.")

    head = post = delete = patch = put = options = get
