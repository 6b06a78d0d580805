"""From login to windows on one's own experiment's data, in a real browser, on the demo."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.services.browser import log_in, start_new
from tests.services.hub import until

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def desktop(browser: Browser, demo: tuple[str, Path]) -> Iterator[Page]:
    """Marie's desktop on an experiment that she found by its text."""
    url, _ = demo
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(context, url, "marie")
    start_new(page, "wormlike", "4 experiments", "desktop")
    page.wait_for_url("**/desktop/", timeout=30_000)
    expect(page.locator("#screen canvas")).to_be_visible(timeout=60_000)
    expect(page.locator("#words")).to_be_hidden(timeout=30_000)
    until(lambda: colours(page) > 20, 30, "windows")
    yield page
    context.close()


def colours(page: Page) -> int:
    """How many colours the picture of the desktop has."""
    return int(
        page.evaluate(
            """() => {
              const canvas = document.querySelector("#screen canvas");
              const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
              return new Set(new Uint32Array(data.buffer)).size;
            }"""
        )
    )


def fetch(page: Page, path: str, **options: object) -> tuple[int, str]:
    """Status and text of an answer to the page itself."""
    script = """async ([path, options]) => {
      const answer = await fetch(path, options);
      return [answer.status, await answer.text()];
    }"""
    status, text = page.evaluate(script, [path, options])
    return int(status), str(text)


def shell(page: Page, command: str, answer: str) -> str:
    """Type ``command`` into the terminal with its output in ``~/answer``; what is there."""
    page.locator("#screen canvas").click(position={"x": 200, "y": 300})
    page.keyboard.type(f"({command}) >~/{answer}.new 2>&1; mv ~/{answer}.new ~/{answer}\n", delay=5)
    got: list[str] = []

    def there() -> bool:
        status, text = fetch(page, f"files/home/{answer}")
        got[:] = [text]
        return status == 200

    until(there, 30, f"the answer to {command}")
    return got[0]


def test_keys_reach_the_terminal_and_data_cannot_be_written(desktop: Page) -> None:
    said = shell(desktop, "id -un; touch $VISA_DATA/$VISA_EXPERIMENTS/x; ls $VISA_DATA | wc -l", "wrote").splitlines()
    assert said[0] == "marie"
    assert "Read-only file system" in said[1]
    assert said[2:] == ["1"], "her other experiments are not there"


def test_files_go_in_and_out_whole(desktop: Page) -> None:
    script = """async () => {
      const bytes = new Uint8Array(5 * 1024 * 1024).map((_, i) => (i * 7919) % 251);
      const hash = async (data) => Array.from(new Uint8Array(await crypto.subtle.digest("SHA-256", data))).join();
      const half = bytes.length / 2, id = "end-to-end-upload-1";
      const path = `files/home/sent.bin?size=${bytes.length}&upload=${id}`;
      for (const offset of [0, half]) {
        const body = bytes.slice(offset, offset + half);
        const answer = await fetch(`${path}&offset=${offset}`, { method: "PUT", body });
        if (!answer.ok) return [answer.status, await answer.text()];
      }
      const back = await (await fetch("files/home/sent.bin")).arrayBuffer();
      return [await hash(bytes), await hash(back)];
    }"""
    sent, back = desktop.evaluate(script)
    assert sent == back
    status, text = fetch(
        desktop, "files/data/no.txt?offset=0&size=1&upload=end-to-end-upload-2", method="PUT", body="x"
    )
    assert status == 403, text


def test_no_port_listens_and_the_socket_is_the_gateways(desktop: Page) -> None:
    said = shell(
        desktop, "cat /proc/net/tcp /proc/net/tcp6 | awk '$4==\"0A\"' | wc -l; env | grep -c JUPYTERHUB", "ports"
    )
    assert said.split() == ["0", "0"]


def test_a_reload_shows_the_same_windows(desktop: Page) -> None:
    before = shell(desktop, "echo $PPID", "before")
    desktop.reload()
    expect(desktop.locator("#words")).to_be_hidden(timeout=30_000)
    until(lambda: colours(desktop) > 20, 30, "windows")
    assert shell(desktop, "echo $PPID", "after") == before


def test_the_notebook_starts_on_its_first_open(desktop: Page, demo: tuple[str, Path]) -> None:
    page = desktop.context.new_page()
    page.goto(desktop.url.replace("/desktop/", "/lab"))
    page.wait_for_selector("#jp-main-dock-panel", timeout=60_000)
    page.close()
    desktop.bring_to_front()
    expect(desktop.locator("#words")).to_be_hidden()


def test_a_desktop_that_was_left_starts_again(desktop: Page) -> None:
    if folder := os.environ.get("VISA_SCREENSHOTS"):
        desktop.screenshot(path=f"{folder}/desktop.png")
    desktop.locator("#screen canvas").click(position={"x": 200, "y": 300})
    desktop.keyboard.type("openbox --exit\n", delay=5)
    expect(desktop.get_by_text("logged out", exact=False).first).to_be_visible(timeout=20_000)
    desktop.get_by_role("button", name="Start the desktop again").click()
    expect(desktop.locator("#words")).to_be_hidden(timeout=30_000)
    until(lambda: colours(desktop) > 20, 30, "windows")
