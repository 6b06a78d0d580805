"""Properties of the small parts: settings, cookies and headers, logins under way."""

from __future__ import annotations

import base64
import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tornado.httputil import HTTPHeaders

from visa import clock
from visa.instances.access import DesktopRules, Role, Way
from visa.session import headers
from visa.session.login import Sessions, bearer, safe_next
from visa.session.settings import BadSettings, GatewaySettings

PREFIX = "/user/marie/work/"
GIVEN = {
    "JUPYTERHUB_API_TOKEN": "t",
    "JUPYTERHUB_API_URL": "http://127.0.0.1:1/hub/api/",
    "JUPYTERHUB_SERVICE_PREFIX": PREFIX,
    "JUPYTERHUB_CLIENT_ID": "c",
    "JUPYTERHUB_OAUTH_ACCESS_SCOPES": '["access:servers!server=marie/work"]',
    "JUPYTERHUB_USER": "marie",
    "VISA_RUN": "/run/visa",
}


def test_settings_are_read_and_have_sensible_ones_where_none_are_given() -> None:
    settings = GatewaySettings.read(GIVEN)
    assert (settings.host, settings.port, settings.ready) == ("127.0.0.1", 0, None)
    assert settings.socket == "/run/visa/jupyter.sock"
    assert settings.hub_path == "/hub/"
    assert settings.open_path == "lab"
    assert settings.activity_interval == 60
    assert settings.sessions == frozenset()
    assert settings.desktop == DesktopRules({Role.OWNER: Way.BOTH})
    assert settings.ends == ""


def test_the_desktop_s_settings_are_the_contract_s() -> None:
    rules = '{"clipboard": {"owner": "in", "observer": "none"}, "clipboard_limit": 9, "files": "out", "preview": false}'
    given = {"VISA_DESKTOP": rules, "VISA_SESSIONS": "notebook desktop", "VISA_ENDS": "2026-01-31T12:00:00Z"}
    settings = GatewaySettings.read({**GIVEN, **given})
    assert settings.desktop == DesktopRules({Role.OWNER: Way.IN, Role.OBSERVER: Way.NONE}, 9, Way.OUT, False)
    assert settings.sessions == {"notebook", "desktop"}
    assert settings.ends == "2026-01-31T12:00:00Z"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *((name, "") for name in GIVEN),
        ("JUPYTERHUB_SERVICE_PREFIX", "/"),
        ("JUPYTERHUB_SERVICE_PREFIX", "user/marie/"),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", "nonsense"),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", "[]"),
        ("JUPYTERHUB_OAUTH_ACCESS_SCOPES", "[1]"),
        ("VISA_LISTEN", "127.0.0.1"),
        ("VISA_LISTEN", "127.0.0.1:99999"),
        ("VISA_READY_FD", "-1"),
        ("VISA_ACTIVITY_INTERVAL", "soon"),
        ("VISA_FRESH", "nan"),
        ("VISA_FRESH", "3600"),
        ("VISA_DESKTOP", "nonsense"),
        ("VISA_DESKTOP", "[]"),
        ("VISA_DESKTOP", '{"clipboard": {"owner": "sometimes"}}'),
        ("VISA_DESKTOP", '{"clipboard": {"king": "both"}}'),
        ("VISA_DESKTOP", '{"clipboard_limit": -1}'),
        ("VISA_DESKTOP", '{"clipboard_limit": "1"}'),
        ("VISA_DESKTOP", '{"preview": 1}'),
        ("VISA_ENDS", "soon"),
        ("VISA_ENDS", "2026-01-31T12:00:00"),
    ],
)
def test_a_wrong_setting_is_named(name: str, value: str) -> None:
    with pytest.raises(BadSettings, match=name):
        GatewaySettings.read({**GIVEN, name: value})


NAMES = st.sampled_from(
    ["visa-session", "Visa-Login", "jupyterhub-session-id", "JUPYTERHUB-user-x", "__Host-a", "_xsrf", "a", "", " b "]
)
VALUES = st.text(st.characters(codec="ascii", exclude_categories=["Cc"], exclude_characters=";"), max_size=10)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=8))
def test_no_cookie_of_the_hub_passes_inward(pairs: list[tuple[str, str]]) -> None:
    given_ = HTTPHeaders({"Cookie": ";".join(f"{name}={value}" for name, value in pairs)})
    passed = headers.inward(given_, "me").get("Cookie", "")
    for part in headers.cookie_parts(passed):
        assert not headers.is_hub_cookie(part.partition("=")[0])
    assert passed.count("_xsrf=") >= (1 if any(name == "_xsrf" for name, _ in pairs) else 0)


ATTRIBUTES = st.lists(
    st.sampled_from(
        ["Path=/", "path=/hub/", f"Path={PREFIX}lab", f"Path={PREFIX}../..", "Domain=.x", "DOMAIN=y", "HttpOnly", ""]
    ),
    max_size=5,
)


@given(NAMES, VALUES, ATTRIBUTES)
def test_a_cookie_of_the_environment_stays_below_the_instance(name: str, value: str, more: list[str]) -> None:
    own = headers.own_path_cookie("; ".join([f"{name}={value}", *more]), PREFIX)
    if own is None:
        assert headers.is_hub_cookie(name.strip()) or not name.strip()
        return
    attributes = [part.strip().lower() for part in own.split(";")[1:]]
    paths = [part for part in attributes if part.startswith("path")]
    assert len(paths) == 1
    assert paths[0].startswith(f"path={PREFIX}")
    assert ".." not in paths[0]
    assert not any(part.startswith("domain") for part in attributes)


@given(st.lists(st.sampled_from(["Authorization", "X-Visa-Identity", "x-visa-y", "Proxy-X", "TE", "X_VISA_IDENTITY"])))
def test_no_header_says_in_our_place_who_is_there(names: list[str]) -> None:
    given_ = HTTPHeaders()
    for name in names:
        given_.add(name, "evil")
    passed = headers.inward(given_, "me")
    assert passed.get_list(headers.IDENTITY) == ["me"]
    assert "evil" not in str(passed)


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("", ""),
        ("a=1", "a=1"),
        ("token=x", ""),
        ("a=1&token=x&b=2", "a=1&b=2"),
        ("t%6Fken=x", ""),
        ("tok=x", "tok=x"),
    ],
)
def test_a_token_in_the_address_goes_no_further(query: str, kept: str) -> None:
    assert headers.without_token(query) == kept


@pytest.mark.parametrize(
    ("header", "token"),
    [
        ("token abc", "abc"),
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("token", None),
        ("token a b", None),
        ("token " + "a" * 600, None),
        ("", None),
    ],
)
def test_what_counts_as_a_token(header: str, token: str | None) -> None:
    assert bearer(header) == token


@given(st.text(max_size=30))
def test_a_login_leads_nowhere_else(uri: str) -> None:
    assert safe_next(uri, PREFIX).startswith(PREFIX)
    assert safe_next("//evil" + uri, PREFIX) == PREFIX


def test_a_login_under_way_is_its_browsers_only_and_not_for_long() -> None:
    sessions, begun = Sessions(), datetime(2026, 3, 28, 12, tzinfo=UTC)
    with clock.wall(lambda: begun):
        state, challenge = sessions.begin(PREFIX + "lab", "browser")
        attempt = sessions.claim(state, ["planted", "browser"])
        assert attempt is not None
        assert attempt.next == PREFIX + "lab"
        digest = hashlib.sha256(attempt.verifier.encode()).digest()
        assert challenge == base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        assert sessions.claim(state, ["another", ""]) is None
        assert sessions.claim(state.replace("|", "!", 1), ["browser"]) is None
        assert sessions.claim("", [""]) is None
        assert Sessions().claim(state, ["browser"]) is None, "another gateway's"
        assert sessions.begin(PREFIX + "lab", "browser")[1] != challenge
    with clock.wall(lambda: begun + timedelta(seconds=600)):
        assert sessions.claim(state, ["browser"]) is not None
    with clock.wall(lambda: begun + timedelta(seconds=601)):
        assert sessions.claim(state, ["browser"]) is None


@given(st.text(max_size=50), st.text(max_size=20))
def test_no_forged_state_is_a_login(state: str, browser: str) -> None:
    assert Sessions().claim(state, [browser]) is None


def test_who_opens_many_sessions_loses_her_own() -> None:
    sessions = Sessions()
    hers = [sessions.open("token", "marie") for _ in range(2)]
    many = [sessions.open("other", "oscar") for _ in range(600)]
    assert [sessions.token(session) for session in hers] == ["token"] * 2
    assert [sessions.token(session) for session in many] == [None] * 102 + ["other"] * 498
