"""The demo's login: the made-up facility's people, one password for all, on this machine only."""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlparse

from jupyterhub.auth import Authenticator
from jupyterhub.handlers.login import LoginHandler
from tornado import web
from traitlets import Unicode, default

from visa.catalogue.base import CataloguePerson, CatalogueUnavailable
from visa.hub import again, entrances, membership, settings
from visa.hub.claims import BadClaims
from visa.identifiers import InvalidIdentifier, Username


class DemoLoginHandler(LoginHandler):  # type: ignore[misc]
    """JupyterHub's own form, with the people who may use it."""

    demo_people: Sequence[tuple[CataloguePerson, str]] = ()  # of an error page, which may come before they are known

    async def prepare(self) -> None:
        """Look up the people; without a catalogue the form comes without them.

        A page elsewhere whose name was pointed at this machine (DNS rebinding) is not served.
        """
        await super().prepare()
        name, public = self.request.host_name, settings.get().public
        if not _is_loopback(name):
            raise web.HTTPError(403, f"The demo is reached as 127.0.0.1 or localhost, not as '{name[:60]}'.")
        if public and self.request.host.lower() != urlparse(public).netloc:
            raise web.HTTPError(
                403,
                f"The demo is reached at {public}. At the end of a tunnel too: give both ends the same port, "
                "or start the demo with --one-host.",
            )
        self.demo_people = []
        try:
            self.demo_people = await _listed()
        except CatalogueUnavailable as error:
            self.log.warning("The login page lists nobody: %s", error)

    def render_template(self, name: str, **ns: Any) -> Any:
        """Every page here may show the list."""
        origins = settings.get().origins
        return super().render_template(
            name,
            demo_people=self.demo_people,
            demo_password=self.authenticator.password,
            # Any name of an instance's: that this one can be reached says that all can.
            demo_probe=origins.url("/", "", "") if origins else "",
            **ns,
        )


class DemoAuthenticator(Authenticator):  # type: ignore[misc]
    """Everybody in the catalogue may log in with the password ``visa``, from loopback only."""

    password = Unicode("visa", config=True, help="The one password.")

    @default("allow_all")
    def _allow_all(self) -> bool:
        return True

    @default("manage_groups")
    def _manage_groups(self) -> bool:
        return True

    def normalize_username(self, username: str) -> str:
        """As it is: names that differ are different people."""
        return username

    def get_handlers(self, app: Any) -> list[Any]:
        """JupyterHub's own form, and VISA's entrances. Refuses to serve anything but loopback."""
        host = urlparse(app.bind_url).hostname or ""
        if not _is_loopback(host):
            raise RuntimeError(
                f"DemoAuthenticator knows only one password, so it serves loopback only, not '{host}'. "
                "Bind the hub to 127.0.0.1 or use VisaAuthenticator."
            )
        return [*entrances.handlers(app), ("/login", DemoLoginHandler)]

    async def authenticate(self, handler: Any, data: dict[str, str]) -> dict[str, Any] | None:
        """The person of that name when the password is right, else None."""
        if not _is_loopback(handler.request.connection.stream.socket.getpeername()[0]):
            return None
        username = data.get("username", "")
        if not secrets.compare_digest(data.get("password", "").encode(), self.password.encode()):
            await self._refused(username, "wrong password")
            return None
        try:
            model = await self._model(username)
        except CatalogueUnavailable as error:
            self.log.error("Nobody can log in: %s", error)
            raise web.HTTPError(503, "The catalogue of people does not answer. Try again in a moment.") from None
        if model is None:
            await self._refused(username, "not in the catalogue")
            return None
        await membership.logged_in(username)
        return model

    async def login_again(self, handler: Any, number: int) -> None:
        """Ask for the password."""
        again.ask(handler)

    async def logged_in_again(self, handler: Any, number: int) -> None:
        """The form came back."""
        given = handler.get_body_argument("password", "", strip=False)
        if secrets.compare_digest(given.encode(), self.password.encode()):
            await again.confirmed(handler, number)
            return
        again.ask(handler, wrong=True)

    @staticmethod
    async def _refused(username: str, why: str) -> None:
        safe = "".join(c if c.isprintable() else "?" for c in username[:60])
        await membership.logged_in(safe, why)

    async def refresh_user(self, user: Any, handler: Any = None) -> bool | dict[str, Any]:
        """Read her again; who is gone from the catalogue starts nothing. A catalogue that is down says nothing."""
        unanswered = settings.get().unanswered
        try:
            model = await self._model(user.name)
        except CatalogueUnavailable as error:
            self.log.warning("Nothing is known about %s just now: %s", user.name, error)
            unanswered.add(user.name)
            return True
        unanswered.discard(user.name)
        if model is None:
            await membership.withdraw(user.name, "not in the catalogue any more")
            return False
        return True if membership.is_known(user, model) else model

    async def _model(self, username: str) -> dict[str, Any] | None:
        """What the hub is told about her, or None; raise `CatalogueUnavailable`."""
        try:
            known = (await settings.get().catalogue.person(Username(username))).value
            if known is None:
                return None
            resolved = await membership.resolve(_claims(known))
        except (InvalidIdentifier, BadClaims) as error:
            self.log.warning("No login for %r: %s", username[:40], error)
            return None
        kept = await membership.keep(resolved)
        return membership.auth_model(resolved.person, {}) if kept else None


async def _listed() -> list[tuple[CataloguePerson, str]]:
    """Everybody, with what they are in words."""
    catalogue = settings.get().catalogue
    instruments = (await catalogue.instruments()).value
    scientists = {name for instrument in instruments for name in instrument.scientists}
    listed = []
    for person in (await catalogue.people()).value:
        roles = person.roles | ({"instrument_scientist"} if person.username in scientists else set())
        listed.append((person, ", ".join(sorted(roles)).replace("_", " ")))
    return listed


def _claims(known: CataloguePerson) -> dict[str, Any]:
    facility = settings.get().facility.current.people
    return {facility.username_claim: str(known.username), facility.name_claim: known.name}


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):  # browsers lead these to this machine (RFC 6761)
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
