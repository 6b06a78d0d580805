"""What the gateway asks for itself: where files really lead (files.py) and which sessions run (Jupyter).

Nothing is known when the environment does not answer, and what is not known is not opened.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError

from visa import clock
from visa.instances.access import coded
from visa.instances.members import opened
from visa.session import run, upstream
from visa.session.headers import IDENTITY
from visa.session.notebook.folders import leads_to
from visa.session.notebook.requests import Unclear, clear
from visa.session.settings import GatewaySettings

log = logging.getLogger(__name__)

FRESH = 1.0
"""Seconds for which an answer is taken: sixty observers ask for the same."""
LARGEST = 2**22
"""Bytes of an answer that is read here; what it becomes in memory is several times as much."""
PATIENCE = 20.0
_KEPT = 2000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a path leads. ``place``: as the owner would name it, None when out of all that can be opened."""

    place: str | None
    folder: bool = False
    links: dict[str, str | None] = field(default_factory=dict)


NOWHERE = Place(None)


class Places:
    """Answers, each kept for a moment. ``folders``: what the owner opened, now."""

    def __init__(self, settings: GatewaySettings, folders: Callable[[], tuple[str, ...]]) -> None:
        self._settings, self.folders = settings, folders
        self._few = asyncio.Semaphore(2)
        self._known: OrderedDict[str, tuple[float, asyncio.Task[Any]]] = OrderedDict()

    async def _fresh(self, key: str, ask: Callable[[], Awaitable[Any]]) -> Any:
        known = self._known.get(key)
        if known is None or clock.elapsed() - known[0] > FRESH:
            known = self._known[key] = (clock.elapsed(), asyncio.create_task(self._in_time(ask)))
            self._known.move_to_end(key)
            while len(self._known) > _KEPT:
                self._known.popitem(last=False)
        return await asyncio.shield(known[1])

    @staticmethod
    async def _in_time(ask: Callable[[], Awaitable[Any]]) -> Any:
        try:
            async with asyncio.timeout(PATIENCE):
                return await ask()
        except TimeoutError:
            log.warning("The environment did not answer in time")
            return None

    async def where(self, path: str, *, links: bool = False) -> Place:
        """Where ``path`` leads: as `files.py` names it, from home, shared or data on."""
        query = urlencode({"where": "1", **({"list": "1"} if links else {})})
        uri = f"/{coded(path)}?{query}"
        place: Place | None = await self._fresh(uri, lambda: self._where(uri))
        return place or NOWHERE

    async def _where(self, uri: str) -> Place:
        try:
            stream = await run.connect(f"{self._settings.run}/files.sock")
            status, body = await upstream.ask(stream, uri, HTTPHeaders({"Host": "visa"}), LARGEST)
            given = json.loads(body) if status == 200 else None
        except (upstream.NotListening, upstream.Broken, StreamClosedError, ValueError, RecursionError) as error:
            log.warning("Where files lead cannot be told: %s", error)
            return NOWHERE
        if not isinstance(given, dict) or not isinstance(given.get("place"), str):
            return NOWHERE
        links = given.get("links")
        told = {str(k): v if isinstance(v, str) else None for k, v in links.items()} if isinstance(links, dict) else {}
        return Place(given["place"], given.get("folder") is True, told)

    async def is_open(self, path: str) -> bool:
        """Whether a path below Jupyter's root really leads to an opened folder or into one."""
        return opened((await self.where(below_home(path))).place, self.folders())

    async def listed(self, path: str) -> tuple[Place, Callable[[str], bool]]:
        """A folder and which of its entries are shown: what is opened, and the way there."""
        place, folders = await self.where(below_home(path), links=True), self.folders()
        return place, lambda name: leads_to(place.links.get(name, f"{place.place}/{name}"), folders)

    async def jupyter(self, path: str, query: str = "", identity: str = "") -> tuple[int, Any]:
        """``(status, JSON)`` of Jupyter's answer to a GET below the instance's own path; ``(0, None)``: none."""
        uri = f"{self._settings.prefix}{coded(path)}" + (f"?{query}" if query else "")
        try:
            headers = HTTPHeaders({"Host": "visa", IDENTITY: identity})
            async with self._few, asyncio.timeout(PATIENCE):
                stream = await upstream.connect(self._settings.socket)
                status, body = await upstream.ask(stream, uri, headers, LARGEST)
                return status, json.loads(body)
        except (
            *(upstream.NotListening, upstream.Broken, StreamClosedError),
            *(TimeoutError, ValueError, RecursionError),
        ) as error:
            log.info("Jupyter does not tell %s: %s", path, error)
            return 0, None

    async def sessions(self) -> list[dict[str, Any]]:
        """Jupyter's sessions whose file is in an opened folder."""
        found: list[dict[str, Any]] | None = await self._fresh("sessions", self._sessions)
        return [one for one in found or [] if await self._may_see(str(one.get("path", "")))]

    async def _sessions(self) -> list[dict[str, Any]]:
        _, given = await self.jupyter("api/sessions")
        return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []

    async def _may_see(self, path: str) -> bool:
        try:
            return await self.is_open(clear(path))
        except Unclear:
            return False

    async def kernels(self) -> set[str]:
        """The kernels of those sessions."""
        kernels = [one.get("kernel") for one in await self.sessions()]
        return {str(one["id"]) for one in kernels if isinstance(one, dict) and "id" in one}

    async def file_of(self, identifier: str) -> str | None:
        """The path of a collaboration room's file."""
        query = urlencode({"id": identifier}, quote_via=quote)
        path = await self._fresh(f"file {identifier}", lambda: self._file_of(query))
        return path if isinstance(path, str) else None

    async def _file_of(self, query: str) -> str | None:
        status, given = await self.jupyter("api/fileid/path", query)
        path = given.get("path") if status == 200 and isinstance(given, dict) else None
        try:
            return clear(path) if isinstance(path, str) else None
        except Unclear:
            return None


def below_home(path: str) -> str:
    """Of a path below Jupyter's root: that is the home folder."""
    return f"home/{path}" if path else "home"
