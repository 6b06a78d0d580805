"""Login by OpenID Connect: claims to a person, roles, uid, gid and groups, kept fresh by asking again."""

from __future__ import annotations

import asyncio
import json
from collections import defaultdict
from typing import Any
from urllib.parse import urlencode

from jupyterhub.utils import url_path_join
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import OAuthLoginHandler, OAuthLogoutHandler
from tornado import web
from tornado.httpclient import HTTPClientError, HTTPError
from traitlets import Unicode, default

from visa.hub import entrances, membership, settings
from visa.hub.people import BadClaims, may_log_in, username_of
from visa.store.store import now


class ProviderUnavailable(Exception):
    """The identity provider does not answer: nothing is known about anybody just now."""


class _NotAllowed(Exception):
    """The identity provider or the facility's rules say no. The message says why."""


class VisaLoginHandler(OAuthLoginHandler):  # type: ignore[misc]
    """Sends people to the identity provider, or says that it does not answer."""

    async def get(self) -> None:
        """Find the provider's endpoints first; they may not be known yet."""
        try:
            await self.authenticator.discover()
        except ProviderUnavailable as error:
            self.log.error("Login is not possible: %s", error)
            sentence = "The identity provider does not answer, so nobody can log in. Try again in a few minutes."
            raise web.HTTPError(503, sentence) from None
        super().get()


class VisaLogoutHandler(OAuthLogoutHandler):  # type: ignore[misc]
    """Logs out here and at the identity provider."""

    async def get(self) -> None:
        """Remember the identity token: the provider asks for it, and it is gone after logging out."""
        user = self.current_user
        state = (await user.get_auth_state() if user else None) or {}
        self._id_token = (state.get("token_response") or {}).get("id_token") or state.get("id_token")
        await super().get()

    async def render_logout_page(self) -> None:
        """The provider's logout, which leads back here."""
        endpoint = self.authenticator.end_session_url
        if not endpoint:
            await super().render_logout_page()
            return
        home = f"{self.request.protocol}://{self.request.host}{url_path_join(self.hub.base_url, 'login')}"
        query = {"client_id": self.authenticator.client_id, "post_logout_redirect_uri": home}
        if self._id_token:
            query["id_token_hint"] = self._id_token
        self.redirect(f"{endpoint}?{urlencode(query)}")


class VisaAuthenticator(GenericOAuthenticator):  # type: ignore[misc]
    """GenericOAuthenticator for one OpenID Connect provider and facility.yaml's ``people``.

    PKCE is on. The provider is asked again at every start of an instance and every few minutes; while
    it is down people keep what runs, for the facility's ``outage_grace``, and start nothing new.
    """

    login_handler = VisaLoginHandler
    logout_handler = VisaLogoutHandler

    issuer = Unicode("", config=True, help="Address of the OpenID Connect issuer; its endpoints are found there.")
    end_session_url = Unicode("", config=True, help="Where to log out at the provider; found from the issuer.")

    @default("login_service")
    def _login_service(self) -> str:
        return str(settings.get().facility.current.facility.name)

    @default("scope")
    def _scope(self) -> list[str]:
        return ["openid", "profile", "email"]

    @default("enable_auth_state")
    def _enable_auth_state(self) -> bool:
        return True

    @default("manage_groups")
    def _manage_groups(self) -> bool:
        return True

    @default("auth_refresh_strict")
    def _auth_refresh_strict(self) -> bool:
        return True

    @default("http_request_kwargs")
    def _http_request_kwargs(self) -> dict[str, float]:
        return {"connect_timeout": 5.0, "request_timeout": 10.0}

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._locks: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._discovered = False

    def normalize_username(self, username: str) -> str:
        """As the provider says it: names that differ are different people."""
        return username

    def get_handlers(self, app: Any) -> list[Any]:
        """VISA's entrances before OAuthenticator's handlers."""
        return [*entrances.handlers(app), *super().get_handlers(app)]

    async def discover(self) -> None:
        """Find the provider's endpoints from `issuer`; raise `ProviderUnavailable`.

        What was found is kept in the state folder, so that a hub that restarts while the provider is
        down still knows where to ask.
        """
        if self._discovered or not self.issuer:
            return
        kept = settings.get().state / "secrets" / "openid-configuration.json"
        address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        try:
            found = await self.httpfetch(
                address, label="Finding the identity provider", headers={"Accept": "application/json"}
            )
            await asyncio.to_thread(kept.write_text, json.dumps(found))
            self._discovered = True
        except (HTTPError, OSError, ValueError) as error:
            if not kept.exists():
                raise ProviderUnavailable(f"{address}: {error}") from error
            self.log.warning("%s does not answer (%s); using what it said before", address, error)
            found = json.loads(await asyncio.to_thread(kept.read_text))
        for trait, key in _ENDPOINTS.items():
            if not getattr(self, trait):
                setattr(self, trait, found.get(key) or "")

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """The claim that facility.yaml names; 403 when it holds no safe name."""
        try:
            return username_of(user_info, settings.get().facility.current.people)
        except BadClaims as error:
            raise web.HTTPError(403, f"The identity provider's answer cannot be used: {error}.") from None

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """Exchange the code; a provider that fails meanwhile is said in words."""
        try:
            await self.discover()
            model: dict[str, Any] | None = await super().authenticate(handler, data, **kwargs)
        except (OSError, ProviderUnavailable) as error:
            self.log.error("Login failed: %s", error)
            raise web.HTTPError(503, "The identity provider does not answer. Try again in a few minutes.") from None
        return model

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Claims and catalogue to a person, kept in the store when the facility lets her in."""
        try:
            person = await membership.resolve(auth_model["auth_state"][self.user_auth_state_key])
        except BadClaims as error:
            raise web.HTTPError(403, f"The identity provider's answer cannot be used: {error}.") from None
        facility = settings.get().facility.current
        if not may_log_in(person, facility.people):
            await membership.withdraw(person.username, "none of the roles or groups that may log in")
            sentence = f"Your account has none of the roles that may use {facility.facility.name}."
            raise web.HTTPError(403, f"{sentence} Ask {facility.facility.contact}.")
        await membership.keep(person)
        return {**auth_model, **membership.auth_model(person, auth_model["auth_state"])}

    async def _apply_managed_groups(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Groups are in the model already (`visa.hub.people`), from claims and catalogue."""
        return auth_model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """`update_auth_model` refused whom the facility does not let in; nobody comes past it."""
        return True

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> bool | dict[str, Any]:
        """Ask the provider again, one question at a time per person (refresh tokens are used once).

        True: nothing is known because the provider is down, within the grace. False: log in again.
        """
        async with self._locks[user.name]:
            try:
                return await self._ask_again(user, handler)
            except ProviderUnavailable as error:
                return await asyncio.to_thread(self._within_grace, user.name, str(error))
            except _NotAllowed as error:
                await membership.withdraw(user.name, str(error))
                return False

    async def _ask_again(self, user: Any, handler: Any) -> dict[str, Any]:
        state = await user.get_auth_state()
        if not state or not state.get("token_response"):
            raise _NotAllowed("no login is kept")
        await self.discover()
        try:
            return await self._model_of(user, state["token_response"])
        except _NotAllowed:
            if not state.get("refresh_token"):
                raise
        token = await self._fetched(self.get_token_info(handler, self._refresh_parameters(state["refresh_token"])))
        token.setdefault("refresh_token", state["refresh_token"])
        token.setdefault("id_token", (state.get("token_response") or {}).get("id_token"))
        return await self._model_of(user, token)

    def _refresh_parameters(self, refresh_token: str) -> dict[str, Any]:
        parameters: dict[str, Any] = self.build_refresh_token_request_params(refresh_token)
        return parameters

    async def _model_of(self, user: Any, token: dict[str, Any]) -> dict[str, Any]:
        model: dict[str, Any] = await self._fetched(self._token_to_auth_model(token))
        if model["name"] != user.name:
            raise _NotAllowed("the provider's token is another person's")
        return model

    @staticmethod
    async def _fetched(question: Any) -> Any:
        """The provider's answer; its refusals and its outages told apart."""
        try:
            return await question
        except HTTPClientError as error:
            if 400 <= error.code < 500:
                raise _NotAllowed(f"the provider answered {error.code}") from error
            raise ProviderUnavailable(f"the provider answered {error.code}") from error
        except web.HTTPError as error:
            if error.status_code < 500:
                raise _NotAllowed(str(error.log_message or error.reason)) from error
            raise ProviderUnavailable(str(error)) from error
        except OSError as error:
            raise ProviderUnavailable(str(error)) from error

    def _within_grace(self, username: str, fault: str) -> bool:
        person = settings.get().store.person(username)
        grace = settings.get().facility.current.people.outage_grace
        kept = person is not None and person.active and person.verified_at is not None
        within = kept and person is not None and person.verified_at is not None and now() - person.verified_at <= grace
        self.log.warning(
            "The identity provider cannot be asked about %s (%s): %s",
            username,
            fault,
            "running work goes on" if within else "the grace is over",
        )
        return bool(within)


_ENDPOINTS = {
    "authorize_url": "authorization_endpoint",
    "token_url": "token_endpoint",
    "userdata_url": "userinfo_endpoint",
    "end_session_url": "end_session_endpoint",
}
