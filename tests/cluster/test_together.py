"""Three people in one instance at once, in a pod, logged in by Keycloak: the steps of the demo's test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.end_to_end import test_together as on_one_machine
from tests.services.release import Release
from tests.services.together import Together


@pytest.fixture(scope="module")
def together(browser: Browser, release: Release) -> Iterator[Together]:
    def enter(context: BrowserContext, username: str) -> Page:
        page = context.new_page()
        page.goto(release.url)
        page.get_by_text("Sign in with").click()
        page.fill("#username", username)
        page.fill("#password", username)
        page.click("#kc-login")
        page.wait_for_url("**/services/visa/**")
        return page

    release.remove("marie")
    made = Together(release.url, browser, enter)
    yield on_one_machine.begin(made)
    for person in made.people.values():
        person.context.close()
    release.remove("marie")


test_who_asks_is_let_in = on_one_machine.test_who_asks_is_let_in_from_the_portal_at_once
test_the_observer_sees_live = on_one_machine.test_the_observer_sees_live_what_the_others_type_and_run
test_nothing_changed_through_the_page = on_one_machine.test_the_observer_can_change_nothing_through_the_page
test_nothing_changed_past_the_page = on_one_machine.test_the_observer_can_change_nothing_past_the_page
test_a_changed_role_narrows = on_one_machine.test_a_changed_role_narrows_what_is_open
test_who_is_removed_is_out = on_one_machine.test_who_is_removed_while_she_types_is_out
test_an_invitation_works_once = on_one_machine.test_an_invitation_works_once
