"""How many websockets each person has open here, and all who are not the owner together."""

from __future__ import annotations

from collections import Counter


class TooMany(Exception):
    """One more is refused; the message says why, for her who asks."""


class Crowd:
    """``each``: of one person; ``others``: of everybody but the owner, so that nobody keeps her out."""

    def __init__(self, each: int, others: int, owner: str) -> None:
        self._each, self._others, self._owner = each, others, owner
        self._of: Counter[str] = Counter()
        self._strange = 0

    def enter(self, name: str) -> None:
        """One more of ``name``'s; raise `TooMany`."""
        if self._of[name] >= self._each:
            raise TooMany(
                f"You have {self._each} connections open here, which is as many as one person may have. "
                "Close pages, notebooks or terminals that you do not need."
            )
        if name != self._owner:
            if self._strange >= self._others:
                raise TooMany("Too many people are connected to this instance. Try again later.")
            self._strange += 1
        self._of[name] += 1

    def leave(self, name: str) -> None:
        """One less."""
        self._of[name] -= 1
        if not self._of[name]:
            del self._of[name]
        if name != self._owner:
            self._strange -= 1
