"""What the portal offers, and with which reason not."""

from __future__ import annotations

from tests.services.facility import experiment, facility, person
from visa.identifiers import InstrumentId
from visa.instances import choices
from visa.instances.admission import admit
from visa.instances.model import Amount, Facts, InstanceSpec, QuotaScope, StartRequest, Use
from visa.instances.request import parse_request


def test_what_is_not_for_her_says_for_whom() -> None:
    by_id = {choice.id: choice.refused for choice in choices.environments(person(), facility())}
    assert by_id == {"scattering": None, "staff": "For instrument scientists only. Ask help@example.org."}
    student = person("rosalind", roles=frozenset({"student"}))
    flavours = {choice.id: choice.refused for choice in choices.flavours(student, facility(), Use({}))}
    assert flavours["small"] is None
    assert flavours["large"] == "For scientists and instrument scientists only. Ask help@example.org."


def test_a_full_quota_is_said_before_she_starts() -> None:
    use = Use({QuotaScope("user", "marie"): Amount(5, 5.0, 5, 0)})
    refused = [choice.refused for choice in choices.flavours(person(), facility(), use)]
    assert all(reason and "quota" in reason for reason in refused)


def test_preselected_are_the_instruments_environment_and_the_smallest_flavour() -> None:
    chosen = choices.preselect(person(), facility(), Use({}), [experiment()])
    assert (chosen.environment, chosen.flavour, chosen.session) == ("scattering", "small", "notebook")
    general = facility(
        environments={
            "d22": {"title": "x", "instruments": ["d22"], "local": {"prefix": "p"}},
            "any": {"title": "y", "local": {"prefix": "p"}},
        }
    )
    elsewhere = experiment(instrument=InstrumentId("id10"))
    assert choices.preselect(person(), general, Use({}), [elsewhere]).environment == "any"
    assert choices.preselect(person(), general, Use({}), [experiment()]).environment == "d22"


def test_nothing_is_preselected_when_nothing_is_for_her() -> None:
    staff_only = {"staff": {"title": "x", "roles": ["instrument_scientist"], "local": {"prefix": "p"}}}
    large_only = {"large": {"cpu": 4, "memory": "8Gi", "roles": ["instrument_scientist"]}}
    chosen = choices.preselect(person(), facility(environments=staff_only, flavours=large_only), Use({}))
    assert (chosen.environment, chosen.flavour) == (None, None)


def test_the_smallest_size_that_still_fits_is_preselected() -> None:
    sizes = {
        "big": {"cpu": 8, "memory": "8Gi"},
        "gpu": {"cpu": 1, "memory": "1Gi", "gpu": 1},
        "small": {"cpu": 1, "memory": "2Gi"},
        "tiny": {"cpu": 0.5, "memory": "4Gi", "roles": ["student"]},
    }
    chosen = choices.preselect(person(), facility(flavours=sizes), Use({}))
    assert chosen.flavour == "small", "cores before memory, no GPU unless asked for, nothing for other roles"


def test_what_is_preselected_is_admitted() -> None:
    chosen = choices.preselect(person(), facility(), Use({}), [experiment()])
    options = {"experiments": ["exp-1"], "environment": chosen.environment, "flavour": chosen.flavour}
    request = parse_request({**options, "session": chosen.session})
    assert isinstance(request, StartRequest)
    facts = Facts(facility(), {"exp-1": experiment()}, experiment().start)
    assert isinstance(admit(person(), request, facts, Use({})), InstanceSpec)
