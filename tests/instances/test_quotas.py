"""Quotas: whose limit counts, what is counted where, and the words of a refusal."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tests.services.facility import experiment, facility, person
from visa.instances import quotas
from visa.instances.model import Amount, QuotaScope, Reason, Refusal, Resources, Use

ONE = Resources(cpu=1.0, memory=2**30, gpu=0, scratch=2**30)


def refused(
    entries: list[dict[str, Any]], use: dict[QuotaScope, Amount], who: Any = None, size: Any = ONE
) -> Refusal | None:
    who = who or person()
    limits = quotas.limits_for(who, quotas.scopes_of(who, [experiment()]), facility(quotas=entries))
    return quotas.check(who, size, limits, Use(use), "help@example.org")


def mine(**held: Any) -> dict[QuotaScope, Amount]:
    return {QuotaScope("user", "marie"): Amount(**{"instances": 0, "cpu": 0.0, "memory": 0, "gpu": 0, **held})}


@pytest.mark.parametrize(
    ("limit", "held", "over"),
    [
        ({"instances": 2}, {"instances": 1}, False),
        ({"instances": 2}, {"instances": 2}, True),
        ({"cpu": 2}, {"cpu": 1.0}, False),
        ({"cpu": 2}, {"cpu": 1.5}, True),
        ({"memory": "2Gi"}, {"memory": 2**30}, False),
        ({"memory": "2Gi"}, {"memory": 2**30 + 1}, True),
    ],
)
def test_each_resource_of_everyones_limit(limit: dict[str, Any], held: dict[str, Any], over: bool) -> None:
    refusal = refused([{"who": "everyone", **limit}], mine(**held))
    assert (refusal is not None) == over
    if refusal:
        assert refusal.reason is Reason.QUOTA
        assert refusal.field in limit
        assert "help@example.org" in refusal.remedy


def test_gpu_counts_only_for_flavours_with_gpu() -> None:
    entries = [{"who": "everyone", "gpu": 0}]
    assert refused(entries, {}) is None
    assert refused(entries, {}, size=Resources(1.0, 2**30, 1, 2**30)) is not None


def test_a_role_replaces_everyone_and_a_user_replaces_both() -> None:
    everyone, role = {"who": "everyone", "instances": 1}, {"role": "scientist", "instances": 3}
    user = {"user": "marie", "instances": 2}
    assert refused([everyone], mine(instances=1)) is not None
    assert refused([everyone, role], mine(instances=2)) is None
    assert refused([everyone, role, user], mine(instances=2)) is not None
    assert refused([user, role, everyone], mine(instances=1)) is None


def test_the_most_generous_of_several_roles() -> None:
    both = person(roles=frozenset({"scientist", "student"}))
    entries = [{"role": "student", "instances": 1}, {"role": "scientist", "instances": 4}]
    assert refused(entries, mine(instances=3), both) is None
    assert refused(entries, mine(instances=4), both) is not None


def test_an_entry_that_does_not_mention_a_resource_says_nothing_about_it() -> None:
    entries = [{"who": "everyone", "instances": 1, "cpu": 8}, {"role": "scientist", "instances": 9}]
    assert refused(entries, mine(instances=5, cpu=7.5)) is not None
    assert refused(entries, mine(instances=5, cpu=7.0)) is None


@pytest.mark.parametrize(
    ("entry", "scope"),
    [
        ({"instrument": "d22"}, QuotaScope("instrument", "d22")),
        ({"proposal": "p1"}, QuotaScope("proposal", "p1")),
        ({"group": "sans"}, QuotaScope("group", "sans")),
        ({"role": "scientist", "shared": True}, QuotaScope("role", "scientist")),
    ],
)
def test_totals_that_many_people_share(entry: dict[str, Any], scope: QuotaScope) -> None:
    who = person(groups=frozenset({"sans"}))
    full = {scope: Amount(4, 4.0, 4, 0)}
    assert refused([{**entry, "instances": 4}], full, who) is not None
    assert refused([{**entry, "instances": 5}], full, who) is None


def test_a_group_that_is_not_shared_limits_each_member() -> None:
    who = person(groups=frozenset({"sans"}))
    entry = {"group": "sans", "shared": False, "instances": 2}
    assert refused([entry], {QuotaScope("group", "sans"): Amount(50, 0.0, 0, 0)}, who) is None
    assert refused([entry], mine(instances=2), who) is not None


def test_other_peoples_limits_do_not_apply() -> None:
    entries = [
        {"user": "lise", "instances": 0},
        {"role": "student", "instances": 0},
        {"instrument": "id10", "instances": 0},
    ]
    assert refused(entries, {}) is None


def test_two_experiments_of_one_instrument_count_once() -> None:
    scopes = quotas.scopes_of(person(), [experiment("exp-1"), experiment("exp-2")])
    assert [s for s in scopes if s.kind == "instrument"] == [QuotaScope("instrument", "d22")]


def test_pots_that_no_entry_can_name_are_not_counted() -> None:
    """Group names are the identity provider's text; the store keeps keys of bounded length."""
    who = person(
        groups=frozenset({"sans", "", "g" * 201, "a\nb", "\ud800", "Große Gruppe 7"}), roles=frozenset({"r" * 201})
    )
    scopes = quotas.scopes_of(who, [])
    assert set(scopes) == {
        QuotaScope("user", "marie"),
        QuotaScope("group", "sans"),
        QuotaScope("group", "Große Gruppe 7"),
    }
    assert facility(quotas=[{"group": "g" * 200, "instances": 1}]).quotas, "the longest that an entry may name"
    with pytest.raises(ValidationError):
        facility(quotas=[{"group": "g" * 201, "instances": 1}])


def test_a_refusal_says_which_quota_how_much_and_what_to_do() -> None:
    own = refused([{"who": "everyone", "memory": "3Gi"}], mine(memory=5 * 2**29))
    assert own is not None
    assert own.sentence == (
        "The quota of each person is 3 GiB of memory; you hold 2.5 GiB of memory "
        "and this asks for 1 GiB of memory more."
    )
    assert own.remedy.startswith("Stop one of your instances or choose a smaller flavour, or ask help@example.org")
    shared = refused([{"instrument": "d22", "cpu": 4}], {QuotaScope("instrument", "d22"): Amount(9, 3.5, 9, 0)})
    assert shared is not None
    assert "instrument d22 is 4 cores; in use are 3.5 cores" in shared.sentence
    assert shared.remedy.startswith("Wait until others stop theirs")
    assert shared.field == "cpu"


@pytest.mark.parametrize(
    ("resource", "amount", "words"),
    [
        ("instances", 1, "1 instance"),
        ("instances", 1_000_000, "1000000 instances"),
        ("cpu", 0.5, "0.5 cores"),
        ("cpu", 1, "1 core"),
        ("gpu", 0, "0 GPUs"),
        ("memory", 2**29, "0.5 GiB of memory"),
        ("memory", 100 * 2**30, "100 GiB of memory"),
    ],
)
def test_amounts_in_words(resource: quotas.Resource, amount: float, words: str) -> None:
    assert quotas.write_amount(resource, amount) == words


def test_one_shared_pot_that_is_full_refuses_whatever_her_own_limit_says() -> None:
    entries = [
        {"user": "marie", "instances": 100},
        {"proposal": "p1", "instances": 3},
        {"instrument": "d22", "cpu": 99},
    ]
    full = {QuotaScope("proposal", "p1"): Amount(3, 3.0, 3, 0)}
    refusal = refused(entries, full)
    assert refusal is not None
    assert "proposal p1" in refusal.sentence


def test_a_zero_allows_nothing() -> None:
    assert refused([{"who": "everyone", "instances": 0}], {}) is not None


def test_sums_of_fractions_fill_a_quota_exactly() -> None:
    tenth = Resources(0.1, 2**30, 0, 2**30)
    assert refused([{"who": "everyone", "cpu": 1}], mine(cpu=sum([0.1] * 9)), size=tenth) is None
    assert refused([{"who": "everyone", "cpu": 1}], mine(cpu=1.0), size=tenth) is not None


def test_her_standing_shows_her_own_limits_and_nobody_elses() -> None:
    entries = [
        {"who": "everyone", "instances": 5, "cpu": 8},
        {"role": "scientist", "instances": 7},
        {"user": "lise", "instances": 99},
        {"instrument": "d22", "instances": 2},
    ]
    standing = quotas.standing(person(), facility(quotas=entries), Use(mine(instances=3, cpu=2.5)))
    assert [(limit.resource, limit.allowed, held, limit.source) for limit, held in standing] == [
        ("instances", 7.0, 3.0, "each person with role scientist"),
        ("cpu", 8.0, 2.5, "each person"),
    ]
