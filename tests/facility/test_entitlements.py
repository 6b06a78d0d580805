"""Entitlements, compared as AARC-G002 and AARC-G069 say."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from visa.facility.entitlements import Entitlement, parse

EGI = "urn:mace:egi.eu:group:vo.ill.eu"


def gives(held: str, wanted: str) -> bool:
    has, asked = parse(held), parse(wanted)
    assert asked is not None
    return has is not None and has.gives(asked)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (EGI, EGI),
        (f"{EGI}#aai.egi.eu", EGI),
        (EGI, f"{EGI}#aai.egi.eu"),
        (f"{EGI}#one", f"{EGI}#another"),
        ("URN:MACE:EGI.EU:group:vo.ill.eu", EGI),
        ("urn:Mace:egi.EU:group:vo.ill.eu", EGI),
        (f"{EGI}:visa", EGI),
        (f"{EGI}:visa:admins", f"{EGI}:visa"),
        (f"{EGI}:visa:role=member", EGI),
        (f"{EGI}:visa:role=member#aai.egi.eu", f"{EGI}:visa"),
        (f"{EGI}:visa:role=member#aai.egi.eu", f"{EGI}:visa:role=member"),
        (f"{EGI}:visa%20admins", f"{EGI}:visa admins"),
        (f"{EGI}:visa%2dadmins", f"{EGI}:visa%2Dadmins"),
        (f"{EGI}:visa%2Dadmins", f"{EGI}:visa-admins"),
        (f"{EGI}:b%C3%B6rn", f"{EGI}:börn"),
        ("urn:geant:helmholtz.de:res:group:HDF:role=x#login", "urn:geant:helmholtz.de:res:group:HDF"),
    ],
)
def test_given(held: str, wanted: str) -> None:
    assert gives(held, wanted)


@pytest.mark.parametrize(
    ("held", "wanted"),
    [
        (EGI, f"{EGI}:visa"),
        (EGI, f"{EGI}:role=member"),
        (f"{EGI}:visa:role=member", f"{EGI}:role=member"),
        (f"{EGI}:role=member", f"{EGI}:role=manager"),
        (f"{EGI}:role=MEMBER", f"{EGI}:role=member"),
        ("urn:mace:egi.eu:group:VO.ill.eu", EGI),
        (f"{EGI}2", EGI),
        ("urn:mace:egi.eu:evil:group:vo.ill.eu", EGI),
        (EGI, "urn:mace:egi.eu:res:group:vo.ill.eu"),
        ("urn:mace:evil.eu:group:vo.ill.eu", EGI),
        ("urn:mace:egi.eu:group:evil:group:vo.ill.eu", EGI),
        (f"{EGI}%3Avisa", f"{EGI}:visa"),
        (f"{EGI}%3Avisa", EGI),
        (f"{EGI}:role%3Dmember", f"{EGI}:role=member"),
        (f"{EGI}:visa%23x", f"{EGI}:visa"),
        ("vo.ill.eu", EGI),
        ("", EGI),
        (f" {EGI}", EGI),
        (f"{EGI}:", EGI),
        (f"{EGI}\n", EGI),
        ("urn:mace:egi.eu:vo.ill.eu", EGI),
        ("urn:mace:egi.eu:group:", EGI),
        (f"{EGI}:{'x:' * 2000}y", EGI),
    ],
)
def test_not_given(held: str, wanted: str) -> None:
    assert not gives(held, wanted)


PART = st.text(
    st.characters(codec="ascii", exclude_characters=":#?=%", categories=["L", "N", "P"]), min_size=1, max_size=6
)


@given(
    st.lists(PART.map(str.lower), min_size=2, max_size=4).filter(lambda parts: "group" not in parts),
    st.lists(PART, min_size=1, max_size=3).filter(lambda parts: "group" not in parts),
    st.none() | PART,
    st.none() | PART,
)
def test_what_is_written_is_read(space: list[str], groups: list[str], role: str | None, authority: str | None) -> None:
    text = f"urn:{':'.join(space)}:group:{':'.join(groups)}"
    text += (f":role={role}" if role else "") + (f"#{authority}" if authority else "")
    read = parse(text)
    assert read == Entitlement(tuple(space), tuple(groups), role)
    assert read.gives(read)
    for number in range(1, len(groups) + 1):
        assert read.gives(Entitlement(tuple(space), tuple(groups[:number]), None))
    assert not read.gives(Entitlement((*space, "x"), tuple(groups), role))


@given(st.text(max_size=60).map(lambda rest: f"urn:{rest}"))
def test_anything_else_is_none_or_gives_itself(text: str) -> None:
    read = parse(text)
    assert read is None or read.gives(read)
