"""The role table and the allow-list, and that no spelling of a path changes what it does."""

from __future__ import annotations

from urllib.parse import quote, unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.instances.access import (
    PERMISSIONS,
    Action,
    DesktopRights,
    DesktopRules,
    Role,
    UnsafePath,
    Way,
    action_of,
    coded,
    desktop_rights,
    may,
    safe_path,
)

PREFIX = "/user/marie/work/"


@pytest.mark.parametrize(
    ("method", "path", "action"),
    [
        ("GET", "", Action.VIEW),
        ("GET", "lab", Action.VIEW),
        ("GET", "lab/tree/notebooks/e1.ipynb", Action.VIEW),
        ("GET", "static/lab/main.js", Action.VIEW),
        ("GET", "api", Action.VIEW),
        ("GET", "lab/api/settings/@jupyterlab/x:y", Action.VIEW),
        ("GET", "api/contents/notebooks/e1.ipynb", Action.READ),
        ("GET", "files/data/e1/run.nxs", Action.READ),
        ("HEAD", "files/data/e1/run.nxs", Action.READ),
        ("GET", "h5web/data", Action.READ),
        ("GET", "api/kernels", Action.READ),
        ("GET", "api/kernels/1234", Action.READ),
        ("GET", "api/kernels/1234/channels", Action.VIEW),
        ("POST", "api/kernels", Action.EXECUTE),
        ("POST", "api/kernels/1234/restart", Action.EXECUTE),
        ("GET", "terminals/websocket/1", Action.EXECUTE),
        ("POST", "api/terminals", Action.EXECUTE),
        ("PUT", "api/contents/notebooks/e1.ipynb", Action.WRITE),
        ("DELETE", "api/contents/notebooks/e1.ipynb", Action.WRITE),
        ("PUT", "lab/api/settings/x", Action.WRITE),
        ("PATCH", "api/config/notebook", Action.WRITE),
        ("POST", "api/shutdown", Action.EXTEND),
        ("POST", "an/extension/nobody/knows", Action.EXTEND),
        ("GET", "an/extension/nobody/knows", Action.EXTEND),
        ("TRACE", "lab", None),
        ("CONNECT", "lab", None),
        ("", "lab", None),
        ("get", "lab", None),
    ],
)
def test_what_a_request_does(method: str, path: str, action: Action | None) -> None:
    assert action_of(method, path) is action


LOOKS = {Action.VIEW, Action.READ}
ACTS = LOOKS | {Action.WRITE, Action.EXECUTE}


def test_the_table() -> None:
    assert {
        Role.OWNER: set(Action),
        Role.COLLABORATOR: ACTS,
        Role.SUPPORT: ACTS,
        Role.OBSERVER: LOOKS,
        Role.SUPPORT_VIEW: LOOKS,
        Role.NONE: set(),
    } == PERMISSIONS
    assert may(Role.OWNER, "PUT", "api/contents/x")
    assert not may(Role.OWNER, "TRACE", "api/contents/x")


@pytest.mark.parametrize("role", [Role.OBSERVER, Role.SUPPORT_VIEW])
def test_who_looks_changes_nothing(role: Role) -> None:
    assert may(role, "GET", "lab")
    for method, path in (
        ("PUT", "api/contents/x.ipynb"),
        ("POST", "api/kernels"),
        ("POST", "api/kernels/1/channels"),
        ("GET", "api/collaboration/timeline/x"),
        ("GET", "api/terminals/1"),
        ("GET", "nbconvert/pdf/x.ipynb"),
        ("PATCH", "api/me"),
        ("GET", "terminals/websocket/1"),
        ("PUT", "lab/api/settings/x"),
        ("POST", "api/shutdown"),
        ("POST", "desktop/start"),
        ("PUT", "desktop/files/home/x"),
    ):
        assert not may(role, method, path), path


@pytest.mark.parametrize("role", [Role.COLLABORATOR, Role.SUPPORT])
def test_who_acts_does_not_stop_the_server_nor_what_nobody_knows(role: Role) -> None:
    assert may(role, "POST", "api/kernels")
    assert not may(role, "POST", "api/shutdown")
    assert not may(role, "POST", "an/extension/nobody/knows")


@given(st.sampled_from(list(Role)), st.text(max_size=12), st.text(max_size=60))
def test_nobody_but_the_owner_does_what_is_on_no_list(role: Role, method: str, path: str) -> None:
    action = action_of(method, path)
    if role is not Role.OWNER and (action in (None, Action.EXTEND) or role is Role.NONE):
        assert not may(role, method, path)
    if role in (Role.OBSERVER, Role.SUPPORT_VIEW) and may(role, method, path):
        # The gateway answers the first by itself; the second writes nothing but an index.
        answered = path.startswith(("lab/api/workspaces", "api/collaboration/session/")) or path == "api/fileid/index"
        assert answered or method in ("GET", "HEAD", "OPTIONS")


@pytest.mark.parametrize(
    "below",
    [
        "../grace/work/lab",
        "lab/../../x",
        "%2e%2e/x",
        "%2E%2E%2fx",
        "lab/./x",
        "lab//x",
        "/lab",
        "api%2fkernels",
        "api%5ckernels",
        "api\\kernels",
        "a%00b",
        "a%0d%0aSet-Cookie:x",
        "a\tb",
        "a%",
        "a%2",
        "a%zz",
        "a%ff",
        "a%c0%ae",
        "%7f",
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_refused(below: str) -> None:
    with pytest.raises(UnsafePath):
        safe_path(PREFIX + below, PREFIX)


@pytest.mark.parametrize(
    "raw",
    ["", "/", "lab", "/user/marie", "/user/marie/workshop/lab", "/user/grace/work/lab", "http://x/user/marie/work/"],
)
def test_a_path_elsewhere_is_refused(raw: str) -> None:
    with pytest.raises(UnsafePath):
        safe_path(raw, PREFIX)


def test_the_address_without_its_last_slash_is_the_beginning() -> None:
    assert safe_path("/user/marie/work", PREFIX) == ""


def test_a_user_name_with_coded_characters_is_a_prefix_like_any() -> None:
    assert safe_path("/user/marie%40x/work/api/%6bernels", "/user/marie%40x/work/") == "api/kernels"


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
def test_what_is_decided_on_is_what_is_passed_on(name: str) -> None:
    """Either refused, or Jupyter, which decodes once, sees the very path that the table saw."""
    raw = PREFIX + quote(name, safe="/%;=@")
    try:
        path = safe_path(raw, PREFIX)
    except UnsafePath:
        return
    passed = coded(path)
    assert unquote(passed, errors="strict") == path
    assert safe_path(PREFIX + passed, PREFIX) == path
    assert ".." not in path.split("/")
    assert not set(passed) & set("?#\\ \r\n\t\0")


@given(
    st.sampled_from(["api/kernels", "api/contents/x", "terminals/websocket/1", "lab/tree/x", "files/x"]),
    st.lists(st.booleans(), min_size=30, max_size=30),
    st.sampled_from(["GET", "POST", "PUT", "DELETE"]),
)
def test_no_percent_coding_changes_the_action(path: str, which: list[bool], method: str) -> None:
    spelt = "".join(f"%{ord(c):02x}" if code and c != "/" else c for c, code in zip(path, which, strict=False))
    below = safe_path(PREFIX + spelt + path[len(which) :], PREFIX)
    assert below == path
    assert action_of(method, below) is action_of(method, path)


def test_only_who_may_execute_acts_on_the_desktop_and_the_facility_s_rules_bind_all() -> None:
    rules = DesktopRules({Role.OWNER: Way.OUT, Role.SUPPORT: Way.IN, Role.OBSERVER: Way.BOTH}, 5, Way.BOTH)
    assert desktop_rights(Role.OWNER, rules) == DesktopRights(True, True, True, Way.OUT, 5, Way.BOTH)
    assert desktop_rights(Role.COLLABORATOR, rules) == DesktopRights(True, True, True, Way.NONE, 5, Way.BOTH)
    assert desktop_rights(Role.SUPPORT, rules) == DesktopRights(True, True, True, Way.IN, 5, Way.BOTH)
    for role in (Role.OBSERVER, Role.SUPPORT_VIEW):
        assert desktop_rights(role, rules) == DesktopRights(False, False, False, Way.NONE, 5, Way.OUT)
        assert may(role, "GET", "desktop/websocket")
        assert may(role, "GET", "desktop/selkies")
    assert desktop_rights(Role.NONE, rules) is None
