"""One process of the quota race: many threads that reserve at once (``racer URL FIRST COUNT``)."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor

from tests.services.facility import experiment, facility, person
from visa.instances import quotas
from visa.instances.admission import admit
from visa.instances.model import Facts, InstanceSpec, Person, Refusal, Use
from visa.instances.request import parse_request
from visa.store.store import Store


def reserve(store: Store, number: int, who: Person | None = None, *, actor: str = "marie") -> InstanceSpec | Refusal:
    """One start of Marie's (or of ``who``), under a quota of five."""
    who = who or person()
    request = parse_request({"experiments": ["exp-1"], "environment": "scattering", "flavour": "small"})
    assert not isinstance(request, Refusal)
    known = {"exp-1": experiment(team=frozenset({who.username}))}
    facts = Facts(facility(), known, known["exp-1"].start)

    def decide(use: Use) -> InstanceSpec | Refusal:
        return admit(who, request, facts, use)

    scopes = quotas.scopes_of(who, known.values())
    return store.reserve(who.username, f"n{number}", request, scopes, decide, actor=actor, holder="racer")


def main() -> None:
    """Print how many were admitted."""
    store = Store(sys.argv[1])
    first, count = int(sys.argv[2]), int(sys.argv[3])
    with ThreadPoolExecutor(count) as pool:
        outcomes = list(pool.map(lambda number: reserve(store, number), range(first, first + count)))
    store.close()
    print(sum(isinstance(outcome, InstanceSpec) for outcome in outcomes))


if __name__ == "__main__":
    main()
