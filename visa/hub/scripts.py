"""JupyterHub's pages bear its XSRF token, which makes tokens of the person who is logged in. Scripts get none.

Without subdomains an instance's pages share the hub's origin, and a collaborator may have left a script in them. It
cannot read the token's cookie, whose path is the hub's, nor a window (`defaults`); but it can fetch the hub's pages,
and error pages too. So only a page that a person went to bears the token. JupyterHub has no setting for this.
"""

from __future__ import annotations

from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from jupyterhub.handlers.base import BaseHandler
from tornado.httputil import HTTPHeaders

from visa.navigation import navigated

_SAFE = ("GET", "HEAD", "OPTIONS")
_own_token: Any = BaseHandler.xsrf_token
_own_render: Any = BaseHandler.render_template


def tell_scripts_no_token() -> None:
    """From now on, for all of JupyterHub's handlers."""
    BaseHandler.xsrf_token = property(_token)
    BaseHandler.render_template = _render


def shown(headers: HTTPHeaders) -> bool:
    """Whether it is for an image in a page of this site, a desktop's. No script is told where an image was led to."""
    near = headers.get("Sec-Fetch-Site") in ("same-origin", "same-site")
    return near and headers.get("Sec-Fetch-Dest") == "image" and headers.get("Sec-Fetch-Mode") == "no-cors"


def _token(self: Any) -> Any:
    """Of a page that only shows something it would be told; of other requests it is what theirs is compared with."""
    shows = self.request.method in _SAFE and not isinstance(self, APIHandler)
    return b"" if shows and not navigated(self.request.headers) else _own_token.fget(self)


def _render(self: Any, name: str, sync: bool = False, **values: Any) -> Any:
    if not navigated(self.request.headers):
        values = {**values, "xsrf_token": "", "xsrf": ""}
    return _own_render(self, name, sync, **values)
