"""Ctrl, Alt and Super with keys of any keyboard: what is on the key counts, not where it is."""

from __future__ import annotations

import struct
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page

from tests.services.waiting import elsewhere, eventually
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing
from tests.session.desktop.conftest import desk
from tests.session.desktop.pages import context_of, focus, opened
from tests.session.desktop.test_modules import call

__all__ = ["browsing"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

HELD = {0xFFE1, 0xFFE3, 0xFFE9, 0xFFEB, 0xFFEC}
"""Keysyms of Shift, Control, Alt and Super."""
MODIFIERS = {"Control": (2, "ControlLeft"), "Alt": (1, "AltLeft"), "Meta": (4, "MetaLeft"), "Shift": (8, "ShiftLeft")}


@pytest.fixture(scope="module")
def x() -> Iterator[xvnc.Desktop]:
    """A real X server."""
    with tempfile.TemporaryDirectory(prefix="visa-k-") as folder, xvnc.running(Path(folder)) as one:
        yield one


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shown(browsing: Browser, x: xvnc.Desktop) -> AsyncIterator[tuple[Page, list[bytes]]]:
    """Marie's page of it, and what it sends there."""
    async with desk(x.run) as one:
        context = await context_of(browsing, one)
        sent = list[bytes]()
        page = await opened(context, one, None, sent)
        await page.locator("#screen").click(position={"x": 300, "y": 300})
        yield page, sent
        await context.close()


def keys(sent: list[bytes]) -> list[tuple[bool, int]]:
    """Keys that went to the X server, down or up, by their keysyms."""
    found = []
    for one in sent:
        if one[:2] == b"\xff\0":
            found.append((bool(one[3]), struct.unpack(">I", one[4:8])[0]))
        elif one[:1] == b"\4":
            found.append((bool(one[1]), struct.unpack(">I", one[4:8])[0]))
    return found


async def press(page: Page, modifier: str, key: str, code: str) -> None:
    """As a browser tells of a keyboard whose key at ``code`` writes ``key``."""
    session = await page.context.new_cdp_session(page)
    bit, place = MODIFIERS[modifier]
    number = ord(key.upper()) if key.isascii() else 0
    held = {"modifiers": bit}
    about = {"key": key, "code": code, "windowsVirtualKeyCode": number, **held}
    await session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", "key": modifier, "code": place, **held})
    await session.send("Input.dispatchKeyEvent", {"type": "rawKeyDown", **about})
    await session.send("Input.dispatchKeyEvent", {"type": "keyUp", **about})
    await session.send("Input.dispatchKeyEvent", {"type": "keyUp", "key": modifier, "code": place})
    await session.detach()


@pytest.mark.parametrize(
    ("modifier", "key", "code", "keysym"),
    [
        ("Control", "k", "KeyV", ord("k")),  # Dvorak
        ("Control", "v", "Period", ord("v")),
        ("Control", "c", "KeyI", ord("c")),
        ("Alt", "f", "KeyY", ord("f")),
        ("Meta", "k", "KeyV", ord("k")),
        ("Control", "v", "KeyV", ord("v")),
        ("Control", "a", "KeyQ", ord("a")),  # French
        ("Control", "z", "KeyY", ord("z")),  # German
        ("Control", "ö", "Semicolon", 0xF6),
        ("Control", "с", "KeyC", ord("c")),  # Russian
        ("Control", "м", "KeyV", ord("v")),
        ("Control", "х", "BracketLeft", ord("[")),
        ("Alt", "φ", "KeyF", ord("f")),  # Greek
        ("Control", "ש", "KeyA", ord("a")),  # Hebrew
        ("Shift", "М", "KeyV", 0x6ED),  # text stays what was written
    ],
)
async def test_a_shortcut_goes_by_what_is_on_the_key(
    shown: tuple[Page, list[bytes]], modifier: str, key: str, code: str, keysym: int
) -> None:
    page, sent = shown
    sent.clear()
    await press(page, modifier, key, code)
    await eventually(lambda: len([one for one in keys(sent) if not one[0]]) >= 2, "the keys")
    assert {one[1] for one in keys(sent)} - HELD == {keysym}, keys(sent)


@pytest.mark.parametrize(
    ("layout", "key", "code", "letter"),
    [
        (None, "k", "KeyV", "k"),
        (None, "v", "Period", "v"),
        (None, "V", "KeyV", "v"),
        (None, "м", "KeyV", "v"),
        (None, "Enter", "Enter", "enter"),
        ("de", "y", "KeyY", "z"),
        ("us", "k", "KeyV", "v"),
    ],
)
async def test_the_letter_of_a_shortcut(
    shown: tuple[Page, list[bytes]], layout: str | None, key: str, code: str, letter: str
) -> None:
    script = "(m, layout, key, code) => m.letter({ key, code }, layout && m.mapper(m.LAYOUTS[layout]))"
    assert await call(shown[0], "layouts.js", script, layout, key, code) == letter


async def test_a_program_gets_what_is_on_the_key(shown: tuple[Page, list[bytes]], x: xvnc.Desktop) -> None:
    """Of a Dvorak, then of a Russian keyboard: Ctrl+K, Ctrl+O."""
    page, target = shown[0], x.run / "typed"
    x.start("xterm", "-fullscreen", "-title", "typed", "-e", "sh", "-c", f"stty raw; head -c 2 > {target}")
    await focus(page, x, "typed", (600, 300))
    await press(page, "Control", "k", "KeyV")
    await press(page, "Control", "щ", "KeyO")
    await elsewhere(lambda: target.read_bytes() == b"\x0b\x0f", "Ctrl+K and Ctrl+O")
