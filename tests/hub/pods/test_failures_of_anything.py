"""Whatever a pod looks like and whatever the API server says, something that a person can read comes of it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.hub.pods.test_failures import CONTACT, SPEC, Pod, readable, status
from visa.hub.pods import failures
from visa.hub.pods.watch import slim

JUNK = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.text(st.sampled_from('0123456789/ ,.:{}"\n\x00\x1b\u202e'), max_size=60),
    st.sampled_from(
        [
            "x" * 20_000,
            "0/3 nodes are available: " + ", ".join(f"{n} {chr(10)}{'y' * 400}" for n in range(50)),
            f'persistentvolumeclaim "{"z" * 5000}\x07" not found',
            f'configmap "{"z" * 5000}\x07" not found',
            "\x00\x1b[2J",
            'for volume "home"',
        ]
    ),
)
REASONS = st.one_of(
    JUNK,
    st.sampled_from(
        ["ErrImagePull", "CreateContainerConfigError", "OOMKilled", "Error", "Evicted", "Unschedulable", "StartError"]
    ),
)


def maybe(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({}, optional=fields)


STATES = st.one_of(
    st.none(),
    st.just({"running": {}}),
    st.builds(lambda inner: {"waiting": inner}, st.none() | maybe(reason=REASONS, message=JUNK)),
    st.builds(lambda message: {"waiting": {"reason": "ErrImagePull", "message": message}}, JUNK),
    st.builds(
        lambda inner: {"terminated": inner},
        st.none() | maybe(exitCode=st.none() | st.integers(-200, 300), reason=REASONS, message=JUNK),
    ),
)
STATUSES = st.none() | st.lists(
    st.one_of(
        maybe(name=st.sampled_from(["environment", "gateway", "sidecar"]), image=JUNK, state=STATES),
        st.builds(lambda image, state: {"name": "environment", "image": image, "state": state}, JUNK, STATES),
    ),
    max_size=2,
)
PODS = st.builds(
    lambda status, deleted: {"metadata": {"name": "visa-1", "deletionTimestamp": deleted}, "status": status},
    st.none()
    | maybe(
        phase=st.sampled_from(["Pending", "Running", "Failed", "Succeeded", "Unknown", "New"]),
        reason=REASONS,
        message=JUNK,
        conditions=st.none()
        | st.lists(
            maybe(
                type=st.sampled_from(["PodScheduled", "Ready"]),
                status=st.sampled_from(["True", "False", "Unknown"]),
                reason=REASONS,
                message=JUNK,
            ),
            max_size=3,
        ),
        containerStatuses=STATUSES,
        initContainerStatuses=STATUSES,
    ),
    st.none() | st.just("2026-11-25T01:00:00Z"),
)
EVENTS = st.lists(
    maybe(
        reason=st.one_of(REASONS, st.sampled_from(["FailedMount", "FailedCreatePodSandBox", "Preempted", "Pulling"])),
        message=JUNK,
        lastTimestamp=st.none() | st.just("2026-11-25T01:00:00Z"),
    ),
    max_size=3,
)


@settings(max_examples=500)
@given(PODS, EVENTS, st.floats(0, 100))
def test_whatever_a_pod_looks_like_something_readable_comes_of_it(made: Pod, events: Any, age: float) -> None:
    for seen in (made, slim(made)):
        cause = failures.start_trouble(seen, events, age, SPEC, CONTACT)
        assert cause is None or (cause.sentence and readable(str(cause)))
        failures.pulling(seen, events)
        ending = failures.ending_of(seen)
        if ending is not None:
            assert readable(ending.sentence)
            assert isinstance(ending.code, int)
            for later in (None, seen):
                assert readable(failures.ending_by_cluster(ending, later, events).sentence)


@given(st.integers(0, 599), st.one_of(JUNK.map(lambda text: text or ""), JUNK.map(status)))
def test_whatever_the_api_server_says_is_readable(code: int, body: str) -> None:
    assert readable(str(failures.refused_by_api(code, body, CONTACT)))


@given(JUNK, JUNK, JUNK)
def test_a_quota_of_any_text_is_readable(name: str | None, used: str | None, limit: str | None) -> None:
    message = f"exceeded quota: {name}, requested: cpu=1, used: {used}, limited: {limit}"
    assert readable(str(failures.refused_by_api(403, status(message), CONTACT)))
