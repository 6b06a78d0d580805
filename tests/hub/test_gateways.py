"""Who is expected, and whose word counts for an instance."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.hub.gateways import Gateways, holds, key_of


@given(st.text(min_size=1), st.text())
def test_a_key_opens_for_its_own_token_only(token: str, other: str) -> None:
    key = key_of(token)
    assert holds(key, token)
    assert holds(key, other) is (other == token)
    assert token not in key or len(token) < 3


@pytest.mark.parametrize("token", ["", None, "x", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"])
def test_an_empty_key_is_nobodys(token: str | None) -> None:
    """A server that was never started has one, and SHA-256 of nothing is well known."""
    assert key_of("") == ""
    assert not holds("", token)
    assert not holds(key_of("real"), token)


async def test_only_the_gateway_that_is_expected_may_report() -> None:
    gateways = Gateways()
    url = gateways.expect("one", "t1", None)
    gateways.expect("two", "t2", None)
    assert gateways.expected("one", "t2") is None
    assert gateways.expected("one", "") is None
    assert gateways.expected("one", None) is None
    assert gateways.expected("three", "t1") is None
    found = gateways.expected("one", "t1")
    assert found is not None
    assert found.url is url
    found.url.set_result("http://10.1.2.3:8888")
    assert await asyncio.wait_for(url, 30) == "http://10.1.2.3:8888"


async def test_a_token_that_is_empty_is_never_expected() -> None:
    gateways = Gateways()
    gateways.expect("one", "", None)
    assert gateways.expected("one", "") is None
    assert gateways.expected("one", None) is None


async def test_a_start_that_is_given_up_expects_nobody() -> None:
    gateways = Gateways()
    url = gateways.expect("one", "t1", None)
    gateways.forget("one")
    assert gateways.expected("one", "t1") is None
    assert url.cancelled()
    gateways.forget("one")  # twice is harmless


async def test_what_was_reported_stays_when_nobody_waits_any_more() -> None:
    gateways = Gateways()
    url = gateways.expect("one", "t1", None)
    url.set_result("x")
    gateways.forget("one")
    assert await url == "x"


async def test_a_new_start_replaces_the_former_one() -> None:
    gateways = Gateways()
    gateways.expect("one", "before", None)
    url = gateways.expect("one", "after", None)
    assert gateways.expected("one", "before") is None
    found = gateways.expected("one", "after")
    assert found is not None
    assert found.url is url


def test_who_speaks_for_an_instance() -> None:
    gateways = Gateways()
    for identifier, key in (("one", key_of("t1")), ("two", key_of("t2")), ("three", key_of("t3")), ("three", "")):
        gateways.know(identifier, key)
    assert gateways.speaks("one", "t1")
    for identifier, token in (("one", "t2"), ("one", ""), ("one", None), ("three", "t3"), ("three", ""), ("no", "t1")):
        assert not gateways.speaks(identifier, token), (identifier, token)
