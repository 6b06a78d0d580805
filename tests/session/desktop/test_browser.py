"""Chromium on the desktop's page, through the gateway, to a real X server."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, Route, expect

from tests.services.waiting import elsewhere, eventually
from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium, marie_desk
from tests.session.desktop.conftest import Apart, Desk, MakeDesk, desk
from tests.session.desktop.pages import (
    PICTURES,
    Seen,
    browser_has,
    context_of,
    drawn,
    let_in,
    opened,
    shows,
    terminal,
)
from tests.session.desktop.relay import Relay
from tests.session.people_page import ASKS, IRENE, MARIE, PIERRE, PORTAL, Word

__all__ = ["browsing", "chromium", "marie_desk"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def screen() -> Iterator[xvnc.Desktop]:
    """An X server for all tests of the module that leave it running."""
    with tempfile.TemporaryDirectory(prefix="visa-x-") as folder, xvnc.running(Path(folder)) as one:
        yield one


@pytest.fixture
def x(screen: xvnc.Desktop) -> Iterator[xvnc.Desktop]:
    """It, with nothing but its window manager before and after a test."""
    yield screen
    while len(screen.programs) > 1:
        rig.end(screen.programs.pop())
    (screen.run / "typed").unlink(missing_ok=True)


@pytest_asyncio.fixture(loop_scope="module")
async def shown(x: xvnc.Desktop) -> AsyncIterator[Apart]:
    """A gateway of the test's own in front of it."""
    async with desk(x.run) as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def seen(chromium: Browser, shown: Apart, x: xvnc.Desktop) -> AsyncIterator[Seen]:
    """A desktop that is shown in 1440 by 900."""
    context = await context_of(chromium, shown, viewport={"width": 1440, "height": 900})
    faults, sent = list[str](), list[bytes]()
    page = await opened(context, shown, faults, sent)
    await elsewhere(lambda: x.size() == (1440, 856), "the desktop has the window's size")
    yield Seen(page, context, shown, x, faults, sent)
    assert faults == []


async def test_a_picture_appears_and_typing_and_keys_arrive(seen: Seen) -> None:
    target = await terminal(seen)
    await shows(seen.page, [0x20, 0x40, 0x60])
    await seen.page.keyboard.type("Hello, 12 $x{}@\n")
    await elsewhere(lambda: target.read_text() == "Hello, 12 $x{}@\n", f"it was typed: {target.read_text()!r}")
    await seen.page.get_by_role("button", name="Keys").click()
    await seen.page.locator("#keys").get_by_role("button", name="Tab", exact=True).click()
    await seen.page.locator("#screen").click(position={"x": 300, "y": 300})
    await seen.page.keyboard.type("x\n")
    await elsewhere(lambda: target.read_text().endswith("\tx\n"), "the key of the menu")


async def test_a_chosen_layout_reads_keys_by_their_place(seen: Seen) -> None:
    target = await terminal(seen)
    await seen.page.get_by_role("button", name="Keys").click()
    await seen.page.get_by_label("Keyboard layout").select_option("German")
    await seen.page.locator("#screen").click(position={"x": 300, "y": 300})
    for key in ("KeyA", "Minus", "KeyZ", "Semicolon", "Shift+KeyY", "Shift+Minus", "Enter"):
        await seen.page.keyboard.press(key)
    await elsewhere(lambda: target.read_text() == "aßyöZ?\n", "as a German keyboard has them")


async def test_a_touch_keyboard_types_what_was_written(seen: Seen) -> None:
    target = await terminal(seen)
    await seen.page.get_by_role("button", name="Keyboard").click()
    await expect(seen.page.locator("#typed")).to_be_focused()
    await seen.page.keyboard.insert_text("grüße λq")
    await seen.page.keyboard.press("Backspace")
    await seen.page.keyboard.press("Enter")
    await elsewhere(lambda: target.read_text() == "grüße λ\n", "as written")


async def test_the_desktop_takes_the_windows_size(seen: Seen) -> None:
    await seen.page.set_viewport_size({"width": 1000, "height": 700})
    await elsewhere(lambda: seen.x.size() == (1000, 656), "smaller")
    await seen.page.get_by_role("button", name="Menu").click()
    await seen.page.get_by_role("button", name="View").click()
    await seen.page.get_by_label("Keep its size, scroll").check()
    asked = len(seen.sizes)
    await seen.page.set_viewport_size({"width": 1200, "height": 800})
    await drawn(seen.page)
    await seen.page.set_viewport_size({"width": 1100, "height": 750})
    await drawn(seen.page)
    await seen.page.get_by_label("As large as this window").check()
    await elsewhere(lambda: seen.x.size() == (1100, 706), "the window's again")
    assert set(seen.sizes[asked:]) == {(1100, 706)}, "it asked for no size of the windows before"


async def test_every_pixel_of_a_fine_screen(chromium: Browser, shown: Apart, x: xvnc.Desktop) -> None:
    context = await context_of(chromium, shown, viewport={"width": 800, "height": 600}, device_scale_factor=2)
    page = await opened(context, shown)
    await elsewhere(lambda: x.size() == (800, 556), "its size")
    await page.get_by_role("button", name="Menu").click()
    await page.get_by_role("button", name="View").click()
    await page.get_by_label("Use every pixel").check()
    await elsewhere(lambda: x.size() == (1600, 1112), "twice as many")
    await expect(page.locator("#screen canvas")).to_have_css("width", "800px")


async def test_the_clipboard_goes_both_ways_by_itself(seen: Seen) -> None:
    await seen.page.locator("#screen").click(position={"x": 700, "y": 400})
    await asyncio.to_thread(seen.x.copy, "aus dem Desktop: Å ångström")
    await browser_has(seen.page, "aus dem Desktop: Å ångström")
    await seen.page.evaluate("navigator.clipboard.writeText('vom Rechner: λ = 1.54 Å')")
    await seen.page.locator("#screen").click(position={"x": 710, "y": 410})
    await elsewhere(lambda: seen.x.copied() == "vom Rechner: λ = 1.54 Å", "it came in")


async def test_the_clipboard_panel(seen: Seen) -> None:
    await seen.page.get_by_role("button", name="Clipboard").click()
    await seen.page.get_by_label("Text of the clipboard").fill("by hand")
    await seen.page.get_by_role("button", name="Give it to the desktop").click()
    await elsewhere(lambda: seen.x.copied() == "by hand", "it came in")
    await seen.page.keyboard.press("Escape")
    await expect(seen.page.locator("#clipboard")).to_be_hidden()
    await expect(seen.page.get_by_role("button", name="Clipboard")).to_be_focused()


async def test_a_text_that_does_not_pass_is_told(chromium: Browser, make_desk: MakeDesk) -> None:
    rules = '{"clipboard": {"owner": "both"}, "clipboard_limit": 1000}'
    async with make_desk(VISA_DESKTOP=rules) as desk:
        with xvnc.running(desk.run) as x:
            page = await opened(await context_of(chromium, desk), desk)
            note = page.locator("#note")
            await page.evaluate("navigator.clipboard.writeText('line\\n'.repeat(190))")
            await page.locator("#screen").click(position={"x": 700, "y": 400})
            await expect(note).to_have_text(re.compile("Your text has 1.1 kB; the clipboard takes at most 1.0 kB"))
            await pictured(page, "too-long")
            await page.evaluate("navigator.clipboard.writeText('')")
            await asyncio.to_thread(x.copy, "x" * 2000)
            await expect(note).to_contain_text("copied on the desktop is too long: the clipboard takes at most 1.0 kB")
            await asyncio.to_thread(x.copy, "x" * 5_000_000)
            await expect(note).to_contain_text("copied on the desktop did not come")


async def test_after_cuts_the_same_windows_are_there(seen: Seen) -> None:
    target = await terminal(seen)
    async with Relay(seen.desk.gateway.port).running() as network:
        await seen.page.goto(seen.desk.url.replace(str(seen.desk.gateway.port), str(network.port)))
        await expect(seen.page.locator("#words")).to_be_hidden()
        network.cut(up=False)
        await expect(seen.page.locator("#words")).to_contain_text("cannot be reached")
        network.up = True
        await seen.page.get_by_role("button", name="Try now").click()
        await expect(seen.page.locator("#words")).to_be_hidden()
        for _ in range(3):
            async with seen.page.expect_websocket():  # the cut is noticed
                network.cut(up=True)
            await expect(seen.page.locator("#screen canvas")).to_have_count(1)
            await expect(seen.page.locator("#words")).to_be_hidden()
        await seen.page.locator("#screen canvas").click(position={"x": 600, "y": 400})
        await seen.page.keyboard.type("still here\n")
        await elsewhere(lambda: target.read_text() == "still here\n", "the terminal goes on")


async def test_it_says_why_the_desktop_ended_and_starts_it_again(chromium: Browser, marie_desk: Desk) -> None:
    os.mkfifo(marie_desk.run / "ask")
    reader = os.open(marie_desk.run / "ask", os.O_RDONLY | os.O_NONBLOCK)
    context = await context_of(chromium, marie_desk)
    with contextlib.ExitStack() as after:
        after.callback(os.close, reader)
        with xvnc.running(marie_desk.run) as x:
            page = await opened(context, marie_desk)
            (marie_desk.run / "desktop-ended").write_text("logged-out")
            x.end()
        await expect(page.locator("#words")).to_contain_text("You logged out of the desktop")
        await pictured(page, "ended")
        result = await Axe().run(page)
        assert result.violations_count == 0, result.generate_report()
        await page.get_by_role("button", name="Start the desktop again").click()
        await elsewhere(lambda: b"desktop\n" in os.read(reader, 100), "the launcher is asked")
        (marie_desk.run / "desktop-ended").unlink()
        with xvnc.running(marie_desk.run):
            await expect(page.locator("#words")).to_be_hidden()


async def test_a_desktop_that_never_ran_is_started_by_opening_the_page(chromium: Browser, marie_desk: Desk) -> None:
    os.mkfifo(marie_desk.run / "ask")
    reader = os.open(marie_desk.run / "ask", os.O_RDONLY | os.O_NONBLOCK)
    context = await context_of(chromium, marie_desk)
    page = await context.new_page()
    await page.goto(marie_desk.url)
    await elsewhere(lambda: os.read(reader, 100) == b"desktop\n", "the launcher is asked")
    await expect(page.locator("#words")).to_contain_text("being started")
    with xvnc.running(marie_desk.run):
        await expect(page.locator("#words")).to_be_hidden()
    os.close(reader)


async def test_without_a_login_it_says_so(seen: Seen) -> None:
    del seen.desk.hub.people["marie's"]
    await expect(seen.page.locator("#words")).to_contain_text("log in", timeout=40_000)


async def test_without_a_gateway_it_says_so(seen: Seen) -> None:
    rig.end(seen.desk.gateway.process)
    await expect(seen.page.locator("#words")).to_contain_text("cannot be reached")


async def test_who_is_here_is_told_with_the_connections_figures(seen: Seen) -> None:
    await expect(seen.page.locator("#people-button")).to_have_text("Only you")
    await seen.page.locator("#people-button").click()
    await expect(seen.page.locator("#people-list li")).to_have_count(1)
    await expect(seen.page.locator("#people-list li")).to_contain_text("marie (you), owner, since ")
    seen.x.start("xterm", "-e", "sh", "-c", "while sleep 0.1; do date; done")
    moving = re.compile(r"^\d+ ms · [1-9]\d* fps · [\d.]+ Mbit/s$")
    await expect(seen.page.locator("#meter")).to_have_text(moving)
    state = await (await seen.page.request.get(f"{seen.desk.url}state")).json()
    assert 0 < state["viewer"]["round_trip_ms"] < 5000


async def test_people_and_requests_are_told(chromium: Browser, shown: Apart) -> None:
    for scheme in ("dark", "light"):
        options = {"color_scheme": scheme, "viewport": {"width": 1440, "height": 900}}
        context = await context_of(chromium, shown, **options)
        page, word = await context.new_page(), Word("owner", MARIE)
        await word.attach(page)
        await page.goto(shown.url)
        await expect(page.locator("#words")).to_be_hidden()
        word.say(here=[MARIE, IRENE, {**PIERRE, "way": "break-glass"}], requests=[ASKS])
        asks = page.locator(".ask", has_text="Lise Meitner asks to watch")
        await expect(asks).to_be_visible()
        await expect(page.locator(".ask.grave")).to_contain_text(
            "Pierre Curie watches here without the owner's consent"
        )
        await expect(asks.get_by_role("link")).to_have_attribute("href", f"{PORTAL}#people")
        await page.get_by_role("button", name="3 here").click()
        await expect(page.locator("#people-list li").nth(1)).to_contain_text("Irène Joliot, works here too")
        await expect(page.get_by_role("link", name="Share this instance")).to_be_visible()
        assert (await Axe().run(page)).violations_count == 0
        await pictured(page, f"desktop-owner-{scheme}")
        word.say(requests=[])
        await expect(asks).to_have_count(0)
        await context.close()


async def test_a_role_that_changes_and_ends_is_said(chromium: Browser, shown: Apart) -> None:
    context = await context_of(chromium, shown, viewport={"width": 1440, "height": 900})
    page, word = await context.new_page(), Word("collaborator", MARIE, {**PIERRE, "role": "collaborator"})
    await word.attach(page)
    await page.goto(shown.url)
    await expect(page.locator("#role")).to_have_text("You work here too")
    word.say(you={"username": "pierre", "role": "observer"}, here=[MARIE, PIERRE])
    await expect(page.locator("#note")).to_contain_text("Your role has changed. You are watching")
    await expect(page.locator("#role")).to_have_text("You are watching")
    await pictured(page, "desktop-observer")
    word.refuse("Marie has taken you off this instance.")
    await expect(page.locator("#words")).to_contain_text("You are not on this instance any more")
    await expect(page.locator("#words")).to_contain_text("Marie has taken you off")
    await pictured(page, "desktop-ended")


async def test_the_keyboard_alone_leads_in_and_out(seen: Seen) -> None:
    await seen.page.locator("#screen canvas").focus()
    await seen.page.keyboard.press("Control+Alt+Shift")
    await expect(seen.page.locator("#tools a").first).to_be_focused()
    await seen.page.keyboard.press("Shift+Tab")
    await expect(seen.page.locator(".skip")).to_be_focused()
    await seen.page.keyboard.press("Enter")
    await expect(seen.page.locator("#screen canvas")).to_be_focused()


ACTING = "#keys, #clipboard, #touch, #typed"


async def test_who_may_only_look_sees_and_sends_nothing_that_acts(
    chromium: Browser, shown: Apart, x: xvnc.Desktop
) -> None:
    await let_in(shown, "oscar", "observer")
    size = await asyncio.to_thread(x.size)
    context = await context_of(chromium, shown, "oscar's", viewport={"width": 1440, "height": 900})
    sent, faults = list[bytes](), list[str]()
    page = await opened(context, shown, faults, sent)
    await page.locator("#screen canvas").click(position={"x": 300, "y": 300})
    await page.keyboard.type("rm -rf\n")
    await page.mouse.wheel(0, 300)
    await page.set_viewport_size({"width": 1000, "height": 700})
    await drawn(page)
    before = len(sent)
    await asyncio.to_thread(x.ask, "xsetroot", "-solid", "#123456")
    await eventually(lambda: 3 in {frame[0] for frame in sent[before:]}, "that she asks for more pictures")
    assert await page.locator(ACTING).count() == 0
    assert {frame[0] for frame in sent[3:]} <= {0, 2, 3, 150, 248}, "pictures are all it asks for"
    assert await asyncio.to_thread(x.size) == size
    assert faults == []
    await listed(page)
    for width, height in ((1440, 900), (390, 844)):
        await page.set_viewport_size({"width": width, "height": height})
        for panel in ("view", "people", "help"):
            await looked_at(page, panel, f"looks-{width}-{panel}")


async def test_a_role_that_changes_or_ends_while_she_looks(chromium: Browser, shown: Apart) -> None:
    await let_in(shown, "lise", "collaborator")
    page = await opened(await context_of(chromium, shown, "lise's"), shown)
    await expect(page.locator("#people-list")).to_contain_text("Lise")
    assert await page.locator("#keys").count() == 1
    shown.hub.share("lise", "observer")
    await expect(page.locator(ACTING)).to_have_count(0)
    await expect(page.locator("#words")).to_be_hidden()
    shown.hub.share("lise", None)
    await expect(page.locator("#words")).to_be_visible()
    await expect(page.locator("#words")).to_contain_text("not shared with you")


async def test_files_go_in_by_parts_and_on_after_a_cut(seen: Seen, tmp_path: Path) -> None:
    """The gateway's end is played here; tests/session/files has the real one."""
    content = os.urandom(20 * 2**20)
    (tmp_path / "scan.h5").write_bytes(content)
    got, cuts = bytearray(), [True]

    async def answer(route: Route) -> None:
        query = parse_qs(urlsplit(route.request.url).query)
        if route.request.method == "GET" and "list" in query:
            entries = [{"name": "old <b>.txt", "type": "file", "size": 12, "modified": 0}] if got else []
            await route.fulfill(json={"entries": entries, "writable": True})
        elif route.request.method == "GET":
            await route.fulfill(json={"received": len(got)})
        elif int(query["offset"][0]) > 0 and cuts:
            cuts.pop()
            await route.abort()
        else:
            assert int(query["offset"][0]) == len(got)
            got.extend(route.request.post_data_buffer or b"")
            await route.fulfill(json={"received": len(got)})

    await seen.page.route("**/desktop/files/**", answer)
    await seen.page.get_by_role("button", name="Files").click()
    await expect(seen.page.locator("#files")).to_contain_text("This folder is empty.")
    await seen.page.locator("#files input[multiple]").set_input_files(tmp_path / "scan.h5")
    await expect(seen.page.locator(".uploads")).to_contain_text("is there")
    assert bytes(got) == content
    assert not cuts
    await expect(seen.page.locator(".entries a")).to_have_text("old <b>.txt")


async def test_full_screen_keeps_a_way_back(seen: Seen) -> None:
    await seen.page.get_by_role("button", name="Full screen").click()
    await expect(seen.page.locator("body.full")).to_have_count(1)
    await elsewhere(lambda: seen.x.size() == (1440, 900), "the whole screen")
    await expect(seen.page.locator("#tools")).to_be_hidden()
    await pictured(seen.page, "full")
    await seen.page.get_by_role("button", name="Menu").click()
    await pictured(seen.page, "full-menu")
    await seen.page.get_by_role("button", name="Full screen").click()
    await expect(seen.page.locator("body.full")).to_have_count(0)


async def test_a_picture_is_saved(seen: Seen) -> None:
    async with seen.page.expect_download() as saved:
        await seen.page.get_by_role("button", name="Picture").click()
    file = await (await saved.value).path()
    assert (await asyncio.to_thread(Path(file).read_bytes)).startswith(b"\x89PNG")


LONG = "measurement_of_a_sample_whose_name_goes_on_" * 4
ENTRIES = [{"name": f"scan_{i:04d}.nxs", "type": "file", "size": i * 10**6, "modified": 0} for i in range(600)] + [
    {"name": f"{LONG}.nxs", "type": "file", "size": 4 * 10**11, "modified": 0},
    {"name": LONG, "type": "folder", "size": 0, "modified": 0},
]


async def listed(page: Page) -> None:
    """Files for the panel."""
    await page.route("**/desktop/files/**", lambda route: route.fulfill(json={"entries": ENTRIES, "writable": True}))


@pytest.mark.parametrize(
    ("width", "height", "finer"), [(1440, 900, 1), (390, 844, 3), (3840, 2160, 1), (1920, 1080, 2)]
)
async def test_no_violations_and_nothing_overflows(
    chromium: Browser, shown: Apart, x: xvnc.Desktop, width: int, height: int, finer: int
) -> None:
    options = {"viewport": {"width": width, "height": height}, "device_scale_factor": finer}
    context = await context_of(chromium, shown, **options, has_touch=width < 500, is_mobile=width < 500)
    page = await opened(context, shown)
    await listed(page)
    x.start("xterm", "-geometry", "60x20")
    await elsewhere(lambda: "xterm" in x.ask("xwininfo", "-root", "-tree"), "a window")
    await pictured(page, f"{width}")
    for panel in ("keys", "clipboard", "files", "view", "people", "help"):
        await asyncio.wait_for(looked_at(page, panel, f"{width}-{panel}", axe=width <= 1440), 60)
    await page.keyboard.press("Escape")


async def looked_at(page: Page, panel: str, picture: str, axe: bool = True) -> None:
    """One panel, light and dark: axe, and nothing wider than the window."""
    control = page.locator(f"#bar [aria-controls={panel}]")
    if not await control.is_visible():
        await page.get_by_role("button", name="Menu").click()
    await control.click()
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        if axe:
            result = await Axe().run(page)
            assert result.violations_count == 0, f"{picture} {scheme}: {result.generate_report()}"
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert await page.evaluate("document.querySelector('#bar').scrollWidth <= innerWidth")
        await pictured(page, f"{picture}-{scheme}")


async def pictured(page: Page, name: str) -> None:
    if PICTURES:
        await page.screenshot(path=Path(PICTURES, f"{name}.png"))
