"""Cookies bound to their host: what a browser is told, and what a server takes from it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest
from tornado import web
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from visa.cookies import HUB, PORTAL, SESSION, HostCookies


class Echo(web.RequestHandler):
    """Tells its cookies and sets two, as JupyterHub does."""

    def get(self) -> None:
        self.set_cookie("jupyterhub-hub-login", "marie", path="/hub/", domain="visa.example.org", httponly=True)
        self.set_cookie("_xsrf", "x", path="/hub/", secure=True, samesite="Lax")
        self.finish({name: one.value for name, one in self.cookies.items()})


@pytest.fixture
async def url() -> AsyncIterator[str]:
    app = web.Application([(r"/.*", Echo)])
    server = HTTPServer(HostCookies(app.start_request, HUB))
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    yield f"http://127.0.0.1:{sockets[0].getsockname()[1]}/hub/"
    server.stop()
    await server.close_all_connections()


async def test_a_server_sets_and_reads_names_that_are_its_hosts_own(url: str) -> None:
    tossed = "jupyterhub-hub-login=eve; _xsrf=y; __Host-portal-_xsrf=z"
    async with httpx.AsyncClient(timeout=60) as client:
        first = await client.get(url, headers={"Cookie": tossed})
        own = f"{tossed}; {HUB}jupyterhub-hub-login=marie; {HUB}_xsrf=x"
        second = await client.get(url, headers={"Cookie": own})
    assert first.json() == {}, "what any host may have set is not read"
    assert second.json() == {"jupyterhub-hub-login": "marie", "_xsrf": "x"}
    login, xsrf = first.headers.get_list("Set-Cookie")
    assert login == f"{HUB}jupyterhub-hub-login=marie; HttpOnly; Path=/; Secure"
    assert xsrf == f"{HUB}_xsrf=x; SameSite=Lax; Path=/; Secure"


@pytest.mark.parametrize("blank", ["\xa0", "\x85", "\x1f"])
def test_a_name_that_only_looks_like_one_is_left_out(blank: str) -> None:
    """Browsers hold no cookie to its host whose name begins with a blank of their own."""
    hub = HostCookies(web.Application().start_request, HUB)
    assert hub.inward(f"{blank}{HUB}jupyterhub-hub-login=x; {HUB}a=b") == "a=b"


def test_the_portal_sees_that_a_login_at_the_hub_ended() -> None:
    portal = HostCookies(web.Application().start_request, PORTAL, SESSION)
    given = f"{HUB}jupyterhub-session-id=s; jupyterhub-session-id=tossed; {HUB}_xsrf=h; {PORTAL}service-visa=t"
    assert portal.inward(given) == "jupyterhub-session-id=s; service-visa=t"
