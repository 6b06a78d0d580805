"""JupyterHub's pages are for who goes to them. Scripts get none, and no token of theirs.

Where instances share the hub's host, their pages have its origin, and a collaborator may have left a script in them.
It cannot read the XSRF token's cookie, whose path is the hub's, nor a window (`defaults`); but it could fetch the hub's
pages, and error pages too: who is logged in, their tokens' names, to an administrator everybody. The token in them
makes tokens of the person who is logged in. JupyterHub has no setting for this.

It can also set cookies for the hub's paths, `visa.doubled`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from jupyterhub.handlers.metrics import MetricsHandler
from tornado import web

from visa import doubled
from visa.hub.around import stand
from visa.navigation import ONLY_PAGES, navigated, refusal

_SAFE = ("GET", "HEAD", "OPTIONS")
_FOR_ALL = re.compile(r"error|[0-9]{3}|not_running|spawn_pending|stop_pending")
"""Told to scripts too, of JupyterLab's when its server is gone, and to proxies: without the token they hold nothing."""
_ERRORS = re.compile(r"error|[0-9]{3}")
"""Of these a script learns nothing of who is logged in."""
_own_token: Any = BaseHandler.xsrf_token


def tell_scripts_no_token() -> None:
    """From now on, for all of JupyterHub's handlers."""
    BaseHandler.xsrf_token = property(_token)
    stand(BaseHandler, "render_template", _render)
    stand(BaseHandler, "prepare", _prepare)


def _token(self: Any) -> Any:
    """Of a page that only shows something it would be told; of other requests it is what theirs is compared with."""
    shows = self.request.method in _SAFE and not isinstance(self, APIHandler)
    return b"" if shows and not navigated(self.request.headers) else _own_token.fget(self)


def _render(own: Callable[..., Any], self: Any, name: str, sync: bool = False, **values: Any) -> Any:
    why = refusal(self.request.headers)
    if why is not None:
        # A form that was sent is compared with the token: who sends a good one had the page.
        if not _FOR_ALL.fullmatch(name.removesuffix(".html")) and self.request.method in _SAFE:
            raise web.HTTPError(403, why)
        values = {**values, "xsrf_token": "", "xsrf": ""}
        if _ERRORS.fullmatch(name.removesuffix(".html")):
            values |= {"user": None, "admin_access": False}
    return own(self, name, sync, **values)


async def _prepare(own: Callable[[Any], Awaitable[None]], self: Any) -> None:
    """Two logins at once are nobody's: one of them was set by a page of an instance."""
    self.expanded_scopes, self._jupyterhub_user = set(), None
    if _for_no_script(self):
        raise web.HTTPError(403, ONLY_PAGES)
    if doubled.one_only(self, self.hub.cookie_name, self.hub.base_url):
        del self._jupyterhub_user
        await own(self)


def _for_no_script(self: Any) -> bool:
    """JupyterHub asks for no token where a script says ``no-cors``, as pictures are loaded, and takes the answer for
    unreadable. It is not, where the script's page has the hub's origin. It never asks for one for the metrics, which
    programs read without cookies."""
    sent = self.request.headers
    mode = sent.get("Sec-Fetch-Mode")
    if isinstance(self, MetricsHandler):
        return mode is not None and "Cookie" in sent and not navigated(sent)
    return isinstance(self, APIHandler) and mode == "no-cors"
