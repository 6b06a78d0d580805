"""Who was withdrawn, and who may only have a name that the catalogue cannot read."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import experiment, person
from visa.catalogue.base import Experiment, Part, Reading
from visa.identifiers import InvalidIdentifier, Username
from visa.instances.withdrawal import Withdrawals, may_be

MARIE = person(name="Marie Curie", email="m.sklodowska@example.org")
BARE = person("ab1234", name="ab1234")


@pytest.mark.parametrize(
    "left_out",
    [
        "FACILITY\\marie", "Marie Curie", "curie, m", "märie", "mar\ufffde", "marie;", "'marie'", "sklodowska m", "",
        "#REF!", "N/A", "(anonym)", "???", "4711", "мария", "居里", "m" * 200, "marie\u200b", "{3f2a}", "M\u00f8rie",
    ],
)  # fmt: skip
def test_what_may_mean_her(left_out: str) -> None:
    assert may_be(left_out, MARIE)


@pytest.mark.parametrize("left_out", ["jürgen", "o'neil", "FACILITY\\bohr", "Niels Bohr", "bohr@", "Bohr, N."])
def test_what_means_somebody_else(left_out: str) -> None:
    assert not may_be(left_out, MARIE)


def test_a_full_name_may_mean_whose_name_is_not_known() -> None:
    assert may_be("Niels Bohr", BARE)
    assert not may_be("FACILITY\\bohr", BARE)


@given(st.text(max_size=12), st.sampled_from(["FACILITY\\", "", "x ", "a'"]), st.sampled_from(["", " ", "é", "@é"]))
def test_her_own_name_with_anything_around_it_may_mean_her(inside: str, before: str, after: str) -> None:
    assert may_be(f"{before}marie{after}", MARIE)
    assert may_be(f"{inside}marie", MARIE)


def looks(*readings: Experiment | None, who: str = "marie") -> list[bool]:
    """Whether each look in a row says all about her."""
    seen, answers = Withdrawals(), []
    for one in readings:
        seen.begin()
        reading = Reading({} if one is None else {str(one.id): one})
        answers.append(seen.clear(person(who, name="Marie Curie"), "exp-1", reading))
    return answers


WHOLE = experiment(principal=None, team=frozenset({Username("marie")}), instrument_scientists=frozenset())
GONE = replace(WHOLE, team=frozenset())


def odd(one: Experiment, *names: str, part: Part = Part.TEAM) -> Experiment:
    return replace(one, unread=frozenset({part}), left_out=names)


@pytest.mark.parametrize(
    ("readings", "expected"),
    [
        ((WHOLE, GONE, GONE), [True, True, True]),
        ((None, None), [True, True]),
        ((odd(WHOLE, "o'neil"), odd(GONE, "o'neil")), [False, True]),
        ((odd(WHOLE, "o'neil"), odd(GONE, "o'neil"), odd(GONE, "o'neil")), [False, True, True]),
        ((WHOLE, odd(GONE, "o'neil")), [True, False]),
        ((odd(GONE, "o'neil"), odd(GONE, "o'neil")), [True, True]),
        ((odd(GONE, "o'neil", "FACILITY\\marie"),) * 2, [False, False]),
        ((odd(GONE, ""),) * 2, [False, False]),
        ((odd(GONE),) * 2, [False, False]),
        ((odd(replace(GONE, team=frozenset({Username("Marie")})), "o'neil"),) * 2, [False, False]),
        ((odd(WHOLE, "anonymous"), odd(GONE, "anonymous", "anonymous")), [False, False]),
        ((odd(WHOLE, "FACILITY\\marie"), odd(GONE, "FACILITY\\marie")), [False, False]),
        ((odd(WHOLE, ""), odd(GONE, "")), [False, False]),
        ((odd(WHOLE, part=Part.RELEASE), odd(GONE, part=Part.RELEASE)), [False, False]),
        ((WHOLE, replace(GONE, team=frozenset({Username("Marie")}))), [True, False]),
        (
            (
                replace(WHOLE, team=frozenset(map(Username, ("Marie", "marie")))),
                replace(GONE, team=frozenset({Username("Marie")})),
            ),
            [True, True],
        ),
        ((odd(WHOLE, "jürgen", part=Part.SCIENTISTS), odd(GONE, "jürgen", part=Part.SCIENTISTS)), [False, True]),
    ],
)
def test_what_looks_in_a_row_prove(readings: tuple[Experiment | None, ...], expected: list[bool]) -> None:
    found = looks(*readings)
    assert found[1:] == expected[1:]


def test_what_nobody_asked_about_is_forgotten() -> None:
    seen, marie = Withdrawals(), person()
    seen.begin()
    seen.clear(marie, "exp-1", Reading({"exp-1": WHOLE}))
    seen.begin()
    seen.begin()
    assert seen.clear(marie, "exp-1", Reading({"exp-1": odd(GONE, "o'neil")})), "the spelling alone counts"


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4), st.lists(st.text(max_size=8), max_size=4))
def test_a_name_that_came_while_she_went_never_proves(before: list[str], more: list[str]) -> None:
    def unreadable(text: str) -> bool:
        try:
            Username(text)
        except InvalidIdentifier:
            return True
        return False

    there = [name for name in before if unreadable(name)]
    came = [*there, *(name for name in more if unreadable(name)), "o'neil"]
    assert looks(odd(WHOLE, *there), odd(GONE, *came))[1] is False
