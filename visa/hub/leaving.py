"""Logging out is asked for once more: any page can lead a browser to an address, and none to a button of the hub's."""

from __future__ import annotations

from typing import Any

from jupyterhub.handlers.login import LogoutHandler


class _Asks:
    """For JupyterHub's handler of logouts, or an authenticator's own."""

    current_user: Any

    async def get(self) -> None:
        """The button; who is not logged in sees what comes after a logout."""
        if self.current_user is None:
            await super().get()  # type: ignore[misc]
            return
        self.finish(await self.render_template("leave.html"))  # type: ignore[attr-defined]

    async def post(self) -> None:
        """What JupyterHub does on a visit. The form bore the token of this login (`BaseHandler.check_xsrf_cookie`)."""
        await super().get()  # type: ignore[misc]


def asking(authenticator: Any) -> type:
    """The handler for ``/logout``."""
    own: type = getattr(authenticator, "logout_handler", LogoutHandler)
    return type("Leave", (_Asks, own), {})
