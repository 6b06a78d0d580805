"""What all viewers of a desktop share, whatever protocol brings it to them."""

from __future__ import annotations

import asyncio
import logging

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from visa.instances.access import DesktopRights
from visa.session.desktop.meter import Meter
from visa.session.desktop.rights import needed, rights_of
from visa.session.guard import Admitted
from visa.session.hub import Visitor
from visa.session.rfb.names import Allowed
from visa.session.watched import Watched

log = logging.getLogger(__name__)

MOST = 64
"""Viewers of one desktop; of the owner's own there may be as many besides, so that nobody keeps her out."""
BEGINNING = 20.0
"""Seconds for a beginning on either side."""
ENDED, AGAIN, LATER, FORBIDDEN, KIND = 1011, 1012, 1013, 1008, 1003
_MEASURED = 2.0
_MESSAGE = 2**20


class Seated(Watched):
    """One viewer: nothing of the desktop before she is known, and nothing of hers that her role does not allow."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._rights: DesktopRights | None = None
        self._meter = Meter()
        self._seat: bool | None = None

    session_kind = "desktop"

    async def begin(self, admitted: Admitted) -> None:
        """Decide, and only then take the websocket."""
        self._rights = needed(self.gateway, admitted.visitor)

    @property
    def max_message_size(self) -> int:
        """Of the browser's: its longest message is a clipboard, which may come at once."""
        return _MESSAGE + self.gateway.settings.desktop.clipboard_limit

    @property
    def person(self) -> dict[str, str]:
        """Who it is, for the others on the desktop."""
        if self._visitor is None:
            return {}
        shown = self._visitor.identity.get("display_name", self._visitor.name)
        since = self.since.isoformat(timespec="seconds").replace("+00:00", "Z")
        return {"name": self._visitor.name, "display_name": shown, "role": self._visitor.role.value, "since": since}

    @property
    def measure(self) -> dict[str, float | None]:
        """How well the pictures reach her."""
        return self._meter.measure

    @property
    def _owns(self) -> bool:
        return self._visitor is not None and self._visitor.name == self.gateway.settings.owner

    def full(self) -> bool:
        """Whether there is no seat left; she is then told so."""
        seats, hers = self.gateway.seats, self._owns
        if seats[hers] < MOST:
            seats[hers] += 1
            self._seat = hers
            return False
        self.end(LATER, "Too many people look at this desktop.")
        return True

    def sit(self) -> None:
        """She sees the desktop from now on."""
        self._tasks.append(asyncio.create_task(self._measure()))
        self.gateway.viewers[self] = None

    def violated(self, error: Exception) -> None:
        """Her client does not keep to the protocol."""
        log.info("%s's viewer: %s", self._visitor and self._visitor.name, error)
        self.end(FORBIDDEN, str(error))

    async def tell(self, message: bytes | str) -> None:
        """Returns when her browser's side took it."""
        try:
            await self.write_message(message, binary=isinstance(message, bytes))
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a viewer went away while a message was on its way")
            self.close_upstream(None, None)

    async def _measure(self) -> None:
        while True:
            payload = self._meter.tick()
            if payload is not None:
                try:
                    self.ping(payload)
                except WebSocketClosedError:
                    return
            await asyncio.sleep(_MEASURED)

    def on_pong(self, data: bytes) -> None:
        """Of the meter's ping, or tornado's own."""
        self._meter.pong(data)

    def seen_again(self, visitor: Visitor) -> None:
        """With other rights she begins anew."""
        if rights_of(self.gateway, visitor) != self._rights:
            self.end(AGAIN, "What you may do here has changed.")

    def on_close(self) -> None:
        """She is not here any more."""
        self.gateway.viewers.pop(self, None)
        if self._seat is not None:
            self.gateway.seats[self._seat] -= 1
            self._seat = None
        super().on_close()


def allowed(rights: DesktopRights) -> Allowed:
    """For the filters."""
    way = rights.clipboard
    return Allowed(rights.act, rights.resize, way.into, way.out, rights.clipboard_limit, in_turn=not rights.act)
