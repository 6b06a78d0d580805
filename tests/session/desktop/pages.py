"""The desktop's page in Chromium: ways to open it, and to see what it shows and sends."""

from __future__ import annotations

import asyncio
import os
import re
import struct
from dataclasses import dataclass
from pathlib import Path

from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.services.waiting import elsewhere, eventually
from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.desktop.conftest import Apart, Desk

SET_DESKTOP_SIZE = 251
PICTURES = os.environ.get("VISA_PICTURES", "")
"""A folder for screenshots to look at."""


@dataclass
class Seen:
    """Marie's page, her desk and the X server behind."""

    page: Page
    context: BrowserContext
    desk: Apart
    x: xvnc.Desktop
    faults: list[str]
    sent: list[bytes]

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Those that the page asked the desktop to take."""
        return [struct.unpack(">2x2H", one[:6]) for one in self.sent if one[0] == SET_DESKTOP_SIZE]


async def context_of(chromium: Browser, desk: Desk, token: str = "marie's", **options: object) -> BrowserContext:
    """A browser window where Marie, or whose ``token`` it is, is logged in."""
    context = await chromium.new_context(**options)  # type: ignore[arg-type]
    cookie = await rig.session_cookie(desk.gateway, token)
    url = desk.gateway.url
    await context.add_cookies([{"name": "visa-session", "value": cookie, "domain": "127.0.0.1", "path": rig.SERVER}])
    await context.grant_permissions(["clipboard-read", "clipboard-write"], origin=url.removesuffix(rig.SERVER))
    return context


async def opened(
    context: BrowserContext, desk: Desk, faults: list[str] | None = None, sent: list[bytes] | None = None
) -> Page:
    """The page with a picture on it; what is wrong with it, and what it sends, is kept where there are lists for it."""
    page = await context.new_page()
    if sent is not None:
        page.on("websocket", lambda one: one.on("framesent", lambda data: sent.append(_bytes(data))))
    if faults is not None:
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("console", lambda said: faults.append(said.text) if "Content Security" in said.text else None)
    await page.goto(desk.url)
    await expect(page.locator("#words")).to_be_hidden()
    return page


def _bytes(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else bytes(frame)


async def drawn(page: Page) -> None:
    """What the page does by itself when its window changes comes with the next picture of it; wait for that."""
    await page.evaluate("async () => { for (let i = 0; i < 3; i++) await new Promise(requestAnimationFrame); }")


async def colour(page: Page, x: float = 0.5, y: float = 0.5) -> list[int]:
    """Of one place of the picture."""
    script = """([x, y]) => {
      const canvas = document.querySelector("#screen canvas");
      if (!canvas) return [0, 0, 0];  // it is being made anew
      const at = [Math.floor(canvas.width * x), Math.floor(canvas.height * y), 1, 1];
      return Array.from(canvas.getContext("2d").getImageData(...at).data.slice(0, 3));
    }"""
    return list(await page.evaluate(script, [x, y]))


async def shows(page: Page, wanted: list[int], about: int = 0) -> None:
    """Until the middle of the picture has it; video changes colours by little."""
    last: list[int] = []

    async def there() -> bool:
        last[:] = await colour(page)
        return all(abs(one - other) <= about for one, other in zip(last, wanted, strict=True))

    await eventually(there, lambda: f"{wanted}, not {last}")


async def browser_has(page: Page, text: str) -> None:
    """Until the browser's own clipboard is ``text``."""

    async def there() -> bool:
        return bool(await page.evaluate("navigator.clipboard.readText()") == text)

    await eventually(there, f"'{text}' in the browser's clipboard")


async def terminal(seen: Seen) -> Path:
    """A terminal over the whole screen that has the focus; what is typed ends up in a file."""
    target = seen.x.run / "typed"
    seen.x.start("xterm", "-fullscreen", "-title", "typed", "-bg", "#204060", "-e", "sh", "-c", f"cat > {target}")
    await elsewhere(lambda: target.exists(), "the terminal is there")
    await focus(seen.page, seen.x, "typed", (600, 400))
    return target


async def focus(page: Page, x: xvnc.Desktop, title: str, at: tuple[int, int]) -> None:
    """Click at a place of a window until the window manager says that keys go there.

    A click before the window is shown keeps it from the focus: the window manager takes it for what the person wants.
    """

    clicks = 0

    async def there() -> bool:
        nonlocal clicks
        if clicks and await asyncio.to_thread(_has_the_focus, x, title):
            return True
        clicks += 1
        await page.locator("#screen canvas").click(position={"x": at[0], "y": at[1]})
        return False

    await eventually(there, f"the focus for {title}", pause=0.3)


def _has_the_focus(x: xvnc.Desktop, title: str) -> bool:
    found = re.search(r"Window id: (0x[0-9a-f]+)", x.ask("xwininfo", "-name", title))
    active = re.search(r"(0x[0-9a-f]+)", x.ask("xprop", "-root", "_NET_ACTIVE_WINDOW"))
    return bool(found and active) and int(found[1], 16) == int(active[1], 16)  # type: ignore[index]


async def let_in(desk: Desk, name: str, role: str) -> None:
    """``name`` is a member, and the gateway knows."""
    desk.hub.let_in(f"{name}'s", name, display_name=name.title())
    desk.hub.share(name, role)
    headers = {"Authorization": f"token {name}'s"}

    async def known() -> bool:
        async with desk.client.get(desk.gateway.url + "_visa/people", headers=headers) as answer:
            return answer.status == 200 and (await answer.json())["you"]["role"] == role

    await eventually(known, f"{name} as {role}")
