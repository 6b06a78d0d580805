"""The parts of one gateway, put together."""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from tornado.httputil import HTTPHeaders

from visa.session import upstream
from visa.session.activity import Activity
from visa.session.headers import IDENTITY
from visa.session.hub import Hub
from visa.session.login import Sessions
from visa.session.settings import GatewaySettings


class OpenSocket(Protocol):
    """A websocket that can be ended."""

    def close(self, code: int | None = None, reason: str | None = None) -> None: ...


class Gateway:
    """Settings, hub, sessions, activity and open websockets of one instance."""

    def __init__(self, settings: GatewaySettings) -> None:
        self.settings = settings
        self.hub = Hub(settings)
        self.sessions = Sessions()
        self.sockets: set[OpenSocket] = set()
        self.activity = Activity(self.hub, self._kernels)

    @property
    def portal(self) -> str:
        """Where people go from here."""
        base = self.settings.hub_path.removesuffix("hub/")
        return f"{self.settings.public_hub}{base}services/visa/"

    async def _kernels(self) -> bytes:
        uri = f"{self.settings.prefix}api/kernels"
        return await upstream.fetch(self.settings.socket, uri, HTTPHeaders({"Host": "visa", IDENTITY: ""}))

    async def wait_for_jupyter(self, patience: float) -> bool:
        """Whether Jupyter accepts connections within ``patience`` seconds."""
        end = time.monotonic() + patience
        while True:
            try:
                (await upstream.connect(self.settings.socket)).close()
            except upstream.NotListening:
                if time.monotonic() > end:
                    return False
                await asyncio.sleep(0.03)
            else:
                return True

    def close_sockets(self) -> None:
        """The gateway goes away: say so to every browser."""
        for socket in list(self.sockets):
            socket.close(1001, "the instance is stopping")
