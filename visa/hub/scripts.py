"""JupyterHub's pages bear its XSRF token, which makes tokens of the person who is logged in. Scripts get none.

Where instances share the hub's host, their pages have its origin, and a collaborator may have left a script in them.
It cannot read the token's cookie, whose path is the hub's, nor a window (`defaults`); but it can fetch the hub's pages,
and error pages too. So only a page that a person went to bears the token. JupyterHub has no setting for this.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler

from visa.navigation import navigated

_SAFE = ("GET", "HEAD", "OPTIONS")
_own_token: Any = BaseHandler.xsrf_token
_own_render: Any = BaseHandler.render_template


def tell_scripts_no_token() -> None:
    """From now on, for all of JupyterHub's handlers."""
    BaseHandler.xsrf_token = property(_token)
    BaseHandler.render_template = _render


def _token(self: Any) -> Any:
    """Of a page that only shows something it would be told; of other requests it is what theirs is compared with."""
    shows = self.request.method in _SAFE and not isinstance(self, APIHandler)
    return b"" if shows and not navigated(self.request.headers) else _own_token.fget(self)


def _render(self: Any, name: str, sync: bool = False, **values: Any) -> Any:
    if not navigated(self.request.headers):
        values = {**values, "xsrf_token": "", "xsrf": ""}
    return _own_render(self, name, sync, **values)
