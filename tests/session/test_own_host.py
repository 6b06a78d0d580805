"""A gateway that is told a host of its own answers nowhere else, and no page elsewhere uses its cookies."""

from __future__ import annotations

from http.cookies import SimpleCookie
from pathlib import Path

import pytest

from tests.session import rig
from tests.session.site import Site, running, still
from visa.instances.pictures import key_of, ticket
from visa.session.desktop import preview

HOST = "visa-0123456789abcdef.visa.example.org"
OWN = f"https://{HOST}"
NAVIGATES = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html"}
MARIE = {"Authorization": "token marie's"}


async def asked(site: Site, path: str, method: str = "GET", **headers: str) -> tuple[int, dict[str, str]]:
    """Status and headers; no redirect is followed."""
    given = {"Host": HOST, **{name.replace("_", "-"): value for name, value in headers.items()}}
    url = f"http://127.0.0.1:{site.port}{path}"
    async with site.client.request(method, url, headers=given, allow_redirects=False) as answer:
        return answer.status, dict(answer.headers)


@pytest.mark.parametrize("host", ["127.0.0.1", "visa.example.org", f"x.{HOST}", "visa-f.visa.example.org", "evil.org"])
async def test_on_another_host_nothing_is_served(tmp_path: Path, host: str) -> None:
    async with still(tmp_path, VISA_ORIGIN=OWN) as site:
        for path in ("", "api/status", "oauth_callback?code=x&state=y", "_visa/people", "desktop/websocket", "logout"):
            for method in ("GET", "POST", "DELETE", "OPTIONS"):
                status, _ = await asked(site, rig.SERVER + path, method, Host=host, **MARIE)
                assert status == 421, (method, path)
        status, headers = await asked(site, f"{rig.SERVER}lab?x=1", Host=host, **NAVIGATES)
        assert (status, headers["Location"]) == (302, f"{OWN}{rig.SERVER}lab?x=1")
        status, headers = await asked(site, "//evil.org/", Host=host, **NAVIGATES)
        assert (status, headers["Location"]) == (302, f"{OWN}{rig.SERVER}")
        status, _ = await asked(site, f"{rig.SERVER}_visa/health", Host=host)
        assert status == 200, "probes ask at the pod's address"
        given = {"Host": host, **MARIE}
        url = f"ws://127.0.0.1:{site.port}{rig.SERVER}api/events/subscribe"
        with pytest.raises(Exception, match="421"):
            await site.client.ws_connect(url, headers=given)


async def test_on_its_own_all_is(tmp_path: Path) -> None:
    async with still(tmp_path, VISA_ORIGIN=OWN) as site:
        for host in (HOST, f"{HOST}:443", f"{HOST.upper()}.", f"{HOST}:8443"):
            status, headers = await asked(site, f"{rig.SERVER}api/status", Host=host, **MARIE)
            assert status == 200
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert headers["Cross-Origin-Opener-Policy"] == "same-origin-allow-popups"
        status, headers = await asked(site, "/", **NAVIGATES)
        assert (status, headers["Location"]) == (302, rig.SERVER)


@pytest.mark.parametrize(("origin", "name", "path"), [(OWN, "__Host-visa-login", "/"), ("", "visa-login", rig.SERVER)])
async def test_its_cookies_bear_the_hosts_mark(tmp_path: Path, origin: str, name: str, path: str) -> None:
    more = {"JUPYTERHUB_PUBLIC_HUB_URL": "https://visa.example.org/hub/"}
    async with running(tmp_path, VISA_ORIGIN=origin, **more) as site:
        status, headers = await asked(site, rig.SERVER, **NAVIGATES)
        assert status == 302
        assert headers["Location"].startswith("https://visa.example.org/hub/api/oauth2/authorize?")
        cookie = SimpleCookie(headers["Set-Cookie"])[name]
        assert (cookie["path"], bool(cookie["secure"]), cookie["domain"]) == (path, bool(origin), "")


@pytest.mark.parametrize("where", ["same-site", "cross-site"])
async def test_a_cookie_is_of_no_use_to_a_page_elsewhere(tmp_path: Path, where: str) -> None:
    async with still(tmp_path, VISA_ORIGIN=OWN) as site:
        session = site.gateway.sessions.open("marie's", "marie")
        cookie = {"Cookie": f"__Host-visa-session={session}", "Sec-Fetch-Site": where}
        for mode, what in (("cors", "empty"), ("no-cors", "image"), ("no-cors", "script"), ("navigate", "iframe")):
            given = {"Sec-Fetch-Mode": mode, "Sec-Fetch-Dest": what}
            status, _ = await asked(site, f"{rig.SERVER}api/status", **cookie, **given)
            assert status == 403, (mode, what)
        status, _ = await asked(site, f"{rig.SERVER}api/status", **cookie, **NAVIGATES)
        assert status == 200, "a link leads here"
        tossed = {**cookie, "Cookie": f"visa-session={session}", "Sec-Fetch-Site": "same-origin"}
        status, _ = await asked(site, f"{rig.SERVER}api/status", **tossed)
        assert status == 401, "a cookie that another host may have set is none"


async def test_a_picture_is_for_who_has_a_ticket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def take(path: str) -> bytes:
        return b"PNG"

    monkeypatch.setattr(preview, "take", take)
    hub, key = rig.FakeHub(), key_of(b"secret", "instance")
    hub.pictures = key
    path = f"{rig.SERVER}desktop/preview.png"
    async with still(tmp_path, hub, VISA_ORIGIN=OWN) as site:
        now = preview.clock.now().timestamp()
        shown = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
        status, headers = await asked(site, f"{path}?ticket={ticket(key, now)}", **shown)
        assert (status, headers["Cross-Origin-Resource-Policy"]) == (200, "cross-origin")
        assert headers["Content-Type"] == "image/png"
        other = key_of(b"secret", "another")
        for bad in (ticket(key, now - 600), ticket(other, now), ticket("", now), "", ".", "1.2", ticket(key, now)[:-1]):
            status, _ = await asked(site, f"{path}?ticket={bad}", **shown)
            assert status == 403, bad
        status, _ = await asked(site, f"{rig.SERVER}api/status?ticket={ticket(key, now)}", **shown)
        assert status == 403, "it opens nothing else"
        status, headers = await asked(site, path, **MARIE)
        assert (status, headers["Cross-Origin-Resource-Policy"]) == (200, "same-origin")
