"""facility.yaml while the hub runs: reloaded when it changes, a broken edit keeps the last good one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from visa.facility.load import load
from visa.facility.model import Facility
from visa.facility.problems import FacilityProblems, Problem

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class FacilitySource:
    """The facility as it is now. The first load must succeed: it raises `FacilityProblems`.

    ``current`` is the last good one; ``problems`` are those of an edit since then that cannot be used.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._seen = self._stamp()  # before reading: a change in between is then seen by `check`
        self.current: Facility = load(path)
        self.problems: tuple[Problem, ...] = ()
        self._callbacks: list[Callable[[Facility], None]] = []

    def subscribe(self, callback: Callable[[Facility], None]) -> None:
        """Call ``callback`` with every new good `Facility`, in the thread that calls `check`."""
        self._callbacks.append(callback)

    def _stamp(self) -> Stamp | None:
        try:
            stat = self.path.stat()  # follows links: a ConfigMap is swapped by one
        except OSError:
            return None
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def check(self) -> bool:
        """Look whether the file changed (one ``stat``); True when a new good one was loaded."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            facility = load(self.path)
        except FacilityProblems as error:
            self.problems = error.problems
            log.error("The edit of %s is broken; the last good one stays in use:\n%s", self.path, error)
            return False
        self.current, self.problems = facility, ()
        log.info("Loaded %s", self.path)
        for callback in self._callbacks:
            try:
                callback(facility)
            except Exception:
                log.exception("Something did not take the new %s", self.path)
        return True

    async def watch(self, interval: float = 2.0) -> None:
        """`check` every ``interval`` seconds until cancelled."""
        while True:
            await asyncio.sleep(interval)
            try:
                await asyncio.to_thread(self.check)
            except Exception:
                log.exception("%s could not be looked at; it is tried again", self.path)
