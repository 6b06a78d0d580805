"""Instances that ended while the store was away: what they hold is given back as soon as it can be written.

Without this the reconciler would find them gone, and say that nobody knows why.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from visa.store.store import Decision, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How an instance ended; ``reason`` is for people."""

    id: str
    failed: bool
    reason: str | None


def give_back(store: Store, end: Ended) -> None:
    """Write it; harmless when it was written before. Raise what the store raises when it is away."""
    instance = store.instance(end.id)
    if instance is None or not store.release(end.id, failed=end.failed, reason=end.reason) or not end.failed:
        return
    store.record(Decision("visa", instance.owner, "end", True, end.id, "failed", {"why": end.reason}))


class Owed:
    """Ends that are to be written, the first word on each instance."""

    def __init__(self) -> None:
        self._ends: dict[str, Ended] = {}

    def add(self, end: Ended) -> None:
        """To be written later; what was said before about it is the cause."""
        self._ends.setdefault(end.id, end)

    def pay(self, store: Store, alive: Callable[[str], bool]) -> None:
        """Write all, but of what is ``alive`` again; raise what the store raises when it is still away."""
        for identifier, end in list(self._ends.items()):
            if not alive(identifier):
                give_back(store, end)
                log.info("What instance %s held is given back", identifier)
            self._ends.pop(identifier, None)
