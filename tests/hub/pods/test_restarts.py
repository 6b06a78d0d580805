"""What the kubelet starts again: what it means, and what a person reads of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.hub.pods.test_failures import Pod, certain, ended, pod, trouble
from visa.hub.pods import failures
from visa.session import __main__ as session


def again(name: str = "gateway", count: int = 1, state: Any = None, **terminated: Any) -> Pod:
    """A container that the kubelet started again, or is about to."""
    one = {"name": name, "state": state or {"running": {}}, "lastState": {"terminated": terminated}}
    return pod(phase="Running", containerStatuses=[{**one, "restartCount": count}])


BACK_OFF = {"waiting": {"reason": "CrashLoopBackOff", "message": "back-off 5m0s restarting failed container"}}


@pytest.mark.parametrize("code", [0, 1, 137, 143])
def test_a_gateway_that_ends_is_started_again_and_the_instance_goes_on(code: int) -> None:
    assert failures.ending_of(ended("gateway", exitCode=code, message="Killed")) is None
    assert failures.ending_of(again(exitCode=code, count=50)) is None
    assert failures.ending_of(again(exitCode=code, count=6, state=BACK_OFF)) is None


@pytest.mark.parametrize(("lived", "goes_on"), [(0, False), (121, False), (181, True), (3600, True)])
def test_deaths_of_other_days_do_not_count_against_a_gateway_that_lived_well(lived: int, goes_on: bool) -> None:
    """The kubelet counts restarts for as long as there is the pod."""
    began = datetime(2026, 3, 1, 12, tzinfo=UTC)
    stamps = {"startedAt": f"{began:%Y-%m-%dT%H:%M:%SZ}", "finishedAt": f"{began + timedelta(seconds=lived):%FT%TZ}"}
    assert (failures.ending_of(again(exitCode=137, count=40, state=BACK_OFF, **stamps)) is None) == goes_on


def test_a_gateway_that_ends_again_and_again_is_given_up_and_never_a_success() -> None:
    ending = failures.ending_of(again(exitCode=0, count=7, state=BACK_OFF, message="The gateway cannot start"))
    assert ending is not None
    assert ending.code == 1
    assert "ended again and again" in ending.sentence
    assert "The gateway cannot start" in ending.sentence


def test_a_gateway_whose_port_was_taken_is_given_up_at_once() -> None:
    assert failures._PORT_TAKEN == session.PORT_TAKEN
    for made in (ended("gateway", exitCode=98), again(exitCode=98), again(exitCode=98, state=BACK_OFF)):
        ending = failures.ending_of(made)
        assert ending is not None
        assert "taken the gateway's port" in ending.sentence
    assert failures.ending_of(pod(containerStatuses=[{"name": "gateway", "state": {"running": {}}}])) is None


def test_a_gateway_that_ends_during_the_start_ends_it() -> None:
    for made in (ended("gateway", exitCode=1, message="no"), again(exitCode=1, state=BACK_OFF, message="no")):
        assert "gateway ended (exit code 1). Last it said: no" in certain(made).sentence


def test_an_environment_that_was_started_again_has_ended() -> None:
    ending = failures.ending_of(again("environment", exitCode=137, reason="OOMKilled"))
    assert ending is not None
    assert "memory was full" in ending.sentence
    states = {"lastState": {"terminated": {"exitCode": 3}}, "state": {"terminated": {"exitCode": 143}}}
    ending = failures.ending_of(pod(containerStatuses=[{"name": "environment", **states}]))
    assert ending is not None
    assert "exit code 3" in ending.sentence, "the first of its ends is the one"


@pytest.mark.parametrize("state", [{"running": {}}, BACK_OFF, {"terminated": {"exitCode": 3}}])
def test_a_look_for_folders_that_is_tried_again_said_no(state: dict[str, Any]) -> None:
    one = {"name": "look-for-folders", "state": state, "lastState": {"terminated": {"exitCode": 3}}}
    made = pod(initContainerStatuses=[one])
    assert certain(made).sentence.startswith("The data folder of a chosen experiment is not there")


def test_an_operators_preparation_may_fail_a_few_times() -> None:
    one = {"name": "licences", "state": BACK_OFF, "lastState": {"terminated": {"exitCode": 2, "message": "no server"}}}
    assert trouble(pod(initContainerStatuses=[{**one, "restartCount": 2}])) is None
    cause = certain(pod(initContainerStatuses=[{**one, "restartCount": 3}]))
    assert cause.final
    assert cause.sentence == "A preparation of the instance fails (licences, exit code 2): no server."
