"""Start options: whatever JSON brings, a request or a refusal with words."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.instances.model import Reason, Refusal, StartRequest
from visa.instances.request import MOST_EXPERIMENTS, check_name, parse_request

GOOD: dict[str, Any] = {
    "experiments": ["exp-1"],
    "environment": "scattering",
    "flavour": "small",
    "session": "notebook",
}


def test_good_options_become_a_request() -> None:
    request = parse_request(GOOD)
    assert request == StartRequest(("exp-1",), "scattering", "small", "notebook")  # type: ignore[arg-type]


def test_session_may_be_left_out() -> None:
    request = parse_request({key: value for key, value in GOOD.items() if key != "session"})
    assert isinstance(request, StartRequest)
    assert request.session == "notebook"


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"image": "evil"}, Reason.UNKNOWN_OPTION),
        ({"volumes": []}, Reason.UNKNOWN_OPTION),
        ({"__jupyterhub_bytes__": "AA=="}, Reason.UNKNOWN_OPTION),
        ({"experiments": "exp-1"}, Reason.MALFORMED),
        ({"experiments": {"exp-1": 1}}, Reason.MALFORMED),
        ({"experiments": [1]}, Reason.MALFORMED),
        ({"experiments": [None]}, Reason.MALFORMED),
        ({"experiments": [["exp-1"]]}, Reason.MALFORMED),
        ({"experiments": ["../exp-1"]}, Reason.MALFORMED),
        ({"experiments": ["a..b"]}, Reason.MALFORMED),
        ({"experiments": ["{userid.__class__}"]}, Reason.MALFORMED),
        ({"experiments": ["exp-1\n"]}, Reason.MALFORMED),
        ({"experiments": ["exp-1\x00"]}, Reason.MALFORMED),
        ({"experiments": ["é"]}, Reason.MALFORMED),
        ({"experiments": [""]}, Reason.MALFORMED),
        ({"experiments": ["x" * 1_000_000]}, Reason.MALFORMED),
        ({"experiments": ["exp-1", "exp-1"]}, Reason.REPEATED_EXPERIMENT),
        ({"experiments": [f"e{n}" for n in range(MOST_EXPERIMENTS + 1)]}, Reason.TOO_MANY_EXPERIMENTS),
        ({"environment": None}, Reason.MALFORMED),
        ({"environment": {"__jupyterhub_bytes__": "AA=="}}, Reason.MALFORMED),
        ({"environment": "../../etc"}, Reason.MALFORMED),
        ({"flavour": True}, Reason.MALFORMED),
        ({"flavour": 1.5}, Reason.MALFORMED),
        ({"session": "shell"}, Reason.MALFORMED),
        ({"session": ["notebook"]}, Reason.MALFORMED),
    ],
)
def test_what_is_wrong_is_refused_by_name(changed: dict[str, Any], reason: Reason) -> None:
    refusal = parse_request({**GOOD, **changed})
    assert isinstance(refusal, Refusal)
    assert refusal.reason is reason
    assert len(str(refusal)) < 400, "a refusal never echoes what was sent at length"
    assert refusal.field == next(iter(changed)) or reason is Reason.UNKNOWN_OPTION
    assert refusal.remedy


@pytest.mark.parametrize("missing", ["experiments", "environment", "flavour"])
def test_a_missing_option_is_named(missing: str) -> None:
    refusal = parse_request({key: value for key, value in GOOD.items() if key != missing})
    assert isinstance(refusal, Refusal)
    assert refusal.field == missing


@pytest.mark.parametrize(
    "options",
    [None, [], "text", 7, True, {"x" * 10_000: 1}, {"\u202eevil\n": 1}, {**GOOD, "environment": "\u202e" * 10_000}],
)
def test_what_is_echoed_is_short_and_safe_to_show(options: Any) -> None:
    refusal = parse_request(options)
    assert isinstance(refusal, Refusal)
    assert len(refusal.sentence) < 120
    assert len(refusal.field or "") <= 40
    assert str(refusal).isprintable()


def test_thousands_of_entries_are_refused_before_any_is_looked_at() -> None:
    refusal = parse_request({**GOOD, "experiments": [{"deep": ["x" * 1000]}] * 100_000})
    assert isinstance(refusal, Refusal)
    assert refusal.reason is Reason.TOO_MANY_EXPERIMENTS


def test_no_experiment_is_well_formed() -> None:
    """Whether she may go without is admission's to say."""
    request = parse_request({**GOOD, "experiments": []})
    assert isinstance(request, StartRequest)
    assert request.experiments == ()


@pytest.mark.parametrize("name", ["a", "exp-1-3f2a", "A.b_c", "x" * 64])
def test_names_of_instances(name: str) -> None:
    assert check_name(name) is None


@pytest.mark.parametrize("name", ["..", "a/b", "x" * 65, "x" * 1_000_000, "a b", "{x}", "a\x00", "\ud800", "`id`", "é"])
def test_names_that_no_instance_may_have(name: str) -> None:
    refusal = check_name(name)
    assert refusal is not None
    assert (refusal.reason, refusal.field) == (Reason.MALFORMED, "name")
    assert len(refusal.sentence) < 120
    assert str(refusal).isprintable()


def test_the_unnamed_server_has_a_reason_of_its_own() -> None:
    refusal = check_name("")
    assert refusal is not None
    assert refusal.reason is Reason.UNNAMED_SERVER


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON | st.fixed_dictionaries(dict.fromkeys(GOOD, JSON)))
def test_any_json_is_a_request_or_a_refusal_that_can_be_shown(options: Any) -> None:
    outcome = parse_request(options)
    assert isinstance(outcome, StartRequest | Refusal)
    if isinstance(outcome, Refusal):
        assert str(outcome).isprintable()
