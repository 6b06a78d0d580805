"""Members, links, requests, support and help by the REST API, each with who may and who may not."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import httpx
import pytest

from tests.portal.people import Callers, break_glass, check, instance_of
from tests.services.portal import RunningPortal
from tests.services.waiting import until
from visa.clock import now
from visa.identifiers import Username
from visa.instances.model import Person
from visa.portal.api import OPERATIONS

pytestmark = pytest.mark.timeout(240)


@pytest.fixture(scope="module")
def to(site: RunningPortal) -> Iterator[Callers]:
    callers = Callers(site)
    for name in ("marie", "rosalind", "lise", "dorothy", "grace"):
        getattr(callers, name).get("me")
    yield callers
    callers.close()


@pytest.fixture(scope="module")
def shown(site: RunningPortal) -> Iterator[str]:
    """Marie's running instance on exp-1, on whose team are Marie and Rosalind."""
    with instance_of(site, title="Micelles together") as identifier:
        yield identifier


@pytest.fixture
def instance(to: Callers, shown: str) -> Iterator[str]:
    """The same, with nobody but Marie on it, and nothing open, afterwards."""
    yield shown
    base = f"instances/{shown}"
    for member in to.marie.get(f"{base}/members").json()[1:]:
        to.marie.delete(f"{base}/members/{member['username']}")
        getattr(to, member["username"]).delete(f"{base}/membership")
    for link in to.marie.get(f"{base}/invitations").json():
        to.marie.delete(f"{base}/invitations/{link['id']}")
    for request in to.marie.get(f"{base}/requests").json():
        to.marie.post(f"{base}/requests/{request['id']}", json={"answer": "refuse"})
    to.marie.delete(f"{base}/help")
    to.marie.patch(f"{base}/sharing", json={"support": "ask", "approvers": "owner", "presence": "with-owner"})


@pytest.fixture(scope="module")
def description(to: Callers) -> dict[str, Any]:
    return dict(to.marie.get("openapi.json").json())


def reason(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["reason"]


def in_hours(hours: float) -> str:
    return (now() + timedelta(hours=hours)).isoformat()


def link(to: Callers, instance: str, **changed: Any) -> dict[str, Any]:
    """A new link of Marie's."""
    body = {"kind": "once", "role": "observer", "expires": in_hours(1), **changed}
    made = to.marie.post(f"instances/{instance}/invitations", json=body)
    assert made.status_code == 201, made.text
    return dict(made.json())


# members


def test_a_member_from_the_team(to: Callers, instance: str, description: dict[str, Any]) -> None:
    path = f"instances/{instance}/members"
    made = to.marie.post(path, json={"username": "rosalind", "role": "observer"})
    assert made.status_code == 201, made.text
    member = check(description, "POST", "instances/{id}/members", made)
    assert (member["role"], member["way"], member["granted_by"]) == ("observer", "team", "marie")
    listed = check(description, "GET", "instances/{id}/members", to.rosalind.get(path))
    assert [(m["username"], m["role"]) for m in listed] == [("marie", "owner"), ("rosalind", "observer")]
    (shared,) = check(description, "GET", "shared", to.rosalind.get("shared"))
    assert (shared["id"], shared["owner_name"], shared["role"]) == (instance, "Marie Curie", "observer")
    changed = to.marie.patch(f"{path}/rosalind", json={"role": "collaborator"})
    check(description, "PATCH", "instances/{id}/members/{username}", changed)
    assert changed.json()["role"] == "collaborator"
    assert to.rosalind.delete(f"instances/{instance}/membership").status_code == 204
    assert to.rosalind.get("shared").json() == []
    assert to.rosalind.get(path).status_code == 404


def test_people_whose_names_are_words_of_addresses_are_added_changed_and_removed(
    site: RunningPortal, to: Callers
) -> None:
    words = {word for one in OPERATIONS for word in one.path.split("/") if not word.startswith("{")}
    with instance_of(site, experiments=["exp-4"]) as instance:
        path = f"instances/{instance}/members"
        for name in sorted({"me", "mine", "self", *words}):
            site.store.put_person(Person(username=Username(name), name=name.title()))
            assert to.marie.post(path, json={"username": name, "role": "observer"}).status_code == 201, name
            assert to.marie.patch(f"{path}/{name}", json={"with_owner": True}).json()["username"] == name
            assert to.marie.delete(f"{path}/{name}").status_code == 204, name
            assert [one["username"] for one in to.marie.get(path).json()] == ["marie"], name


def test_what_the_owner_alone_may_is_403_for_members_and_404_for_strangers(to: Callers, instance: str) -> None:
    base = f"instances/{instance}"
    to.marie.post(f"{base}/members", json={"username": "rosalind", "role": "collaborator"})
    acts: list[tuple[str, str, Any]] = [
        ("POST", "members", {"username": "lise", "role": "observer"}),
        ("PATCH", "members/rosalind", {"role": "observer"}),
        ("DELETE", "members/lise", None),
        ("GET", "sharing", None),
        ("PATCH", "sharing", {"presence": "any"}),
        ("GET", "invitations", None),
        ("POST", "invitations", {"kind": "once", "role": "observer", "expires": in_hours(1)}),
        ("DELETE", "invitations/1", None),
        ("GET", "requests", None),
        ("GET", "visits", None),
    ]
    for method, path, body in acts:
        member = to.rosalind.request(method, f"{base}/{path}", json=body)
        assert member.status_code == 403, (method, path, member.text)
        assert member.json()["reason"] == "not-the-owner"
        stranger = to.lise.request(method, f"{base}/{path}", json=body)
        unknown = to.lise.request(method, f"instances/0123456789abcdef/{path}", json=body)
        assert stranger.status_code == 404, (method, path, stranger.text)
        assert stranger.json() == unknown.json(), "an instance that she does not know looks as one that is not there"
    for method, path in (("PATCH", ""), ("POST", "/start"), ("POST", "/stop"), ("DELETE", "")):
        body = {"title": "x"} if method == "PATCH" else None
        assert to.rosalind.request(method, base + path, json=body).status_code in (403, 404)
    assert to.marie.get(base).json()["title"] == "Micelles together"


def test_people_whom_the_rules_exclude(to: Callers, instance: str) -> None:
    path = f"instances/{instance}/members"
    assert reason(to.marie.post(path, json={"username": "lise", "role": "observer"})) == (403, "under-embargo")
    assert reason(to.marie.post(path, json={"username": "lise", "role": "collaborator"})) == (403, "outside-the-team")
    assert reason(to.marie.post(path, json={"username": "nobody", "role": "observer"})) == (404, "no-such-person")
    assert reason(to.marie.post(path, json={"username": "marie", "role": "observer"})) == (409, "is-the-owner")
    for role in ("owner", "support", "support-view", "none", "x"):
        assert reason(to.marie.post(path, json={"username": "rosalind", "role": role})) == (400, "bad-request")
    late = {"username": "rosalind", "role": "observer", "until": (now() - timedelta(hours=1)).isoformat()}
    assert reason(to.marie.post(path, json=late)) == (400, "bad-time")
    naive = {"username": "rosalind", "role": "observer", "until": "2030-01-01T00:00:00"}
    assert reason(to.marie.post(path, json=naive)) == (400, "bad-request")


def test_nobody_is_told_addresses_or_when_somebody_was_seen(to: Callers, instance: str) -> None:
    """CVE-2026-111930 of a peer: names of members brought their mail addresses and last logins along."""
    to.marie.post(f"instances/{instance}/members", json={"username": "rosalind", "role": "observer"})
    for path in (f"instances/{instance}/members", "shared", "notifications", "beamtime", "support"):
        for one in (to.rosalind, to.dorothy):
            text = one.get(path).text
            assert "@" not in text
            assert "last" not in text
    found = to.marie.get("people", params={"instance": instance, "search": "mei"}).json()
    assert set(found[0]) == {"username", "name", "team", "roles", "why_not"}


def test_finding_people(to: Callers, instance: str, description: dict[str, Any]) -> None:
    def found(search: str = "") -> list[dict[str, Any]]:
        answer = to.marie.get("people", params={"instance": instance, "search": search})
        return list(check(description, "GET", "people", answer))

    assert [one["username"] for one in found()] == ["rosalind"], "the team that is not there yet"
    assert found()[0]["roles"] == ["observer", "collaborator"]
    (lise,) = found("meitner")
    assert (lise["username"], lise["team"], lise["roles"]) == ("lise", False, [])
    assert "not on the experiment's team" in lise["why_not"]
    assert reason(to.marie.get("people", params={"instance": instance, "search": "me"})) == (400, "bad-request")
    assert found("___") == [], "no pattern of the database's"
    assert found("%%%") == []
    assert reason(to.lise.get("people", params={"instance": instance, "search": "curie"})) == (404, "not-found")
    assert reason(to.marie.get("people", params={"search": "meitner"})) == (400, "bad-request")


def test_rules_of_an_instance(to: Callers, instance: str, description: dict[str, Any]) -> None:
    path = f"instances/{instance}/sharing"
    before = check(description, "GET", "instances/{id}/sharing", to.marie.get(path))
    assert before["folders"] == ["shared"]
    changed = to.marie.patch(path, json={"on_leave": "read-only", "folders": ["shared", "home/analysis"]})
    assert changed.status_code == 200, changed.text
    assert changed.json() == {**before, "on_leave": "read-only", "folders": ["home/analysis", "shared"]}
    for folder in ("/etc", "home/../x", "..", "home/\u0000"):
        assert reason(to.marie.patch(path, json={"folders": [folder]})) == (400, "bad-request")
    to.marie.patch(path, json={"on_leave": "disconnect", "folders": ["shared"]})


@pytest.mark.parametrize("end", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_a_time_that_is_none_in_utc(to: Callers, instance: str, end: str) -> None:
    base = f"instances/{instance}"
    body = {"username": "rosalind", "role": "observer"}
    assert reason(to.marie.post(f"{base}/members", json={**body, "until": end})) == (400, "bad-request")
    assert to.marie.post(f"{base}/members", json=body).status_code == 201
    assert reason(to.marie.patch(f"{base}/members/rosalind", json={"until": end})) == (400, "bad-request")
    link = {"kind": "once", "role": "observer", "expires": end}
    assert reason(to.marie.post(f"{base}/invitations", json=link)) == (400, "bad-request")


# links


def test_a_link_works_once(to: Callers, instance: str, description: dict[str, Any]) -> None:
    made = link(to, instance)
    assert made["path"] == f"/services/visa/join/{made['token']}"
    (listed,) = [one for one in to.marie.get(f"instances/{instance}/invitations").json() if one["id"] == made["id"]]
    assert "token" not in listed, "it is told once"
    body = {"token": made["token"]}
    for _ in range(3):
        look = check(description, "POST", "invitations/look", to.rosalind.post("invitations/look", json=body))
    assert (look["title"], look["owner_name"], look["role"]) == ("Micelles together", "Marie Curie", "observer")
    joined = check(description, "POST", "invitations/redeem", to.rosalind.post("invitations/redeem", json=body))
    assert (joined["instance"], joined["role"]) == (instance, "observer")
    assert to.marie.delete(f"instances/{instance}/members/rosalind").status_code == 204
    assert reason(to.rosalind.post("invitations/redeem", json=body)) == (410, "link-not-valid")
    assert reason(to.rosalind.post("invitations/redeem", json={"token": "x" * 43})) == (410, "link-not-valid")


def test_a_link_passed_on_to_somebody_whom_the_rules_exclude(to: Callers, instance: str) -> None:
    made = link(to, instance)
    assert reason(to.lise.post("invitations/look", json={"token": made["token"]})) == (403, "under-embargo")
    assert reason(to.lise.post("invitations/redeem", json={"token": made["token"]})) == (403, "under-embargo")
    assert to.rosalind.post("invitations/redeem", json={"token": made["token"]}).status_code == 200, "it is not used up"


def test_a_link_for_another_address_withdrawn_or_for_too_long(to: Callers, instance: str) -> None:
    bound = link(to, instance, email="somebody@example.org")
    assert reason(to.rosalind.post("invitations/redeem", json={"token": bound["token"]})) == (403, "link-for-another")
    withdrawn = link(to, instance)
    assert to.marie.delete(f"instances/{instance}/invitations/{withdrawn['id']}").status_code == 204
    assert reason(to.rosalind.post("invitations/redeem", json={"token": withdrawn["token"]})) == (410, "link-not-valid")
    path = f"instances/{instance}/invitations"
    for hours in (-1, 24 * 365):
        body = {"kind": "once", "role": "observer", "expires": in_hours(hours)}
        assert reason(to.marie.post(path, json=body)) == (400, "bad-time")
    assert reason(to.marie.delete(f"{path}/x")) == (404, "not-found")


def test_two_people_at_the_same_instant(to: Callers, instance: str) -> None:
    made = link(to, instance)
    with ThreadPoolExecutor(4) as pool:
        send = [pool.submit(to.rosalind.post, "invitations/redeem", json={"token": made["token"]}) for _ in range(4)]
        statuses = sorted(one.result().status_code for one in send)
    assert statuses[0] == 200
    assert [one["username"] for one in to.marie.get(f"instances/{instance}/members").json()] == ["marie", "rosalind"]


# requests


def test_asking_tells_nothing_of_whether_it_exists(to: Callers, instance: str) -> None:
    body = {"wanted": "observer", "reason": "May I look?"}
    real = to.lise.post(f"instances/{instance}/requests", json=body)
    unknown = to.lise.post("instances/0123456789abcdef/requests", json=body)
    assert (real.status_code, real.json()) == (unknown.status_code, unknown.json()) == (202, {"state": "asked"})
    assert to.marie.get(f"instances/{instance}/requests").json() == [], "the rules do not let her in: nobody is asked"
    for path in (instance, "0123456789abcdef"):
        assert to.lise.delete(f"instances/{path}/requests/mine").status_code == 204


def test_asked_and_let_in(to: Callers, instance: str, description: dict[str, Any]) -> None:
    base = f"instances/{instance}"
    assert to.rosalind.post(f"{base}/requests", json={"wanted": "collaborator", "reason": "I measured it"}).is_success
    (waiting,) = check(description, "GET", "instances/{id}/requests", to.marie.get(f"{base}/requests"))
    assert (waiting["username"], waiting["wanted"], waiting["reason"]) == ("rosalind", "collaborator", "I measured it")
    notices = check(description, "GET", "notifications", to.marie.get("notifications"))
    assert notices["waiting"] == 1
    assert notices["notices"][0]["request"]["id"] == waiting["id"]
    path = f"{base}/requests/{waiting['id']}"
    for other in (to.lise, to.rosalind, to.dorothy):
        refused = other.post(path, json={"answer": "approve"})
        assert refused.status_code in (403, 404), "who is not its owner answers nothing"
    with_dorothy = to.marie.post("instances/0123456789abcdef/requests/1", json={"answer": "approve"})
    assert with_dorothy.status_code == 404
    answered = to.marie.post(path, json={"answer": "approve", "role": "observer"})
    check(description, "POST", "instances/{id}/requests/{n}", answered)
    assert (answered.json()["state"], answered.json()["given"]) == ("approved", "observer")
    assert reason(to.marie.post(path, json={"answer": "approve", "role": "collaborator"})) == (409, "request-over")
    told = to.rosalind.get("notifications").json()["notices"]
    assert ("answered", instance) in [(one["kind"], one["instance"]) for one in told]
    assert to.rosalind.get(path).json()["state"] == "approved"


def test_an_answer_for_another_instance(site: RunningPortal, to: Callers, instance: str) -> None:
    to.rosalind.post(f"instances/{instance}/requests", json={"wanted": "observer"})
    (waiting,) = to.marie.get(f"instances/{instance}/requests").json()
    with instance_of(site, "lise", experiments=["exp-3"]) as other:
        answer = to.lise.post(f"instances/{other}/requests/{waiting['id']}", json={"answer": "approve"})
        assert reason(answer) == (404, "no-such-request")
    assert to.rosalind.delete(f"instances/{instance}/requests/{waiting['id']}").status_code == 204
    late = to.marie.post(f"instances/{instance}/requests/{waiting['id']}", json={"answer": "approve"})
    assert reason(late) == (409, "request-over")


# support


def test_support_without_consent_sees_and_asks(to: Callers, instance: str, description: dict[str, Any]) -> None:
    page = check(description, "GET", "support", to.dorothy.get("support"))
    (row,) = [one for one in page["instances"] if one["id"] == instance]
    assert (row["because"], row["role"], row["pending"]) == ("instrument", None, False)
    base = f"instances/{instance}"
    assert reason(to.lise.post(f"{base}/support", json={"wanted": "view", "reason": "x"})) == (404, "not-found")
    assert to.lise.get("support").json()["total"] == 0
    assert reason(to.dorothy.post(f"{base}/support", json={"wanted": "view", "reason": " "})) == (400, "no-reason")
    asked = to.dorothy.post(f"{base}/support", json={"wanted": "act", "reason": "The shutter is stuck"})
    assert check(description, "POST", "instances/{id}/support", asked)["joined"] is False
    (waiting,) = to.marie.get(f"{base}/requests").json()
    assert (waiting["kind"], waiting["wanted"]) == ("support", "support")
    given = to.marie.post(f"{base}/requests/{waiting['id']}", json={"answer": "approve", "role": "support-view"})
    assert given.json()["given"] == "support-view"
    (member,) = to.marie.get(f"{base}/members").json()[1:]
    assert (member["username"], member["role"], member["way"]) == ("dorothy", "support-view", "support")
    assert member["until"] is not None


def test_consent_to_support_is_the_owners_alone(to: Callers, instance: str) -> None:
    base = f"instances/{instance}"
    to.marie.patch(f"{base}/sharing", json={"approvers": "collaborators", "presence": "any"})
    to.marie.post(f"{base}/members", json={"username": "rosalind", "role": "collaborator"})
    to.dorothy.post(f"{base}/support", json={"wanted": "act", "reason": "Let me"})
    (waiting,) = to.marie.get(f"{base}/requests").json()
    assert to.rosalind.get(f"{base}/requests").json() == []
    answer = to.rosalind.post(f"{base}/requests/{waiting['id']}", json={"answer": "approve"})
    assert reason(answer) == (403, "not-the-owner")


def test_standing_consent(to: Callers, instance: str) -> None:
    base = f"instances/{instance}"
    to.marie.patch(f"{base}/sharing", json={"support": "view"})
    joined = to.dorothy.post(f"{base}/support", json={"wanted": "view", "reason": "A look"}).json()
    assert (joined["joined"], joined["role"]) == (True, "support-view")


def test_break_glass_is_told(site: RunningPortal, to: Callers, instance: str, description: dict[str, Any]) -> None:
    base = f"instances/{instance}"
    body = {"reason": "The room is on fire", "act": True}
    assert to.dorothy.post(f"{base}/break-glass", json=body).status_code == 403
    assert to.lise.post(f"{base}/break-glass", json=body).status_code == 404
    refused = to.grace.post(f"{base}/break-glass", json=body)
    assert reason(refused) == (403, "login-again"), "a token shows nothing about who is there"
    check(description, "POST", "instances/{id}/break-glass", refused)
    entered = break_glass(site, instance, **body)
    assert (entered["act"], entered["instance"]) == ("break-glass", instance)
    told = [one for one in to.marie.get("notifications").json()["notices"] if one["kind"] == "break-glass"]
    assert (told[0]["username"], told[0]["instance"]) == ("grace", instance)
    assert "The room is on fire" in told[0]["text"]
    assert reason(to.marie.delete(f"{base}/members/grace")) == (403, "break-glass-stays")
    assert to.grace.delete(f"{base}/membership").status_code == 204


def test_help(to: Callers, instance: str, description: dict[str, Any]) -> None:
    base = f"instances/{instance}"
    assert to.lise.post(f"{base}/help", json={"message": "x"}).status_code == 404
    asked = to.marie.post(f"{base}/help", json={"message": "The fit does not converge"})
    number = check(description, "POST", "instances/{id}/help", asked)["id"]
    for one in (to.dorothy, to.grace):
        found = one.get("support", params={"help": "true"}).json()["instances"]
        assert [(row["id"], row["help"]["message"]) for row in found] == [(instance, "The fit does not converge")]
        assert "help" in [notice["kind"] for notice in one.get("notifications").json()["notices"]]
    assert to.lise.get("notifications").json()["notices"] == []
    taken = check(description, "POST", "instances/{id}/help/{n}/take", to.dorothy.post(f"{base}/help/{number}/take"))
    assert taken["taken_by"] == "dorothy"
    assert to.dorothy.post(f"{base}/help/{number + 1}/take").status_code == 404
    assert reason(to.grace.post(f"{base}/help/{number}/take")) == (409, "help-taken")
    assert to.marie.delete(f"{base}/help").status_code == 204


def test_searching_support(to: Callers, instance: str) -> None:
    def total(**query: str) -> int:
        return int(to.grace.get("support", params=query).json()["total"])

    assert total(search="micelles") >= 1
    assert total(search="nothing of the kind") == 0
    assert total(instrument="id10", search="micelles") == 0
    assert reason(to.grace.get("support", params={"limit": "9999"})) == (400, "bad-request")


def test_sharing_wakes_pages_within_seconds(site: RunningPortal, to: Callers, instance: str) -> None:
    with to.marie.stream("GET", f"{site.portal}changes") as events:
        lines = events.iter_lines()
        assert next(line for line in lines if line.startswith("event:")) == "event: hello"
        until(lambda: to.rosalind.post(f"instances/{instance}/requests", json={"wanted": "observer"}).is_success)
        told = next(line for line in lines if line.startswith("event:") and "alive" not in line)
        assert told == "event: people"
