"""What a catalogue is: people, instruments, proposals and experiments, behind one small protocol.

A catalogue answers from its source or, when that is down, from what it last knew; every answer says
which (`Answer.stale`). Admission never grants on a stale answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Generic, Protocol, TypeVar

from visa.identifiers import ExperimentId, InstrumentId, ProposalId, Username

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class CataloguePerson:
    """A person as the user office knows her. ``uid``/``gid`` may be absent: then claims must give them."""

    username: Username
    name: str
    email: str | None = None
    affiliation: str | None = None
    uid: int | None = None
    gid: int | None = None
    gids: tuple[int, ...] = ()
    groups: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Instrument:
    """An instrument (beamline) and its scientists, who may work on all of its experiments."""

    id: InstrumentId
    name: str
    description: str = ""
    scientists: frozenset[Username] = frozenset()
    left_out: tuple[str, ...] = ()  # scientists' names that cannot be used


class Part(StrEnum):
    """What decides who may work on an experiment, and may be unreadable in the source."""

    TEAM = "team"
    PRINCIPAL = "principal"
    SCIENTISTS = "instrument scientists"
    RELEASE = "release"


@dataclass(frozen=True, slots=True)
class Experiment:
    """One experiment: belongs to one proposal and one instrument, has a team and dates.

    ``release`` is the day from which the data is open to everyone who can log in (None: never).
    ``unread`` are the parts in which something was left out: what is there grants, what is missing proves nothing.
    ``left_out`` are names in them that cannot be used, as the source has them; an empty one stands for any number.
    """

    id: ExperimentId
    title: str
    proposal: ProposalId
    proposal_title: str
    instrument: InstrumentId
    instrument_name: str
    start: date
    end: date
    team: frozenset[Username] = frozenset()
    principal: Username | None = None
    instrument_scientists: frozenset[Username] = frozenset()
    release: date | None = None
    doi: str | None = None
    unread: frozenset[Part] = frozenset()
    left_out: tuple[str, ...] = ()

    @property
    def year(self) -> int:
        """The year that data paths and filters use: the one in which the experiment began."""
        return self.start.year

    def is_open(self, today: date) -> bool:
        """Whether the data has been released."""
        return self.release is not None and self.release <= today


class Scope(StrEnum):
    """Which experiments a search looks at, seen from one person."""

    MINE = "mine"  # on the team, or scientist of the instrument
    OPEN = "open"  # released, whoever measured
    ALL = "all"  # both


class Sort(StrEnum):
    NEWEST = "newest"
    OLDEST = "oldest"
    TITLE = "title"
    ID = "id"


@dataclass(frozen=True, slots=True)
class Search:
    """A page of one person's experiments. ``text``: every word must be found in id, title, proposal,
    instrument, DOI or a team member's name, in any case. ``limit`` is 1..500."""

    text: str = ""
    instrument: str | None = None
    year: int | None = None
    scope: Scope = Scope.MINE
    sort: Sort = Sort.NEWEST
    offset: int = 0
    limit: int = 50


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """``value`` as of ``as_of``; ``stale`` when the source could not be asked now.

    ``unreadable``: ids that the source has, or may have, in rows that cannot be read. They are not in ``value``.
    """

    value: T
    as_of: datetime
    stale: bool = False
    unreadable: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Reading:
    """What a source that answers says about experiments: of each all, a part, or nothing that can be read."""

    experiments: Mapping[str, Experiment]
    unreadable: frozenset[str] = frozenset()

    def is_clear(self, identifier: str) -> bool:
        """Whether the source said all about it, be it that there is no such experiment. Only this ends anything."""
        experiment = self.experiments.get(identifier)
        if experiment is None:
            return identifier not in self.unreadable
        return not experiment.unread


@dataclass(frozen=True, slots=True)
class Found:
    """One page of a search: ``total`` hits; ``instruments`` and ``years`` are the filter choices of the scope."""

    experiments: tuple[Experiment, ...]
    total: int
    instruments: tuple[tuple[InstrumentId, str], ...] = ()
    years: tuple[int, ...] = ()


class CatalogueUnavailable(Exception):
    """The source cannot be asked and nothing is cached. The message says which source and what failed."""


@dataclass(frozen=True, slots=True)
class CatalogueHealth:
    """For operators: is the source up, since when not, the last fault in words, and what was left out."""

    up: bool
    as_of: datetime | None
    fault: str | None = None
    counts: dict[str, int] = field(default_factory=dict)
    left_out: tuple[str, ...] = ()  # the first of them; ``counts`` has the number of all


class RowUnreadable(CatalogueUnavailable):
    """The source answers, but the row that was asked for cannot be read: nothing is known, nothing was withdrawn."""


class Catalogue(Protocol):
    """Where experiments and their teams come from. Every method may raise `CatalogueUnavailable`."""

    async def person(self, username: str) -> Answer[CataloguePerson | None]: ...

    async def people(self) -> Answer[tuple[CataloguePerson, ...]]: ...

    async def instruments(self) -> Answer[tuple[Instrument, ...]]: ...

    async def experiments(self, ids: Sequence[str]) -> Answer[dict[str, Experiment]]:
        """The experiments of these ids that can be read. Unknown and unsafe ids are absent; see `Answer.unreadable`."""
        ...

    async def search(self, username: str, search: Search, today: date) -> Answer[Found]: ...

    async def health(self) -> CatalogueHealth: ...

    async def close(self) -> None: ...
