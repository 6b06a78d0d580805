"""The parts of one gateway, put together."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Protocol
from weakref import WeakValueDictionary

from tornado.httputil import HTTPHeaders
from tornado.iostream import IOStream

from visa import clock
from visa.again import Again
from visa.session import upstream
from visa.session.activity import Activity
from visa.session.budget import Budget
from visa.session.crowd import Crowd
from visa.session.desktop.hand import Hand
from visa.session.desktop.turns import Turns
from visa.session.headers import IDENTITY
from visa.session.hub import Hub
from visa.session.kept import Kept
from visa.session.login import Sessions
from visa.session.notebook.desks import Desk
from visa.session.notebook.places import Places
from visa.session.notebook.room import Claims
from visa.session.people import People
from visa.session.settings import GatewaySettings
from visa.session.turnstile import Turnstile


class OpenSocket(Protocol):
    """A websocket that can be ended."""

    @property
    def session_ids(self) -> list[str]: ...

    def end(self, code: int, reason: str) -> None: ...


class Seat(Protocol):
    """Somebody who looks at the desktop: who and since when, and how well the pictures reach her."""

    @property
    def session_ids(self) -> list[str]: ...

    @property
    def person(self) -> dict[str, str]: ...

    @property
    def measure(self) -> dict[str, float | None]: ...


class Gateway:
    """Settings, hub, people, sessions, activity and open websockets of one instance. ``viewers``: as they came."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.hub = Hub(settings)
        self.kept = Kept(settings.kept)
        self.people = People(settings, self.hub, self.kept)
        self.hub.role_of = self.people.role
        self.sessions = Sessions(self.kept)
        self.places = Places(settings, lambda: self.people.sharing.folders)
        self.desks: WeakValueDictionary[str, Desk] = WeakValueDictionary()
        self.rooms: WeakValueDictionary[str, Claims] = WeakValueDictionary()
        self.sockets: set[OpenSocket] = set()
        self.budget = Budget(settings.held, settings.owner)
        self.turnstile = Turnstile(settings.owner)
        self.crowd, self.waiting = (
            Crowd(settings.sockets_each, settings.sockets_others, settings.owner) for _ in range(2)
        )
        """Of websockets, and of questions that are answered later."""
        self.again = Again()
        """Login codes that are to be used up while the hub is away."""
        self.viewers: dict[Seat, None] = {}
        self.seats: Counter[bool] = Counter()
        """Of the desktop: the owner's, and all others'."""
        self.turns = Turns()
        self.hand = Hand(settings.run, settings.desktop.clipboard_limit)
        self.idle = asyncio.Event()
        self.idle.set()
        self._under_way = 0
        self.was_ready = False
        self.activity = Activity(self.hub, self._kernels, settings.activity_interval, begins=not self.kept.lines)

    @property
    def portal(self) -> str:
        """Where people go from here."""
        base = self.settings.hub_path.removesuffix("hub/")
        return f"{self.settings.public_hub}{base}services/visa/"

    @property
    def page(self) -> str:
        """The instance's own page in the portal, where people ask to come in."""
        return f"{self.portal}instances/{self.people.id}"

    async def _kernels(self) -> bytes:
        uri = f"{self.settings.prefix}api/kernels"
        return await upstream.fetch(self.settings.socket, uri, HTTPHeaders({"Host": "visa", IDENTITY: ""}))

    async def wait_for_jupyter(self, patience: float) -> bool:
        """Whether Jupyter accepts connections within ``patience`` seconds."""
        end = clock.elapsed() + patience
        while True:
            try:
                (await self.connect()).close()
            except upstream.NotListening:
                if clock.elapsed() > end:
                    return False
                await asyncio.sleep(0.03)
            else:
                return True

    async def connect(self) -> IOStream:
        """A stream to Jupyter; raise `upstream.NotListening`."""
        stream = await upstream.connect(self.settings.socket)
        self.was_ready = True
        return stream

    def begun(self) -> None:
        """A request is passed on: the gateway is not idle."""
        self._under_way += 1
        self.idle.clear()

    def ended(self) -> None:
        """It is answered, or given up."""
        self._under_way -= 1
        if not self._under_way:
            self.idle.set()

    def log_out(self, sessions: list[str]) -> None:
        """Forget a browser's sessions and close what they have open."""
        for session in sessions:
            self.sessions.close(session)
        for socket in list(self.sockets):
            if not set(sessions).isdisjoint(socket.session_ids):
                socket.end(4403, "You logged out.")

    def close_sockets(self) -> None:
        """The gateway goes away: say so to every browser."""
        for socket in list(self.sockets):
            socket.end(1001, "The instance is stopping.")
