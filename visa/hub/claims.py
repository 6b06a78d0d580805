"""Values of claims. What a provider writes in another way than VISA asks for is read where it can only mean one
thing, and said; what could mean another thing is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class BadClaims(ValueError):
    """The claims do not make a person. The message says which claim and what is wrong."""


class Claims:
    """Claims of one person, with ``notes``: what was odd, in sentences for the log and for who logs in."""

    def __init__(self, given: Mapping[str, Any]) -> None:
        self.given = given
        self.notes: list[str] = []

    def value(self, claim: str) -> Any:
        """Of the claim, or of the path to it (``realm_access.roles``); None when it did not come.

        A claim whose own name has dots is found too, and before a path of that spelling.
        """
        return _at(self.given, claim)

    def texts(self, claim: str) -> frozenset[str]:
        """A list of texts, or one text; raise `BadClaims`."""
        return frozenset(str(item) for item in self._items(claim, "texts", (str, int)))

    def number(self, claim: str | None, otherwise: int | None) -> int | None:
        """A whole number from 0; ``otherwise`` when there is none. Raise `BadClaims`."""
        value = self.value(claim) if claim else None
        if isinstance(value, str) and not value.strip():
            self._note(claim, "is empty and counts as absent")
            value = None
        if value is None:
            return otherwise
        number = _whole(value)
        if number is None:
            raise BadClaims(f"claim '{claim}' is not a whole number")
        return number

    def numbers(self, claim: str | None) -> tuple[int, ...]:
        """A list of whole numbers; raise `BadClaims`."""
        items = self._items(claim, "whole numbers", (str, int), single=False) if claim else []
        numbers = [_whole(item) for item in items]
        found = tuple(number for number in numbers if number is not None)
        if len(found) != len(numbers):
            raise BadClaims(f"claim '{claim}' is not a list of whole numbers")
        return found

    def absent(self, claim: str, key: str) -> None:
        """Note that a claim which facility.yaml names did not come."""
        if self.value(claim) is None:
            came = ", ".join(sorted(map(str, self.given))[:30]) or "nothing"
            self.notes.append(f"claim '{claim}' (people.{key}) did not come; userinfo has: {came}")

    def _items(self, claim: str, what: str, kinds: tuple[type, ...], single: bool = True) -> list[Any]:
        value = self.value(claim)
        if value is None:
            return []
        if isinstance(value, str) and value.strip()[:1] == "[" and value.strip()[-1:] == "]":
            self._note(claim, "is a list written as text; make it multivalued at the provider")
            value = _list_in(value.strip())
        elif isinstance(value, str) and single:
            if "," in value or " " in value.strip():
                self._note(claim, "is one text; several values must come as a list")
            value = [value] if value.strip() else []
        if not isinstance(value, list):
            raise BadClaims(f"claim '{claim}' is not a list of {what}")
        items = [item for item in value if item is not None]
        if len(items) < len(value):
            self._note(claim, "has null in its list, which counts as absent")
        if any(not isinstance(item, kinds) or isinstance(item, bool) for item in items):
            raise BadClaims(f"claim '{claim}' is not a list of {what}")
        if single and any(isinstance(item, int) for item in items):
            self._note(claim, "has numbers in its list, which are read as text")
        return items

    def _note(self, claim: str | None, what: str) -> None:
        self.notes.append(f"claim '{claim}' {what}")


def _at(given: Any, path: str) -> Any:
    if not isinstance(given, Mapping):
        return None
    if path in given:
        return given[path]
    cut = path.rfind(".")
    while cut > 0:  # the longest name first: parts may have dots of their own
        found = _at(given.get(path[:cut]), path[cut + 1 :])
        if found is not None:
            return found
        cut = path.rfind(".", 0, cut)
    return None


def _list_in(text: str) -> Any:
    """``["a", "b"]``, or ``[a, b]`` as Java writes lists."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return [item.strip() for item in text[1:-1].split(",") if item.strip()]


def _whole(value: object) -> int | None:
    """A whole number from 0, or None; some providers give numbers as text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 10:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
