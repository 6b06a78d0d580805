"""Another login for a grave act, at a real hub with a provider whose faults can be chosen."""

from __future__ import annotations

import html
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.hub.test_login import PEOPLE, configure, log_in
from tests.portal.people import again
from tests.services import facility, oidc
from tests.services.hub import Browser, RunningHub, page_headers
from visa.clock import now
from visa.identifiers import instance_id
from visa.instances.confirming import Grave
from visa.store.people import People
from visa.store.sharing.records import Confirmation
from visa.store.tables import InstanceRow

pytestmark = [pytest.mark.usefixtures("well"), pytest.mark.timeout(240)]
MARIES = instance_id("marie", "mine")


@pytest.fixture(scope="module")
def hub(
    provider: oidc.Provider, tmp_path_factory: pytest.TempPathFactory, environment_prefix: Path
) -> Iterator[RunningHub]:
    folder = tmp_path_factory.mktemp("again")
    path = facility.write(folder / "facility", environment_prefix, people=PEOPLE)
    made = RunningHub(folder, path, authenticator="visa")
    configure(made, provider)
    try:
        made.start()
        stopped_instance(made)
        yield made
    finally:
        made.end()


def stopped_instance(hub: RunningHub) -> None:
    """Marie's: a link can be made for it."""
    nothing = {"experiments": [], "environment": "scattering", "flavour": "small", "session": "notebook"}
    row = InstanceRow(
        id=MARIES, owner="marie", name="mine", title="Mine", state="stopped", cpu=1.0, memory=2**30, gpu=0,
        created_at=now(), **nothing,
    )  # fmt: skip
    with hub.store.exclusive() as session:
        session.add(row)


@pytest.fixture
def wish(hub: RunningHub) -> Confirmation:
    """Marie wants a link for everybody."""
    people = People(hub.store)
    begin = people.confirmations.begin
    made = begin("marie", MARIES, Grave.PUBLIC_LINK, {}, "browser", facility.facility(), now())
    assert isinstance(made, Confirmation), made
    return made


@pytest.fixture
def marie(hub: RunningHub, provider: oidc.Provider) -> Iterator[Browser]:
    browser, answer = log_in(hub, provider, "marie")
    assert answer.status_code == 200
    with browser:
        yield browser


def waiting(hub: RunningHub, wish: Confirmation) -> bool:
    return People(hub.store).confirmations.waiting(wish.id, "marie", now()) is not None


def key_of(answer: httpx.Response) -> str:
    found = re.search(r"confirmed#([0-9]+)\.([A-Za-z0-9_-]+)", html.unescape(answer.text))
    assert found, (answer.status_code, answer.text[:600])
    return found[2]


def test_the_provider_is_told_to_ask_and_what_it_says_confirms_the_act_once(
    hub: RunningHub, provider: oidc.Provider, marie: Browser, wish: Confirmation
) -> None:
    answer = marie.get(f"/hub/visa/again/{wish.id}")
    assert answer.status_code == 200, answer.text[:600]
    asked = provider.asked_for
    assert (asked["prompt"], asked["max_age"]) == ("login", "0")
    assert asked["nonce"]
    assert "openid" in asked["scope"].split()
    code = key_of(answer)
    assert code not in hub.log.read_text()
    people = People(hub.store)
    assert not waiting(hub, wish)
    assert marie.get(f"/hub/visa/again/{wish.id}").status_code == 404
    assert isinstance(people.confirmations.use(wish.id, "marie", "browser", code, now()), Confirmation)
    assert marie.get("/hub/token").status_code == 200, "the login of before goes on"


def _of_before(provider: oidc.Provider) -> None:
    provider.logged_in_at = time.time() - 60


def _another_key(provider: oidc.Provider) -> None:
    provider.signed_with = rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _claims(**changed: object) -> Callable[[oidc.Provider], None]:
    return lambda provider: provider.claimed.update(changed)


def _another_person(provider: oidc.Provider) -> None:
    provider.people["lise"] = {**provider.people["marie"], "preferred_username": "lise"}
    provider.who = "lise"


def _another_account(provider: oidc.Provider) -> None:
    provider.people["marie"] = {**provider.people["marie"], "sub": "sub-of-a-new-account"}
    provider.claimed["sub"] = "sub-of-a-new-account"


def _silent(provider: oidc.Provider) -> None:
    provider.fault = "500"


FAULTS = {
    "no auth_time": (_claims(auth_time=None), True),
    "a login of before": (_of_before, True),
    "another nonce": (_claims(nonce="other"), True),
    "no nonce": (_claims(nonce=None), True),
    "another issuer": (_claims(iss="http://elsewhere"), True),
    "another audience": (_claims(aud="other"), True),
    "for several, made for another": (_claims(aud=["visa", "other"], azp="other"), True),
    "over": (_claims(exp=1_700_000_000), True),
    "another key": (_another_key, True),
    "another person": (_another_person, False),
    "another account of that name": (_another_account, False),
    "a token of another person": (_claims(sub="sub-lise"), False),
    "silent": (_silent, True),
}


@pytest.mark.parametrize("name", FAULTS)
def test_what_shows_no_new_login_of_the_same_person_confirms_nothing(
    hub: RunningHub, provider: oidc.Provider, marie: Browser, wish: Confirmation, name: str
) -> None:
    break_it, operators = FAULTS[name]
    marie.follow_redirects = False
    to_provider = marie.get(f"/hub/visa/again/{wish.id}").headers["location"]
    break_it(provider)
    fault, provider.fault = provider.fault, ""
    back = httpx.get(to_provider, timeout=60).headers["location"]
    provider.fault = fault
    answer = marie.get(back)
    assert answer.status_code == 403, answer.text[:600]
    assert ("operators to mend" in answer.text) is operators
    assert not waiting(hub, wish)
    (said, *_) = [e.decision for e in hub.store.audit(limit=20) if e.decision.action == "login-again"]
    assert (said.allowed, said.actor, said.reason) == (False, "marie", "login-again")


def test_a_state_that_is_no_state_is_no_fault(marie: Browser, hub: RunningHub, wish: Confirmation) -> None:
    assert marie.get(f"/hub/visa/again/{wish.id}", follow_redirects=False).status_code == 302
    assert marie.get("/hub/oauth_callback?state=again-ü&code=x").status_code < 500
    assert waiting(hub, wish)


def test_the_answer_is_for_the_browser_that_asked_and_for_one_time(
    hub: RunningHub, provider: oidc.Provider, marie: Browser, wish: Confirmation
) -> None:
    marie.follow_redirects = False
    to_provider = marie.get(f"/hub/visa/again/{wish.id}").headers["location"]
    back = httpx.get(to_provider, timeout=60).headers["location"]
    another, _ = log_in(hub, provider, "marie")
    with another:
        assert another.get(back).status_code == 403
    assert waiting(hub, wish)
    assert marie.get(back).status_code == 200
    assert marie.get(back).status_code == 403


def test_others_scripts_and_tokens_are_led_nowhere(
    hub: RunningHub, provider: oidc.Provider, marie: Browser, wish: Confirmation
) -> None:
    path = f"/hub/visa/again/{wish.id}"
    lise, _ = log_in(hub, provider, "lise")
    with lise:
        assert lise.get(path).status_code == 404
    provider.who = "marie"
    marie.follow_redirects = False
    for what in ({"Sec-Fetch-Dest": "iframe"}, {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"}):
        assert marie.get(path, headers=what).status_code == 403
    assert marie.post(path).status_code in (403, 405)
    assert waiting(hub, wish)


def test_the_demo_asks_for_the_password_again(shared_hub: RunningHub) -> None:
    with shared_hub.rest(shared_hub.token("marie")) as rest:
        body = {"experiments": ["exp-4"], "environment": "scattering", "flavour": "small"}
        made = rest.post("instances", json=body)
        assert made.status_code == 202, made.text
        instance = made.json()["id"]
    expires = (now() + timedelta(hours=1)).isoformat()
    act = {"invitation": {"kind": "public", "role": "observer", "expires": expires}}
    with shared_hub.login("marie") as browser:
        begun = browser.post(
            f"/services/visa/api/v1/instances/{instance}/confirmations", json=act, headers=page_headers(browser)
        )
        assert begun.status_code == 201, begun.text
        page = browser.get(begun.json()["login"])
        (xsrf,) = re.findall(r'name="_xsrf" value="([^"]+)"', page.text)
        wrong = browser.post(begun.json()["login"], data={"password": "other", "_xsrf": xsrf})
        assert wrong.status_code == 403
        assert "The password is wrong" in wrong.text
        key = again(shared_hub, browser, instance, act)
        assert re.fullmatch(r"[0-9]+\.[A-Za-z0-9_-]{43}", key)
    with shared_hub.rest(shared_hub.token("marie")) as rest:
        rest.delete(f"instances/{instance}")
