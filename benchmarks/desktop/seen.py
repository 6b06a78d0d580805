"""What the person sees: noVNC in a real Chromium, both sides in the same way."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass

from playwright.async_api import Browser, Page

from benchmarks.desktop.sides import Side

WATCH = """(() => {
  const seen = (window.seenByTheBenchmark = { bytes: 0, frames: 0, wait: null });
  let drawn = false;
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...all) {
    draw.apply(this, all);
    if (!this.canvas.isConnected) return;
    drawn = true;
    seen.wait?.(this);
  };
  const tick = () => {
    if (drawn) seen.frames += 1;
    drawn = false;
    requestAnimationFrame(tick);
  };
  requestAnimationFrame(tick);
  window.WebSocket = new Proxy(WebSocket, {
    construct(kind, all) {
      const made = new kind(...all);
      made.addEventListener("message", ({ data }) => (seen.bytes += data.byteLength ?? 0));
      return made;
    },
  });
})()"""
"""Counts the bytes of websockets and the screen's frames in which noVNC drew."""
_ARM = """([x, y]) => {
  const seen = window.seenByTheBenchmark;
  const canvas = document.querySelector("#screen canvas");
  const at = [Math.floor(x * canvas.width), Math.floor(y * canvas.height), 1, 1];
  const colour = (context) => new Uint32Array(context.getImageData(...at).data.buffer)[0];
  const before = colour(canvas.getContext("2d"));
  let clicked = 0;
  addEventListener("mousedown", (event) => (clicked = event.timeStamp), { capture: true, once: true });
  seen.clicked = new Promise((done) => {
    seen.wait = (context) => {
      if (!clicked || colour(context) === before) return;
      seen.wait = null;
      done(performance.now() - clicked);
    };
  });
}"""
_COUNTS = "() => [window.seenByTheBenchmark.frames, window.seenByTheBenchmark.bytes]"
_SIZE = """() => {
  const canvas = document.querySelector("#screen canvas");
  return canvas ? [canvas.width, canvas.height] : [0, 0];
}"""
_SETTLED = 1.5


@dataclass
class Moving:
    """One measurement of moving pictures."""

    frames: float
    megabits: float
    cpu: float


class Seen:
    """One side's page."""

    def __init__(self, side: Side, page: Page) -> None:
        self.side, self.page = side, page

    @classmethod
    async def opened(cls, browser: Browser, side: Side) -> Seen:
        """With a picture on it."""
        context = await browser.new_context(viewport={"width": 1280, "height": 800})
        await context.add_cookies(side.cookies)
        await context.add_init_script(WATCH)
        page = await context.new_page()
        await page.goto(side.page)
        await page.wait_for_selector("#screen canvas", timeout=30_000)
        return cls(side, page)

    async def resize(self, width: int, height: int) -> None:
        """Until the desktop, not the page, has that size."""
        window = [width, height]
        for _ in range(60):
            await self.page.set_viewport_size({"width": window[0], "height": window[1]})
            await asyncio.sleep(_SETTLED)
            got = await self.page.evaluate(_SIZE)
            if got == [width, height]:
                return
            window = [window[0] + width - got[0], window[1] + height - got[1]]
        raise SystemExit(f"{self.side.name}: the desktop does not take the size {width} by {height}, it has {got}")

    async def clicks(self, count: int, at: tuple[float, float] = (0.5, 0.5)) -> list[float]:
        """Milliseconds from a press to its picture, at times that keep no step with anything; ``at``: of the canvas."""
        taken = []
        box = await self.page.locator("#screen canvas").bounding_box()
        assert box is not None
        x, y = box["x"] + at[0] * box["width"], box["y"] + at[1] * box["height"]
        await self.page.mouse.move(x, y)
        for _ in range(count):
            await self.page.evaluate(_ARM, at)
            await asyncio.sleep(random.uniform(0.05, 0.12))
            await self.page.mouse.down()
            taken.append(float(await asyncio.wait_for(self.page.evaluate("seenByTheBenchmark.clicked"), 10)))
            await self.page.mouse.up()
        return taken

    async def moving(self, seconds: float) -> Moving:
        """Of what moves by itself."""
        began, cpu = time.perf_counter(), self.side.cpu()
        frames, got = await self.page.evaluate(_COUNTS)
        await asyncio.sleep(seconds)
        frames_after, got_after = await self.page.evaluate(_COUNTS)
        passed, used = time.perf_counter() - began, self.side.cpu() - cpu
        return Moving((frames_after - frames) / passed, (got_after - got) * 8e-6 / passed, 100 * used / passed)
