"""Who was withdrawn from an experiment, and who may only be somebody whose name the catalogue cannot read.

A name that cannot be used may be that of a person who is missing. It is another's when it was there while she was
named, and is no other spelling of hers. Who looks for the first time, as a hub that was just started, goes by the
spelling alone: one unusable name would else keep everybody until the next time. In doubt nobody was withdrawn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from difflib import SequenceMatcher

from visa.catalogue.base import Experiment, Part, Reading
from visa.catalogue.index import fold
from visa.instances.admission import belongs
from visa.instances.model import Person

_SHORTEST = 3  # letters of a word that says something about who is meant
_LONGEST = 128
_ALIKE = 0.6  # of `SequenceMatcher`
_NAME = re.compile(r"[a-z0-9 ,.'\u2019`_\\@+-]+")


def may_be(left_out: str, person: Person) -> bool:
    """Whether ``left_out``, a name that cannot be used, may mean her.

    Only what is a name of other words in Latin letters does not: no mark of an encoding, no placeholder, no number.
    """
    folded = fold(left_out)
    words = _words(folded)
    if len(left_out) > _LONGEST or not _NAME.fullmatch(folded) or not words:
        return True
    email = (person.email or "").partition("@")[0]
    hers = [word for text in (person.username, person.name, email) for word in _words(fold(text))]
    if re.search(r"[ ,]", folded.strip()) and len(_words(fold(person.name))) < 2:
        return True  # somebody's full name, and hers is not known
    joined = ["".join(_words(fold(text))) for text in (person.username, person.name) if text]
    return any(_alike(one, other) for one in (*words, "".join(words)) for other in (*hers, *joined))


def _words(folded: str) -> list[str]:
    return [word for word in re.findall("[a-z0-9]+", folded.replace("'", "").replace("\u2019", "")) if _says(word)]


def _says(word: str) -> bool:
    return len(word) >= _SHORTEST and any(character.isalpha() for character in word)


def _alike(one: str, other: str) -> bool:
    return one in other or other in one or SequenceMatcher(None, one, other).ratio() >= _ALIKE


def _other_cases(username: str, experiment: Experiment) -> list[str]:
    """Names on the experiment that differ from ``username`` in case only: another person's, or hers respelt."""
    names = {*experiment.team, *experiment.instrument_scientists, experiment.principal or ""}
    return sorted(name for name in names - {username} if name.casefold() == username.casefold())


class Withdrawals:
    """What one process saw at its looks: which names stood beside whose. A look asks about everybody once."""

    def __init__(self) -> None:
        self._before: dict[tuple[str, str], tuple[str, ...]] = {}
        self._now: dict[tuple[str, str], tuple[str, ...]] = {}

    def begin(self) -> None:
        """Begin a look. What nobody asked about at the last one is forgotten."""
        self._before, self._now = self._now, {}

    def clear(self, person: Person, identifier: str, reading: Reading) -> bool:
        """Whether ``reading`` says all about her on the experiment, be it that she is not on it."""
        experiment = reading.experiments.get(identifier)
        if experiment is None:
            return reading.is_clear(identifier)
        key = (str(person.username), identifier)
        named = belongs(person, experiment)
        there = (*experiment.left_out, *_other_cases(person.username, experiment))
        beside = there if named else self._before.get(key)
        if beside is not None:
            self._now[key] = beside
        if Part.RELEASE in experiment.unread:
            return False
        if named or not (experiment.unread or there):
            return True
        if beside is None:
            unsure = not experiment.left_out or bool(_other_cases(person.username, experiment))
        else:
            unsure = bool(Counter(there) - Counter(beside))
        if unsure:
            return False
        return not any(may_be(name, person) for name in set(experiment.left_out))

    def all_clear(self, person: Person, identifiers: Iterable[str], reading: Reading) -> bool:
        """`clear` for all of them, each asked."""
        unclear = {one for one in identifiers if not self.clear(person, one, reading)}
        return not unclear
