"""What gateways and people ask the hub about sharing (docs/developers/people.md). Tokens only."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.user import User
from tornado import web

from visa import clock
from visa.hub import settings
from visa.hub.away import DatabaseAway
from visa.hub.reports import FromGateway
from visa.hub.sharing.entering import enter, spawner_of
from visa.identifiers import InvalidIdentifier, Username
from visa.instances.access import Role
from visa.instances.model import Reason
from visa.instances.pictures import key_of
from visa.instances.startup import read_look
from visa.store.sharing.records import AccessRequest, GatewayState, Here
from visa.store.store import Decision

_SCOPE = "custom:visa:write"
_MOST_HERE = 500
_MOST_REFUSED = 50
_SESSIONS = frozenset({"notebook", "desktop"})


class PeopleHandler(FromGateway):
    """``/hub/api/visa/gateways/<owner>/<name>/people``."""

    largest = 64 * 1024

    def _log(self) -> None:
        """What goes well is not worth a line: it is asked for all the time."""
        if self.get_status() >= 400:
            super()._log()

    def on_connection_close(self) -> None:
        """The gateway went away: nobody waits any more."""
        if self._waiting is not None:
            self._waiting.cancel()

    _waiting: asyncio.Task[bool] | None = None

    async def get(self, owner: str, name: str) -> None:
        """Who may be there: at once, or with ``?after=N`` as soon as the number is another one; 204 if it stays."""
        identifier, after = self._gateway(owner, name), self.get_query_argument("after", "")
        hub = settings.get()
        if after:
            if not (after.isascii() and after.isdigit() and len(after) < 19):
                raise web.HTTPError(400, "after must be a number")
            self._waiting = asyncio.ensure_future(hub.changes.other(identifier, int(after)))
            try:
                other = await self._waiting
            except asyncio.CancelledError:
                return  # nobody is there to be answered
            if not other:
                if hub.changes.blind:
                    raise DatabaseAway("the store's changes cannot be read")
                self.set_status(204)
                return
            self._gateway(owner, name)  # stopped meanwhile?
        state = await asyncio.to_thread(hub.people.views.gateway, identifier)
        if state is None:
            raise web.HTTPError(404, "There is no such instance")
        self.finish({**told(state), "pictures": key_of(hub.pictures, identifier)})

    async def post(self, owner: str, name: str) -> None:
        """Who is here now: visits. And who was refused at the door: the audit trail."""
        identifier = self._gateway(owner, name)
        body = self.get_json_body()
        try:
            here, refused = here_of(body), refused_of(body)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise web.HTTPError(400, f"here must be a list of username, role, session and since: {error}") from None
        hub = settings.get()
        await asyncio.to_thread(hub.people.visits.here, identifier, here, clock.now())
        for username in refused:
            where = {"where": "gateway"}
            decision = Decision(username, owner, "enter", False, identifier, Reason.NOT_A_MEMBER.value, where)
            await asyncio.to_thread(hub.store.record, decision)
        self.set_status(204)


class StartupHandler(FromGateway):
    """``/hub/api/visa/gateways/<owner>/<name>/startup``: what a gateway found in start-up files."""

    largest = 512 * 1024

    async def post(self, owner: str, name: str) -> None:
        """The answer to the look of that number; a look that was asked anew takes no other."""
        identifier, body = self._gateway(owner, name), self.get_json_body()
        try:
            number, found = int(body["number"]), read_look(body["found"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
            raise web.HTTPError(400, f"number and found are needed: {error}") from None
        await asyncio.to_thread(settings.get().people.startup.answer, identifier, number, found, clock.now())
        self.set_status(204)


def told(state: GatewayState) -> dict[str, Any]:
    """As the gateway reads it (`visa.session.word`)."""
    return {
        "number": state.number,
        "members": [{**one.membership.told(), "name": one.name} for one in state.members if one.active],
        "sharing": state.sharing.told(),
        "requests": [_asked(one) for one in state.requests],
        "help": state.help,
        "look": None if state.look is None else {"number": state.look.number, "since": state.look.since.isoformat()},
    }


def _asked(one: AccessRequest) -> dict[str, Any]:
    return {
        "id": one.id,
        "kind": one.kind.value,
        "username": one.requester,
        "name": one.name,
        "wanted": one.wanted.value,
        "reason": one.reason,
        "since": one.asked_at.isoformat(),
    }


def here_of(body: Any) -> list[Here]:
    """Who is here, from a report; raise ``ValueError`` and the like."""
    listed = body["here"]
    if not isinstance(listed, list) or len(listed) > _MOST_HERE:
        raise ValueError("not a list, or too long")
    return [_one(entry) for entry in listed]


def _one(entry: Mapping[str, Any]) -> Here:
    role, session, since = Role(entry["role"]), entry["session"], datetime.fromisoformat(entry["since"])
    if session not in _SESSIONS or since.tzinfo is None:
        raise ValueError("session is notebook or desktop, since a time with its zone")
    return Here(_name(entry["username"]), role, session, since)


def refused_of(body: Any) -> list[str]:
    """Who was refused, from a report; raise ``ValueError`` and the like."""
    listed = body.get("refused", [])
    if not isinstance(listed, list) or len(listed) > _MOST_REFUSED:
        raise ValueError("not a list, or too long")
    return [_name(name) for name in listed]


def _name(value: object) -> str:
    try:
        return Username(value)  # type: ignore[arg-type]
    except InvalidIdentifier as error:
        raise ValueError(str(error)) from None


class EnterHandler(APIHandler):  # type: ignore[misc]
    """``/hub/api/visa/instances/<id>/enter``: a person is on her way to somebody's instance."""

    def get_current_user_cookie(self) -> None:
        """Tokens only."""

    async def post(self, identifier: str) -> None:
        """204: she can log in there now. 403: she is no member."""
        person = self.current_user
        if not isinstance(person, User) or not self.has_scope(_SCOPE):
            raise web.HTTPError(403, f"Only people enter instances, with a token that has {_SCOPE}")
        instance = await asyncio.to_thread(settings.get().store.instance, identifier)
        spawner = spawner_of(self.db, instance.owner, instance.name) if instance is not None else None
        if spawner is None:
            raise web.HTTPError(404, "There is no such instance")
        owner = spawner.user.name
        if person.name != owner and not await enter(self.db, person.orm_user, spawner):
            raise web.HTTPError(403, f"This instance of {owner} is not shared with you.")
        self.set_status(204)
