"""From Keycloak's login to windows in a pod, in a real browser: the steps of the desktop on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.end_to_end import test_desktop as on_one_machine
from tests.services.browser import start_new
from tests.services.desk import Desk
from tests.services.release import Release

VARIABLES = "DISPLAY|DBUS_SESSION_BUS_ADDRESS|HOME|PATH|LANG|VISA_[A-Z_]+|XDG_[A-Z_]+"
SESSION = "for p in /proc/[0-9]*; do [ \"$(cat $p/comm)\" = xfwm4 ] && tr '\\0' '\\n' <$p/environ; done 2>/dev/null"


@pytest.fixture(scope="module")
def desk(browser: Browser, release: Release) -> Iterator[Desk]:
    """Marie's desktop on an experiment that she found by its text, with a terminal."""
    release.remove("marie")
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    context.grant_permissions(["clipboard-read", "clipboard-write"], origin=release.url)
    page = context.new_page()
    page.goto(release.url)
    page.get_by_text("Sign in with").click()
    page.fill("#username", "marie")
    page.fill("#password", "marie")
    page.click("#kc-login")
    page.wait_for_url("**/services/visa/**")
    start_new(page, "wormlike", "4 experiments", "desktop")
    page.wait_for_url("**/desktop/", timeout=120_000)
    pod = release.pod("marie", urlsplit(page.url).path.split("/")[3])

    def inside(command: str) -> str:
        shell = f"export $({SESSION} | grep -E '^({VARIABLES})=' | grep -v ' '); {command}"
        return release.namespace.run("exec", pod, "-c", "environment", "--", "/bin/sh", "-c", shell, check=False)

    made = Desk(page, inside)
    made.opened()
    made.window(" - Thunar")
    inside("xfce4-terminal --title=Terminal --hide-menubar --geometry=66x20+700+350 >/dev/null 2>&1 &")
    made.window("Terminal")
    yield made
    context.close()
    release.remove("marie")


test_keys = on_one_machine.test_keys_reach_the_terminal_and_data_cannot_be_written
test_silx_view = on_one_machine.test_a_double_click_opens_the_nexus_file_in_silx_view
test_the_clipboard = on_one_machine.test_the_clipboard_goes_both_ways
test_the_size = on_one_machine.test_the_desktop_follows_the_windows_size
test_cuts_and_reloads = on_one_machine.test_after_a_cut_and_after_a_reload_the_same_windows_are_there
test_a_large_file = on_one_machine.test_a_large_file_goes_in_and_out_whole
test_the_notebook = on_one_machine.test_the_notebook_starts_on_its_first_open


def test_her_home_page_shows_it_in_a_browser_that_never_opened_it(
    desk: Desk, browser: Browser, release: Release
) -> None:
    context = browser.new_context()
    page = context.new_page()
    page.goto(release.url)
    page.get_by_text("Sign in with").click()
    page.fill("#username", "marie")
    page.fill("#password", "marie")
    page.click("#kc-login")
    expect(page.locator(".card img.preview")).to_be_visible(timeout=30_000)
    context.close()
