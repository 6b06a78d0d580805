"""facility.yaml while the hub runs: reloaded when it changes, a broken edit keeps the last good one."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable
from pathlib import Path

from visa.facility.load import load
from visa.facility.model import Facility
from visa.facility.problems import FacilityProblems, Problem

log = logging.getLogger(__name__)

Stamp = tuple[int, int, int]


class FacilitySource:
    """The facility as it is now. The first load must succeed, or there must be a last good one: `FacilityProblems`.

    ``current`` is the last good one; ``problems`` are those of an edit since then that cannot be used.
    ``kept``: where the last good one outlives this process; ``keeps``: it is this process that writes it.
    """

    def __init__(self, path: Path, kept: Path | None = None, *, keeps: bool = True) -> None:
        self.path, self._kept, self._keeps = path, kept, keeps
        self._seen = self._stamp()  # before reading: a change in between is then seen by `check`
        self.problems: tuple[Problem, ...] = ()
        self.current: Facility = self._first()
        self._callbacks: list[Callable[[Facility], None]] = []

    def _first(self) -> Facility:
        try:
            return self._load()
        except FacilityProblems as error:
            if self._kept is None or not self._kept.exists():
                raise
            try:
                facility = load(self._kept, Path(os.path.abspath(self.path)).parent)
            except FacilityProblems as former:
                log.critical("The last good one, %s, cannot be used either:\n%s", self._kept, former)
                raise error from None
            self.problems = error.problems
            log.critical("%s cannot be used; THE LAST GOOD ONE, %s, IS IN USE:\n%s", self.path, self._kept, error)
            return facility

    def _load(self) -> Facility:
        """As the file says now, which is kept when it is good."""
        before = self._content()
        facility = load(self.path)
        if self._kept is not None and self._keeps and before is not None and before == self._content():
            try:
                _replace(self._kept, before)
            except OSError as error:
                log.error("The last good %s cannot be kept in %s: %s", self.path, self._kept, error.strerror)
        return facility

    def _content(self) -> bytes | None:
        try:
            return self.path.read_bytes()
        except OSError:
            return None

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
            facility = self._load()
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


def _replace(kept: Path, content: bytes) -> None:
    """Write it whole or not at all; raise ``OSError``."""
    if kept.exists() and kept.read_bytes() == content:
        return
    new = kept.with_name(f".{kept.name}.{os.getpid()}")
    try:
        new.write_bytes(content)
        os.replace(new, kept)
    finally:
        new.unlink(missing_ok=True)
