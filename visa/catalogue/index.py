"""Search in memory: words, instrument, year, order. Used by every source that has a person's experiments at hand."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from visa.catalogue.base import Experiment, Found, Search, Sort

LARGEST_PAGE = 500


def fold(text: str) -> str:
    """Lower case without accents, so that ``mossbauer`` finds Mössbauer."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def clean(text: object, longest: int = 300) -> str:
    """Text from a source: control and direction characters removed, white space joined, at most ``longest``."""
    kept = "".join(c if unicodedata.category(c)[0] != "C" else " " for c in str(text))
    joined = " ".join(kept.split())
    return joined if len(joined) <= longest else joined[: longest - 1] + "…"


@dataclass(frozen=True, slots=True)
class Entry:
    """An experiment with its folded text."""

    experiment: Experiment
    text: str


def entry(experiment: Experiment, names: Mapping[str, str]) -> Entry:
    """``names``: user name to the name people read, for the team."""
    team = (f"{user} {names.get(user, '')}" for user in sorted(experiment.team))
    parts = (
        experiment.id,
        experiment.title,
        experiment.proposal,
        experiment.proposal_title,
        experiment.instrument,
        experiment.instrument_name,
        experiment.doi or "",
        *team,
    )
    return Entry(experiment, fold("\n".join(parts)))


def search(entries: Iterable[Entry], wanted: Search) -> Found:
    """One page of ``entries``. The filter choices are those of all ``entries``; ties are ordered by id."""
    everything = list(entries)
    words = fold(wanted.text).split()[:20]
    hits = [
        item.experiment
        for item in everything
        if (wanted.instrument is None or item.experiment.instrument == wanted.instrument)
        and (wanted.year is None or item.experiment.year == wanted.year)
        and all(word in item.text for word in words)
    ]
    offset, limit = max(0, wanted.offset), min(max(1, wanted.limit), LARGEST_PAGE)
    page = tuple(ordered(hits, wanted.sort)[offset : offset + limit])
    instruments = {item.experiment.instrument: item.experiment.instrument_name for item in everything}
    years = {item.experiment.year for item in everything}
    choices = tuple(sorted(instruments.items(), key=lambda pair: (fold(pair[1]), pair[0])))
    return Found(page, len(hits), choices, tuple(sorted(years, reverse=True)))


def ordered(experiments: Sequence[Experiment], sort: Sort) -> list[Experiment]:
    """``experiments`` in the order asked for; ties by id."""
    by_id = sorted(experiments, key=lambda e: e.id)
    if sort is Sort.NEWEST:
        return sorted(by_id, key=lambda e: (e.start, e.end), reverse=True)
    if sort is Sort.OLDEST:
        return sorted(by_id, key=lambda e: (e.start, e.end))
    return sorted(by_id, key=lambda e: fold(e.title)) if sort is Sort.TITLE else by_id
