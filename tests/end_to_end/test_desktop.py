"""From login to windows on one's own experiment's data, in a real browser, on the demo."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.services.browser import log_in, start_new
from tests.services.desk import Desk, cuttable, hashed
from tests.services.hub import until
from visa.cli.demo.leftovers import of
from visa.processes import arguments

pytestmark = pytest.mark.timeout(300)

LARGE = 500_000_000
"""Bytes of the file that goes in and out."""


@pytest.fixture(scope="module")
def desk(browser: Browser, demo: tuple[str, Path]) -> Iterator[Desk]:
    """Marie's desktop on an experiment that she found by its text."""
    url, folder = demo
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"])
    page = log_in(context, url, "marie")
    start_new(page, "wormlike", "4 experiments", "desktop")
    page.wait_for_url("**/desktop/", timeout=60_000)
    made = Desk(page, lambda command: _inside(folder, command))
    made.opened()
    yield made
    context.close()


def _inside(folder: Path, command: str) -> str:
    """In the sandbox, where its X server is to be reached."""
    left = [process.pid for process in of(folder)]
    while left:
        pid = left.pop()
        words = arguments(pid)
        if words and words[0].endswith("Xvnc"):
            display = os.listdir(f"/proc/{pid}/root/tmp/.X11-unix")[0].replace("X", ":")
            enter = ["nsenter", "-t", str(pid), "-m", "-n", "--", "env", f"DISPLAY={display}", "sh", "-c", command]
            return subprocess.run(enter, capture_output=True, text=True, timeout=60).stdout
        for tasks in Path(f"/proc/{pid}/task").glob("*/children"):
            left += map(int, tasks.read_text().split())
    return ""


def test_keys_reach_the_terminal_and_data_cannot_be_written(desk: Desk) -> None:
    said = desk.shell("id -un; touch $VISA_DATA/$VISA_EXPERIMENTS/x; ls $VISA_DATA | wc -l", "wrote").splitlines()
    assert said[0] == "marie"
    assert "Read-only file system" in said[1]
    assert said[2:] == ["1"], "her other experiments are not there"


def test_no_port_listens_and_the_socket_is_the_gateways(desk: Desk) -> None:
    said = desk.shell("cat /proc/net/tcp /proc/net/tcp6 | awk '$4==\"0A\"' | wc -l; env | grep -c JUPYTERHUB", "ports")
    assert said.split() == ["0", "0"]


def test_a_double_click_opens_the_nexus_file_in_silx_view(desk: Desk) -> None:
    experiment = desk.shell("echo $VISA_EXPERIMENTS", "experiment").strip()
    x, y = desk.last_icon(desk.window(experiment))
    desk.click(x, y, click_count=2, delay=30)
    viewer = desk.window("Silx viewer", 90)
    until(lambda: desk.colours(viewer) > 50, 60, "the viewer is drawn")
    if folder := os.environ.get("VISA_SCREENSHOTS"):
        desk.page.screenshot(path=f"{folder}/silx.png")
    desk.page.get_by_role("button", name="Keys").click()
    desk.page.get_by_role("button", name="Alt+F4").click()
    until(lambda: not any("Silx" in one.title for one in desk.windows()), 60, "the viewer's end")
    desk.page.keyboard.press("Escape")


def test_the_clipboard_goes_both_ways(desk: Desk) -> None:
    text = "λ = 1.54 Å, from here"
    desk.page.evaluate("text => navigator.clipboard.writeText(text)", text)
    desk.type(f"LC_ALL=C.UTF-8 bash -c 'read -rN{len(text)} x; echo $x >~/pasted.new'; mv ~/pasted.new ~/pasted\n")
    terminal = desk.window("Terminal")
    desk.click(terminal.x + 100, terminal.y + 200, button="middle")
    assert desk.said("pasted", "what was pasted") == f"{text}\n"
    desk.type("clear; yes angstrom42 | head -20\n")

    def copied() -> bool:
        desk.click(terminal.x + 40, terminal.y + 150, click_count=2)
        return bool(desk.page.evaluate("navigator.clipboard.readText()") == "angstrom42")

    until(copied, what="the word that was marked", pause=0.5)


def test_the_desktop_follows_the_windows_size(desk: Desk) -> None:
    for width, height in ((1200, 800), (1440, 900)):
        desk.page.set_viewport_size({"width": width, "height": height})
        until(lambda size=(width, height - 44): desk.size() == size, 60, lambda: f"its size: {desk.size()}")


def test_after_a_cut_and_after_a_reload_the_same_windows_are_there(desk: Desk) -> None:
    url, shell = desk.page.url, desk.shell("echo $PPID", "before")
    before = desk.settled()
    with cuttable(url) as (address, cut):
        desk.page.goto(address)
        desk.opened()
        cut(False)
        expect(desk.page.locator("#words")).to_contain_text(re.compile("cut|cannot be reached"))
        cut(True)
        desk.opened()
        assert desk.settled() == before
    desk.page.goto(url)
    desk.opened()
    assert desk.settled() == before
    assert desk.shell("echo $PPID", "after") == shell


def test_a_large_file_goes_in_and_out_whole(desk: Desk, tmp_path: Path) -> None:
    source = tmp_path / "scan.h5"
    with open(source, "wb") as file:
        for _ in range(LARGE // 2_000_000):
            file.write(os.urandom(2_000_000))
    wanted = hashed(source)
    desk.page.get_by_role("button", name="Files").click()
    desk.page.locator("#files input[multiple]").set_input_files(source)
    expect(desk.page.locator(".uploads")).to_contain_text("is there", timeout=120_000)
    with desk.page.expect_download(timeout=120_000) as download:
        desk.page.locator(".entries").get_by_role("link", name="scan.h5").click()
    assert hashed(download.value.path()) == wanted
    download.value.delete()
    source.unlink()
    desk.page.keyboard.press("Escape")
    assert desk.shell("sha256sum ~/scan.h5 && rm ~/scan.h5", "hash").split()[0] == wanted
    status, text = desk.fetch("files/data/no.txt?offset=0&size=1&upload=end-to-end-upload-2", method="PUT", body="x")
    assert status == 403, text


def test_the_notebook_starts_on_its_first_open(desk: Desk) -> None:
    page = desk.page.context.new_page()
    page.goto(desk.page.url.replace("/desktop/", "/lab"))
    page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
    page.close()
    desk.page.bring_to_front()
    expect(desk.page.locator("#words")).to_be_hidden()


def test_her_home_page_shows_it_in_a_browser_that_never_opened_it(
    desk: Desk, browser: Browser, demo: tuple[str, Path]
) -> None:
    context = browser.new_context()
    page = log_in(context, demo[0], "marie")
    picture = page.locator(".card img.preview")
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") == 480
    context.close()


def test_a_desktop_that_was_left_starts_again(desk: Desk) -> None:
    if folder := os.environ.get("VISA_SCREENSHOTS"):
        desk.page.screenshot(path=f"{folder}/desktop.png")
    assert desk.shell("(sleep 1; openbox --exit) >/dev/null 2>&1 & echo leaves", "leaving") == "leaves\n"
    expect(desk.page.get_by_text("logged out", exact=False).first).to_be_visible()
    desk.page.get_by_role("button", name="Start the desktop again").click()
    desk.opened()
