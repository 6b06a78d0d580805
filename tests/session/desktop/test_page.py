"""``desktop/`` and its assets: a strict policy, nothing from elsewhere, nothing that acts for who may only look."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.session import rig
from tests.session.desktop.conftest import Desk, MakeDesk
from visa.session.desktop import assets, page


async def test_the_page_has_a_strict_policy(marie_desk: Desk) -> None:
    async with marie_desk.client.get(marie_desk.url) as answer:
        assert answer.status == 200
        policy, text = answer.headers["Content-Security-Policy"], await answer.text()
    (nonce,) = set(re.findall(r"'nonce-([^']+)'", policy))
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert re.findall(r'<script nonce="([^"]+)"', text) == [nonce, nonce]
    assert not re.search(r"<script(?! nonce)|\son\w+=|\sstyle=|\$|<!--", text)
    async with marie_desk.client.get(marie_desk.url) as answer:
        assert nonce not in await answer.text()


async def test_without_the_slash_it_leads_to_the_page(marie_desk: Desk) -> None:
    async with marie_desk.client.get(marie_desk.url[:-1], allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (302, f"{rig.SERVER}desktop/")


async def test_assets_are_public_and_kept(marie_desk: Desk) -> None:
    for name in ("desktop.js", "desktop.css", "novnc/core/rfb.js", "novnc/vendor/pako/lib/zlib/inflate.js"):
        address = f"{marie_desk.url}static/{assets.version()}/{name}"
        async with marie_desk.client.get(address, headers={"Authorization": ""}) as answer:
            assert answer.status == 200, name
            assert answer.headers["Content-Type"].startswith("text/css" if name.endswith("css") else "text/javascript")
            assert "immutable" in answer.headers["Cache-Control"]
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
    async with marie_desk.client.get(f"{marie_desk.url}static/000000000000/desktop.js") as answer:
        assert answer.status == 200
        assert answer.headers["Cache-Control"] == "no-cache", "another version's address is not kept"


@pytest.mark.parametrize(
    "name",
    ["../page.py", "..%2fpage.py", "%2e%2e/page.html", "novnc/package.json", "novnc/core/../../package.json", "x.js"],
)
async def test_nothing_else_is_an_asset(marie_desk: Desk, name: str) -> None:
    request = (
        f"GET {rig.SERVER}desktop/static/{assets.version()}/{name} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    )
    answer = await rig.answered(marie_desk.gateway.port, request.encode())
    assert re.match(rb"HTTP/1.1 40[0-9]", answer)


def test_who_may_only_look_gets_nothing_that_acts() -> None:
    seeing, _ = page.page("/user/m/w/", "/home", "w", act=False, notebook=False)
    acting, _ = page.page("/user/m/w/", "/home", "w", act=True, notebook=True)
    for name in ("keys", "clipboard", "files", "touch", "typed", "layout"):
        assert f'id="{name}"' in acting
        assert name not in re.sub(r"^.*?<body", "", seeing.lower(), flags=re.DOTALL).replace("your keys", ""), name
    assert "/user/m/w/lab" in acting
    assert "/user/m/w/lab" not in seeing


def test_all_modules_are_named_at_once_but_those_that_act() -> None:
    needed = set(assets.needed_by("desktop.js"))
    assert {"desktop.js", "screen.js", "novnc/core/rfb.js", "novnc/vendor/pako/lib/zlib/inflate.js"} <= needed
    assert needed.isdisjoint({"acting.js", "keys.js", "clipboard.js", "files.js", "upload.js", "touch.js"})
    text, _ = page.page("/user/m/w/", "/home", "w", act=True, notebook=True)
    assert text.count("modulepreload") == len(needed)


def test_names_cannot_bring_html() -> None:
    text, _ = page.page("/user/m/w/", "/home", '<img src=x onerror="1"> $nonce', act=True, notebook=True)
    assert "<img" not in text


async def test_an_environment_without_a_desktop_says_so(make_desk: MakeDesk) -> None:
    async with make_desk(VISA_SESSIONS="notebook") as desk, desk.client.get(desk.url) as answer:
        assert answer.status == 404
        assert "has no desktop" in await answer.text()


async def test_without_novnc_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(assets, "NOVNC", tmp_path)
    assert not assets.novnc_is_here()
    assert "tools/novnc" in page.WITHOUT_NOVNC


def test_own_scripts_are_small_and_ask_nobody_else() -> None:
    for path in assets.OWN.glob("*"):
        text = path.read_text()
        assert len(text.splitlines()) < 300, path.name
        assert not re.search(r"https?://(?!www\.w3\.org)", text), path.name
        assert not re.search(r"\beval\(|innerHTML|insertAdjacentHTML|document\.write", text), path.name


def test_novnc_is_the_locked_one() -> None:
    lock = (Path(assets.NOVNC).parent / "package-lock.json").read_text()
    assert "resolved" not in lock
    assert '"version": "1.7.0"' in lock
    assert assets.novnc_is_here(), "run tools/novnc"
