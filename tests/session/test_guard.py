"""The gateway's own cookies: for this instance's path, unseen by scripts, and for https alone where that is spoken."""

from __future__ import annotations

import asyncio
from http.cookies import Morsel, SimpleCookie
from pathlib import Path

import pytest

from tests.session import rig
from tests.session.site import running, still
from visa.session.headers import STATE_COOKIE

NAVIGATES = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


async def own_cookie(run: Path, **headers: str) -> Morsel[str]:
    """The one that is set on the way to the hub's login."""
    async with running(run) as site:
        given = {**NAVIGATES, **{name.replace("_", "-"): value for name, value in headers.items()}}
        async with site.client.get(site.url, headers=given, allow_redirects=False) as answer:
            assert answer.status == 302
            return SimpleCookie(answer.headers["Set-Cookie"])[STATE_COOKIE]


@pytest.mark.parametrize(
    ("forwarded", "secure"),
    [("https", True), (" HTTPS , http", True), ("http", False), ("http,https", False), ("wss", False), ("", False)],
)
async def test_a_cookie_is_for_https_alone_where_the_browser_speaks_it(
    tmp_path: Path, forwarded: str, secure: bool
) -> None:
    cookie = await own_cookie(tmp_path, X_Forwarded_Proto=forwarded)
    assert bool(cookie["secure"]) is secure


async def test_a_cookie_is_for_this_instance_s_path_and_unseen_by_scripts(tmp_path: Path) -> None:
    cookie = await own_cookie(tmp_path)
    assert (cookie["path"], cookie["httponly"], cookie["samesite"]) == (rig.SERVER, True, "Lax")
    assert (cookie["expires"], cookie["max-age"], cookie["domain"]) == ("", "", ""), "until the browser is closed"
    assert not cookie["secure"]


@pytest.mark.looptime
async def test_a_refused_login_s_code_is_used_up_when_the_hub_is_back(tmp_path: Path) -> None:
    async with still(tmp_path) as site:
        site.hub.down = True
        async with site.client.get(site.url + "oauth_callback?code=lise's&state=unknown") as answer:
            assert answer.status == 400
        await asyncio.sleep(60)
        assert site.hub.codes == []
        site.hub.down = False
        await asyncio.sleep(60)
        assert site.hub.codes == ["lise's"]
