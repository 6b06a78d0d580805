"""A desktop in Chromium, and what its X server says of itself: the steps that tests on both backends share."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Page, expect

from tests.services.hub import until
from tests.session.desktop.relay import Relay

_WINDOW = re.compile(r'^ +(0x[0-9a-f]+) "(.*?)": .* (\d+)x(\d+)\S+ +\+(-?\d+)\+(-?\d+)$', re.MULTILINE)
_PIXELS = """const pixels = ([x, y, width, height]) => {
  const canvas = document.querySelector("#screen canvas");
  const { data } = canvas.getContext("2d").getImageData(x, y, width || canvas.width, height || canvas.height);
  return new Uint32Array(data.buffer);
};"""
_COLOURS = f"(area) => {{ {_PIXELS} return new Set(pixels(area)).size; }}"
_KEEP = f"(area) => {{ {_PIXELS} window.keptForTest = pixels(area); }}"
_CHANGED = f"""(area) => {{ {_PIXELS}
  const changed = [];
  pixels(area).forEach((pixel, i) => {{ if (pixel !== window.keptForTest[i]) changed.push(i); }});
  const middle = (all) => all.sort((a, b) => a - b)[all.length >> 1] ?? 0;
  return [changed.length, middle(changed.map((i) => i % area[2])), middle(changed.map((i) => Math.floor(i / area[2])))];
}}"""


@dataclass(frozen=True)
class Window:
    """One with a title, and where it is."""

    id: str
    title: str
    width: int
    height: int
    x: int
    y: int


@dataclass
class Desk:
    """The page, and ``inside``: what a command says that has the session's display."""

    page: Page
    inside: Callable[[str], str]

    def opened(self) -> None:
        """Until windows are shown."""
        expect(self.page.locator("#screen canvas")).to_be_visible()
        expect(self.page.locator("#words")).to_be_hidden()
        until(lambda: self.colours() > 20, 60, "windows")

    def size(self) -> tuple[int, int]:
        """Of the X screen."""
        found = re.search(r"-geometry (\d+)x(\d+)", self.inside("xwininfo -root"))
        return (int(found[1]), int(found[2])) if found else (0, 0)

    def colours(self, window: Window | None = None) -> int:
        """How many the picture in the page has, or a window's part of it."""
        area = [window.x, window.y, window.width, window.height] if window else [0, 0, 0, 0]
        return int(self.page.evaluate(_COLOURS, area))

    def windows(self) -> list[Window]:
        """Those of people: large enough to be looked at."""
        found = _WINDOW.findall(self.inside("xwininfo -root -tree"))
        all_ = [Window(id_, title, *map(int, numbers)) for id_, title, *numbers in found]
        return [one for one in all_ if one.width > 150 and one.height > 100]

    def settled(self) -> list[Window]:
        """`windows` by their ids, once a window manager has put them where it wants: after a new size, or a click."""
        seen: list[list[Window]] = []

        def same() -> bool:
            seen.append(sorted(self.windows(), key=lambda one: one.id))
            return len(seen) > 1 and seen[-1] == seen[-2]

        until(same, what=lambda: f"rest ({seen[-2:]})", pause=0.5)
        return seen[-1]

    def window(self, title: str, seconds: float = 60) -> Window:
        """The one with ``title`` in its name, once it is shown."""
        seen: list[Window] = []

        def shown() -> bool:
            seen[:] = [one for one in self.windows() if title in one.title]
            return any("IsViewable" in self.inside(f"xwininfo -stats -id {one.id}") for one in seen)

        until(shown, seconds, lambda: f"a window '{title}' among {self.windows()}")
        return seen[0]

    def click(self, x: int, y: int, **how: object) -> None:
        """At a place of the screen."""
        box = self.page.locator("#screen canvas").bounding_box()
        assert box is not None
        self.page.mouse.click(box["x"] + x, box["y"] + y, **how)  # type: ignore[arg-type]

    def fetch(self, path: str, **options: object) -> tuple[int, str]:
        """Status and text of an answer to the page itself."""
        script = """async ([path, options]) => {
          const answer = await fetch(path, options);
          return [answer.status, await answer.text()];
        }"""
        status, text = self.page.evaluate(script, [path, options])
        return int(status), str(text)

    def type(self, text: str) -> None:
        """Into the terminal."""
        terminal = self.window("Terminal")
        self.click(*self._free(terminal))
        self._active(terminal)
        self.page.keyboard.type(text, delay=5)

    def _free(self, window: Window) -> tuple[int, int]:
        """A place of it that no other window can cover, or title bars of others."""
        others = [one for one in self.windows() if one.id != window.id and one.width < 1000]
        for down in range(40, window.height - 20, 40):
            for across in range(40, window.width - 20, 40):
                x, y = window.x + across, window.y + down
                if not any(o.x - 20 < x < o.x + o.width + 20 and o.y - 40 < y < o.y + o.height + 20 for o in others):
                    return x, y
        raise AssertionError(f"{window} is covered: {others}")

    def _active(self, window: Window) -> None:
        """Until keys go to it: window managers take their time."""
        ask = "xprop -root _NET_ACTIVE_WINDOW"
        until(
            lambda: window.id in self.inside(ask),
            30,
            lambda: f"{window} has the focus: {self.inside(ask)} {self.windows()}",
        )

    def said(self, answer: str, what: str) -> str:
        """What is in ``~/answer``, once it is there."""
        got: list[str] = []

        def there() -> bool:
            status, text = self.fetch(f"files/home/{answer}")
            got[:] = [text]
            return status == 200

        until(there, 60, what)
        return got[0]

    def shell(self, command: str, answer: str) -> str:
        """Type ``command`` into the terminal with its output in ``~/answer``; what is there."""
        self.inside(f"rm -f ~/{answer}")  # an earlier run's: homes stay
        self.type(f"({command}) >~/{answer}.new 2>&1; mv ~/{answer}.new ~/{answer}\n")
        return self.said(answer, f"the answer to {command}")

    def last_icon(self, manager: Window) -> tuple[int, int]:
        """Of the file manager's: End marks it, and what changes on the screen is it. (Its last lines tell of it.)"""
        area = [manager.x, manager.y, manager.width, manager.height - 45]
        self.click(manager.x + manager.width - 30, manager.y + manager.height - 60)
        self._active(manager)
        self._at_rest(area)  # its title bar is drawn anew
        self.page.keyboard.press("End")
        across = down = 0

        def marked() -> bool:
            nonlocal across, down
            count, across, down = self.page.evaluate(_CHANGED, area)
            return int(count) > 200

        until(marked, 60, "the last file is marked")
        return manager.x + across, manager.y + down

    def _at_rest(self, area: list[int]) -> None:
        """Keep the picture of ``area`` once it is as it was a moment before."""
        counts: list[int] = []

        def same() -> bool:
            counts.append(int(self.page.evaluate(_CHANGED, area)[0]) if counts else 1)
            self.page.evaluate(_KEEP, area)
            return counts[-1] == 0

        until(same, what="rest", pause=0.5)


def hashed(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextlib.contextmanager
def cuttable(url: str) -> Iterator[tuple[str, Callable[[bool], None]]]:
    """``url`` behind a network that can be cut: the address there, and ``cut(up)``, see `Relay.cut`."""
    parts = urlsplit(url)
    relay, ready = Relay(parts.port or 80), threading.Event()
    loop: asyncio.AbstractEventLoop
    end: asyncio.Event

    async def serve() -> None:
        nonlocal loop, end
        loop, end = asyncio.get_running_loop(), asyncio.Event()
        async with relay.running():
            ready.set()
            await end.wait()

    def cut(up: bool) -> None:
        loop.call_soon_threadsafe(lambda: relay.cut(up=up))

    thread = threading.Thread(target=asyncio.run, args=(serve(),))
    thread.start()
    assert ready.wait(60)
    try:
        yield parts._replace(netloc=f"{parts.hostname}:{relay.port}").geturl(), cut
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
