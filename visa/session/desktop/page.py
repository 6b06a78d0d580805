"""The desktop's page: HTML from page.html, without what the visitor's role may not do."""

from __future__ import annotations

import html
import re
import secrets
from functools import cache
from pathlib import Path
from string import Template

from visa.session import pages
from visa.session.desktop import assets
from visa.session.desktop.rights import rights_of
from visa.session.guard import Guard, refusing

WITHOUT_NOVNC = (
    "noVNC, which shows desktops, is not installed beside this gateway. Whoever runs VISA gets it with "
    "'tools/novnc' (or 'make hub') where npm can be had, and starts the instance again."
)


@cache
def _source() -> str:
    return (Path(__file__).parent / "page.html").read_text()


def page(prefix: str, portal: str, title: str, *, act: bool, notebook: bool) -> tuple[str, str]:
    """``(html, content security policy)``; with ``act`` the parts that act are in it."""
    nonce = secrets.token_urlsafe(16)
    source = _source()
    for name, there in (("act", act), ("lab", notebook)):
        if not there:
            source = re.sub(rf"<!--{name}-->.*?<!--/{name}-->", "", source, flags=re.DOTALL)
    values = {
        "nonce": nonce,
        "base": f"{prefix}desktop/",
        "static": f"{prefix}desktop/static/{assets.version()}/",
        "lab": f"{prefix}lab",
        "portal": portal,
        "title": title,
    }
    written = {name: html.escape(value) for name, value in values.items()}
    written["preload"] = "".join(_preload(nonce, written["static"] + name) for name in assets.needed_by("desktop.js"))
    content = Template(re.sub(r"<!--/?\w+-->", "", source)).substitute(written)
    policy = (
        f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; "
        "img-src 'self' data: blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
    )
    return content, policy


def _preload(nonce: str, address: str) -> str:
    return f'<link rel="modulepreload" nonce="{nonce}" href="{address}">'


class Page(Guard):
    """``desktop/``; without the slash, on to it."""

    @refusing
    async def get(self) -> None:
        """The page, or why there is none."""
        admitted = await self.admit()
        settings = self.gateway.settings
        if not admitted.path.endswith("/"):
            self.redirect(f"{settings.prefix}desktop/")
            return
        offered = settings.sessions
        if offered and "desktop" not in offered:
            self.set_status(404)
            sentence = "This instance's environment has no desktop. Start an instance with one on your home page."
            self.show(*pages.message("No desktop here", sentence, self.gateway.portal))
        elif not assets.novnc_is_here():
            self.set_status(501)
            self.show(*pages.message("The desktop cannot be shown", WITHOUT_NOVNC, self.gateway.portal))
        else:
            rights = rights_of(self.gateway, admitted.visitor)
            act = rights is not None and rights.act
            name = f"{settings.server_name or 'instance'} · {settings.owner}"
            content, policy = page(settings.prefix, self.gateway.portal, name, act=act, notebook="notebook" in offered)
            self.set_header("Permissions-Policy", "clipboard-read=(self), clipboard-write=(self), fullscreen=(self)")
            self.show(content, policy)
