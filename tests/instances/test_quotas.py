"""Quotas: whose limit counts, what is counted where, and the words of a refusal."""

from __future__ import annotations

from typing import Any

import pytest

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
