"""Whom pages and login codes are for, by what browsers send."""

from __future__ import annotations

import pytest
from tornado.httputil import HTTPHeaders

from visa.navigation import NOT_TOLD, ONLY_PAGES, loopback, navigated, plain_elsewhere, refusal

WENT = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}


@pytest.mark.parametrize("host", ["visa.example.org", "127.0.0.1:8000"])
@pytest.mark.parametrize(
    "more",
    [
        {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "empty"},
        {"Sec-Fetch-Dest": "iframe"},
        {"Sec-Fetch-Dest": "object"},
        {"Sec-Purpose": "prefetch"},
        {"Sec-Purpose": "prefetch;prerender"},
        {"Purpose": "prefetch"},
    ],
)
def test_scripts_frames_and_guesses_are_no_navigation(host: str, more: dict[str, str]) -> None:
    assert navigated(HTTPHeaders({"Host": host, **WENT}))
    assert refusal(HTTPHeaders({"Host": host, **WENT, **more})) == ONLY_PAGES


@pytest.mark.parametrize("half", WENT)
def test_half_of_it_is_not_enough(half: str) -> None:
    assert not navigated(HTTPHeaders({"Host": "127.0.0.1", half: WENT[half]}))


@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost", "marie.localhost:8000", "[::1]:8000", "127.1.2.3"])
def test_a_program_on_this_machine_says_nothing(host: str) -> None:
    assert loopback(host)
    assert navigated(HTTPHeaders({"Host": host}))


@pytest.mark.parametrize(
    "host",
    [
        "visa.example.org",
        "10.0.0.7:30080",
        "localhost.example.org",
        "127.0.0.1.example.org",
        "",
        "[fe80::1]",
        "0.0.0.0",
    ],
)
def test_over_plain_http_elsewhere_nothing_is_known_and_nothing_shown(host: str) -> None:
    assert refusal(HTTPHeaders({"Host": host})) == NOT_TOLD
    assert not navigated(HTTPHeaders({"Host": host, "Accept": "text/html", "X-Forwarded-Proto": "https"}))


@pytest.mark.parametrize(
    ("url", "plain"),
    [
        ("http://visa.example.org", True),
        ("http://0.0.0.0:8000/", True),
        ("http://:8000", True),
        ("https://visa.example.org", False),
        ("http://127.0.0.1:8000", False),
        ("http://[::1]:8000/hub/", False),
        ("", False),
    ],
)
def test_addresses_over_which_nothing_is_known(url: str, plain: bool) -> None:
    assert plain_elsewhere(url) is plain
