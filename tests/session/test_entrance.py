"""Who gets in, with a real hub: cookies and tokens of everybody, on every path and on websockets."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from aiohttp import ClientSession, WSServerHandshakeError

from tests.services.waiting import eventually
from tests.session import rig

PATHS = [
    "",
    "lab",
    "lab/tree/notebooks/e1.ipynb",
    "api",
    "api/status",
    "api/me",
    "api/contents",
    "api/kernels",
    "api/spec.yaml",
    "static/favicon.ico",
    "static/lab/index.html",
    "files/x",
    "nbconvert/html/x.ipynb",
    "terminals/1",
    "login",
    "favicon.ico",
    "h5web/meta",
    "_visa/ready",
    "_visa/anything",
    "anything/else",
]
"""Stock Jupyter answers some of these (api, static, login) to anyone."""

SOCKETS = ["api/kernels/x/channels", "terminals/websocket/1", "api/events/subscribe", "_visa/x", ""]


async def status(hub: rig.Hub, path: str, method: str = "GET", **headers: str) -> int:
    """Of one request without cookies."""
    async with (
        ClientSession() as client,
        client.request(method, hub.url + rig.SERVER + path, headers=headers, allow_redirects=False) as answer,
    ):
        text = await answer.text()
        if answer.status >= 500:
            raise AssertionError((hub.folder / "hub.log").read_text()[-3000:])
        assert answer.status < 300 or "Jupyter" not in text.replace("JupyterHub", ""), text
        return answer.status


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.backend
async def test_nobody_gets_in_without_a_login(hub: rig.Hub, path: str) -> None:
    assert await status(hub, path) == 401
    assert await status(hub, path, Authorization="token nonsense") == 401
    assert await status(hub, path, Authorization="Basic bWFyaWU6dmlzYQ==") == 401
    assert await status(hub, path, Cookie="visa-session=nonsense; jupyterhub-user-marie-work=x") == 401
    assert await status(hub, path + "?token=nonsense") == 401


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.backend
async def test_another_person_and_an_administrator_are_refused(hub: rig.Hub, path: str) -> None:
    for user in ("pierre", "grace"):
        token = await hub.user_token(user)
        assert await status(hub, path, Authorization=f"Bearer {token}") in (401, 403)
        assert await status(hub, path, "POST", Authorization=f"token {token}") in (401, 403, 405)


async def test_a_token_of_the_server_itself_or_a_service_is_refused(hub: rig.Hub) -> None:
    assert await status(hub, "api/status", Authorization=f"token {hub.token}") in (401, 403)


async def test_an_administrator_with_a_token_for_this_very_server_is_refused(hub: rig.Hub) -> None:
    token = await hub.user_token("grace", scopes=["access:servers!server=marie/work"])
    assert await status(hub, "api/status", Authorization=f"token {token}") == 403


async def test_the_owner_gets_in_by_token_and_an_expired_one_is_refused(hub: rig.Hub) -> None:
    token = await hub.user_token("marie")
    assert await status(hub, "api/status", Authorization=f"token {token}") == 200
    assert await status(hub, "api/status", Authorization=f"Bearer {token}") == 200
    short = await hub.user_token("marie", expires_in=1)

    async def over() -> bool:
        return (await hub.api("GET", "/user", token=short))[0] == 403

    await eventually(over, "its end")
    assert await status(hub, "api/status", Authorization=f"token {short}") == 401


async def test_a_token_without_the_right_to_this_server_is_refused(hub: rig.Hub) -> None:
    token = await hub.user_token("marie", scopes=["read:users!user=marie"])
    assert await status(hub, "api/status", Authorization=f"token {token}") == 401


async def test_the_owner_logs_in_and_lands_in_her_session(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser:
        async with browser.get(hub.url + rig.SERVER) as answer:
            assert answer.status == 200
            assert str(answer.url).endswith("/lab/tree/notebooks/e1.ipynb")
            assert "JupyterLab" in await answer.text()
        cookies = {c.key: c for c in browser.cookie_jar}
        own = cookies["visa-session"]
        assert own["path"] == rig.SERVER
        assert own["httponly"]
        assert own["samesite"] == "Lax"
        async with browser.get(hub.url + rig.SERVER + "api/me") as answer:
            assert (await answer.json())["identity"]["username"] == "marie"


async def test_another_person_is_told_whose_it_is_by_the_hub_or_the_gateway(hub: rig.Hub) -> None:
    async with await hub.log_in("pierre") as browser, browser.get(hub.url + rig.SERVER + "lab") as answer:
        assert answer.status == 403
        assert "JupyterLab" not in await answer.text()


@pytest.mark.backend
async def test_a_session_cookie_of_the_owner_does_not_serve_elsewhere_and_ends_with_logout(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser:
        await (await browser.get(hub.url + rig.SERVER)).read()
        session = next(c.value for c in browser.cookie_jar if c.key == "visa-session")
        cookie = {"Cookie": f"visa-session={session}"}
        assert await status(hub, "api/status", **cookie) == 200
        async with browser.get(hub.url + rig.SERVER + "logout", allow_redirects=False) as answer:
            assert answer.status == 302
            assert answer.headers["Location"].endswith("/hub/logout")
        assert await status(hub, "api/status", **cookie) == 401


async def test_a_cookie_that_others_on_the_host_add_changes_nothing(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser:
        await (await browser.get(hub.url + rig.SERVER)).read()
        session = next(c.value for c in browser.cookie_jar if c.key == "visa-session")
    for cookie in (f"visa-session=x; visa-session={session}", f"visa-session={session}; visa-session=x"):
        assert await status(hub, "api/status", Cookie=cookie) == 200
    assert await status(hub, "api/status", Cookie="visa-session=x; visa-session=") == 401


@pytest.mark.backend
async def test_logout_closes_what_the_browser_has_open(hub: rig.Hub) -> None:
    cookie = await _owner_cookie(hub)
    headers = {"Cookie": cookie, "Origin": hub.url}
    async with (
        ClientSession(headers=headers) as client,
        client.ws_connect(hub.url + rig.SERVER + "api/events/subscribe") as socket,
    ):
        await client.get(hub.url + rig.SERVER + "_visa/logout", allow_redirects=False)
        await asyncio.wait_for(socket.receive(), 30)
        assert socket.close_code == 4403


async def test_the_hub_s_own_cookie_is_no_way_in(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser:
        values = "; ".join(f"{c.key}={c.value}" for c in browser.cookie_jar)
        assert await status(hub, "api/status", Cookie=values) == 401


async def test_a_login_answer_for_another_browser_is_refused(hub: rig.Hub) -> None:
    """Login forgery: an attacker's own login code put into the victim's browser."""
    async with await hub.log_in("marie") as browser:
        async with browser.get(hub.url + rig.SERVER, allow_redirects=False) as answer:
            authorize = answer.headers["Location"]
        async with browser.get(hub.url + authorize, allow_redirects=False) as answer:
            callback = answer.headers["Location"]
        assert callback.startswith(rig.SERVER + "oauth_callback?")
        assert await status(hub, callback[len(rig.SERVER) :]) == 400
        async with browser.get(hub.url + callback, allow_redirects=False) as answer:
            assert answer.status == 403, "the code is used up: whoever began this login gets nothing by it either"


@pytest.mark.backend
async def test_websockets_are_refused_before_jupyter_hears_of_them(hub: rig.Hub) -> None:
    pierre = await hub.user_token("pierre")
    async with ClientSession() as client:
        for path in SOCKETS:
            for headers in (
                {},
                {"Authorization": f"token {pierre}"},
                {"Authorization": "token nonsense"},
                {"Cookie": "visa-session=nonsense"},
            ):
                with pytest.raises(WSServerHandshakeError) as refused:
                    await client.ws_connect(hub.url + rig.SERVER + path, headers=headers)
                assert refused.value.status in (401, 403)


async def _owner_cookie(hub: rig.Hub) -> str:
    async with await hub.log_in("marie") as browser:
        await (await browser.get(hub.url + rig.SERVER)).read()
        return "; ".join(f"{c.key}={c.value}" for c in browser.cookie_jar if c["path"] == rig.SERVER)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site"},
        {},
    ],
)
@pytest.mark.backend
async def test_a_cookie_serves_no_other_site(hub: rig.Hub, headers: dict[str, str]) -> None:
    cookie = await _owner_cookie(hub)
    async with ClientSession() as client:
        with pytest.raises(WSServerHandshakeError) as refused:
            await client.ws_connect(
                hub.url + rig.SERVER + "api/events/subscribe", headers={"Cookie": cookie, **headers}
            )
        assert refused.value.status == 403
    assert await status(hub, "api/contents", "POST", Cookie=cookie, **headers) == 403


@pytest.mark.backend
async def test_jupyter_s_own_xsrf_check_works_through_the_gateway(hub: rig.Hub) -> None:
    async with await hub.log_in("marie") as browser:
        await (await browser.get(hub.url + rig.SERVER)).read()
        xsrf = next(c.value for c in browser.cookie_jar if c.key == "_xsrf" and c["path"] == rig.SERVER)
        url, origin = hub.url + rig.SERVER + "api/contents", {"Origin": hub.url}
        async with browser.post(url, json={"type": "file"}, headers=origin) as answer:
            assert answer.status == 403
        async with browser.post(url, json={"type": "file"}, headers={**origin, "X-XSRFToken": xsrf}) as answer:
            assert answer.status == 201, await answer.text()


@pytest.mark.backend
async def test_a_program_with_a_token_needs_no_cookie(hub: rig.Hub) -> None:
    token = await hub.user_token("marie")
    assert await status(hub, "api/contents", "POST", Authorization=f"token {token}") == 201
    async with (
        ClientSession(headers={"Authorization": f"token {token}"}) as client,
        client.ws_connect(hub.url + rig.SERVER + "api/events/subscribe") as socket,
    ):
        assert not socket.closed


@pytest.mark.backend
async def test_a_token_withdrawn_ends_an_open_websocket(hub: rig.Hub) -> None:
    token = await hub.user_token("marie")
    _, tokens = await hub.api("GET", "/users/marie/tokens")
    async with (
        ClientSession(headers={"Authorization": f"token {token}"}) as client,
        client.ws_connect(hub.url + rig.SERVER + "api/events/subscribe") as socket,
    ):
        newest = max(tokens["api_tokens"], key=lambda one: int(one["id"].removeprefix("a")))
        status_, _ = await hub.api("DELETE", f"/users/marie/tokens/{newest['id']}")
        assert status_ == 204
        async with asyncio.timeout(30):
            while (message := await socket.receive()).type is aiohttp.WSMsgType.TEXT:
                pass  # what Jupyter tells meanwhile
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.close_code == 4403


@pytest.mark.backend
async def test_the_hub_hears_of_activity_and_of_the_version(hub: rig.Hub) -> None:
    _, marie = await hub.api("GET", "/users/marie")
    assert marie["servers"]["work"]["last_activity"] is not None
    log = (hub.folder / "hub.log").read_text()
    assert "no version header" not in log
