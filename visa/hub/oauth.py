"""Login by OpenID Connect: claims to a person, roles, uid, gid and groups, kept fresh by asking again."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlencode

from jupyterhub.utils import url_path_join
from oauthenticator.generic import GenericOAuthenticator
from oauthenticator.oauth2 import OAuthCallbackHandler, OAuthLoginHandler, OAuthLogoutHandler
from tornado import web
from tornado.httpclient import HTTPClientError
from traitlets import Unicode, default

from visa import clock
from visa.hub import entrances, membership, proof, provider, settings
from visa.hub.again import Unproven, confirmed, refused
from visa.hub.claims import BadClaims
from visa.hub.people import may_log_in, username_of
from visa.hub.provider import NotAllowed, ProviderUnavailable, told_apart

_DOES_NOT_ANSWER = "The identity provider does not answer, so nobody can log in. Try again in a few minutes."
_PAUSES = (0.5, 1.0, 2.0)
"""Seconds between questions with an access token that the provider gave a moment ago and does not know yet."""
_MOMENT = 10.0  # seconds
_DECIDED_IN_FACILITY = (
    "admin_groups",
    "admin_users",
    "allow_all",
    "allow_existing_users",
    "allowed_groups",
    "allowed_scopes",
    "allowed_users",
)


class NotConfiguredForLogin(RuntimeError):
    """VisaAuthenticator lacks a setting, or has one that facility.yaml decides. The message says which."""


class LoginRefused(web.HTTPError):
    """The provider vouches for her, but the facility does not let her in."""

    def __init__(self, username: str, why: str, sentence: str) -> None:
        super().__init__(403, "%s", sentence)
        self.username, self.why = username, why
        self.jupyterhub_message = sentence


class CatalogueSilent(web.HTTPError):
    """Her claims alone let nobody in, and the catalogue does not answer: nothing is known about her roles."""

    def __init__(self) -> None:
        sentence = "The catalogue of people does not answer, and your login alone does not say your roles."
        super().__init__(503, "%s", f"{sentence} Try again in a few minutes.")
        self.jupyterhub_message = str(self.args[0])


class VisaLoginHandler(OAuthLoginHandler):  # type: ignore[misc]
    """Sends people to the identity provider, or says that it does not answer."""

    async def get(self) -> None:
        """Find the provider's endpoints first; they may not be known yet."""
        try:
            await self.authenticator.discover()
        except ProviderUnavailable as error:
            self.log.error("Login is not possible: %s", error)
            raise web.HTTPError(503, _DOES_NOT_ANSWER) from None
        super().get()


class VisaCallbackHandler(OAuthCallbackHandler):  # type: ignore[misc]
    """Back from the identity provider: a login, or one more for a grave act."""

    async def get(self) -> None:
        """Which it is, the state says; that it was begun in this browser, a cookie."""
        if not self.get_argument("state", "").startswith(proof.STATE):
            await super().get()
            return
        question = proof.taken(self)
        user = self.current_user
        if question is None or user is None:
            raise web.HTTPError(403, "This login was not begun in this browser, or too long ago. Begin again.")
        try:
            if self.get_argument("error", ""):
                raise Unproven("The identity provider did not let you log in again.")
            await self.authenticator.prove(self, user, question)
        except (Unproven, LoginRefused) as error:
            await refused(self, question.number, error)
            return
        await confirmed(self, question.number)


class VisaLogoutHandler(OAuthLogoutHandler):  # type: ignore[misc]
    """Logs out here and at the identity provider."""

    async def get(self) -> None:
        """Remember the identity token: the provider asks for it, and it is gone after logging out."""
        user = self.current_user
        state = (await user.get_auth_state() if user else None) or {}
        self._id_token = state.get("id_token")
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
    callback_handler = VisaCallbackHandler
    logout_handler = VisaLogoutHandler

    issuer = Unicode("", config=True, help="Address of the OpenID Connect issuer; its endpoints are found there.")
    end_session_url = Unicode("", config=True, help="Where to log out at the provider; found from the issuer.")

    jwks_url = Unicode("", config=True, help="Where the provider has its public keys; found from the issuer.")

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
        self._asking: dict[str, asyncio.Task[bool | dict[str, Any]]] = {}
        # JupyterHub writes a refreshed login to its database a moment later; a refresh token that was used
        # meanwhile must not be used again.
        self._newest: dict[str, dict[str, Any]] = {}
        self._given: dict[str, float] = {}
        self._discovered = False

    def normalize_username(self, username: str) -> str:
        """As the provider says it: names that differ are different people."""
        return username

    def get_handlers(self, app: Any) -> list[Any]:
        """VISA's entrances before OAuthenticator's handlers."""
        return [*entrances.handlers(app), *super().get_handlers(app)]

    def check_allow_config(self) -> None:
        """JupyterHub calls this at its start. Raise `NotConfiguredForLogin`."""
        if not self.client_id:
            raise NotConfiguredForLogin("VisaAuthenticator.client_id is not set: register the hub at the provider")
        if not self.issuer and not (self.authorize_url and self.token_url and self.userdata_url):
            raise NotConfiguredForLogin("VisaAuthenticator.issuer is not set: give the provider's issuer address")
        found = [name for name in _DECIDED_IN_FACILITY if getattr(self, name)]
        if found:
            where = "facility.yaml (people.allow, people.roles) decides who may log in and who is administrator"
            raise NotConfiguredForLogin(f"VisaAuthenticator.{found[0]} is set, but {where}: remove it")
        if self.userdata_from_id_token or not self.enable_auth_state:
            raise NotConfiguredForLogin(
                "VisaAuthenticator needs enable_auth_state and no userdata_from_id_token, to ask about people again"
            )
        if self.auth_refresh_age <= 0 or not self.refresh_pre_spawn:
            raise NotConfiguredForLogin(
                "VisaAuthenticator needs refresh_pre_spawn and an auth_refresh_age above 0: "
                "without them a removed account could start instances"
            )

    async def discover(self) -> None:
        """Find the provider's endpoints from `issuer`; raise `ProviderUnavailable`.

        What was found is kept in the state folder, so that a hub that restarts while the provider is
        down still knows where to ask.
        """
        if self._discovered or not self.issuer:
            return
        kept = settings.get().state / "secrets" / "openid-configuration.json"
        address = self.issuer.rstrip("/") + "/.well-known/openid-configuration"
        question = self.httpfetch(
            address,
            "finding the identity provider",
            headers={"Accept": "application/json"},
            validate_cert=self.validate_server_cert,
        )
        try:
            endpoints = provider.checked(await told_apart(question), self.issuer)
            await asyncio.to_thread(provider.remember, kept, endpoints)
            self._discovered = True
        except (ProviderUnavailable, NotAllowed) as error:
            former = await asyncio.to_thread(provider.remembered, kept, self.issuer)
            if former is None:
                raise ProviderUnavailable(f"{address}: {error}") from error
            self.log.warning("%s does not answer (%s); using what it said before", address, error)
            endpoints = former
        for trait, key in provider.ENDPOINTS.items():
            if not getattr(self, trait):
                setattr(self, trait, endpoints.get(key, ""))

    async def login_again(self, handler: Any, number: int) -> None:
        """Lead to the provider, which is told to ask for the login though there is one."""
        try:
            await self.discover()
        except ProviderUnavailable as error:
            self.log.error("Login is not possible: %s", error)
            raise web.HTTPError(503, _DOES_NOT_ANSWER) from None
        handler.redirect(proof.question(self, handler, number))

    async def prove(self, handler: Any, user: Any, asked: proof.Question) -> None:
        """The provider's tokens show that ``user`` logged in just now; raise `Unproven`, `LoginRefused`.

        The person is the same by name and by ``sub``, and the facility lets them in still.
        """
        state = await user.get_auth_state() or {}
        before = (state.get(self.user_auth_state_key) or {}).get("sub")
        try:
            await self.discover()
            parameters = proof.exchange(self, handler, asked)
            token = await told_apart(self.get_token_info(handler, parameters))
            keys = await self._keys()
            proven = proof.of(self, token, keys, asked, settings.get().facility.current.people.login_again)
            model = await self._model_of(user, token)
        except NotAllowed as error:
            if isinstance(no := error.__cause__, LoginRefused):
                if no.username == user.name:
                    await membership.withdraw(user.name, no.why)
                raise no from None
            raise Unproven("You logged in as somebody else, or the login was not confirmed.") from None
        except ProviderUnavailable as error:
            silent = error.__cause__
            sentence = silent.jupyterhub_message if isinstance(silent, CatalogueSilent) else _DOES_NOT_ANSWER
            raise Unproven(sentence, str(error)) from None
        now = model["auth_state"][self.user_auth_state_key].get("sub")
        if proven["sub"] != now or (before is not None and before != now):
            raise Unproven("You logged in with another account than before.")
        self._newest.pop(user.name, None)
        await handler.auth_to_user(model, user)

    async def _keys(self) -> dict[str, Any]:
        """The provider's public keys, none when nobody knows where they are; raise `ProviderUnavailable`."""
        if not self.jwks_url:
            return {}
        question = self.httpfetch(self.jwks_url, "its keys", validate_cert=self.validate_server_cert)
        return dict(await told_apart(question))

    def user_info_to_username(self, user_info: dict[str, Any]) -> str:
        """The claim that facility.yaml names; 403 when it holds no safe name."""
        try:
            return username_of(user_info, settings.get().facility.current.people)
        except BadClaims as error:
            raise LoginRefused("", str(error), f"The identity provider's answer cannot be used: {error}.") from None

    async def authenticate(self, handler: Any, data: Any = None, **kwargs: Any) -> dict[str, Any] | None:
        """Exchange the code; what the provider or the facility says no to is said in words, and audited."""
        try:
            await self.discover()
            model: dict[str, Any] | None = await told_apart(super().authenticate(handler, data, **kwargs))
        except ProviderUnavailable as error:
            self.log.error("Login failed: %s", error)
            cause = error.__cause__
            raise (cause if isinstance(cause, CatalogueSilent) else web.HTTPError(503, _DOES_NOT_ANSWER)) from None
        except NotAllowed as error:
            refused = error.__cause__
            if isinstance(refused, LoginRefused):
                await membership.logged_in(refused.username, refused.why)
                await membership.withdraw(refused.username, refused.why)
                raise refused from None
            self.log.warning("Login failed: %s", error)
            raise web.HTTPError(403, "The identity provider did not confirm this login. Log in again.") from None
        if model is not None:
            self._newest.pop(model["name"], None)
            settings.get().unanswered.discard(model["name"])
            await membership.logged_in(model["name"])
        return model

    async def update_auth_model(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Claims and catalogue to a person, kept in the store when the facility lets her in."""
        username = auth_model["name"]
        try:
            resolved = await membership.resolve(auth_model["auth_state"][self.user_auth_state_key])
        except BadClaims as error:
            sentence = f"The identity provider's answer cannot be used: {error}."
            raise LoginRefused(username, str(error), sentence) from None
        facility = settings.get().facility.current
        if not may_log_in(resolved.person, facility.people):
            if not resolved.complete:
                raise CatalogueSilent
            sentence = f"Your account has none of the roles that may use {facility.facility.name}."
            why = "none of the roles or groups that may log in"
            noted = " ".join(f"The {note}." for note in resolved.notes)
            raise LoginRefused(username, why, f"{sentence} Ask {facility.facility.contact}. {noted}".strip())
        if not await membership.keep(resolved):
            raise LoginRefused(username, "withdrawn while the catalogue was asked", "Your account was not confirmed.")
        return {**auth_model, **membership.auth_model(resolved.person, auth_model["auth_state"])}

    async def _apply_managed_groups(self, auth_model: dict[str, Any]) -> dict[str, Any]:
        """Groups are in the model already (`visa.hub.people`), from claims and catalogue."""
        return auth_model

    async def check_allowed(self, username: str, auth_model: dict[str, Any] | None) -> bool:
        """`update_auth_model` refused whom the facility does not let in; nobody comes past it."""
        return True

    async def get_token_info(self, handler: Any, params: dict[str, Any]) -> dict[str, Any]:
        """Ask for tokens, and remember for a moment which ones came."""
        token: dict[str, Any] = await super().get_token_info(handler, params)
        at = clock.elapsed()
        self._given = {known: when for known, when in self._given.items() if at - when < _MOMENT}
        self._given[str(token["access_token"])] = at
        return token

    async def token_to_user(self, token_info: dict[str, Any]) -> dict[str, Any]:
        """Ask for claims. A token that came a moment ago and never worked is asked with again: the part of the
        provider that answers may lag behind the one that gave it. Then its word counts."""
        token = str(token_info["access_token"])
        given = self._given.get(token)
        young = given is not None and clock.elapsed() - given < _MOMENT
        for pause in (*(_PAUSES if young else ()), None):
            try:
                found: dict[str, Any] = await super().token_to_user(token_info)
            except HTTPClientError as error:
                if error.code != 401 or pause is None:
                    raise
                self.log.warning("The provider does not know a token that it just gave; asking again in %s s", pause)
                await asyncio.sleep(pause)
            else:
                break
        self._given.pop(token, None)
        return found

    async def refresh_user(self, user: Any, handler: Any = None, **kwargs: Any) -> bool | dict[str, Any]:
        """Ask the provider again. Requests that come meanwhile share the answer.

        True: nothing is known because the provider is down, within the grace. False: log in again.
        """
        running = self._asking.get(user.name)
        if running is None:
            running = asyncio.ensure_future(self._refresh(user, handler))
            self._asking[user.name] = running
            running.add_done_callback(lambda done: self._asking.pop(user.name, None))
        answer = await asyncio.shield(running)
        return dict(answer) if isinstance(answer, dict) else answer

    async def _refresh(self, user: Any, handler: Any) -> bool | dict[str, Any]:
        unanswered = settings.get().unanswered
        try:
            answer = await self._ask_again(user, handler)
        except ProviderUnavailable as error:
            unanswered.add(user.name)
            return await asyncio.to_thread(self._within_grace, user.name, str(error))
        except NotAllowed as error:
            refused = error.__cause__
            await membership.withdraw(user.name, refused.why if isinstance(refused, LoginRefused) else str(error))
            answer = None
        unanswered.discard(user.name)
        return answer or False

    async def _ask_again(self, user: Any, handler: Any) -> dict[str, Any] | None:
        """The login as it is now; None when none is kept. Raise `NotAllowed`, `ProviderUnavailable`."""
        state = self._newest.get(user.name) or await user.get_auth_state()
        if not state or not state.get("token_response"):
            return None
        if user.name in self.blocked_users:
            raise NotAllowed("blocked in the hub's configuration")
        await self.discover()
        try:
            return await self._model_of(user, state["token_response"])
        except NotAllowed as error:
            if error.final or not state.get("refresh_token"):
                raise
        parameters = self.build_refresh_token_request_params(state["refresh_token"])
        token = await told_apart(self.get_token_info(handler, parameters))
        for kept in ("refresh_token", "id_token"):
            if not token.get(kept):  # a provider need not repeat them
                token[kept] = state.get(kept)
        self._newest[user.name] = self.build_auth_state_dict(token, state.get(self.user_auth_state_key))
        return await self._model_of(user, token)

    async def _model_of(self, user: Any, token: dict[str, Any]) -> dict[str, Any]:
        model: dict[str, Any] = await told_apart(self._token_to_auth_model(token))
        if model["name"] != user.name:
            raise NotAllowed("the provider's token is another person's")
        return model

    def _within_grace(self, username: str, fault: str) -> bool:
        person = settings.get().store.person(username)
        grace = settings.get().facility.current.people.outage_grace
        within = (
            person is not None
            and person.active
            and person.verified_at is not None
            and clock.now() - person.verified_at <= grace
        )
        self.log.warning(
            "The identity provider cannot be asked about %s (%s): %s",
            username,
            fault,
            "running work goes on" if within else "the grace is over",
        )
        return within
