"""One more login of a person for a grave act (`visa.instances.confirming`): the hub's part.

The portal keeps what is wanted and leads here; the authenticator asks for the login (``login_again``), and here it is
confirmed. An authenticator without that method confirms nothing.
"""

from __future__ import annotations

import asyncio
import secrets
from functools import partial
from typing import Any

from jupyterhub.handlers.base import BaseHandler
from tornado import web

from visa import clock
from visa.hub import settings
from visa.hub.defaults import portal_url
from visa.navigation import navigated
from visa.store.sharing.records import Confirmation


class Unproven(Exception):
    """The login confirms nothing. ``sentence`` is for the person, ``fault`` for operators, where they can mend it."""

    def __init__(self, sentence: str, fault: str = "") -> None:
        super().__init__(sentence)
        self.sentence, self.fault = sentence, fault


class AgainHandler(BaseHandler):  # type: ignore[misc]
    """``/hub/visa/again/<number>``: where the portal leads a person who has to log in again."""

    def get_current_user_token(self) -> None:
        """A login in a browser only: a token shows nothing about who is there."""

    @web.authenticated
    async def get(self, number: str) -> None:
        """Ask for the login."""
        if not navigated(self.request.headers):
            raise web.HTTPError(403, "A login is a page that a person goes to. Open the address itself.")
        await self._waiting(number)
        begin = getattr(self.authenticator, "login_again", None)
        if begin is None:
            fault = f"{type(self.authenticator).__name__} has no login_again: it cannot ask people to log in again"
            await refused(self, int(number), Unproven(_CANNOT, fault))
            return
        await begin(self, int(number))

    @web.authenticated
    async def post(self, number: str) -> None:
        """The authenticator's own form, where it has one."""
        await self._waiting(number)
        done = getattr(self.authenticator, "logged_in_again", None)
        if done is None:
            raise web.HTTPError(405, "There is no form here.")
        await done(self, int(number))

    async def _waiting(self, number: str) -> Confirmation:
        waiting = settings.get().people.confirmations.waiting
        found = await asyncio.to_thread(waiting, int(number), self.current_user.name, clock.now())
        if found is None:
            raise web.HTTPError(404, "Nothing waits for this login, or not any more. Begin again in the portal.")
        self.visa_confirmation = found
        return found


_CANNOT = "The facility's login cannot ask you again, so this cannot be done."


def ask(handler: Any, *, wrong: bool = False) -> None:
    """A form for the password, where the hub itself asks for it."""
    if wrong:
        handler.set_status(403)
    show(handler, "again.html", act=handler.visa_confirmation.act.value, wrong=wrong, path=handler.request.path)


def show(handler: Any, template: str, **names: Any) -> None:
    """A page of the hub."""
    xsrf = getattr(handler, "xsrf_token", b"")
    text = handler.render_template(template, sync=True, xsrf=xsrf.decode("ascii", "replace"), **names)
    handler.set_header("Referrer-Policy", "no-referrer")
    handler.finish(text)


async def confirmed(handler: Any, number: int) -> None:
    """On to the portal, with a key for this browser behind the ``#``: that part of an address is in no log."""
    code = secrets.token_urlsafe(32)
    confirm = partial(settings.get().people.confirmations.confirm, number, handler.current_user.name, code, clock.now())
    if not await asyncio.to_thread(confirm):
        raise web.HTTPError(404, "Nothing waits for this login, or not any more. Begin again in the portal.")
    show(handler, "confirmed.html", onward=f"{portal_url(handler)}confirmed#{number}.{code}")


async def refused(handler: Any, number: int, error: Exception) -> None:
    """Say so to the person, to operators when it is theirs to mend, and in the audit trail."""
    name, fault = handler.current_user.name, getattr(error, "fault", "")
    sentence = str(getattr(error, "sentence", "") or getattr(error, "jupyterhub_message", error))
    if fault:
        handler.log.error("%s cannot confirm an act by logging in again: %s", name, fault)
    refuse = settings.get().people.confirmations.refused
    await asyncio.to_thread(refuse, number, name, fault or sentence, clock.now())
    handler.set_status(403)
    show(handler, "unconfirmed.html", sentence=sentence, fault=bool(fault), portal=portal_url(handler))
