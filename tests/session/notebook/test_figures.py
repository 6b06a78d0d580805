"""Figures and widgets in JupyterLab behind the gateway, in Chromium: of owner, collaborator, and who only looks."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import nbformat
import pytest
from playwright.async_api import Browser, Page, async_playwright, expect

from tests.services.browser import ARGUMENTS
from tests.services.waiting import eventually
from tests.session import rig
from tests.session.notebook.conftest import Place
from tests.session.site import Site, running

PICTURES = os.environ.get("VISA_PICTURES", "")
CELLS = {
    "slider": """
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=50, description="angle")
said = ipywidgets.Label("angle is 3")
slider.observe(lambda change: setattr(said, "value", f"angle is {change.new}"), "value")
ipywidgets.VBox([slider, said])""",
    "plotly": """
import plotly.graph_objects as go
go.Figure(go.Heatmap(z=[[1, 2], [3, 4]]), layout={"height": 400, "template": "none"})""",
    "ipympl": """
%matplotlib widget
import matplotlib.pyplot as plt
figure, axes = plt.subplots(figsize=(5, 3))
axes.plot([1, 4, 9])
plt.show()""",
    "bokeh": """
from bokeh.io import output_notebook, show
from bokeh.plotting import figure as drawn
output_notebook(hide_banner=True)
plot = drawn(height=350, width=500)
plot.line([1, 2, 3], [1, 4, 9])
show(plot)""",
}
SEEN = {
    "slider": ".jupyter-widgets.widget-vbox",
    # Plotly keeps a picture in the document, which is what others see until they click it.
    "plotly": ":is(.js-plotly-plot .main-svg, .plot-img)",
    "ipympl": ".jupyter-matplotlib-canvas-container canvas",
    "bokeh": ".bk-Figure",
}
HEIGHTS = {"slider": 50, "plotly": 380, "ipympl": 250, "bokeh": 340}
"""CSS pixels that each has at least."""


@dataclass
class Seat:
    """One person's page."""

    page: Page
    faults: list[str] = field(default_factory=list)

    async def heights(self) -> dict[str, int]:
        """Of each figure, 0 of what is not there."""
        script = """(seen) => Object.fromEntries(Object.entries(seen).map(([name, wanted]) => {
          const found = [...document.querySelectorAll(".jp-Notebook " + wanted)];
          return [name, Math.max(0, ...found.map((one) => Math.round(one.getBoundingClientRect().height)))];
        }))"""
        return dict(await self.page.evaluate(script, SEEN))

    async def sees(self) -> None:
        """All of them, with their heights."""
        last: dict[str, int] = {}

        async def there() -> bool:
            last.clear()
            last.update(await self.heights())
            return all(last[name] >= least for name, least in HEIGHTS.items())

        await eventually(there, lambda: f"heights of {HEIGHTS}, not {last}; {self.faults}", pause=0.5)

    async def hears(self, text: str) -> None:
        await expect(self.page.locator(".jp-Notebook").get_by_text(text, exact=True)).to_be_visible()

    async def push(self, keys: str) -> None:
        """The slider's handle, by the keyboard."""
        handle = self.page.locator(".widget-slider .noUi-handle").first
        await handle.focus()
        await self.page.keyboard.press(keys)

    async def drag(self) -> None:
        """The handle, by the mouse."""
        handle = self.page.locator(".widget-slider .noUi-handle").first
        box = await handle.bounding_box()
        assert box is not None
        await self.page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
        await self.page.mouse.down()
        await self.page.mouse.move(box["x"] + 120, box["y"] + box["height"] / 2, steps=5)
        await self.page.mouse.up()

    async def passes(self) -> dict[str, bool]:
        """Whether the browser does its own with what is done to a label and to a slider, and whether a widget hears."""
        script = """() => {
          const told = {};
          const on = (name, where, event) => {
            const element = document.querySelector(where);
            const hear = () => { told["heard " + name] = true; };
            element.addEventListener(event.type, hear);
            told[name] = element.dispatchEvent(event);
            element.removeEventListener(event.type, hear);
          };
          const way = { bubbles: true, cancelable: true };
          const key = (key, more) => new KeyboardEvent("keydown", { key, ...more, ...way });
          for (const [name, at] of [["label", ".widget-label"], ["slider", ".noUi-handle"]]) {
            const where = ".jp-Notebook " + at;
            on(name + " wheel", where, new WheelEvent("wheel", { deltaY: 40, ...way }));
            on(name + " down", where, key("ArrowDown"));
            on(name + " copy", where, key("c", { ctrlKey: true }));
            on(name + " letter", where, key("a"));
          }
          return told;
        }"""
        return dict(await self.page.evaluate(script))

    async def picture(self, name: str) -> None:
        if PICTURES:
            await self.page.screenshot(path=f"{PICTURES}/{name}.png")


@dataclass
class Figures:
    """A notebook of figures, and a browser for who looks at it."""

    site: Site
    browser: Browser
    path: str

    @asynccontextmanager
    async def seat(self, who: str) -> AsyncIterator[Seat]:
        context = await self.browser.new_context(viewport={"width": 1440, "height": 2400})
        cookie = await rig.session_cookie(self.site, f"{who}'s")
        place = {"domain": "127.0.0.1", "path": rig.SERVER}
        await context.add_cookies([{"name": "visa-session", "value": cookie, **place}])  # type: ignore[list-item]
        seat = Seat(await context.new_page())
        seat.page.on("pageerror", lambda error: seat.faults.append(str(error)))
        seat.page.on("console", lambda said: seat.faults.append(said.text) if "Refused to" in said.text else None)
        await seat.page.goto(f"{self.site.url}lab/tree/{self.path}?reset")
        await seat.page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
        yield seat
        await context.close()


@pytest.fixture
async def figures(place: Place) -> AsyncIterator[Figures]:
    """In the folder that marie opened to pierre, who watches, and claude, who works there too."""
    place.fill()
    book = nbformat.v4.new_notebook()
    book.cells = [nbformat.v4.new_code_cell(source.strip(), id=name) for name, source in CELLS.items()]
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    (place.opened / "figures.ipynb").write_text(json.dumps(book))
    hub = rig.FakeHub()
    for name, role in (("pierre", "observer"), ("claude", "collaborator")):
        hub.let_in(f"{name}'s", name, display_name=name.title())
        hub.share(name, role)
    hub.share_as(folders=["shared/e1"])
    program = shutil.which("chromium") or shutil.which("chromium-browser")
    async with running(place.jupyter.run, hub) as site, async_playwright() as playwright:
        browser = await playwright.chromium.launch(args=ARGUMENTS, executable_path=program)
        yield Figures(site, browser, "shared/e1/figures.ipynb")
        await browser.close()


async def test_figures_have_their_height_and_widgets_move_for_who_works_there(figures: Figures) -> None:
    async with figures.seat("marie") as marie:
        await expect(marie.page.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]")).to_be_visible()
        await marie.page.get_by_role("menuitem", name="Run", exact=True).click()
        await marie.page.locator(".lm-Menu-itemLabel", has_text=re.compile("^Run All Cells$")).click()
        await marie.sees()
        await marie.picture("figures-owner")
        await marie.push("ArrowRight")
        await marie.hears("angle is 4")
        async with figures.seat("claude") as claude, figures.seat("pierre") as pierre:
            await claude.sees()
            await pierre.sees()
            await claude.hears("angle is 4")
            await pierre.hears("angle is 4")
            await claude.push("ArrowRight")
            for one in (claude, marie, pierre):
                await one.hears("angle is 5")
            await pierre.push("ArrowRight")
            await pierre.drag()
            await expect(pierre.page.locator(".jp-toastContainer")).to_contain_text("You are watching")
            harmless = {"label wheel", "label down", "label copy"}
            passes = await pierre.passes()
            assert len(passes) == 8
            assert {name for name, passed in passes.items() if passed} == harmless
            await marie.push("ArrowRight")
            # What pierre did would have been told before.
            for one in (marie, claude, pierre):
                await one.hears("angle is 6")
                await expect(one.page.locator(".widget-readout").first).to_have_text("6")
            await claude.picture("figures-collaborator")
            await pierre.picture("figures-observer")
            for one in (marie, claude, pierre):
                assert not [fault for fault in one.faults if "Refused to" in fault]
