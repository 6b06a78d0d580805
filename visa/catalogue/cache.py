"""A bounded cache in front of a source that may be slow or down."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from visa import clock
from visa.catalogue.base import Answer, CatalogueUnavailable

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


@dataclass(slots=True)
class _Kept(Generic[V]):
    value: V
    asked: float
    as_of: datetime


class SourceDown(Exception):
    """The source did not answer. The message says what failed."""


@dataclass(slots=True)
class Outage:
    """Shared by a source's caches: after a failure nobody asks again for ``pause`` seconds."""

    pause: float = 5.0
    until: float = 0.0
    fault: str | None = None

    def failed(self, fault: str) -> None:
        self.until, self.fault = clock.elapsed() + self.pause, fault

    def answered(self) -> None:
        self.until, self.fault = 0.0, None

    @property
    def pausing(self) -> bool:
        return clock.elapsed() < self.until


class Cache(Generic[K, V]):
    """At most ``size`` answers, asked again when older than ``age`` seconds; one question at a time per key.

    While the source is down the last answer is given, marked stale; without one `CatalogueUnavailable`.
    """

    def __init__(self, ask: Callable[[K], Awaitable[V]], *, size: int, age: float, outage: Outage) -> None:
        self._ask, self._size, self._age, self._outage = ask, size, age, outage
        self._kept: OrderedDict[K, _Kept[V]] = OrderedDict()
        self._asking: dict[K, asyncio.Future[None]] = {}

    async def get(self, key: K, *, age: float | None = None) -> Answer[V]:
        """The answer for ``key``, no older than ``age`` unless the source is down."""
        limit = self._age if age is None else age
        kept = self._kept.get(key)
        if kept is None or clock.elapsed() - kept.asked > limit:
            if not self._outage.pausing:
                await self._refresh(key)
            kept = self._kept.get(key)
        if kept is None:
            raise CatalogueUnavailable(f"The catalogue does not answer: {self._outage.fault}")
        self._kept.move_to_end(key)
        stale = self._outage.fault is not None and clock.elapsed() - kept.asked > min(limit, 1.0)
        return Answer(kept.value, kept.as_of, stale)

    async def _refresh(self, key: K) -> None:
        running = self._asking.get(key)
        if running is not None:
            await asyncio.wait([running])
            return
        task = asyncio.ensure_future(self._load(key))
        self._asking[key] = task
        task.add_done_callback(lambda _: self._asking.pop(key, None))
        await asyncio.shield(task)

    async def _load(self, key: K) -> None:
        asked = clock.elapsed()
        try:
            value = await self._ask(key)
        except SourceDown as error:
            self._outage.failed(str(error))
            return
        self._outage.answered()
        self._kept[key] = _Kept(value, asked, clock.now())
        self._kept.move_to_end(key)
        while len(self._kept) > self._size:
            self._kept.popitem(last=False)
