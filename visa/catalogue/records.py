"""Plain records of a source (YAML, CSV, SQL rows) to catalogue values, with every fault named.

A record is a mapping of column to value. Faults are collected by a callback, so that a file can report
all of them and a database can skip one bad row and go on.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, TypeVar

from visa.catalogue.base import CataloguePerson, Experiment, Instrument
from visa.catalogue.index import clean
from visa.identifiers import (
    ExperimentId,
    Identifier,
    InstrumentId,
    InvalidIdentifier,
    ProposalId,
    Username,
)

AnyIdentifier = TypeVar("AnyIdentifier", bound=Identifier)
Record = Mapping[str, Any]
Fault = Callable[[str, str], None]
"""Called with the column and what is wrong and right about it."""


class BadRecord(Exception):
    """The record cannot be used; its faults were reported."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposal: its title and the person who leads it."""

    id: ProposalId
    title: str
    principal: Username | None


@dataclass(slots=True)
class Snapshot:
    """Everything that a source knows, by id."""

    people: dict[str, CataloguePerson] = field(default_factory=dict)
    instruments: dict[str, Instrument] = field(default_factory=dict)
    proposals: dict[str, Proposal] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)


def text(record: Record, column: str, fault: Fault, *, longest: int = 300) -> str:
    """A text that must be there."""
    value = clean(record.get(column) or "", longest)
    if not value:
        fault(column, "is missing; give some text")
        raise BadRecord
    return value


def identifier(kind: type[AnyIdentifier], record: Record, column: str, fault: Fault) -> AnyIdentifier:
    """An identifier that must be there and be safe."""
    value = record.get(column)
    try:
        return kind("" if value is None or isinstance(value, bool) else str(value))
    except InvalidIdentifier as error:
        fault(column, f"{error}")
        raise BadRecord from None


def names(value: object) -> list[str]:
    """A list, or text with ``,``, ``;`` or space between names."""
    if value is None:
        return []
    if isinstance(value, list | tuple | set):
        return [str(item).strip() for item in value]
    return [part for part in re.split(r"[,;\s]+", str(value)) if part]


def usernames(record: Record, column: str, fault: Fault) -> frozenset[Username]:
    """User names; an unsafe one is a fault."""
    found = set()
    for name in names(record.get(column)):
        try:
            found.add(Username(name))
        except InvalidIdentifier as error:
            fault(column, f"{error}")
            raise BadRecord from None
    return frozenset(found)


def number(record: Record, column: str, fault: Fault) -> int | None:
    """A whole number that is not negative, or None."""
    value = record.get(column)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,10}", str(value).strip()):
        fault(column, f"{value!r} is not a number; give a whole number such as 20001")
        raise BadRecord
    return int(str(value))


def day(record: Record, column: str, fault: Fault, *, required: bool) -> date | None:
    """A date: 2026-11-24, 24.11.2026, or what YAML or the database made of it."""
    value = record.get(column)
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    content = str(value or "").strip()
    if not content and not required:
        return None
    for pattern in ("%Y-%m-%d", "%d.%m.%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S"):
        try:
            return datetime.strptime(content, pattern).date()
        except ValueError:
            continue
    fault(column, f"{content!r} is not a date; give one as 2026-11-24")
    raise BadRecord


def person(record: Record, fault: Fault) -> CataloguePerson:
    """A person from ``username, name, email, affiliation, uid, gid, gids, groups, roles``."""
    gids = []
    for value in names(record.get("gids")):
        gid = number({"gids": value}, "gids", fault)
        gids += [gid] if gid is not None else []
    return CataloguePerson(
        username=identifier(Username, record, "username", fault),
        name=text(record, "name", fault),
        email=clean(record.get("email") or "") or None,
        affiliation=clean(record.get("affiliation") or "") or None,
        uid=number(record, "uid", fault),
        gid=number(record, "gid", fault),
        gids=tuple(gids),
        groups=frozenset(names(record.get("groups"))),
        roles=frozenset(names(record.get("roles"))),
    )


def instrument(record: Record, fault: Fault) -> Instrument:
    """An instrument from ``id, name, description, scientists``."""
    return Instrument(
        id=identifier(InstrumentId, record, "id", fault),
        name=text(record, "name", fault),
        description=clean(record.get("description") or "", 2000),
        scientists=usernames(record, "scientists", fault),
    )


def proposal(record: Record, fault: Fault) -> Proposal:
    """A proposal from ``id, title, principal``."""
    principal = identifier(Username, record, "principal", fault) if record.get("principal") else None
    return Proposal(identifier(ProposalId, record, "id", fault), text(record, "title", fault), principal)


def experiment(
    record: Record, proposals: Mapping[str, Proposal], instruments: Mapping[str, Instrument], fault: Fault
) -> Experiment:
    """An experiment from ``id, title, proposal, instrument, start, end, team, release, doi``."""
    own = identifier(ExperimentId, record, "id", fault)
    of_proposal = _known(record, "proposal", proposals, fault)
    of_instrument = _known(record, "instrument", instruments, fault)
    start = day(record, "start", fault, required=True)
    end = day(record, "end", fault, required=False) or start
    if start is None or end is None or end < start:
        fault("end", f"{end} is before the start {start}; give the last day of the experiment")
        raise BadRecord
    return Experiment(
        id=own,
        title=text(record, "title", fault),
        proposal=of_proposal.id,
        proposal_title=of_proposal.title,
        instrument=of_instrument.id,
        instrument_name=of_instrument.name,
        start=start,
        end=end,
        team=usernames(record, "team", fault),
        principal=of_proposal.principal,
        instrument_scientists=of_instrument.scientists,
        release=day(record, "release", fault, required=False),
        doi=clean(record.get("doi") or "") or None,
    )


T = TypeVar("T")


def _known(record: Record, column: str, known: Mapping[str, T], fault: Fault) -> T:
    value = known.get(str(record.get(column)))
    if value is None:
        close = ", ".join(sorted(known)[:5])
        fault(column, f"{record.get(column)!r} is not known; give one of the {column}s ({close}, ...)")
        raise BadRecord
    return value
