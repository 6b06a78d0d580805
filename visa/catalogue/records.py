"""Plain records of a source (YAML, CSV, SQL rows) to catalogue values, with every fault named.

A record is a mapping of column to value. What cannot be used is left out alone and told to a callback: a name, not
the team; a column, not the row; a row, not the source.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, TypeVar

from visa.catalogue.base import CataloguePerson, Experiment, Instrument, Part
from visa.catalogue.index import clean
from visa.identifiers import (
    ExperimentId,
    Identifier,
    InstrumentId,
    InvalidIdentifier,
    ProposalId,
    Username,
)

ANYBODY = ("",)
"""Left out without a trace of whose names they are."""
LONGEST_LEFT_OUT = 200  # characters
_LONGEST_LABEL = 255  # characters that JupyterHub has for a group
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
    left_out: tuple[str, ...] = ()  # who leads it, when that cannot be used


def shown(record: Record, column: str, instead: str, fault: Fault, *, longest: int = 300) -> str:
    """A text for people; ``instead`` when it is missing, so that nothing is hidden for want of a name."""
    value = clean(as_text(record.get(column)), longest)
    if value:
        if "\ufffd" in value:
            fault(column, "is not UTF-8 text, what cannot be read is marked; save it as UTF-8")
        return value
    fault(column, f"is missing, {instead!r} is shown instead; give some text")
    return instead


def as_text(value: object) -> str:
    """A column as text: bytes that are not UTF-8 are marked, NULL is empty."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return "" if value is None else str(value)


def identifier(kind: type[AnyIdentifier], record: Record, column: str, fault: Fault) -> AnyIdentifier:
    """An identifier that must be there and be safe."""
    value = record.get(column)
    try:
        return kind("" if isinstance(value, bool) else as_text(value).strip())
    except InvalidIdentifier as error:
        fault(column, f"{error}; give another")
        raise BadRecord from None


def names(value: object) -> list[str]:
    """A list, or text with ``,``, ``;`` or space between names."""
    if value is None:
        return []
    if isinstance(value, list | tuple | set):
        return ["" if isinstance(item, bool) else as_text(item).strip() for item in value]
    if isinstance(value, bool):  # YAML's yes and no
        return [""]
    return [part for part in re.split(r"[,;\s]+", as_text(value)) if part]


def usernames(record: Record, column: str, fault: Fault) -> tuple[frozenset[Username], tuple[str, ...]]:
    """The user names in ``column`` that can be used, and those that cannot."""
    found, left_out = set(), []
    for name in names(record.get(column)):
        try:
            found.add(Username(name))
        except InvalidIdentifier as error:
            fault(column, f"{error}; this name is left out")
            left_out.append(name[:LONGEST_LEFT_OUT])
    return frozenset(found), tuple(sorted(left_out))


def _labels(record: Record, column: str, fault: Fault) -> frozenset[str]:
    """Names of groups or roles; one that is no plain text is left out."""
    found = set()
    for name in names(record.get(column)):
        if name and clean(name, _LONGEST_LABEL) == name:
            found.add(name)
        else:
            fault(column, f"{name[:40]!r} is no plain text of at most {_LONGEST_LABEL} characters; it is left out")
    return frozenset(found)


def number(record: Record, column: str, fault: Fault) -> int | None:
    """A whole number that is not negative; None when there is none or it cannot be used."""
    value = record.get(column)
    if value is None or value == "":
        return None
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,10}", as_text(value).strip()):
        fault(column, f"{value!r} is not a number; give a whole number such as 20001")
        return None
    return int(as_text(value))


def day(record: Record, column: str, fault: Fault, zone: tzinfo) -> tuple[date | None, bool]:
    """A day in ``zone``, and whether the column could be read; (None, True) when there is none.

    Takes 2026-11-24, 20261124, 24.11.2026, a moment with or without its zone, what YAML or a database made of one,
    and NULL or 0000-00-00 for none.
    """
    value = record.get(column)
    content = as_text(value).strip()
    if not content or re.fullmatch(r"0000-?00-?00([T ].*)?", content) or content.upper() == "NULL":
        return None, True
    try:
        return _day(value, content, zone), True
    except (ValueError, OverflowError):
        fault(column, f"{content[:40]!r} is not a date; give one as 2026-11-24")
        return None, False


def _day(value: object, content: str, zone: tzinfo) -> date:
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    if isinstance(value, datetime):
        moment = value
    elif re.fullmatch(r"\d{1,2}\.\d{1,2}\.\d{4}", content):
        moment = datetime.strptime(content, "%d.%m.%Y")
    else:
        moment = datetime.fromisoformat(content)
    return moment.date() if moment.tzinfo is None else moment.astimezone(zone).date()


def person(record: Record, fault: Fault) -> CataloguePerson:
    """A person from ``username, name, email, affiliation, uid, gid, gids, groups, roles``."""
    username = identifier(Username, record, "username", fault)
    gids = [number({"gids": value}, "gids", fault) for value in names(record.get("gids"))]
    return CataloguePerson(
        username=username,
        name=shown(record, "name", username, fault),
        email=clean(as_text(record.get("email"))) or None,
        affiliation=clean(as_text(record.get("affiliation"))) or None,
        uid=number(record, "uid", fault),
        gid=number(record, "gid", fault),
        gids=tuple(gid for gid in gids if gid is not None),
        groups=_labels(record, "groups", fault),
        roles=_labels(record, "roles", fault),
    )


def instrument(record: Record, fault: Fault) -> Instrument:
    """An instrument from ``id, name, description, scientists``."""
    own = identifier(InstrumentId, record, "id", fault)
    scientists, left_out = usernames(record, "scientists", fault)
    return Instrument(
        id=own,
        name=shown(record, "name", own, fault),
        description=clean(as_text(record.get("description")), 2000),
        scientists=scientists,
        left_out=left_out,
    )


def proposal(record: Record, fault: Fault) -> Proposal:
    """A proposal from ``id, title, principal``."""
    own = identifier(ProposalId, record, "id", fault)
    title = shown(record, "title", own, fault)
    principal = None
    left_out: tuple[str, ...] = ()
    if record.get("principal"):
        try:
            principal = identifier(Username, record, "principal", fault)
        except BadRecord:
            left_out = (as_text(record["principal"]).strip()[:LONGEST_LEFT_OUT],)
    return Proposal(own, title, principal, left_out)


def experiment(
    record: Record,
    proposals: Mapping[str, Proposal],
    instruments: Mapping[str, Instrument],
    fault: Fault,
    zone: tzinfo = UTC,
) -> Experiment:
    """An experiment from ``id, title, proposal, instrument, start, end, team, release, doi``; days are in ``zone``.

    Raise `BadRecord` without an id, a start, or an id of proposal and instrument: data folders need them.
    """
    own = identifier(ExperimentId, record, "id", fault)
    of_proposal = _of_proposal(record, proposals, fault)
    of_instrument = _of_instrument(record, instruments, fault)
    start, end = _span(record, fault, zone)
    team, team_left_out = usernames(record, "team", fault)
    release, release_read = day(record, "release", fault, zone)
    left_out = {
        Part.TEAM: team_left_out,
        Part.PRINCIPAL: of_proposal.left_out,
        Part.SCIENTISTS: of_instrument.left_out,
    }
    unread = {part for part, names in left_out.items() if names} | (set() if release_read else {Part.RELEASE})
    return Experiment(
        id=own,
        title=shown(record, "title", own, fault),
        proposal=of_proposal.id,
        proposal_title=of_proposal.title,
        instrument=of_instrument.id,
        instrument_name=of_instrument.name,
        start=start,
        end=end,
        team=team,
        principal=of_proposal.principal,
        instrument_scientists=of_instrument.scientists,
        release=release,
        doi=clean(as_text(record.get("doi"))) or None,
        unread=frozenset(unread),
        left_out=tuple(name for names in left_out.values() for name in names),
    )


def _span(record: Record, fault: Fault, zone: tzinfo) -> tuple[date, date]:
    """First and last day. A last day that cannot be used is the first."""
    start, read = day(record, "start", fault, zone)
    if start is None:
        if read:
            fault("start", "is missing; give the first day as 2026-11-24")
        raise BadRecord
    end, _ = day(record, "end", fault, zone)
    if end is not None and end < start:
        fault("end", f"{end} is before the start {start}; give the last day of the experiment")
    return start, start if end is None else max(start, end)


def _of_proposal(record: Record, known: Mapping[str, Proposal], fault: Fault) -> Proposal:
    own = identifier(ProposalId, record, "proposal", fault)
    value = known.get(own)
    if value is None:
        _unknown("proposal", own, known, fault)
    return value or Proposal(own, own, None, ANYBODY)


def _of_instrument(record: Record, known: Mapping[str, Instrument], fault: Fault) -> Instrument:
    own = identifier(InstrumentId, record, "instrument", fault)
    value = known.get(own)
    if value is None:
        _unknown("instrument", own, known, fault)
    return value or Instrument(own, own, left_out=ANYBODY)


def _unknown(column: str, value: str, known: Mapping[str, object], fault: Fault) -> None:
    close = ", ".join(sorted(known)[:5])
    fault(column, f"{value!r} is not known; " + (f"give one of the {column}s ({close}, ...)" if known else "add it"))
