"""Live updates of the home page: one look at the hub per person, however many tabs she has open."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from tornado.iostream import StreamClosedError

from visa.portal.handlers import Guard
from visa.portal.problems import Problem
from visa.portal.service import Caller, PortalService

log = logging.getLogger(__name__)

_BUSY, _CALM = 1.0, 4.0
_MOST_TABS = 20


class Watcher:
    """Looks at one person's instances while somebody listens, and wakes the listeners on a change."""

    def __init__(self, service: PortalService, caller: Caller) -> None:
        self._service, self._caller = service, caller
        self._listeners: set[asyncio.Event] = set()
        self._task: asyncio.Task[None] | None = None

    def listen(self) -> asyncio.Event:
        """An event that is set on each change; raise `Problem` when too many tabs listen."""
        if len(self._listeners) >= _MOST_TABS:
            raise Problem(429, "bad-request", "Too many pages are open.", "Close some of them.")
        event = asyncio.Event()
        self._listeners.add(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look())
        return event

    def leave(self, event: asyncio.Event) -> bool:
        """A listener goes; True when it was the last."""
        self._listeners.discard(event)
        if not self._listeners and self._task is not None:
            self._task.cancel()
        return not self._listeners

    async def _look(self) -> None:
        before: Any = None
        while True:
            try:
                found = await self._service.instances(self._caller)
            except Problem as problem:
                log.info("not looking at %s: %s", self._caller.username, problem)
                return
            seen = [(i.id, i.state, i.title, i.reason, i.notice) for i in found]
            if before is not None and seen != before:
                for listener in self._listeners:
                    listener.set()
            before = seen
            busy = any(i.state in ("starting", "stopping") for i in found)
            await asyncio.sleep(_BUSY if busy else _CALM)


class Changes(Guard):
    """Server-sent events: ``changed`` whenever one of her instances did."""

    async def get(self) -> None:
        """Until the page is closed."""
        caller = self.caller
        if caller is None:
            self.set_status(401)
            return
        try:
            self.own_page()
        except Problem as problem:
            self.set_status(problem.status)
            return
        watchers: dict[str, Watcher] = self.settings["watchers"]
        watcher = watchers.setdefault(caller.username, Watcher(self.service, caller))
        try:
            event = watcher.listen()
        except Problem as problem:
            self.set_status(problem.status)
            return
        self._closed = event
        self._gone = False
        self.set_header("Content-Type", "text/event-stream")
        self.set_header("X-Accel-Buffering", "no")
        try:
            await self._send("hello")
            while not self._gone:
                try:
                    await asyncio.wait_for(event.wait(), 20)
                except TimeoutError:
                    await self._send("alive")
                    continue
                event.clear()
                if not self._gone:
                    await self._send("changed")
        except StreamClosedError:
            log.debug("a home page was closed")
        finally:
            if watcher.leave(event):
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
