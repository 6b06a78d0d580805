"""No sequence of starts, stops, failures and hub crashes breaks a quota: against a model that counts by hand."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.services.facility import experiment, facility, person
from visa.identifiers import InstrumentId, ProposalId, Username, instance_id
from visa.instances import quotas
from visa.instances.admission import admit
from visa.instances.model import Amount, Facts, InstanceSpec, QuotaScope, Refusal, Use
from visa.instances.request import parse_request
from visa.store.store import State, Store

PEOPLE = {
    "marie": person("marie", groups=frozenset({"sans"})),
    "lise": person("lise", groups=frozenset({"sans", "guests"})),
    "rosalind": person("rosalind", roles=frozenset({"student"})),
    "irene": person("irene", roles=frozenset({"student", "scientist"})),
}
_TEAM = frozenset(map(Username, PEOPLE))
EXPERIMENTS = {
    "a": experiment("a", team=_TEAM),
    "b": experiment("b", team=_TEAM, proposal=ProposalId("p2")),
    "c": experiment("c", team=_TEAM, instrument=InstrumentId("id10"), proposal=ProposalId("p2")),
}
CORES = {"small": 1.0, "large": 4.0}
FACILITY = facility(
    flavours={"small": {"cpu": 1, "memory": "1Gi"}, "large": {"cpu": 4, "memory": "2Gi", "gpu": 1}},
    quotas=[
        {"who": "everyone", "instances": 3, "cpu": 6},
        {"user": "lise", "instances": 4},
        {"instrument": "d22", "cpu": 10},
        {"proposal": "p2", "instances": 4},
        {"role": "student", "shared": True, "instances": 3},
        {"group": "sans", "gpu": 1},
        {"group": "guests", "shared": False, "cpu": 8},
    ],
)


@dataclass(frozen=True)
class Held:
    """One instance of the model."""

    owner: str
    flavour: str
    experiments: tuple[str, ...]

    @property
    def scopes(self) -> frozenset[QuotaScope]:
        return frozenset(quotas.scopes_of(PEOPLE[self.owner], [EXPERIMENTS[e] for e in self.experiments]))


def allowed(all_held: list[Held]) -> bool:
    """Every rule of `FACILITY`, written out by hand."""
    gpus = sum(h.flavour == "large" for h in all_held if "sans" in PEOPLE[h.owner].groups)
    on_d22 = sum(CORES[h.flavour] for h in all_held if {"a", "b"} & set(h.experiments))
    on_p2 = sum(bool({"b", "c"} & set(h.experiments)) for h in all_held)
    students = sum(h.owner in ("rosalind", "irene") for h in all_held)
    if gpus > 1 or on_d22 > 10 or on_p2 > 4 or students > 3:
        return False
    for owner in PEOPLE:
        own = [h for h in all_held if h.owner == owner]
        if len(own) > (4 if owner == "lise" else 3) or sum(CORES[h.flavour] for h in own) > (
            8 if owner == "lise" else 6
        ):
            return False
    return True


def touched(new: Held, rest: list[Held]) -> list[Held]:
    """What shares a pot with ``new``: a pot that is over for other reasons does not concern it."""
    return [held for held in rest if held.scopes & new.scopes]


class Sequences(RuleBasedStateMachine):
    """The store against a dictionary."""

    url = ""
    owners, numbers = st.sampled_from(sorted(PEOPLE)), st.integers(0, 4)

    def __init__(self) -> None:
        super().__init__()
        self.store = Store(self.url)
        for owner in PEOPLE:
            for instance in self.store.instances_of(owner):
                self.store.forget(instance.id)
        self.starting: dict[tuple[str, str], Held] = {}
        self.running: dict[tuple[str, str], Held] = {}

    @rule(
        owner=owners,
        number=numbers,
        flavour=st.sampled_from(sorted(CORES)),
        chosen=st.lists(st.sampled_from(sorted(EXPERIMENTS)), min_size=1, unique=True),
    )
    def start(self, owner: str, number: int, flavour: str, chosen: list[str]) -> None:
        who, key = PEOPLE[owner], (owner, f"n{number}")
        request = parse_request({"experiments": chosen, "environment": "scattering", "flavour": flavour})
        assert not isinstance(request, Refusal)
        facts = Facts(FACILITY, EXPERIMENTS, EXPERIMENTS["a"].start)

        def decide(use: Use) -> InstanceSpec | Refusal:
            return admit(who, request, facts, use)

        new = Held(owner, flavour, tuple(chosen))
        outcome = self.store.reserve(owner, key[1], request, sorted(new.scopes), decide, actor=owner, holder="first")
        rest = [held for k, held in {**self.starting, **self.running}.items() if k != key]
        assert isinstance(outcome, InstanceSpec) == allowed([*touched(new, rest), new]), outcome
        if isinstance(outcome, InstanceSpec):
            self.running.pop(key, None)
            self.starting[key] = new

    @rule(owner=owners, number=numbers)
    def becomes_ready(self, owner: str, number: int) -> None:
        key = (owner, f"n{number}")
        self.store.mark_running(instance_id(*key))
        if key in self.starting:
            self.running[key] = self.starting.pop(key)

    @rule(owner=owners, number=numbers, failed=st.booleans())
    def ends(self, owner: str, number: int, failed: bool) -> None:
        key = (owner, f"n{number}")
        ended = self.store.release(instance_id(*key), failed=failed)
        assert ended == (key in self.starting or key in self.running)
        self._gone(key)

    @rule(owner=owners, number=numbers)
    def is_deleted(self, owner: str, number: int) -> None:
        self.store.forget(instance_id(owner, f"n{number}"))
        self._gone((owner, f"n{number}"))

    @rule()
    def hub_crashes_and_starts_again(self) -> None:
        self.store.close()
        self.store = Store(self.url)
        self.store.upgrade()
        left = self.store.starting_of_others("next")
        assert {(i.owner, i.name) for i in left} == set(self.starting)
        for instance in left:
            self.store.release(instance.id, failed=True)
        self.starting.clear()

    def _gone(self, key: tuple[str, str]) -> None:
        self.starting.pop(key, None)
        self.running.pop(key, None)

    @invariant()
    def every_pot_holds_what_runs_in_it(self) -> None:
        held = [*self.starting.values(), *self.running.values()]
        scopes = {scope for one in held for scope in one.scopes}
        by_hand = {
            scope: Amount(
                len(inside := [one for one in held if scope in one.scopes]),
                sum(CORES[one.flavour] for one in inside),
                sum(2**30 if one.flavour == "small" else 2**31 for one in inside),
                sum(one.flavour == "large" for one in inside),
            )
            for scope in scopes
        }
        everywhere = {s for o in PEOPLE for s in Held(o, "small", tuple(EXPERIMENTS)).scopes}
        assert self.store.use(everywhere).held == by_hand
        assert allowed(held)

    @invariant()
    def states_are_what_happened(self) -> None:
        states = {(i.owner, i.name): i.state for i in self.store.holding()}
        assert states == {**dict.fromkeys(self.starting, State.STARTING), **dict.fromkeys(self.running, State.RUNNING)}

    def teardown(self) -> None:
        self.store.close()


def test_no_sequence_of_starts_and_stops_breaks_a_quota(store_url: str) -> None:
    store = Store(store_url)
    store.upgrade()
    store.close()
    machine = type("Here", (Sequences,), {"url": store_url})
    run_state_machine_as_test(machine, settings=settings(max_examples=20, stateful_step_count=30, deadline=None))
