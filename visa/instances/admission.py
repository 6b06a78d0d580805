"""Admission: the one decision that turns a request into an instance.

`admit` is pure. The checks run in the order of `_CHECKS`; the first that objects is the answer. An
experiment that does not exist and one that is not hers give the same refusal, so that nobody can find
out which ids exist.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date

from visa.catalogue.base import Experiment
from visa.facility.model import DataRoot, Facility
from visa.identifiers import DataRootId, ExperimentId, RoleName
from visa.instances import lifetimes, quotas
from visa.instances.model import (
    Facts,
    Identity,
    InstanceSpec,
    Mount,
    Person,
    Reason,
    Refusal,
    Resources,
    StartRequest,
    Use,
)

_HIGHEST_ID = 2**32 - 3  # 2**32 - 2 and - 1 mean "nobody" and "unchanged" to the kernel


def admit(person: Person, request: StartRequest, facts: Facts, use: Use) -> InstanceSpec | Refusal:
    """Decide: the `InstanceSpec` that a spawner translates, or the `Refusal` that people read."""
    for check in _CHECKS:
        refusal = check(person, request, facts)
        if refusal is not None:
            return refusal
    experiments = [facts.experiments[identifier] for identifier in request.experiments]
    scopes = quotas.scopes_of(person, experiments)
    resources = resources_of(facts.facility, request)
    contact = facts.facility.facility.contact
    limits = quotas.limits_for(person, scopes, facts.facility)
    refusal = quotas.check(person, resources, limits, use, contact)
    if refusal is not None:
        return refusal
    mounts = mounts_of(person, experiments, facts.facility)
    if isinstance(mounts, Refusal):
        return mounts
    maximum, idle = lifetimes.limits(person, facts.facility)
    return InstanceSpec(
        identity=_identity(person, facts.facility),
        experiments=request.experiments,
        environment=request.environment,
        flavour=request.flavour,
        session=request.session,
        resources=resources,
        mounts=mounts,
        scopes=scopes,
        maximum=maximum,
        idle=idle,
    )


def belongs(person: Person, experiment: Experiment) -> bool:
    """Whether she may change the experiment's shared space: team, proposer, or the instrument's scientist."""
    return (
        person.username in experiment.team
        or person.username == experiment.principal
        or person.username in experiment.instrument_scientists
    )


def entitled(person: Person, experiment: Experiment, today: date) -> bool:
    """Whether she may read the data: she belongs to it, or it has been released. No role is enough."""
    return belongs(person, experiment) or experiment.is_open(today)


def assured(
    person: Person, experiments: Iterable[Experiment | None], facility: Facility, today: date
) -> Refusal | None:
    """Why she may not read what is not released of ``experiments``: the facility wants a role of who does, too.

    An experiment that the catalogue does not know (None) counts as not released.
    """
    needed = facility.people.embargoed_needs
    if allowed_for(person, needed) or not any(one is None or not one.is_open(today) for one in experiments):
        return None
    roles = f"role {needed[0]}" if len(needed) == 1 else f"one of the roles {', '.join(needed)}"
    sentence = f"Data that is not released needs {roles}, which {person.name} does not have."
    remedy = f"A login with better proof of who one is may give it; else ask {facility.facility.contact}."
    return Refusal(Reason.NOT_ASSURED, sentence, remedy, "experiments")


def allowed_for(person: Person, roles: Iterable[RoleName]) -> bool:
    """Whether something that names ``roles`` is for her; naming none means everyone."""
    named = frozenset(roles)
    return not named or bool(named & person.roles)


def named(roles: Iterable[RoleName]) -> str:
    """``scientists and instrument scientists``."""
    return " and ".join(f"{role.replace('_', ' ')}s" for role in roles)


def resources_of(facility: Facility, request: StartRequest) -> Resources:
    """The flavour's size."""
    flavour = facility.flavours[request.flavour]
    return Resources(float(flavour.cpu), int(flavour.memory), flavour.gpu, int(flavour.scratch))


def _active(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    if person.active:
        return None
    remedy = f"Log in again; if that fails, ask {facts.facility.facility.contact}."
    return Refusal(Reason.PERSON_NOT_ACTIVE, "Your account is not active.", remedy)


def _account(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    lowest = facts.facility.people.minimum_uid
    for name, value in (("user id (uid)", person.uid), ("group id (gid)", person.gid)):
        if value is None or not lowest <= value <= _HIGHEST_ID:
            what = "has no" if value is None else f"has {value} as"
            sentence = f"Your account {what} numeric {name}; the facility allows {lowest} and above."
            return Refusal(Reason.NO_ACCOUNT, sentence, f"Ask {facts.facility.facility.contact} to complete it.")
    return None


def _catalogue(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    if not facts.catalogue_stale:
        return None
    sentence = "The catalogue of experiments does not answer, so nothing new can be started."
    return Refusal(Reason.CATALOGUE_UNAVAILABLE, sentence, "Running work goes on. Try again in a few minutes.")


def _experiments(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    if not request.experiments and not _may_go_without(person, facts.facility):
        return Refusal(Reason.NO_EXPERIMENT, "No experiment is chosen.", "Choose at least one.", "experiments")
    for identifier in request.experiments:
        experiment = facts.experiments.get(identifier)
        if experiment is None or not entitled(person, experiment, facts.today):
            sentence = f"Experiment '{identifier}' is not one of yours."
            remedy = "Its principal investigator or the user office can add you to the team."
            return Refusal(Reason.NOT_ENTITLED, sentence, remedy, "experiments")
    chosen = [facts.experiments[identifier] for identifier in request.experiments]
    return assured(person, chosen, facts.facility, facts.today)


def _may_go_without(person: Person, facility: Facility) -> bool:
    return bool(frozenset(facility.people.without_experiment) & person.roles)


def _environment(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    environment = facts.facility.environments.get(request.environment)
    if environment is None:
        sentence = f"Environment '{request.environment}' does not exist here."
        known = ", ".join(facts.facility.environments)
        return Refusal(Reason.UNKNOWN_ENVIRONMENT, sentence, f"Choose one of: {known}.", "environment")
    contact = facts.facility.facility.contact
    if not allowed_for(person, environment.roles):
        sentence = f"Environment '{request.environment}' is for {named(environment.roles)} only."
        return Refusal(Reason.ENVIRONMENT_NOT_ALLOWED, sentence, f"Choose another, or ask {contact}.", "environment")
    if request.session not in environment.sessions:
        sentence = f"Environment '{request.environment}' offers no {request.session}."
        remedy = f"It offers: {', '.join(environment.sessions)}."
        return Refusal(Reason.SESSION_NOT_OFFERED, sentence, remedy, "session")
    return None


def _flavour(person: Person, request: StartRequest, facts: Facts) -> Refusal | None:
    flavour = facts.facility.flavours.get(request.flavour)
    if flavour is None:
        sentence = f"Flavour '{request.flavour}' does not exist here."
        known = ", ".join(facts.facility.flavours)
        return Refusal(Reason.UNKNOWN_FLAVOUR, sentence, f"Choose one of: {known}.", "flavour")
    if not allowed_for(person, flavour.roles):
        sentence = f"Flavour '{request.flavour}' is for {named(flavour.roles)} only."
        remedy = f"Choose a smaller one, or ask {facts.facility.facility.contact}."
        return Refusal(Reason.FLAVOUR_NOT_ALLOWED, sentence, remedy, "flavour")
    return None


Check = Callable[[Person, StartRequest, Facts], Refusal | None]
_CHECKS: tuple[Check, ...] = (_active, _account, _catalogue, _experiments, _environment, _flavour)


def _identity(person: Person, facility: Facility) -> Identity:
    if person.uid is None or person.gid is None:  # `_account` refused this
        raise ValueError("a person without uid or gid was admitted")
    lowest = facility.people.minimum_uid
    gids = tuple(sorted({gid for gid in person.gids if lowest <= gid <= _HIGHEST_ID} - {person.gid}))
    return Identity(person.username, person.name, person.uid, person.gid, gids)


def mounts_of(person: Person, experiments: Iterable[Experiment], facility: Facility) -> tuple[Mount, ...] | Refusal:
    """Every data root of every experiment; to visitors of open data only what is its own and read-only.

    Two roots that would appear at one place are refused: one would hide the other.
    """
    mounts: list[Mount] = []
    taken: set[str] = set()
    for experiment in experiments:
        for root, data in facility.data.items():
            if not belongs(person, experiment) and not _for_visitors(data):
                continue
            mount = _mount(root, data, experiment)
            if not is_safe(mount) or mount.target in taken:
                sentence = f"The data folder of experiment '{experiment.id}' cannot be named safely."
                remedy = f"Ask {facility.facility.contact} to check data root '{root}' in facility.yaml."
                return Refusal(Reason.DATA_UNSAFE, sentence, remedy, "experiments")
            mounts.append(mount)
            taken.add(mount.target)
    return tuple(mounts)


def _for_visitors(data: DataRoot) -> bool:
    """Whether released data may be shown from this root: a proposal's folder holds what is not released too."""
    return data.mode == "ro" and "{experiment}" in data.path


def _mount(root: DataRootId, data: DataRoot, experiment: Experiment) -> Mount:
    names = {
        "instrument": experiment.instrument,
        "proposal": experiment.proposal,
        "experiment": ExperimentId(experiment.id),
    }
    path = data.path.fill(year=experiment.year, **names)
    target = data.target.fill(year=experiment.year, **names)
    return Mount(root, path, target, data.mode == "ro", experiment.id)


def is_safe(mount: Mount) -> bool:
    """A second look at a finished mount, whatever made it: relative path, known target, no way up."""
    parts = mount.path.split("/")
    target = re.fullmatch(r"/(data|shared)/([A-Za-z0-9._-]+)", mount.target)
    return (
        all(part not in ("", ".", "..") for part in parts)
        and re.fullmatch(r"[A-Za-z0-9._/-]+", mount.path) is not None
        and target is not None
        and target[2] not in (".", "..")
        and (mount.read_only or target[1] == "shared")
    )
