"""The hub, as the gateway asks it: who has this token, exchange a login code, note activity.

JupyterHub's own client library would do, but importing it costs 72 MB and 0.6 s; a gateway has 60 MB
and 0.5 s in all (measured: docs/developers/gateway.md). The protocol is JupyterHub's documented one.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from tornado.httpclient import AsyncHTTPClient, HTTPError, HTTPRequest
from tornado.simple_httpclient import HTTPStreamClosedError

from visa import clock
from visa.addresses import gateway_api, person_api
from visa.instances.access import Role
from visa.session.settings import GatewaySettings

log = logging.getLogger(__name__)

OUTAGE = 900.0
"""Seconds for which people who were let in stay while the hub does not answer."""
AWAY_REASON = "database-unavailable"
"""As the hub's problem says it (`visa.store.faults`, which the gateway does not have)."""
_KEPT = 500
_NO = 2.0
"""Seconds for which a no is not asked about again: she may be let in any moment."""
_HELD = 58.0


class HubUnavailable(Exception):
    """The hub does not answer."""


class StoreAway(HubUnavailable):
    """The hub says that its database cannot be used: nobody was let in or out through it meanwhile."""


class HubLost(HubUnavailable):
    """The hub took a question and went away before it answered."""


class HubRefused(Exception):
    """The hub answered no to a report."""


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who the hub says holds a token, and her role here. ``identity`` is what Jupyter shows of her."""

    name: str
    role: Role
    identity: dict[str, str]

    def in_role(self, role: Role) -> Visitor:
        """The same person in ``role``."""
        return self if role is self.role else replace(self, role=role)


@dataclass(slots=True)
class _Word:
    visitor: Visitor | None
    at: float


class Hub:
    """Asks the hub with this instance's token or a visitor's. ``role_of``: what a person is here, at this moment."""

    def __init__(self, settings: GatewaySettings) -> None:
        self._settings = settings
        self.role_of: Callable[[str], Role] = lambda name: Role.OWNER if name == settings.owner else Role.NONE
        # Kept apart, so that a flood of bad tokens does not make the gateway forget a good one.
        self._yes: OrderedDict[bytes, _Word] = OrderedDict()
        self._no: OrderedDict[bytes, _Word] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[Visitor | None]] = {}

    async def visitor(self, token: str) -> Visitor | None:
        """Who holds ``token`` and her role now, None when it is nobody who may come in; raise `HubUnavailable`.

        The hub is asked again when its word is older than the setting ``fresh``, once for all who wait. While it is
        down its last yes holds for `OUTAGE` seconds; who is not known yet is not let in.
        """
        if secrets.compare_digest(token.encode(), self._settings.token.encode()):
            return None  # this gateway's own: whoever shows it got it from the cluster, not from the hub
        found = await self._holder(token)
        return None if found is None else found.in_role(self.role_of(found.name))

    async def _holder(self, token: str) -> Visitor | None:
        key = hashlib.sha256(token.encode()).digest()
        known = self._yes.get(key) or self._no.get(key)
        if known is not None and clock.elapsed() - known.at <= self._fresh(known):
            return known.visitor
        task = self._asking.get(key)
        if task is None:
            task = self._asking[key] = asyncio.create_task(self._visitor_now(token, key, known))
            task.add_done_callback(lambda done: self._asked(key, done))
        return await asyncio.shield(task)

    def _fresh(self, known: _Word) -> float:
        return self._settings.fresh if known.visitor is not None else min(self._settings.fresh, _NO)

    def _asked(self, key: bytes, task: asyncio.Task[Visitor | None]) -> None:
        del self._asking[key]
        if not task.cancelled():
            task.exception()  # whoever waited has it; nobody may be left to wait

    async def _visitor_now(self, token: str, key: bytes, known: _Word | None) -> Visitor | None:
        try:
            model = await self._ask("GET", "/user", token=token)
        except HTTPError as error:
            if error.code not in (401, 403, 404):
                return self._last_word(known, str(error))
            model = None
        except (OSError, ValueError) as error:
            return self._last_word(known, str(error))
        visitor = None if model is None else self._visitor(model)
        kept, other = (self._no, self._yes) if visitor is None else (self._yes, self._no)
        other.pop(key, None)
        kept[key] = _Word(visitor, clock.elapsed())
        kept.move_to_end(key)
        while len(kept) > _KEPT:
            kept.popitem(last=False)
        return visitor

    @staticmethod
    def _last_word(known: _Word | None, fault: str) -> Visitor | None:
        if known is not None and known.visitor is not None and clock.elapsed() - known.at <= OUTAGE:
            return known.visitor
        raise HubUnavailable(fault)

    def _visitor(self, model: dict[str, Any]) -> Visitor | None:
        person = model.get("kind") == "user"
        if not person or not self._settings.access_scopes & set(model.get("scopes", [])):
            return None
        # The right to open the server is needed and gives no role: not a share's, not an administrator's.
        name = str(model.get("name", ""))
        return Visitor(name, Role.NONE, _identity(name, model.get("user_info") or {}))

    def authorize_url(self, state: str, challenge: str) -> str:
        """Where a browser logs in."""
        query = {
            "client_id": self._settings.client_id,
            "redirect_uri": self._settings.callback,
            "response_type": "code",
            "state": state,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        return f"{self._settings.public_hub}{self._settings.hub_path}api/oauth2/authorize?{urlencode(query)}"

    async def token_for(self, code: str, verifier: str) -> str | None:
        """The visitor's token for a login code, None when the hub refuses it; raise `HubUnavailable`."""
        body = {
            "client_id": self._settings.client_id,
            "client_secret": self._settings.token,
            "grant_type": "authorization_code",
            "code": code,
            "code_verifier": verifier,
            "redirect_uri": self._settings.callback,
        }
        try:
            answer = await self._ask("POST", "/oauth2/token", body=urlencode(body))
        except HTTPError as error:
            if error.code < 500 and error.code != 599:
                log.warning("The hub refused a login code (%s)", error.code)
                return None
            raise HubUnavailable(str(error)) from error
        except (OSError, ValueError) as error:
            raise HubUnavailable(str(error)) from error
        return str(answer["access_token"])

    async def note_activity(self, at: datetime) -> None:
        """Tell the hub when the instance was last used; raise `HubUnavailable`."""
        stamp = at.astimezone(UTC).isoformat()
        body = json.dumps({"servers": {self._settings.server_name: {"last_activity": stamp}}, "last_activity": stamp})
        path = f"{person_api(self._settings.owner)}/activity"
        try:
            await self._ask("POST", path, token=self._settings.token, body=body)
        except (HTTPError, OSError, ValueError) as error:
            raise HubUnavailable(str(error)) from error

    async def report(self, body: dict[str, str]) -> dict[str, Any]:
        """Tell the hub something about this gateway; raise `HubUnavailable` or `HubRefused`."""
        return await self._own("POST", "", body=json.dumps(body)) or {}

    async def people(self, after: int | None, seconds: float = _HELD) -> dict[str, Any] | None:
        """The hub's word on who may be here, held until it is another one than number ``after``, for ``seconds``.

        None: it is not. Raise `HubUnavailable` (`HubLost` when it ended while it held the question) or `HubRefused`.
        """
        return await self._own("GET", "/people" if after is None else f"/people?after={after}", seconds=seconds)

    async def here(self, body: dict[str, Any]) -> None:
        """Tell the hub who is here; raise `HubUnavailable` or `HubRefused`."""
        await self._own("POST", "/people", body=json.dumps(body))

    async def startup(self, number: int, found: dict[str, Any]) -> None:
        """Answer the owner's look at start-up files; raise `HubUnavailable` or `HubRefused`."""
        await self._own("POST", "/startup", body=json.dumps({"number": number, "found": found}))

    async def _own(
        self, method: str, path: str, *, body: str | None = None, seconds: float = 10
    ) -> dict[str, Any] | None:
        address, token = gateway_api(self._settings.owner, self._settings.server_name) + path, self._settings.token
        try:
            answer = await self._ask(method, address, token=token, body=body, seconds=seconds)
        except HTTPStreamClosedError as error:
            raise HubLost(str(error)) from error
        except HTTPError as error:
            if 400 <= error.code < 500:
                raise HubRefused(str(error)) from error
            raise (StoreAway if _says_away(error) else HubUnavailable)(str(error)) from error
        except (OSError, ValueError) as error:
            raise HubUnavailable(str(error)) from error
        return answer if isinstance(answer, dict) else None

    async def _ask(
        self, method: str, path: str, *, token: str = "", body: str | None = None, seconds: float = 10
    ) -> Any:
        headers = {"Authorization": f"token {token}"} if token else {}
        request = HTTPRequest(
            self._settings.api_url + path,
            method=method,
            headers=headers,
            body=body,
            connect_timeout=3,
            request_timeout=seconds,
            follow_redirects=False,
        )
        answer = await AsyncHTTPClient().fetch(request)
        return json.loads(answer.body) if answer.body else None


def _says_away(error: HTTPError) -> bool:
    try:
        told = json.loads(error.response.body) if error.code == 503 and error.response is not None else None
    except ValueError:
        return False
    return isinstance(told, dict) and told.get("reason") == AWAY_REASON


def _identity(name: str, info: dict[str, Any]) -> dict[str, str]:
    shown = str(info.get("display_name") or info.get("name") or name)
    return {
        "username": name,
        "name": str(info.get("name") or shown),
        "display_name": shown,
        "initials": str(info.get("initials") or shown[:1].upper()),
        "color": str(info.get("color") or _colour(name)),
        "avatar_url": str(info.get("avatar_url") or ""),
    }


def _colour(name: str) -> str:
    """One of JupyterLab's colours for people, always the same: it fits its light and dark themes."""
    return f"var(--jp-collaborator-color{1 + hashlib.sha256(name.encode()).digest()[0] % 7})"
