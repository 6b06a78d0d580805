"""Live updates of pages: one look at hub and store per person, however many tabs she has open."""

from __future__ import annotations

import asyncio
import logging
import math
from functools import partial
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from tornado.iostream import StreamClosedError

from visa import clock
from visa.portal.handlers import Guard
from visa.portal.problems import UNAVAILABLE, Problem
from visa.portal.service import Caller, PortalService
from visa.portal.sharing.support import SupportService
from visa.store.faults import is_fault
from visa.store.pulse import heartbeat, pulse
from visa.store.store import Store

log = logging.getLogger(__name__)

_BUSY, _CALM = 1.0, 4.0
_PEOPLE = 0.7
"""Seconds between two looks at what changed about people: quick reads of the store."""
_STAFF = 60.0
"""Seconds for which it is remembered whether somebody supports instances."""
_MOST_TABS = 20


def _begin(begun: asyncio.Event, _: object) -> None:
    begun.set()


class Heart:
    """Whether anything about people changed for anybody: one look for all watchers."""

    def __init__(self, store: Store) -> None:
        self._store, self._lock = store, asyncio.Lock()
        self._looked = -math.inf
        self._beat: Any = None

    async def beat(self) -> Any:
        """As of now, or of a moment ago."""
        async with self._lock:
            if clock.elapsed() - self._looked > _PEOPLE / 2:
                self._beat = await asyncio.to_thread(heartbeat, self._store)
                self._looked = clock.elapsed()
            return self._beat


class Listener:
    """One open page: what changed since it was told last."""

    def __init__(self) -> None:
        self.woken = asyncio.Event()
        self.news: set[str] = set()

    def tell(self, news: str) -> None:
        """Wake the page."""
        self.news.add(news)
        self.woken.set()

    def told(self) -> list[str]:
        """What to send; nothing is left."""
        news, self.news = sorted(self.news), set()
        self.woken.clear()
        return news


class Watcher:
    """Looks at one person's instances and their people while somebody listens, and wakes the listeners."""

    def __init__(self, service: PortalService, caller: Caller, heart: Heart) -> None:
        self._service, self._caller, self._heart = service, caller, heart
        self._listeners: set[Listener] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._begun = {"changed": asyncio.Event(), "people": asyncio.Event()}

    async def begun(self) -> None:
        """Until all was looked at once: what changes from then on is told."""
        for event in self._begun.values():
            await event.wait()

    def listen(self) -> Listener:
        """A new listener; raise `Problem` when too many tabs listen."""
        if len(self._listeners) >= _MOST_TABS:
            raise Problem(429, "bad-request", "Too many pages are open.", "Close some of them.")
        listener = Listener()
        self._listeners.add(listener)
        if not self._tasks or any(task.done() for task in self._tasks):
            self._stop()
            self._tasks = [asyncio.create_task(self._look()), asyncio.create_task(self._look_at_people())]
            for task, begun in zip(self._tasks, self._begun.values(), strict=True):
                task.add_done_callback(partial(_begin, begun))  # nobody waits for a look that failed
        return listener

    def leave(self, listener: Listener) -> bool:
        """A listener goes; True when it was the last."""
        self._listeners.discard(listener)
        if not self._listeners:
            self._stop()
        return not self._listeners

    def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()

    def _tell(self, news: str) -> None:
        for listener in self._listeners:
            listener.tell(news)

    def _compare(self, news: str, before: object, seen: object) -> None:
        begun = self._begun[news]
        if seen != before and begun.is_set():
            self._tell(news)
        begun.set()

    async def _look(self) -> None:
        before: Any = None
        while True:
            try:
                found = await self._service.instances(self._caller)
            except (Problem, SQLAlchemyError) as error:
                log.info("not looking at %s: %s", self._caller.username, error)
                if not is_fault(error) and not (isinstance(error, Problem) and error.reason in UNAVAILABLE):
                    return
                self._begun["changed"].set()
                await asyncio.sleep(_CALM)
                continue
            seen = [(i.id, i.state, i.title, i.reason, i.notice) for i in found]
            self._compare("changed", before, seen)
            before = seen
            busy = any(i.state in ("starting", "stopping") for i in found)
            await asyncio.sleep(_BUSY if busy else _CALM)

    async def _look_at_people(self) -> None:
        """Whether she supports instances is asked of the catalogue, seldom; the rest of the store, often."""
        before: Any = None
        beat: Any = None
        supports, asked = False, -math.inf
        while True:
            try:
                now_beat = await self._heart.beat()
                if now_beat == beat and clock.elapsed() - asked <= _STAFF:
                    await asyncio.sleep(_PEOPLE)
                    continue
                beat = now_beat
                if clock.elapsed() - asked > _STAFF:
                    person = await self._service.person(self._caller)
                    supports, asked = await SupportService(self._service).supports(person), clock.elapsed()
                username, store = self._caller.username, self._service.store
                seen = await asyncio.to_thread(pulse, store, username, supports=supports)
            except (Problem, SQLAlchemyError) as error:
                beat = None
                log.info("not looking at people of %s: %s", self._caller.username, error)
                self._begun["people"].set()
                await asyncio.sleep(_CALM)
                continue
            self._compare("people", before, seen)
            before = seen
            await asyncio.sleep(_PEOPLE)


class Changes(Guard):
    """Server-sent events: ``changed``: one of her instances; ``people``: who is there, who asks, links.

    What changes after ``hello`` is told; a page reads all once more when that comes.
    """

    async def get(self) -> None:
        """Until the page is closed."""
        try:
            caller = self.permitted(self.scope)
            self.own_page()
        except Problem as problem:
            self.set_status(problem.status)
            return
        watchers: dict[str, Watcher] = self.settings["watchers"]
        watcher = watchers.setdefault(caller.username, Watcher(self.service, caller, self.settings["heart"]))
        try:
            listener = watcher.listen()
        except Problem as problem:
            self.set_status(problem.status)
            return
        self._closed = listener.woken
        self._gone = False
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        try:
            await watcher.begun()
            await self._send("hello")
            while not self._gone:
                try:
                    await asyncio.wait_for(listener.woken.wait(), 20)
                except TimeoutError:
                    await self._send("alive")
                    continue
                for news in listener.told() if not self._gone else ():
                    await self._send(news)
        except StreamClosedError:
            log.debug("a home page was closed")
        finally:
            if watcher.leave(listener):
                watchers.pop(caller.username, None)

    async def _send(self, name: str) -> None:
        self.write(f"event: {name}\ndata: {{}}\n\n")
        await self.flush()

    def on_connection_close(self) -> None:
        """Wake the loop, so that it ends."""
        self._gone = True
        closed = getattr(self, "_closed", None)
        if closed is not None:
            closed.set()
