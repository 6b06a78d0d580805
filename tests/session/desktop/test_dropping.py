"""Files and folders dropped on the desktop's page: Chromium, gateway and files.py are real."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from tests.session import rig
from tests.session.desktop import xvnc
from tests.session.desktop.browsing import browsing, chromium
from tests.session.desktop.conftest import desk
from tests.session.files.conftest import serving

__all__ = ["browsing", "chromium"]

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAMES = [
    "Screenshot 2026-11-28 at 3.04.05\u202fPM.png",
    "Pri\u00a0x.pdf",
    "family \U0001f468\u200d\U0001f469.txt",
    "soft\u00adhyphen.csv",
    "50 % & 'more' #1?.txt",
    "e\u0301.txt",
    "שלום\u200f.txt",
    "\ue000\ufeff.txt",
    "n" * 251 + ".txt",
]
UNFIT = [b"caf\xe9.txt", b"new\nline", b"turned \xe2\x80\xaefdp.exe", b"back\\slash", b"c1\xc2\x85"]


@dataclass
class Seen:
    """Marie's page, and her home folder."""

    page: Page
    home: Path

    async def drop(self, *paths: Path) -> None:
        """As a person drops them from her computer."""
        session = await self.page.context.new_cdp_session(self.page)
        data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
        for kind in ("dragEnter", "dragOver", "drop"):
            await session.send("Input.dispatchDragEvent", {"type": kind, "x": 600, "y": 400, "data": data})
        await session.detach()

    async def line(self, name: str, words: str) -> None:
        """What its line says in the end."""
        line = self.page.locator(".uploads li").filter(has_text=name).first
        await expect(line.get_by_role("status")).to_contain_text(words, timeout=30_000)


@pytest_asyncio.fixture(loop_scope="module")
async def seen(chromium: Browser) -> AsyncIterator[Seen]:
    with serving() as environment, xvnc.running(environment.run):
        async with desk(environment.run) as one:
            context = await chromium.new_context(viewport={"width": 1440, "height": 900})
            cookie = await rig.session_cookie(one.gateway)
            place = {"domain": "127.0.0.1", "path": rig.SERVER}
            await context.add_cookies([{"name": "visa-session", "value": cookie, **place}])  # type: ignore[arg-type]
            page = await context.new_page()
            faults: list[str] = []
            page.on("pageerror", lambda error: faults.append(str(error)))
            await page.goto(one.url)
            await expect(page.locator("#words")).to_be_hidden(timeout=30_000)
            await page.get_by_role("button", name="Files").click()
            await expect(page.locator(".entries")).to_contain_text("This folder is empty.")
            yield Seen(page, environment.home)
            assert faults == []


def tree(folder: Path) -> dict[str, bytes | None]:
    """What is below: content of files, None for folders."""
    return {str(path.relative_to(folder)): None if path.is_dir() else path.read_bytes() for path in folder.rglob("*")}


async def test_names_that_people_have_arrive_are_listed_and_come_back(seen: Seen, tmp_path: Path) -> None:
    for number, name in enumerate(NAMES):
        (tmp_path / name).write_text(f"content {number}")
    await seen.drop(*(tmp_path / name for name in NAMES))
    await expect(seen.page.locator(".uploads [role=status]").filter(has_text="is there")).to_have_count(
        len(NAMES), timeout=30_000
    )
    assert tree(seen.home) == tree(tmp_path)
    links = seen.page.locator(".entries a")
    await expect(links).to_have_count(len(NAMES))
    assert sorted(await links.evaluate_all("all => all.map((one) => one.textContent)")) == sorted(NAMES)
    for number, name in enumerate(NAMES):
        link = seen.page.locator(".entries a").nth((await links.all_text_contents()).index(name))
        async with seen.page.expect_download() as coming:
            await link.click()
        assert await asyncio.to_thread(Path(await (await coming.value).path()).read_text) == f"content {number}"


async def test_what_cannot_be_shown_is_counted(seen: Seen) -> None:
    for name in UNFIT:
        (seen.home / os.fsdecode(name)).write_text("x")
    os.symlink("/nowhere/at/all", seen.home / "broken")
    (seen.home / "shown.txt").write_text("x")
    await seen.page.get_by_role("button", name="Home", exact=True).click()
    entries = seen.page.locator(".entries")
    await expect(entries).to_contain_text("shown.txt")
    await expect(entries).to_contain_text(f"{len(UNFIT)} entries have names that cannot be shown")
    await expect(entries).to_contain_text("1 entry is neither file nor folder")
    await expect(entries.locator("a")).to_have_count(1)


async def test_a_folder_comes_with_its_tree(seen: Seen, tmp_path: Path) -> None:
    whole = tmp_path / "a folder"
    (whole / "deep" / "er\u202f").mkdir(parents=True)
    (whole / "empty").mkdir()
    (whole / "nothing.txt").write_bytes(b"")
    (whole / "large.h5").write_bytes(os.urandom(9 * 2**20))
    for number in range(130):  # the browser tells of a hundred at a time
        (whole / "deep" / "er\u202f" / f"{number}.txt").write_text(str(number))
    (tmp_path / "beside.txt").write_text("beside")
    await seen.drop(whole, tmp_path / "beside.txt")
    await seen.line("a folder/", "is there: 132 files")
    await seen.line("beside.txt", "is there")
    assert tree(seen.home) == tree(tmp_path)
    await expect(seen.page.locator(".entries")).to_contain_text("a folder/")


async def test_what_is_taken_in_a_folder_is_asked_about_and_what_fails_is_named(seen: Seen, tmp_path: Path) -> None:
    whole = tmp_path / "run"
    (whole / "sub").mkdir(parents=True)
    (whole / "old.txt").write_text("new")
    (whole / "sub" / "x.txt").write_text("x")
    (whole / "bad\u202ename").write_text("x")
    (seen.home / "run").mkdir()
    (seen.home / "run" / "old.txt").write_text("old")
    await seen.drop(whole)
    await seen.line("run/", "1 name is taken already")
    await seen.line("run/", "turns the direction of writing")
    assert (seen.home / "run" / "old.txt").read_text() == "old"
    await seen.page.get_by_role("button", name="Replace them").click()
    await seen.line("run/", "2 of 3 files are there")
    assert tree(seen.home) == {"run": None, "run/old.txt": b"new", "run/sub": None, "run/sub/x.txt": b"x"}


async def test_a_folder_may_be_chosen(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "chosen" / "below").mkdir(parents=True)
    (tmp_path / "chosen" / "below" / "x.txt").write_text("x")
    await seen.page.locator("#files input[webkitdirectory]").set_input_files(tmp_path / "chosen")
    await seen.line("chosen/", "is there: 1 file")
    assert tree(seen.home) == tree(tmp_path)


async def test_what_cannot_be_read_is_said_at_once(seen: Seen, tmp_path: Path) -> None:
    """A browser without `webkitGetAsEntry` gives a folder as a file that cannot be read."""
    await seen.page.evaluate("delete DataTransferItem.prototype.webkitGetAsEntry")
    (tmp_path / "folder" / "below").mkdir(parents=True)
    await seen.drop(tmp_path / "folder")
    await seen.line("folder", "cannot be read on your computer")
    assert tree(seen.home) == {}


async def test_a_file_dropped_where_none_are_taken_does_not_leave_the_desktop(seen: Seen, tmp_path: Path) -> None:
    """As for who only looks, and in the moment before what acts is loaded."""
    (tmp_path / "x.txt").write_text("x")
    await seen.page.route("**/acting.js", lambda route: asyncio.sleep(0))  # never answered
    await seen.page.reload()
    await expect(seen.page.locator("#words")).to_be_hidden(timeout=30_000)
    await seen.page.evaluate("""() => {
      window.kept = {};
      for (const kind of ["dragover", "drop"]) addEventListener(kind, (event) => (kept[kind] = event.defaultPrevented));
    }""")
    await seen.drop(tmp_path / "x.txt")
    assert await seen.page.evaluate("kept") == {"dragover": True, "drop": True}
    assert tree(seen.home) == {}
