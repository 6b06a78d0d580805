"""Admission, rule by rule, and what must hold whatever the facility and the request."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.services.facility import document, experiment, facility, person
from visa.catalogue.base import Experiment
from visa.identifiers import ProposalId, Username
from visa.instances.admission import admit, is_safe
from visa.instances.model import Amount, Facts, InstanceSpec, Mount, Person, QuotaScope, Reason, Refusal, Use
from visa.instances.request import parse_request

TODAY = date(2026, 1, 1)


def ask(
    who: Person | None = None,
    *,
    use: Use | None = None,
    facts: dict[str, Any] | None = None,
    known: Any = None,
    **options: Any,
) -> InstanceSpec | Refusal:
    request = parse_request({"experiments": ["exp-1"], "environment": "scattering", "flavour": "small", **options})
    assert not isinstance(request, Refusal), request
    experiments = known if known is not None else {"exp-1": experiment()}
    given_facts = {"facility": facility(), "experiments": experiments, "today": TODAY, **(facts or {})}
    return admit(who or person(), request, Facts(**given_facts), use or Use({}))


def reason(outcome: InstanceSpec | Refusal) -> Reason:
    assert isinstance(outcome, Refusal), outcome
    return outcome.reason


def test_a_team_member_gets_data_read_only_and_shared_space() -> None:
    spec = ask()
    assert isinstance(spec, InstanceSpec)
    assert [(m.root, m.path, m.target, m.read_only) for m in spec.mounts] == [
        ("raw", "d22/2025/p1/exp-1", "/data/exp-1", True),
        ("shared", "p1", "/shared/exp-1", False),
    ]
    assert (spec.identity.uid, spec.identity.gid, spec.identity.gids) == (20001, 20001, (30001,))
    assert (spec.resources.cpu, spec.resources.memory) == (1.0, 2**30)
    assert (spec.maximum, spec.idle) == (timedelta(days=14), timedelta(days=4))


PROVEN = {
    "people": {"roles": {"identified": ["https://refeds.org/assurance/IAP/high"]}, "embargoed_needs": ["identified"]}
}


def test_data_that_is_not_released_may_need_a_role_too() -> None:
    rules = {"facility": facility(**PROVEN)}
    refused = ask(facts=rules)
    assert reason(refused) is Reason.NOT_ASSURED
    assert "role identified" in str(refused)
    proven = person(roles=frozenset({"scientist", "identified"}))
    assert isinstance(ask(proven, facts=rules), InstanceSpec)
    released = {"exp-1": experiment(release=TODAY)}
    assert isinstance(ask(known=released, facts=rules), InstanceSpec)
    assert reason(ask(proven, known={}, facts=rules)) is Reason.NOT_ENTITLED, "a role opens nothing by itself"


def test_an_experiment_of_others_is_refused_just_as_one_that_does_not_exist() -> None:
    others = {"exp-1": experiment(team=frozenset({Username("lise")}))}
    refused, unknown = ask(known=others), ask(known={})
    assert reason(refused) is Reason.NOT_ENTITLED
    assert refused == unknown, "whoever asks must not learn which ids exist"


def test_the_principal_investigator_is_entitled() -> None:
    spec = ask(known={"exp-1": experiment(team=frozenset(), principal=Username("marie"))})
    assert isinstance(spec, InstanceSpec)


def test_the_instruments_scientist_is_entitled() -> None:
    found = {"exp-1": experiment(team=frozenset(), instrument_scientists=frozenset({Username("dorothy")}))}
    assert isinstance(ask(person("dorothy"), known=found), InstanceSpec)
    assert reason(ask(person("lise"), known=found)) is Reason.NOT_ENTITLED


@pytest.mark.parametrize(("release", "open_now"), [(TODAY, True), (TODAY + timedelta(days=1), False), (None, False)])
def test_open_data_from_its_release_date(release: date | None, open_now: bool) -> None:
    outcome = ask(person("lise"), known={"exp-1": experiment(release=release)})
    assert isinstance(outcome, InstanceSpec) == open_now


def test_open_data_brings_no_space_to_write_in() -> None:
    spec = ask(person("lise"), known={"exp-1": experiment(release=TODAY)})
    assert isinstance(spec, InstanceSpec)
    assert all(mount.read_only for mount in spec.mounts)
    assert [mount.root for mount in spec.mounts] == ["raw"]


def test_open_data_does_not_open_a_proposals_folder() -> None:
    """It holds what is not released too."""
    roots = {**document()["data"], "reports": {"path": "{proposal}", "target": "/data/{experiment}-reports"}}
    roots["reports"]["local"] = {"root": "r"}
    known = {"exp-1": experiment(release=TODAY)}
    visitor = ask(person("lise"), known=known, facts={"facility": facility(data=roots)})
    member = ask(known=known, facts={"facility": facility(data=roots)})
    assert isinstance(visitor, InstanceSpec)
    assert isinstance(member, InstanceSpec)
    assert [mount.root for mount in visitor.mounts] == ["raw"]
    assert [mount.root for mount in member.mounts] == ["raw", "shared", "reports"]


@pytest.mark.parametrize("role", ["administrator", "it_support", "instrument_scientist", "instrument_control"])
def test_no_role_alone_opens_an_experiment(role: str) -> None:
    assert reason(ask(person("grace", roles=frozenset({role})))) is Reason.NOT_ENTITLED


def test_one_bad_experiment_refuses_all() -> None:
    found = {"exp-1": experiment(), "exp-2": experiment("exp-2", team=frozenset({Username("lise")}))}
    assert reason(ask(experiments=["exp-1", "exp-2"], known=found)) is Reason.NOT_ENTITLED


def test_without_an_experiment_only_with_a_role_that_may() -> None:
    assert reason(ask(experiments=[])) is Reason.NO_EXPERIMENT
    allowed = facility(people={"without_experiment": ["scientist"], "minimum_uid": 1000})
    spec = ask(experiments=[], facts={"facility": allowed})
    assert isinstance(spec, InstanceSpec)
    assert spec.mounts == ()


def test_unknown_environment() -> None:
    assert reason(ask(environment="nowhere")) is Reason.UNKNOWN_ENVIRONMENT


def test_environment_for_other_roles() -> None:
    assert reason(ask(environment="staff")) is Reason.ENVIRONMENT_NOT_ALLOWED
    staff = person(roles=frozenset({"instrument_scientist"}))
    assert isinstance(ask(staff, environment="staff"), InstanceSpec)


def test_session_that_the_environment_does_not_offer() -> None:
    assert reason(ask(session="desktop")) is Reason.SESSION_NOT_OFFERED


def test_unknown_flavour_and_flavour_for_other_roles() -> None:
    assert reason(ask(flavour="huge")) is Reason.UNKNOWN_FLAVOUR
    student = person(roles=frozenset({"student"}))
    assert reason(ask(student, flavour="large")) is Reason.FLAVOUR_NOT_ALLOWED
    assert isinstance(ask(flavour="large"), InstanceSpec)


@pytest.mark.parametrize(
    "account",
    [{"uid": None}, {"gid": None}, {"uid": 0}, {"gid": 0}, {"uid": 999}, {"gid": 999}, {"uid": -1}, {"uid": 2**32 - 1}],
)
def test_accounts_that_nothing_may_run_as(account: dict[str, Any]) -> None:
    assert reason(ask(person(**account))) is Reason.NO_ACCOUNT


def test_groups_below_the_minimum_are_left_out() -> None:
    spec = ask(person(gids=(0, 27, 999, 30001, 20001)))
    assert isinstance(spec, InstanceSpec)
    assert spec.identity.gids == (30001,)


def test_a_withdrawn_account_starts_nothing() -> None:
    assert reason(ask(person(active=False))) is Reason.PERSON_NOT_ACTIVE


def test_nothing_new_on_a_stale_catalogue() -> None:
    assert reason(ask(facts={"catalogue_stale": True})) is Reason.CATALOGUE_UNAVAILABLE


def test_a_folder_that_climbs_is_refused_a_second_time() -> None:
    spec = ask()
    assert isinstance(spec, InstanceSpec)
    good = spec.mounts[0]
    for path, target in [
        ("../x", "/data/a"),
        ("/x", "/data/a"),
        ("a//b", "/data/a"),
        ("a", "/etc/a"),
        ("a", "/data/.."),
    ]:
        assert not is_safe(Mount(good.root, path, target, True, good.experiment))
    assert not is_safe(Mount(good.root, "a", "/data/a", False, good.experiment)), "/data is never writable"
    assert is_safe(good)


def test_two_roots_at_one_place_are_refused() -> None:
    """Else one would hide the other: she would read other numbers than she thinks."""
    roots = {
        "raw": {"path": "{experiment}", "local": {"root": "r"}},
        "more": {"path": "{experiment}", "target": "/data/{experiment}-more", "local": {"root": "m"}},
    }
    known = {"exp-1": experiment(), "exp-1-more": experiment("exp-1-more")}
    options = {"known": known, "facts": {"facility": facility(data=roots)}}
    assert isinstance(ask(experiments=["exp-1"], **options), InstanceSpec)
    assert isinstance(ask(experiments=["exp-1-more"], **options), InstanceSpec)
    for chosen in (["exp-1", "exp-1-more"], ["exp-1-more", "exp-1"]):
        refusal = ask(experiments=chosen, **options)
        assert reason(refusal) is Reason.DATA_UNSAFE
        assert "help@example.org" in str(refusal)


def test_the_first_check_that_objects_answers() -> None:
    """The order that the page on admission gives: mend one fault after the other, and the next one answers."""
    staff = frozenset({"instrument_scientist"})
    faults: list[tuple[Reason, dict[str, Any]]] = [
        (Reason.PERSON_NOT_ACTIVE, {"active": True}),
        (Reason.NO_ACCOUNT, {"uid": 20001}),
        (Reason.CATALOGUE_UNAVAILABLE, {"catalogue_stale": False}),
        (Reason.NOT_ENTITLED, {"known": {"exp-1": experiment()}}),
        (Reason.UNKNOWN_ENVIRONMENT, {"environment": "staff"}),
        (Reason.ENVIRONMENT_NOT_ALLOWED, {"roles": staff}),
        (Reason.SESSION_NOT_OFFERED, {"session": "notebook"}),
        (Reason.UNKNOWN_FLAVOUR, {"flavour": "large"}),
        (Reason.QUOTA, {"use": Use({})}),
    ]
    full = Use({QuotaScope("user", "marie"): Amount(5, 5.0, 5, 0)})
    now: dict[str, Any] = {
        "active": False, "uid": None, "catalogue_stale": True, "known": {}, "environment": "nowhere",
        "roles": frozenset({"scientist"}), "session": "desktop", "flavour": "huge", "use": full,
    }  # fmt: skip
    for expected, mended in faults:
        outcome = ask(
            person(active=now["active"], uid=now["uid"], roles=now["roles"]),
            use=now["use"],
            facts={"catalogue_stale": now["catalogue_stale"]},
            known=now["known"],
            environment=now["environment"],
            session=now["session"],
            flavour=now["flavour"],
        )
        assert reason(outcome) is expected
        now |= mended
    assert isinstance(ask(person(roles=staff), environment="staff", flavour="large"), InstanceSpec)


def test_every_refusal_says_what_to_do() -> None:
    for outcome in (
        ask(person(active=False)),
        ask(person(uid=None)),
        ask(known={}),
        ask(environment="nowhere"),
        ask(environment="staff"),
        ask(session="desktop"),
        ask(flavour="huge"),
        ask(experiments=[]),
        ask(facts={"catalogue_stale": True}),
    ):
        assert isinstance(outcome, Refusal)
        assert outcome.sentence.endswith(".")
        assert outcome.remedy.endswith(".")
        assert str(outcome).isprintable()


def test_what_people_wrote_reaches_no_path() -> None:
    """Titles and names come from proposals: anything may be in them."""
    nasty = "../../etc {instrument} %s $HOME `id` \n"
    found = experiment(title=nasty, proposal_title=nasty, instrument_name=nasty, doi=nasty)
    spec = ask(person(name=nasty), known={"exp-1": found})
    usual = ask()
    assert isinstance(spec, InstanceSpec)
    assert isinstance(usual, InstanceSpec)
    assert spec.mounts == usual.mounts


def test_without_a_rule_nothing_limits_the_lifetime() -> None:
    spec = ask(facts={"facility": facility(lifetimes=[{"role": "student", "maximum": "1d"}])})
    assert isinstance(spec, InstanceSpec)
    assert (spec.maximum, spec.idle) == (None, None)


def test_lifetime_of_the_most_generous_role_replaces_everyones() -> None:
    rules = [
        {"who": "everyone", "maximum": "1d", "idle": "1h"},
        {"role": "scientist", "maximum": "7d"},
        {"role": "student", "maximum": "9d"},
    ]
    both = person(roles=frozenset({"scientist", "student"}))
    spec = ask(both, facts={"facility": facility(lifetimes=rules)})
    assert isinstance(spec, InstanceSpec)
    assert (spec.maximum, spec.idle) == (timedelta(days=9), timedelta(hours=1))


NAMES = st.sampled_from(["marie", "lise", "rosalind", "dorothy"])
TEAMS = st.frozensets(NAMES.map(Username))
IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,12}", fullmatch=True).filter(lambda text: ".." not in text)
PARTS = st.lists(st.sampled_from(["{instrument}", "{year}", "{proposal}", "{experiment}", "raw", "x.y"]), min_size=1)
ROLES = st.frozensets(st.sampled_from(["scientist", "student", "administrator", "it_support", "instrument_scientist"]))


@st.composite
def data_roots(draw: st.DrawFn) -> dict[str, Any]:
    """Some data roots of either mode, anywhere."""
    roots: dict[str, Any] = {}
    for number in range(draw(st.integers(1, 4))):
        mode = draw(st.sampled_from(["ro", "rw"]))
        top = "data" if mode == "ro" else "shared"
        target = (
            f"/{top}/{draw(st.sampled_from(['', 'a-', 'b.']))}{{experiment}}{draw(st.sampled_from(['', '-x', '.y']))}"
        )
        path = "/".join(draw(PARTS))
        roots[f"root{number}"] = {"path": path, "mode": mode, "target": target, "local": {"root": "/r"}}
    return roots


@st.composite
def catalogues(draw: st.DrawFn) -> dict[str, Experiment]:
    """Some experiments with teams, scientists and release dates."""
    return {
        identifier: experiment(
            identifier,
            proposal=ProposalId(draw(st.sampled_from(["p1", "p2"]))),
            team=draw(TEAMS),
            principal=draw(st.none() | NAMES.map(Username)),
            instrument_scientists=draw(TEAMS),
            release=draw(st.none() | st.dates(date(2020, 1, 1), date(2030, 1, 1))),
        )
        for identifier in draw(st.lists(IDS, min_size=1, max_size=5, unique=True))
    }


@given(st.data(), catalogues(), data_roots(), NAMES, ROLES)
def test_no_request_yields_a_mount_outside_the_granted_experiments(
    data: st.DataObject, known: dict[str, Experiment], roots: dict[str, Any], name: str, roles: frozenset[str]
) -> None:
    asked = st.sampled_from([*known, "unknown"])
    chosen = data.draw(st.lists(asked, min_size=1, unique=True))
    outcome = ask(person(name, roles=roles), experiments=chosen, known=known, facts={"facility": facility(data=roots)})
    theirs = {i for i, e in known.items() if name in e.team | e.instrument_scientists | {e.principal}}
    released = {i for i, e in known.items() if e.release is not None and e.release <= TODAY}
    if isinstance(outcome, Refusal):
        assert outcome.reason in (Reason.NOT_ENTITLED, Reason.DATA_UNSAFE)
        assert (outcome.reason is Reason.NOT_ENTITLED) == (not set(chosen) <= theirs | released)
        return
    assert set(chosen) <= theirs | released
    for mount in outcome.mounts:
        granted, root = known[mount.experiment], roots[mount.root]
        assert mount.experiment in chosen
        assert mount.read_only == (root["mode"] == "ro") == mount.target.startswith("/data/")
        assert mount.experiment in theirs or (mount.read_only and "{experiment}" in root["path"])
        values = {"instrument": "d22", "year": 2025, "proposal": granted.proposal, "experiment": granted.id}
        assert mount.path == root["path"].format(**values)
        assert mount.target == root["target"].format(**values)
        assert not {"", ".", ".."} & set(mount.path.split("/"))
    assert len({mount.target for mount in outcome.mounts}) == len(outcome.mounts)
