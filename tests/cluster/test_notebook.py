"""From Keycloak's login to a plot of one's own experiment's data in a pod, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.end_to_end import test_notebook as on_one_machine
from tests.end_to_end.test_notebook import run
from tests.services.browser import start_new
from tests.services.release import Release


@pytest.fixture(scope="module")
def lab(browser: Browser, release: Release) -> Iterator[Page]:
    """Marie's JupyterLab on an experiment that she found by its text."""
    release.remove("marie")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.goto(release.url)
    page.get_by_text("Sign in with").click()
    page.fill("#username", "marie")
    page.fill("#password", "marie")
    page.click("#kc-login")
    page.wait_for_url("**/services/visa/**")
    start_new(page, "wormlike", "4 experiments")
    page.wait_for_url("**/lab/**", timeout=60_000)
    page.wait_for_selector(".jp-Notebook .jp-Cell", timeout=60_000)
    expect(page.get_by_text("Python 3 (ipykernel) | Idle")).to_be_visible(timeout=60_000)
    yield page
    context.close()
    release.remove("marie")


# In this order: the last one opens another tab.
test_the_starter_notebook = on_one_machine.test_the_starter_notebook_reads_and_plots_the_file
test_nothing_under_data_can_be_changed = on_one_machine.test_nothing_under_data_can_be_changed


INSIDE = """
import glob, json, os, subprocess
text = json.dumps(dict(os.environ))
for name in glob.glob("/proc/[0-9]*/*"):
    if name.rsplit("/", 1)[1] in ("environ", "cmdline"):
        try:
            text += open(name, "rb").read().decode(errors="replace")
        except OSError:
            pass
for folder in ("/run", "/etc", "/tmp", "/var", "/opt/visa", "/home"):
    for top, _folders, files in os.walk(folder):
        for file in files:
            path = os.path.join(top, file)
            if os.path.isfile(path) and os.path.getsize(path) < 1_000_000 and os.access(path, os.R_OK):
                text += open(path, "rb").read().decode(errors="replace")
shell = lambda command: subprocess.run(command, shell=True, capture_output=True, text=True)
seen = {
    "data": sorted(os.listdir("/data")), "homes": sorted(os.listdir("/home")),
    "mounts": [line.split()[1] for line in open("/proc/mounts")],
    "token": "JUPYTERHUB" in text or "JPY_API" in text, "serviceaccount": os.path.exists("/var/run/secrets"),
    "who": shell("whoami; id -u; id -g; echo $HOME").stdout.split(), "groups": os.getgroups(),
    "commands": [open(p + "/cmdline").read() for p in glob.glob("/proc/[0-9]*") if os.path.exists(p + "/cmdline")],
    "capabilities": [line.split()[1] for line in open("/proc/self/status") if line.startswith("Cap")],
    "privileges": [line.split()[1] for line in open("/proc/self/status") if line.startswith("NoNewPrivs")],
}
print(json.dumps(seen))
"""


def test_nothing_else_is_there(lab: Page) -> None:
    """Other experiments, other homes, the hub's token, the gateway, the API's token: none of it."""
    seen = json.loads(run(lab, INSIDE))
    assert len(seen["data"]) == 1
    assert [mount for mount in seen["mounts"] if mount.startswith("/data/")] == [f"/data/{seen['data'][0]}"]
    assert seen["homes"] == ["marie"]
    assert seen["token"] is False
    assert seen["serviceaccount"] is False
    assert seen["who"] == ["marie", "20001", "20001", "/home/marie"] or seen["who"][0] == "marie"
    assert not any("visa.session" in command for command in seen["commands"]), "the gateway is not in sight"
    assert {int(mask, 16) for mask in seen["capabilities"]} == {0}
    assert seen["privileges"] == ["1"]


BECOME = """
import ctypes, errno, glob, os, subprocess
file = next(iter(glob.glob("/data/*/*.nxs")))
def attempt():
    try:
        open(file, "r+b").close()
        return "WROTE"
    except OSError as error:
        return errno.errorcode[error.errno]
print("as she is", attempt())
for uid in (0, 1, 65500, 65534, 20002):
    child = os.fork()
    if child == 0:
        try:
            os.setresuid(uid, uid, uid)
            print("became", uid, attempt(), flush=True)
        except OSError as error:
            print("could not become", uid, errno.errorcode[error.errno], flush=True)
        os._exit(0)
    os.waitpid(child, 0)
folder = os.path.dirname(file)
script = f"mount -o remount,rw {folder}; mount -o remount,rw,bind {folder}; echo x >> {file} && echo WROTE"
ways = ([], ["unshare", "-Ur"], ["unshare", "-Urm"], ["setpriv", "--reuid=0"])
for way in ways:
    done = subprocess.run([*way, "sh", "-c", script], capture_output=True, text=True)
    print(way, done.stdout.strip() or "refused")
"""


def test_no_uid_that_the_pod_can_become_writes_under_data(lab: Page) -> None:
    said = run(lab, BECOME)
    assert "as she is EROFS" in said
    assert "WROTE" not in said
    assert "became" not in said.replace("could not become", "")


test_h5web_shows_the_file = on_one_machine.test_h5web_shows_the_file
