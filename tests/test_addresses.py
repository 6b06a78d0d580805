"""Addresses: one spelling, JupyterHub's, and what the others lead to."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from jupyterhub.utils import url_escape_path

from visa.addresses import (
    Origins,
    gateway_api,
    host_of,
    instance_path,
    label,
    part,
    pattern,
    person_api,
    respelled,
    server_api,
)
from visa.identifiers import Username

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12) | st.from_regex(
    Username.pattern, fullmatch=True
)
"""Of people: any text, for whoever widens `Username`, and what it takes now."""


@st.composite
def spelled(draw: st.DrawFn, text: str) -> str:
    """``text`` as somebody may write it into an address: more is coded than has to be, in upper or lower case."""

    def one(character: str) -> str:
        needed = part(character) != character and character not in "!$&'()*+,;=:"
        code = "".join(f"%{byte:02x}" for byte in character.encode())
        return draw(st.sampled_from([code, code.upper()] + ([] if needed else [character])))

    return "".join(map(one, text))


def seen_by_traefik(path: str) -> str:
    """What traefik compares with a rule: delimiters stay coded, in upper case, all else is plain."""
    codes = re.split(r"(?i)(%(?:2[1346789abcf]|3[abdf]|40|5[bd]|25))", path)
    return "".join(code.upper() if place % 2 else unquote(code) for place, code in enumerate(codes))


@given(NAMES)
@example("cy+x")
def test_the_spelling_is_jupyterhubs(name: str) -> None:
    assert part(name) == url_escape_path(name)
    assert unquote(part(name)) == name
    assert "/" not in part(name)


@given(NAMES, st.sampled_from(["/", "/jupyter/"]))
def test_everything_of_an_instance_is_spelled_alike(name: str, base: str) -> None:
    assert instance_path(base, name, "work") == f"{base}user/{part(name)}/work/"
    assert person_api(name) == f"/users/{part(name)}"
    assert server_api(name, "work") == f"/users/{part(name)}/servers/work"
    assert gateway_api(name, "work") == f"/visa/gateways/{part(name)}/work"


@given(st.data(), NAMES)
def test_other_spellings_lead_to_the_one(data: st.DataObject, name: str) -> None:
    prefix = instance_path("/", name, "work")
    other = f"/user/{data.draw(spelled(name))}/work"
    for rest in ("", "/", "/lab/tree/a%20b+c.ipynb"):
        wanted = prefix[:-1] + rest
        assert respelled(other + rest, prefix) == (None if other + rest == wanted else wanted)


@given(NAMES, NAMES)
def test_another_persons_address_is_not_taken_for_it(name: str, other: str) -> None:
    prefix = instance_path("/", name, "work")
    assert respelled(prefix, prefix) is None
    if name != other:
        assert respelled(instance_path("/", other, "work"), prefix) is None
    assert respelled(f"/user/{part(name)}/", prefix) is None
    assert respelled("/user/%ff/work/", prefix) is None


@given(st.data(), NAMES, NAMES)
def test_a_proxys_pattern_takes_all_spellings_of_one_name(data: st.DataObject, name: str, other: str) -> None:
    wanted = re.compile(pattern(f"user/{part(name)}/work"), re.DOTALL)
    assert wanted.fullmatch(seen_by_traefik(f"user/{part(name)}/work"))
    if other != name:
        assert not wanted.fullmatch(seen_by_traefik(f"user/{part(other)}/work"))
    assert wanted.fullmatch(seen_by_traefik(f"user/{data.draw(spelled(name))}/work"))


@given(NAMES, NAMES)
def test_an_instances_host_is_a_name_in_dns(owner: str, name: str) -> None:
    origins = Origins.read("https://*.Visa.Example.org:8443")
    host = origins.host(owner, name)
    first, _, rest = host.partition(".")
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])", first)
    assert rest == "visa.example.org"
    assert origins.url("/x/", owner, name) == f"https://{host}:8443{instance_path('/x/', owner, name)}"


@given(st.lists(st.tuples(NAMES, NAMES), max_size=20, unique=True))
@example([("a", "b-c"), ("a-b", "c"), ("A", "b-c"), ("a", "B-c"), ("a", "b--c")])
def test_and_no_others(instances: list[tuple[str, str]]) -> None:
    assert len({label(*one) for one in instances}) == len(instances)


def test_where_instances_share_the_hubs_host() -> None:
    origins = Origins.read("")
    assert not origins
    assert (origins.pattern, origins.host("marie", "x"), origins.origin("marie", "x")) == ("", "", "")
    assert origins.url("/", "marie", "x") == "/user/marie/x/"


@pytest.mark.parametrize("pattern", ["https://*.visa.example.org", "http://*.localhost:8000", "https://*.a.b:1/"])
def test_patterns_of_hosts(pattern: str) -> None:
    assert Origins.read(pattern).pattern == pattern.rstrip("/")


@pytest.mark.parametrize(
    "pattern",
    [
        "https://visa.example.org",
        "*.visa.example.org",
        "ftp://*.a",
        "https://*",
        "https://*.",
        "https://*.*.a",
        "https://a*.b",
        "https://*.a_b",
        "https://*.a/x",
        "https://*.a?x",
        "https://*.a:x",
        "https://*.a:99999",
        "https://u@*.a",
        "https://*.a..b",
        "https://*.[::1]",
        f"https://*.{'a.' * 120}b",
    ],
)
def test_what_is_no_pattern_of_hosts(pattern: str) -> None:
    with pytest.raises(ValueError, match="is not like"):
        Origins.read(pattern)


@pytest.mark.parametrize("written", ["a.b", "A.b:80", " a.B. ", "a.b.:443"])
def test_hosts_are_compared_as_dns_does(written: str) -> None:
    assert host_of(written) == "a.b"
