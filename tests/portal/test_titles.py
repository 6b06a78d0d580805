"""Titles at both doors, the portal's and the hub's: refused with field and remedy, or kept, shown and started again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.services.hub import RunningHub
from tests.services.waiting import until
from visa.identifiers import instance_id

START: dict[str, Any] = {"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"}
ODD = "a\u200bb\u202e\0"


@pytest.fixture(scope="module")
def rest(shared_hub: RunningHub) -> Iterator[httpx.Client]:
    with shared_hub.rest(shared_hub.token("marie")) as client:
        yield client


@pytest.mark.parametrize("title", ["a\0b", "a\u202eb", " \u3000", "\u200b", "x" * 300, "\ud800", 7])
def test_an_unfit_title_is_refused_with_field_and_remedy(rest: httpx.Client, title: object) -> None:
    before = rest.get("instances").json()
    answer = rest.post("instances", content=json.dumps({**START, "title": title}))
    problem = answer.json()
    assert (answer.status_code, problem["reason"], problem["field"]) == (400, "bad-request", "title")
    assert problem["remedy"]
    assert "title" in problem["detail"]
    assert rest.get("instances").json() == before


@pytest.mark.parametrize("text", ["a\0", "\udfff"])
@pytest.mark.parametrize("field", ["environment", "experiments"])
def test_texts_that_no_database_keeps_are_refused_anywhere(rest: httpx.Client, field: str, text: str) -> None:
    value = [text] if field == "experiments" else text
    answer = rest.post("instances", content=json.dumps({**START, field: value}))
    assert (answer.status_code, answer.json()["field"]) == (400, field)


@pytest.mark.parametrize("title", ["a\u200bb", "a\0b", "two  spaces", "x" * 300, ""])
def test_the_hubs_door_says_why_too(shared_hub: RunningHub, title: str) -> None:
    with shared_hub.api(shared_hub.token("marie")) as hub:
        answer = hub.post("/users/marie/servers/odd", json={"user_options": START, "display_name": title})
        told = answer.json()
        assert (answer.status_code, told["field"]) == (400, "display_name")
        assert "single spaces" in told["message"]
        assert "odd" not in hub.get("/users/marie?include_stopped_servers=1").json()["servers"]


def test_what_jupyterhub_would_not_take_is_kept_and_a_stored_oddity_starts(
    shared_hub: RunningHub, rest: httpx.Client
) -> None:
    title = "family \U0001f468\u200d\U0001f469 می\u200cخواهم"
    made = rest.post("instances", json={**START, "title": f" {title}\u00a0"})
    assert made.status_code in (200, 201, 202), made.text
    one = f"instances/{made.json()['id']}"
    assert made.json()["title"] == title

    def state(wanted: str) -> dict[str, Any] | None:
        now: dict[str, Any] = rest.get(one).json()
        return now if now["state"] == wanted else None

    def stopped() -> None:
        until(lambda: state("running"), 120, "the start")
        rest.post(f"{one}/stop")
        until(lambda: state("stopped"), 60, "the stop")

    stopped()
    assert rest.post(f"{one}/start").status_code in (200, 202)
    assert rest.get(one).json()["title"] == title
    stopped()
    # As versions before this one kept it.
    shared_hub.store.rename(instance_id("marie", made.json()["name"]), ODD)
    assert rest.get(one).json()["title"] == "ab"
    assert rest.post(f"{one}/start").status_code in (200, 202)
    stopped()
    assert rest.delete(one).status_code in (200, 202, 204)
