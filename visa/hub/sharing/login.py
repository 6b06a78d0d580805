"""Login at a gateway: who is a member gets JupyterHub's right to it; who is not is told where to ask."""

from __future__ import annotations

from typing import Any

from jupyterhub import orm
from jupyterhub.apihandlers.auth import OAuthAuthorizeHandler, OAuthTokenHandler
from tornado import web

from visa.hub.defaults import portal_url
from visa.hub.sharing.entering import enter
from visa.identifiers import instance_id
from visa.navigation import refusal


class NotShared(web.HTTPError):
    """The hub's error page leads to the instance's page in the portal."""

    def __init__(self, owner: str, page: str) -> None:
        super().__init__(403, "This instance belongs to %s and is not shared with you.", owner)
        self.visa_page = page


class AuthorizeHandler(OAuthAuthorizeHandler):  # type: ignore[misc]
    """JupyterHub's own, asked before a gateway lets a browser in."""

    @web.authenticated
    async def get(self) -> None:
        """For a server of somebody else: membership decides whether JupyterHub is asked at all.

        The answer holds a code that logs in as this person, whoever brings it: scripts and frames get none.
        """
        why = refusal(self.request.headers)
        if why is not None:
            raise web.HTTPError(403, why)
        spawner = self._spawner()
        if spawner is not None and spawner.user.name != self.current_user.name:
            owner, name = spawner.user.name, spawner.name
            self._member = await enter(self.db, self.current_user.orm_user, spawner)
            if not self._member:
                raise NotShared(owner, f"{portal_url(self)}instances/{instance_id(owner, name)}")
            self._resolve_roles_and_scopes()
        await super().get()

    _member = False

    def _spawner(self) -> Any:
        identifier = self.get_query_argument("client_id", "")
        client = self.db.query(orm.OAuthClient).filter_by(identifier=identifier).first()
        return client.spawner if client is not None else None

    def needs_oauth_confirm(self, user: Any, oauth_client: Any, requested_scopes: Any) -> bool:
        """A member comes from the portal or by a link and knows where she goes; the gateway learns who she is."""
        return not self._member and bool(super().needs_oauth_confirm(user, oauth_client, requested_scopes))


class TokenHandler(OAuthTokenHandler):  # type: ignore[misc]
    """JupyterHub's own, where a code that was refused could be tried again with another verifier."""

    def post(self) -> None:
        """A code works once, or not at all."""
        try:
            super().post()
        finally:
            for left in self.db.query(orm.OAuthCode).filter(orm.OAuthCode.code.in_(self.get_arguments("code"))):
                self.db.delete(left)
            self.db.commit()
