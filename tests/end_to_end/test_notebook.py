"""From login to a plot of one's own experiment's data, in a real browser, on the demo."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from tests.services.browser import log_in, start_new
from tests.services.hub import until
from visa.cli.demo.leftovers import of

pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def lab(browser: Browser, demo: tuple[str, Path]) -> Iterator[Page]:
    """Marie's JupyterLab on an experiment that she found by its text."""
    url, _ = demo
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = log_in(context, url, "marie")
    start_new(page, "wormlike", "4 experiments")
    page.wait_for_url("**/lab/**", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible()
    yield page
    context.close()


def run(page: Page, code: str) -> str:
    """Run ``code`` in a new kernel of the page's own Jupyter, as the page itself would; what it printed."""
    script = """async ([code]) => {
      const base = JSON.parse(document.getElementById("jupyter-config-data").textContent).baseUrl;
      const xsrf = document.cookie.split("; ").map((c) => c.split("=")).find(([n]) => n === "_xsrf")?.[1] ?? "";
      const made = await fetch(base + "api/kernels", { method: "POST", body: "{}", headers: { "X-XSRFToken": xsrf } });
      const { id } = await made.json();
      const socket = new WebSocket(`ws://${location.host}${base}api/kernels/${id}/channels`);
      await new Promise((done, fail) => { socket.onopen = done; socket.onerror = () => fail("no websocket"); });
      let printed = "";
      const header = { msg_id: "m1", msg_type: "execute_request", username: "", session: "s", version: "5.3" };
      const content = { code, silent: false, store_history: false, user_expressions: {}, allow_stdin: false };
      const end = new Promise((done) => {
        socket.onmessage = ({ data }) => {
          const message = JSON.parse(data);
          if (message.parent_header.msg_id !== "m1") return;
          if (message.msg_type === "stream") printed += message.content.text;
          if (message.msg_type === "error") printed += message.content.traceback.join("\\n");
          if (message.msg_type === "status" && message.content.execution_state === "idle") done();
        };
      });
      socket.send(JSON.stringify({ header, parent_header: {}, metadata: {}, content, channel: "shell" }));
      await end;
      socket.close();
      await fetch(base + "api/kernels/" + id, { method: "DELETE", headers: { "X-XSRFToken": xsrf } });
      return printed;
    }"""
    return str(page.evaluate(script, [code]))


def test_the_starter_notebook_reads_and_plots_the_file(lab: Page) -> None:
    lab.get_by_role("menuitem", name="Run", exact=True).click()
    lab.locator(".lm-Menu-itemLabel", has_text="Run All Cells").first.click()
    picture = lab.locator(".jp-Notebook .jp-RenderedImage img")
    expect(picture.first).to_be_visible()
    assert picture.first.evaluate("image => image.naturalWidth") > 300
    expect(lab.locator(".jp-Notebook")).to_contain_text("scipp")
    assert lab.locator(".jp-Notebook .jp-RenderedText[data-mime-type*=error]").count() == 0


def test_nothing_under_data_can_be_changed(lab: Page) -> None:
    code = """
import errno, os, pathlib
folder = pathlib.Path("/data", os.environ["VISA_EXPERIMENTS"])
file = next(folder.glob("*.nxs"))
tries = {
    "write": lambda: open(file, "r+b"), "append": lambda: open(file, "ab"), "truncate": lambda: os.truncate(file, 0),
    "create": lambda: open(folder / "new", "w"), "create beside": lambda: open("/data/new", "w"),
    "rename": lambda: os.rename(file, folder / "other"), "delete": lambda: os.unlink(file),
    "chmod": lambda: os.chmod(file, 0o777), "times": lambda: os.utime(file), "mkdir": lambda: os.mkdir(folder / "d"),
    "link": lambda: os.link(file, folder / "l"), "symlink": lambda: os.symlink("x", folder / "s"),
    "remove folder": lambda: os.rmdir("/data/" + os.environ["VISA_EXPERIMENTS"]),
}
for name, attempt in tries.items():
    try:
        attempt()
        print(name, "WORKED")
    except OSError as error:
        print(name, errno.errorcode[error.errno])
print("size", file.stat().st_size > 0)
"""
    said = run(lab, code)
    assert "WORKED" not in said
    results = dict(line.rsplit(" ", 1) for line in said.strip().splitlines())
    assert results.pop("size") == "True"
    assert set(results.pop("remove folder")) <= set("EROFSBUY"), "a mount point: read-only or busy"
    assert set(results.values()) == {"EROFS"}, said


def test_nothing_else_is_there(lab: Page, demo: tuple[str, Path]) -> None:
    _, folder = demo
    code = f"""
import os, json, glob
seen = {{"data": sorted(os.listdir("/data")), "homes": sorted(os.listdir("/home"))}}
seen["mounts"] = open("/proc/mounts").read()
seen["state"] = [p for p in ({str(folder)!r}, {str(folder / "state" / "hub.sqlite")!r}) if os.path.exists(p)]
text = json.dumps(dict(os.environ))
for name in glob.glob("/proc/[0-9]*/*"):
    if name.rsplit("/", 1)[1] in ("environ", "cmdline"):
        try:
            text += open(name, "rb").read().decode(errors="replace")
        except OSError:
            pass
seen["token"] = "JUPYTERHUB" in text
seen["commands"] = [open(p + "/cmdline").read() for p in glob.glob("/proc/[0-9]*") if os.path.exists(p + "/cmdline")]
try:
    import jupyterhub
    seen["jupyterhub"] = True
except ImportError:
    seen["jupyterhub"] = False
print(json.dumps(seen))
"""
    seen = json.loads(run(lab, code))
    assert len(seen["data"]) == 1
    assert seen["homes"] == ["marie"]
    assert seen["state"] == []
    assert seen["token"] is False
    assert seen["jupyterhub"] is False
    assert not any("visa.session" in command for command in seen["commands"]), "the gateway is not in sight"
    assert seen["mounts"].count(" /data/") == 1


def test_h5web_shows_the_file(lab: Page) -> None:
    """By a double click in the file browser, which stands in the experiment's folder."""
    lab.locator(".jp-DirListing-item", has_text=".nxs").first.dblclick()
    # The name is "entry" until h5web has read that it is an NX group, and the plot may be there by itself then.
    entry = lab.get_by_role("treeitem", name=re.compile(r"^entry\b")).first
    expect(entry).to_be_visible()
    picture = lab.locator(".jp-MainAreaWidget:not(.lm-mod-hidden) canvas")

    def opened() -> bool:
        # On a busy machine h5web may draw its tree anew between the look and the click.
        if entry.count() and not picture.count():
            with contextlib.suppress(PlaywrightTimeout):
                entry.click(timeout=2000)
        return picture.count() > 0

    until(opened, 90, "h5web's picture", pause=0.5)
    expect(picture.first).to_be_visible()


def test_stopped_and_started_again_from_its_card(browser: Browser, demo: tuple[str, Path]) -> None:
    url, _ = demo
    context = browser.new_context(viewport={"width": 390, "height": 844})
    page = log_in(context, url, "lise")
    start_new(page)
    page.wait_for_url("**/lab/**", timeout=60_000)
    page.goto(f"{url}/services/visa/")
    card = page.locator(".card").first
    expect(card).to_contain_text("Running")
    card.get_by_role("button", name="Stop").click()
    expect(page.locator(".card").first).to_contain_text("Stopped")
    page.locator(".card").first.get_by_role("button", name="Start").click()
    page.wait_for_url("**/lab/**", timeout=60_000)
    page.goto(f"{url}/services/visa/")
    page.locator(".card").first.get_by_role("button", name="Delete").click()
    page.get_by_role("button", name="Delete", exact=True).last.click()
    expect(page.get_by_text("You have no instances yet.")).to_be_visible()
    context.close()


def test_the_picture_of_the_readme(browser: Browser, demo: tuple[str, Path], lab: Page) -> None:
    """Made anew by every run; kept when VISA_WRITE_IMAGES is set (see docs/developers)."""
    url, folder = demo
    page = lab.context.new_page()
    page.goto(f"{url}/services/visa/")
    expect(page.locator(".card")).not_to_have_count(0)
    target = folder / "portal.png"
    if os.environ.get("VISA_WRITE_IMAGES"):
        target = Path(__file__).parents[2] / "docs" / "images" / "portal.png"
        target.parent.mkdir(exist_ok=True)
    page.screenshot(path=target, clip={"x": 0, "y": 0, "width": 1440, "height": 520})
    assert target.stat().st_size > 10_000
    page.close()


def test_a_hub_that_crashes_is_started_again(browser: Browser, demo: tuple[str, Path], lab: Page) -> None:
    url, folder = demo
    hubs = [p for p in of(folder) if b"jupyterhub_config.py" in Path(f"/proc/{p.pid}/cmdline").read_bytes()]
    assert len(hubs) == 1
    hubs[0].signal(signal.SIGKILL)
    until(lambda: not hubs[0].is_alive(), 60)
    assert "42" in run(lab, "print(42)"), "the notebook goes on without the hub"
    page = lab.context.new_page()

    def back() -> bool:
        answer = page.goto(f"{url}/services/visa/")
        return answer is not None and answer.status == 200 and page.locator(".card").count() > 0

    until(back, 60, "the hub's return")
    expect(page.locator(".card").first).to_contain_text("Running")
    page.close()
