"""What JupyterHub's administrators may do and VISA's may not: be somebody else, or see her login.

JupyterHub's role ``admin`` cannot be changed, and with it comes the right to make anybody's tokens, to rename
people, to read their logins at the identity provider, to make services that may all this, and to lead everybody's
requests to another proxy. Services that an operator configures keep theirs.
"""

from __future__ import annotations

import asyncio
from typing import Any

from jupyterhub.apihandlers.proxy import ProxyAPIHandler
from jupyterhub.apihandlers.services import ServiceAPIHandler
from jupyterhub.apihandlers.users import UserAPIHandler, UserListAPIHandler, UserTokenListAPIHandler
from jupyterhub.orm import Service
from tornado import web

from visa.hub import settings
from visa.store.store import Decision


class _NotSomebodyElse:
    """For handlers of JupyterHub's API."""

    current_user: Any

    @property
    def _is_person(self) -> bool:
        """Whether a person asks, as opposed to a service; nobody at all is JupyterHub's to refuse."""
        asking = self.current_user
        return asking is not None and not isinstance(asking, Service)

    def user_model(self, user: Any) -> dict[str, Any]:
        """Without her login at the provider, whoever asks."""
        model: dict[str, Any] = super().user_model(user)  # type: ignore[misc]
        model.pop("auth_state", None)
        return model

    async def _refuse(self, owner: str, what: str) -> None:
        actor = str(getattr(self.current_user, "name", "unknown"))
        decision = Decision(actor, owner[:128], "administration", False, None, "not-allowed", {"what": what})
        await asyncio.to_thread(settings.get().store.record, decision)
        raise web.HTTPError(403, f"Administrators cannot {what}: who people are is the identity provider's word")


class UserHandler(_NotSomebodyElse, UserAPIHandler):  # type: ignore[misc]
    """One person in the hub."""

    async def post(self, user_name: str) -> None:
        """Make one; who is an administrator comes with the login."""
        body = self.get_json_body()
        if self._is_person and isinstance(body, dict) and body.get("admin"):
            await self._refuse(user_name, "make administrators")
        await super().post(user_name)

    async def patch(self, user_name: str) -> None:
        """Names, rights and logins are not changed by people."""
        if self._is_person:
            await self._refuse(user_name, "change people")
        await super().patch(user_name)


class UsersHandler(_NotSomebodyElse, UserListAPIHandler):  # type: ignore[misc]
    """All people in the hub."""

    async def post(self) -> None:
        """Make some; who is an administrator comes with the login."""
        body = self.get_json_body()
        if self._is_person and isinstance(body, dict) and body.get("admin"):
            await self._refuse("several", "make administrators")
        await super().post()


class TokensHandler(_NotSomebodyElse, UserTokenListAPIHandler):  # type: ignore[misc]
    """Somebody's tokens."""

    async def post(self, user_name: str) -> None:
        """Make one of one's own."""
        if self._is_person and self.current_user.name != user_name:
            await self._refuse(user_name, "make tokens of other people")
        await super().post(user_name)


class ServiceHandler(_NotSomebodyElse, ServiceAPIHandler):  # type: ignore[misc]
    """One service."""

    async def post(self, service_name: str) -> None:
        """They are configured: a service is held to none of this."""
        if self._is_person:
            await self._refuse(service_name, "make services")
        await super().post(service_name)


class ProxyHandler(_NotSomebodyElse, ProxyAPIHandler):  # type: ignore[misc]
    """The proxy."""

    async def patch(self) -> None:
        """It is configured: whoever leads requests elsewhere is everybody."""
        if self._is_person:
            await self._refuse("proxy", "lead requests elsewhere")
        await super().patch()
