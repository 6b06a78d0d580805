"""Quotas: how much starting and running instances may hold at once.

Entries for ``everyone``, a ``user`` or a ``role`` limit each person's own total. Per resource a user's
entry replaces the roles', the most generous role entry replaces everyone's. Entries for a ``group``,
an ``instrument`` or a ``proposal`` limit the total of all instances that belong to it; all of them apply.
``shared`` turns a role's entry into a common total, or a group's into one per member.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from visa.catalogue.base import Experiment
from visa.facility.model import Facility, Quota
from visa.instances.model import Amount, Person, QuotaScope, Reason, Refusal, Resources, Use

Resource = Literal["instances", "cpu", "memory", "gpu"]
RESOURCES: tuple[Resource, ...] = ("instances", "cpu", "memory", "gpu")
_NOTHING = Amount(0, 0.0, 0, 0)
_LONGEST_NAME = 200  # of a group in facility.yaml (visa.facility.model.Text)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit that applies: on ``resource`` of the pot ``scope``, because of the entry for ``source``."""

    scope: QuotaScope
    resource: Resource
    allowed: float
    source: str


def scopes_of(person: Person, experiments: Iterable[Experiment]) -> tuple[QuotaScope, ...]:
    """Every pot that an instance of ``person`` on ``experiments`` is counted in, each once.

    Pots without a limit too: a limit that facility.yaml gets later then counts what runs already.
    """
    scopes = {QuotaScope("user", person.username)}
    scopes |= {QuotaScope("role", role) for role in filter(_can_be_limited, person.roles)}
    scopes |= {QuotaScope("group", group) for group in filter(_can_be_limited, person.groups)}
    for experiment in experiments:
        scopes.add(QuotaScope("instrument", experiment.instrument))
        scopes.add(QuotaScope("proposal", experiment.proposal))
    return tuple(sorted(scopes))


def _can_be_limited(name: str) -> bool:
    """Whether an entry of facility.yaml can name it: groups are the provider's text, of any length and content."""
    return 0 < len(name) <= _LONGEST_NAME and name.isprintable()


def is_shared(quota: Quota) -> bool:
    """Whether the entry's limit is one for all together."""
    if quota.instrument or quota.proposal:
        return True
    if quota.shared is not None and (quota.role or quota.group):
        return quota.shared
    return quota.group is not None


def limits_for(person: Person, scopes: Iterable[QuotaScope], facility: Facility) -> tuple[Limit, ...]:
    """The limits that apply to an instance of ``person`` counted in ``scopes``."""
    return (*_own_limits(person, facility), *_shared_limits(frozenset(scopes), facility))


def _own_limits(person: Person, facility: Facility) -> Iterator[Limit]:
    own = QuotaScope("user", person.username)
    for resource in RESOURCES:
        best: tuple[int, float, str] | None = None
        for quota in facility.quotas:
            allowed = getattr(quota, resource)
            rank = _rank(quota, person)
            if allowed is None or rank is None:
                continue
            candidate = (rank, float(allowed), _source(quota))
            if best is None or candidate[:2] > best[:2]:
                best = candidate
        if best is not None:
            yield Limit(own, resource, best[1], best[2])


def _rank(quota: Quota, person: Person) -> int | None:
    """How specific a per-person entry is for ``person``: everyone 0, role or group 1, user 2; else None."""
    if is_shared(quota):
        return None
    if quota.who:
        return 0
    if quota.role in person.roles or quota.group in person.groups:
        return 1
    return 2 if quota.user == person.username else None


def _shared_limits(scopes: frozenset[QuotaScope], facility: Facility) -> Iterator[Limit]:
    for quota in facility.quotas:
        if not is_shared(quota):
            continue
        scope = _scope(quota)
        if scope not in scopes:
            continue
        for resource in RESOURCES:
            allowed = getattr(quota, resource)
            if allowed is not None:
                yield Limit(scope, resource, float(allowed), _source(quota))


def _scope(quota: Quota) -> QuotaScope:
    if quota.instrument:
        return QuotaScope("instrument", quota.instrument)
    if quota.proposal:
        return QuotaScope("proposal", quota.proposal)
    return QuotaScope("role", quota.role) if quota.role else QuotaScope("group", quota.group or "")


def _source(quota: Quota) -> str:
    """The pot in words, as people read it in a refusal."""
    if quota.who:
        return "each person"
    if quota.user:
        return f"user {quota.user}"
    if quota.instrument:
        return f"instrument {quota.instrument}"
    if quota.proposal:
        return f"proposal {quota.proposal}"
    subject = f"role {quota.role}" if quota.role else f"group {quota.group}"
    return f"{subject} together" if is_shared(quota) else f"each person with {subject}"


def held(use: Use, scope: QuotaScope, resource: Resource) -> float:
    """What ``scope`` holds of ``resource`` now."""
    return float(getattr(use.held.get(scope, _NOTHING), resource) or 0)


def asked(resources: Resources, resource: Resource) -> float:
    """What one more instance of this size adds."""
    return 1.0 if resource == "instances" else float(getattr(resources, resource))


def write_amount(resource: Resource, amount: float) -> str:
    """``amount`` in the unit that people know: 5 instances, 8 cores, 32Gi memory, 1 GPU."""
    if resource == "memory":
        return f"{_plain(amount / 2**30)} GiB of memory"
    count = _plain(amount)
    word = {"instances": "instance", "cpu": "core", "gpu": "GPU"}[resource]
    return f"{count} {word}" if amount == 1 else f"{count} {word}s"


def _plain(number: float) -> str:
    """At most three decimals, never as 1e+06."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


def check(person: Person, resources: Resources, limits: Iterable[Limit], use: Use, contact: str) -> Refusal | None:
    """The refusal of the first limit that one more instance would pass, or None."""
    for limit in limits:
        more, now = asked(resources, limit.resource), held(use, limit.scope, limit.resource)
        if more and now + more > limit.allowed + 1e-9:
            own = limit.scope == QuotaScope("user", person.username)
            sentence = (
                f"The quota of {limit.source} is {write_amount(limit.resource, limit.allowed)}; "
                f"{'you hold' if own else 'in use are'} {write_amount(limit.resource, now)}"
                f" and this asks for {write_amount(limit.resource, more)} more."
            )
            first = "Stop one of your instances or choose a smaller flavour" if own else "Wait until others stop theirs"
            return Refusal(Reason.QUOTA, sentence, f"{first}, or ask {contact} for more.", limit.resource)
    return None


def standing(person: Person, facility: Facility, use: Use) -> tuple[tuple[Limit, float], ...]:
    """The person's own limits with what she holds of each, for the portal."""
    own = tuple(_own_limits(person, facility))
    return tuple((limit, held(use, limit.scope, limit.resource)) for limit in own)
