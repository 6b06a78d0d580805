"""What gateways ask and tell about people: only the instance's own, and only what is agreed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.hub import RunningHub
from visa.hub.sharing.handlers import here_of, refused_of

PATH = "/hub/api/visa/gateways/marie/work/people"
HERE = {"username": "rosalind", "role": "observer", "session": "notebook", "since": "2026-01-01T00:00:00Z"}


@pytest.mark.parametrize("who", ["marie", "lise", "grace", "nonsense", None])
def test_nobody_but_the_gateway_asks_or_tells(shared_hub: RunningHub, who: str | None) -> None:
    token = who if who in (None, "nonsense") else shared_hub.token(who)
    headers = {} if token is None else {"Authorization": f"token {token}"}
    for query in ("", "?after=1", "?after=x"):
        answer = httpx.get(f"{shared_hub.url}{PATH}{query}", headers=headers, timeout=60)
        assert answer.status_code == 403
        assert "members" not in answer.text
    answer = httpx.post(f"{shared_hub.url}{PATH}", headers=headers, json={"here": [HERE]}, timeout=60)
    assert answer.status_code == 403
    assert httpx.put(f"{shared_hub.url}{PATH}", headers=headers, timeout=60).status_code == 405
    audit = [e.decision.action for e in shared_hub.store.audit(limit=500)]
    assert "visit" not in audit


def test_a_cookie_is_no_token_and_a_report_is_short(shared_hub: RunningHub) -> None:
    with shared_hub.login("marie") as browser:
        assert browser.get(PATH).status_code == 403
        assert browser.post(PATH, json={"here": [HERE]}).status_code == 403
        assert browser.post(PATH, content=b"x" * 70_000).status_code == 413


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.sampled_from(sorted(HERE)), JSON | st.text())
def test_a_report_is_read_or_refused(key: str, value: Any) -> None:
    try:
        (one,) = here_of({"here": [{**HERE, key: value}]})
    except (ValueError, KeyError, TypeError, AttributeError):
        return
    assert one.session in ("notebook", "desktop")
    assert isinstance(one.since, datetime)
    assert one.since.tzinfo is not None


@given(JSON)
def test_a_body_that_is_none_is_refused(body: Any) -> None:
    for read in (here_of, refused_of):
        try:
            read(body)
        except (ValueError, KeyError, TypeError, AttributeError):
            continue
        assert isinstance(body, dict)


@pytest.mark.parametrize("names", [["../x"], ["a" * 200], [None], "marie", ["x"] * 51])
def test_names_of_who_was_refused_are_names(names: Any) -> None:
    with pytest.raises((ValueError, TypeError)):
        refused_of({"refused": names})
