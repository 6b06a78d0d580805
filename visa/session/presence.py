"""Open websockets by person and kind of session. One more, or one less, costs the same however many there are."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Protocol

from visa.session.hub import Visitor


class UnderWay(Protocol):
    """What somebody's role allowed when it began, and who that is."""

    @property
    def visitor_here(self) -> Visitor: ...

    def reconsider(self, visitor: Visitor) -> None: ...


class Present(UnderWay, Protocol):
    """An open websocket and who holds it."""

    @property
    def session_kind(self) -> str: ...

    @property
    def since(self) -> datetime: ...


class Presence:
    """Who has what open."""

    def __init__(self) -> None:
        self._of: dict[str, dict[str, dict[Present, None]]] = {}

    def add(self, one: Present) -> bool:
        """Whether it is the person's first of its kind."""
        same = self._of.setdefault(one.visitor_here.name, {}).setdefault(one.session_kind, {})
        same[one] = None
        return len(same) == 1

    def remove(self, one: Present) -> bool:
        """Whether it was the one that `longest` has. What is not here is not."""
        name, kind = one.visitor_here.name, one.session_kind
        kinds = self._of.get(name, {})
        same = kinds.get(kind, {})
        if one not in same:
            return False
        longest = next(iter(same)) is one
        del same[one]
        if not same:
            del kinds[kind]
        if not kinds:
            del self._of[name]
        return longest

    def __contains__(self, name: str) -> bool:
        return name in self._of

    def __iter__(self) -> Iterator[Present]:
        return (one for kinds in list(self._of.values()) for same in list(kinds.values()) for one in list(same))

    @property
    def names(self) -> frozenset[str]:
        """Who is here."""
        return frozenset(self._of)

    def longest(self) -> list[Present]:
        """Of each person and kind the one that is open for longest, in the order in which they came."""
        found = (next(iter(same)) for kinds in self._of.values() for same in kinds.values())
        return sorted(found, key=lambda one: one.since)
