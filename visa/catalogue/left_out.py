"""What a source left out, for operators: where, which column, what is wrong and what would be right."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from visa.catalogue.index import clean

log = logging.getLogger(__name__)

SHOWN = 100
_MOST = 10_000  # rows; one more is not remembered, so that a source full of faults does not fill the memory


class LeftOut:
    """Faults by row, in the order they were found. A row that is read again forgets its former faults.

    Used from several threads.
    """

    def __init__(self) -> None:
        self._faults: dict[tuple[str, str], list[str]] = {}
        self._lock = threading.Lock()

    def row(self, where: str, *, apart: str = "") -> Callable[[str, str], None]:
        """Begin the row at ``where``; what is returned takes a column and what is wrong and right about it.

        ``apart``: what is said stays when another row begins there, as the last line may have two.
        """
        where = clean(where, 200)
        key = (where, apart)
        with self._lock:
            before = self._faults.pop(key, [])

        def fault(column: str, what: str) -> None:
            said = f"{where}: {clean(column, 80)}: {clean(what)}"
            with self._lock:
                if key not in self._faults and len(self._faults) >= _MOST:
                    return
                found = self._faults.setdefault(key, [])
                if said in found:
                    return
                found.append(said)
            if said not in before and len(self._faults) <= SHOWN:
                log.warning("Left out of the catalogue: %s", said)

        return fault

    @property
    def all(self) -> list[str]:
        """Every fault."""
        with self._lock:
            return [said for faults in self._faults.values() for said in faults]

    @property
    def rows(self) -> int:
        """How many rows have faults."""
        return len(self._faults)
