"""Who may be a member: the facility's ``sharing`` rules, asked when somebody joins and at every look after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime

from visa.catalogue.base import Experiment
from visa.facility.model import Facility
from visa.instances.access import Role
from visa.instances.admission import assured, belongs
from visa.instances.members import GUESTS
from visa.instances.model import Person, Reason, Refusal

_RANK: Mapping[str, int] = {"none": 0, "observer": 1, "collaborator": 2}

Experiments = Sequence[Experiment | None]
"""An instance's experiments; None stands for one that the catalogue does not know."""


def known(ids: Iterable[str], found: Mapping[str, Experiment]) -> Experiments:
    """The experiments of ``ids``, None for those that are not in ``found``."""
    return [found.get(identifier) for identifier in ids]


def of_team(person: Person, experiments: Experiments) -> bool:
    """Whether she belongs to every one of them. Without experiments there is no team."""
    return bool(experiments) and all(one is not None and belongs(person, one) for one in experiments)


def embargoed(experiments: Experiments, today: date) -> bool:
    """Whether any of them is not released, or not known."""
    return any(one is None or not one.is_open(today) for one in experiments)


def may_join(person: Person, role: Role, experiments: Experiments, facility: Facility, today: date) -> Refusal | None:
    """Why she may not be ``role`` (observer or collaborator) on an instance of ``experiments``; None: she may."""
    contact = facility.facility.contact
    if not person.active:
        return Refusal(Reason.PERSON_NOT_ACTIVE, f"The account of {person.name} is not active.", f"Ask {contact}.")
    if role not in GUESTS:
        return Refusal(Reason.ROLE_NOT_GIVEN, f"Nobody can be made {role}.", "Choose observer or collaborator.", "role")
    if not facility.sharing.members:
        return Refusal(Reason.SHARING_OFF, "Instances are not shared here.", f"Ask {contact}.")
    if (refusal := assured(person, experiments, facility, today)) is not None:
        return refusal
    if of_team(person, experiments):
        return None
    return _outsider(person, role, experiments, facility, today)


def _outsider(person: Person, role: Role, experiments: Experiments, facility: Facility, today: date) -> Refusal | None:
    rules = facility.sharing
    if _RANK[rules.outsiders] < _RANK[role]:
        return Refusal(Reason.OUTSIDE_THE_TEAM, _sentence(person, rules.outsiders, ""), _ADD)
    if embargoed(experiments, today) and _RANK[rules.embargoed] < _RANK[role]:
        sentence = _sentence(person, rules.embargoed, " while the data is not released")
        return Refusal(Reason.UNDER_EMBARGO, sentence, _ADD)
    return None


_ADD = "The principal investigator or the user office can add people to the team."


def _sentence(person: Person, most: str, when: str) -> str:
    allowed = "no member" if most == "none" else f"at most {most}"
    return f"{person.name} is not on the experiment's team, and may be {allowed} here{when}."


def last_end(
    person: Person, experiments: Experiments, facility: Facility, now: datetime, wanted: datetime | None
) -> datetime | None:
    """When her membership ends at the latest: as ``wanted``, and for outsiders after ``sharing.longest`` at most."""
    if of_team(person, experiments):
        return wanted
    latest = now + facility.sharing.longest
    return latest if wanted is None else min(wanted, latest)
