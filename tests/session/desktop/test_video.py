"""Chromium on the page of a desktop that Selkies shows, through the gateway, to a real X server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page, expect

from tests.services.waiting import elsewhere, eventually
from tests.session import rig
from tests.session.desktop import launched, xvnc
from tests.session.desktop.browsing import browsing, chromium
from tests.session.desktop.conftest import MakeDesk
from tests.session.desktop.launched import called, processes
from tests.session.desktop.pages import (
    PICTURES,
    Seen,
    browser_has,
    context_of,
    focus,
    opened,
    shows,
    terminal,
)

__all__ = ["browsing", "chromium"]
ABOUT = 11
"""How far a colour of the video may be from the desktop's own."""
pytestmark = [launched.NEEDED, pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def x() -> Iterator[xvnc.Desktop]:
    """One for all tests here."""
    with launched.with_video() as one:
        yield one


@pytest_asyncio.fixture(loop_scope="module")
async def seen(chromium: Browser, make_desk: MakeDesk, x: xvnc.Desktop) -> AsyncIterator[Seen]:
    """A desktop that is shown in 1440 by 900."""
    async with make_desk(run=x.run, VISA_DESKTOP_SERVER="selkies") as desk:
        context = await context_of(chromium, desk, viewport={"width": 1440, "height": 900})
        faults, sent = list[str](), list[bytes]()
        page = await opened(context, desk, faults, sent)
        await elsewhere(lambda: x.size() == (1440, 856), "the desktop has the window's size")
        yield Seen(page, context, desk, x, faults, sent)
        while x.programs:
            rig.end(x.programs.pop())
        (x.run / "typed").unlink(missing_ok=True)
        assert faults == []


async def asked(page: Page) -> list[str]:
    """Addresses of the page's websockets, from a load on."""
    addresses: list[str] = []
    page.on("websocket", lambda socket: addresses.append(socket.url))
    await page.reload()
    await elsewhere(lambda: addresses, "a websocket")
    await expect(page.locator("#words")).to_be_hidden()
    return [address.rpartition("/")[2] for address in addresses]


async def test_video_appears_and_keys_pointer_size_and_clipboard_work(seen: Seen) -> None:
    page = seen.page
    target = await terminal(seen)
    await shows(page, [0x20, 0x40, 0x60], ABOUT)
    await page.keyboard.type("Hello, 12 $x{}@\n")
    await elsewhere(lambda: target.read_text() == "Hello, 12 $x{}@\n", f"it was typed: {target.read_text()!r}")
    if PICTURES:
        await page.screenshot(path=str(Path(PICTURES) / "video.png"))

    await page.set_viewport_size({"width": 1000, "height": 700})
    await elsewhere(lambda: seen.x.size() == (1000, 656), "the desktop followed the window")

    await page.evaluate("navigator.clipboard.writeText('from here')")
    await page.locator("#screen canvas").hover()
    await page.locator("#screen canvas").click()
    await elsewhere(lambda: seen.x.copied() == "from here", "the browser's clipboard")
    await asyncio.to_thread(seen.x.copy, "from thère")
    await browser_has(page, "from thère")

    await page.get_by_role("button", name="Connection").or_(page.locator("#meter")).first.click()
    await expect(page.locator("#figure-quality")).to_have_text("video")
    await expect(page.locator("#qualities")).to_be_hidden()
    assert not (await Axe().run(page)).response["violations"]
    assert await asked(page) == ["selkies"]


async def test_the_wheel_scrolls_and_held_keys_repeat(seen: Seen) -> None:
    heard = seen.x.run / "xev"
    seen.x.start("sh", "-c", f"stdbuf -oL xev -geometry 600x600+0+0 -event button -event keyboard >{heard}")
    await elsewhere(lambda: "IsViewable" in seen.x.ask("xwininfo", "-name", "Event Tester"), "a window")
    await focus(seen.page, seen.x, "Event Tester", (300, 300))
    await seen.page.keyboard.down("a")
    await elsewhere(lambda: heard.read_text().count("keysym 0x61, a") > 10, "the key again and again")
    await seen.page.keyboard.up("a")
    heard.write_text("")
    for turn, button in ((120, 5), (-120, 4), (None, 1)):
        await turned(seen, turn, f"button {button}")


async def turned(seen: Seen, turn: int | None, wanted: str) -> None:
    """The wheel, or a click, until the window hears it."""

    async def heard() -> bool:
        if turn is None:
            await seen.page.mouse.click(300, 300)
        else:
            await seen.page.mouse.wheel(0, turn)
        return wanted in await asyncio.to_thread((seen.x.run / "xev").read_text)

    await eventually(heard, wanted, pause=0.2)


async def test_an_end_of_selkies_is_bridged(seen: Seen) -> None:
    target = await terminal(seen)
    next(one for one in processes(seen.x) if "selkies" in called(one)).kill()
    await expect(seen.page.locator("#words")).to_be_visible()
    await expect(seen.page.locator("#words")).to_be_hidden()
    await shows(seen.page, [0x20, 0x40, 0x60], ABOUT)
    await seen.page.locator("#screen canvas").click(position={"x": 600, "y": 400})
    await seen.page.keyboard.type("still here\n")
    await elsewhere(lambda: target.read_text() == "still here\n", "it is the same terminal")


async def test_a_browser_without_webcodecs_gets_pictures_and_is_told(seen: Seen) -> None:
    await terminal(seen)
    await seen.context.add_init_script("delete globalThis.VideoDecoder")
    assert await asked(seen.page) == ["websocket"]
    await expect(seen.page.locator("#note")).to_contain_text("cannot show the desktop as video")
    await shows(seen.page, [0x20, 0x40, 0x60], ABOUT)


async def test_a_decoder_that_fails_ends_in_pictures(seen: Seen) -> None:
    await terminal(seen)
    # Not for noVNC, which asks the decoder too.
    fails = "function (given) { if (given.colorSpace) throw new Error('no'); return plain.call(this, given); }"
    await seen.context.add_init_script(
        f"{{ const plain = VideoDecoder.prototype.configure; VideoDecoder.prototype.configure = {fails}; }}"
    )
    await seen.page.reload()
    await expect(seen.page.locator("#note")).to_contain_text("cannot show the desktop as video")
    await shows(seen.page, [0x20, 0x40, 0x60], ABOUT)
