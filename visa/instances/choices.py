"""What a person may choose, and why not, for the portal. Admission decides again when she starts."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from visa.catalogue.base import Experiment
from visa.facility.model import Environment, Facility, Flavour, SessionKind
from visa.identifiers import EnvironmentId, FlavourId, RoleName
from visa.instances import quotas
from visa.instances.admission import allowed_for, named
from visa.instances.model import Person, Refusal, Resources, Use


@dataclass(frozen=True, slots=True)
class EnvironmentChoice:
    id: EnvironmentId
    environment: Environment
    refused: str | None


@dataclass(frozen=True, slots=True)
class FlavourChoice:
    id: FlavourId
    flavour: Flavour
    refused: str | None


@dataclass(frozen=True, slots=True)
class Preselection:
    """The sensible start: what the page has chosen before anybody clicks."""

    environment: EnvironmentId | None
    flavour: FlavourId | None
    session: SessionKind


def environments(person: Person, facility: Facility) -> tuple[EnvironmentChoice, ...]:
    """Every environment, with the reason where it is not for her."""
    return tuple(
        EnvironmentChoice(name, environment, _not_for_her(person, facility, environment.roles))
        for name, environment in facility.environments.items()
    )


def flavours(person: Person, facility: Facility, use: Use) -> tuple[FlavourChoice, ...]:
    """Every flavour, with the reason where her roles or her own quota do not allow it now."""
    return tuple(
        FlavourChoice(
            name, flavour, _not_for_her(person, facility, flavour.roles) or _over_quota(person, facility, flavour, use)
        )
        for name, flavour in facility.flavours.items()
    )


def _not_for_her(person: Person, facility: Facility, roles: Sequence[RoleName]) -> str | None:
    if allowed_for(person, roles):
        return None
    return f"For {named(roles)} only. Ask {facility.facility.contact}."


def _over_quota(person: Person, facility: Facility, flavour: Flavour, use: Use) -> str | None:
    resources = Resources(float(flavour.cpu), int(flavour.memory), flavour.gpu, int(flavour.scratch))
    scopes = quotas.scopes_of(person, ())
    limits = quotas.limits_for(person, scopes, facility)
    refusal: Refusal | None = quotas.check(person, resources, limits, use, facility.facility.contact)
    return str(refusal) if refusal else None


def preselect(person: Person, facility: Facility, use: Use, experiments: Iterable[Experiment] = ()) -> Preselection:
    """The environment made for the experiments' instrument, its first session, the smallest flavour allowed."""
    instruments = {experiment.instrument for experiment in experiments}
    open_to_her = [choice for choice in environments(person, facility) if choice.refused is None]
    fitting = [c for c in open_to_her if instruments & set(c.environment.instruments)]
    general = [c for c in open_to_her if not c.environment.instruments]
    environment = next(iter((*fitting, *general, *open_to_her)), None)
    sizes = [choice for choice in flavours(person, facility, use) if choice.refused is None]
    flavour = min(sizes, key=lambda c: (c.flavour.gpu, c.flavour.cpu, c.flavour.memory), default=None)
    session = environment.environment.sessions[0] if environment else "notebook"
    return Preselection(environment.id if environment else None, flavour.id if flavour else None, session)
