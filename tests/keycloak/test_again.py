"""Another login for a grave act, at a real Keycloak: it asks for the password though there is a session."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.hub.test_again import stopped_instance
from tests.keycloak.test_login import EXTRA, PEOPLE
from tests.services import facility
from tests.services.hub import RunningHub
from tests.services.keycloak import Keycloak, log_in
from visa.clock import now
from visa.identifiers import instance_id
from visa.instances.confirming import Grave
from visa.store.people import People
from visa.store.sharing.records import Confirmation

pytestmark = [pytest.mark.keycloak, pytest.mark.timeout(400)]
MARIES = instance_id("marie", "mine")


@pytest.fixture(scope="module")
def hub(keycloak: Keycloak, tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("again")
    path = facility.write(folder / "facility", environment_prefix, people=PEOPLE)
    made = RunningHub(folder, path, authenticator="visa")
    extra = EXTRA.format(issuer=keycloak.issuer, callback=f"{made.url}/hub/oauth_callback")
    made.config.write_text(made.config.read_text() + extra)
    try:
        made.start()
        stopped_instance(made)
        yield made
    finally:
        made.end()


def wish(hub: RunningHub) -> Confirmation:
    begin = People(hub.store).confirmations.begin
    made = begin("marie", MARIES, Grave.PUBLIC_LINK, {}, "browser", facility.facility(), now())
    assert isinstance(made, Confirmation), made
    return made


def form(page: httpx.Response) -> str:
    found = re.search(r'action="([^"]+)"', page.text)
    assert found, page.text[:600]
    return html.unescape(found[1])


def test_keycloak_asks_again_and_its_word_confirms_the_act(hub: RunningHub) -> None:
    people, one = People(hub.store), wish(hub)
    with log_in(hub.url, "marie") as client:
        page = client.get(f"/hub/visa/again/{one.id}", follow_redirects=True)
        assert page.status_code == 200
        assert 'name="password"' in page.text, "there is a session, and it asks nevertheless"
        wrong = client.post(form(page), data={"username": "marie", "password": "wrong"}, follow_redirects=True)
        assert people.confirmations.waiting(one.id, "marie", now()) is not None
        done = client.post(form(wrong), data={"username": "marie", "password": "marie"}, follow_redirects=True)
        found = re.search(r"confirmed#([0-9]+)\.([A-Za-z0-9_-]+)", html.unescape(done.text))
        assert found, (done.status_code, str(done.url), done.text[:800])
        used = people.confirmations.use(one.id, "marie", "browser", found[2], now())
        assert isinstance(used, Confirmation)
        assert client.get("/hub/api/user").json()["name"] == "marie", "logged in as before"
