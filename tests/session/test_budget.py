"""Shares of one budget."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from visa.session.budget import Budget


def test_the_owner_may_have_all_of_it_others_a_quarter_each_and_a_half_together() -> None:
    budget = Budget(100, "marie")
    assert not budget.hold("a", "lise", 26)
    assert budget.hold("a", "lise", 25)
    assert not budget.hold("b", "lise", 1)
    assert budget.hold("b", "pierre", 25)
    assert not budget.hold("c", "claude", 1)
    assert budget.hold("d", "marie", 50)
    assert not budget.hold("d", "marie", 51)
    budget.release("a")
    assert budget.hold("c", "claude", 1)
    assert budget.held == 76


def test_a_no_changes_nothing_and_less_is_always_taken() -> None:
    budget = Budget(100, "marie")
    assert budget.hold("a", "marie", 100)
    assert not budget.hold("a", "marie", 101)
    assert budget.held == 100
    assert budget.hold("a", "marie", 10)
    budget.release("a")
    budget.release("a")
    assert budget.held == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(["marie", "lise", "pierre"]), st.integers(0, 60))))
def test_it_never_holds_more_than_it_has(asked: list[tuple[int, str, int]]) -> None:
    budget, held = Budget(100, "marie"), dict[tuple[int, str], int]()
    for what, who, size in asked:
        if budget.hold((what, who), who, size):
            held[what, who] = size
        assert budget.held == sum(held.values()) <= 100
        assert sum(size for (_, name), size in held.items() if name != "marie") <= 50
