"""``desktop/websocket``: one viewer of the desktop, with a connection of her own to the X server.

Every byte is read by `visa.session.rfb` on its way. Each side is read only once the other took what came before, so
that a slow viewer makes the X server wait with her pictures and costs no memory; the others have connections of
their own.
"""

from __future__ import annotations

import asyncio
import logging

from tornado.iostream import IOStream, StreamClosedError
from tornado.websocket import WebSocketClosedError

from visa.instances.access import DesktopRights, desktop_rights
from visa.session import run, upstream
from visa.session.desktop.meter import Meter
from visa.session.guard import Refused
from visa.session.hub import Visitor
from visa.session.rfb.handshake import Start, WithViewer, set_pixels, with_server
from visa.session.rfb.names import Agreed, Allowed, Violation
from visa.session.rfb.server import FromServer
from visa.session.rfb.viewer import FromViewer
from visa.session.watched import Watched

log = logging.getLogger(__name__)

MOST = 64
"""Viewers of one desktop."""
BEGINNING = 20.0
"""Seconds for either handshake."""
_MEASURED = 2.0
_MESSAGE = 2**20
_ENDED, _AGAIN, _LATER, _FORBIDDEN, _TEXT = 1011, 1012, 1013, 1008, 1003


class Viewer(Watched):
    """Nothing of RFB before the visitor is known; nothing of hers that her role does not allow."""

    def initialize(self) -> None:
        """Nothing is under way yet."""
        super().initialize()
        self._stream: IOStream | None = None
        self._rights: DesktopRights | None = None
        self._beginning: WithViewer | None = None
        self._from_viewer: FromViewer | None = None
        self._meter = Meter()

    session_kind = "desktop"

    async def get(self, *args: str, **kwargs: str) -> None:
        """Decide, and only then take the websocket."""
        try:
            admitted = await self.admit()
            self._path, self._visitor = admitted.path, admitted.visitor
            self._rights = desktop_rights(admitted.visitor.role, self.gateway.settings.desktop)
            if self._rights is None:
                raise Refused(403, "Your role does not allow this.")
        except Refused as error:
            self.refuse(error)
            return
        await super().get(*args, **kwargs)

    @property
    def max_message_size(self) -> int:
        """Of the browser's: its longest message is a clipboard, which may come at once."""
        return _MESSAGE + self.gateway.settings.desktop.clipboard_limit

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """What noVNC's forerunners ask for; it means nothing."""
        return "binary" if "binary" in subprotocols else None

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

    async def open(self, *args: str, **kwargs: str) -> None:
        """The gateway's handshake with the X server is over before the viewer's begins."""
        if sum(isinstance(one, Viewer) for one in self.gateway.sockets) >= MOST:
            self.end(_LATER, "Too many people look at this desktop.")
            return
        self.watch()
        try:
            async with asyncio.timeout(BEGINNING):
                self._stream = await run.connect(f"{self.gateway.settings.run}/{run.DESKTOP}")
                start = await shake_hands(self._stream)
        except (upstream.NotListening, StreamClosedError, TimeoutError):
            self.end(_LATER, "The desktop does not run, or not yet.")
        except Violation as error:
            self.end(_LATER, str(error))
        else:
            await self._begin(WithViewer(start))

    async def _begin(self, beginning: WithViewer) -> None:
        if self._ending:
            self.close_upstream(None, None)
            return
        self._beginning = beginning
        asyncio.get_running_loop().call_later(BEGINNING, self._began)
        await self._tell(beginning.hello)

    def _began(self) -> None:
        if self._from_viewer is None:
            self.end(_FORBIDDEN, "The viewer took too long to begin.")

    async def on_message(self, message: str | bytes) -> None:
        """The next is read when what may pass of this one is written."""
        if self._ending:
            return
        if isinstance(message, str):
            self.end(_TEXT, "RFB is not text.")
            return
        try:
            if self._from_viewer is None:
                await self._shake(message)
            else:
                await self._pass(self._from_viewer, message)
        except Violation as error:
            log.info("%s's viewer: %s", self._visitor and self._visitor.name, error)
            self.end(_FORBIDDEN, str(error))

    async def _shake(self, message: bytes) -> None:
        beginning, rights, stream = self._beginning, self._rights, self._stream
        if beginning is None or rights is None or stream is None:
            return
        answer = beginning.feed(message)
        if answer:
            await self._tell(answer)
        if not beginning.done or self._ending:
            return
        allowed, agreed = _allowed(rights), Agreed()
        self._from_viewer = FromViewer(allowed, agreed)
        self._tasks.append(asyncio.create_task(self._from_server(stream, FromServer(allowed, agreed))))
        self._tasks.append(asyncio.create_task(self._measure()))
        self.gateway.viewers[self] = None
        await self._pass(self._from_viewer, beginning.rest)

    async def _pass(self, viewer: FromViewer, message: bytes) -> None:
        passes = viewer.feed(message)
        if viewer.acted():
            self.gateway.activity.happened()
        if passes and self._stream is not None:
            try:
                await self._stream.write(passes)
            except StreamClosedError:
                self.end(_ENDED, "The desktop ended.")

    async def _tell(self, message: bytes) -> None:
        try:
            await self.write_message(message, binary=True)
        except (WebSocketClosedError, StreamClosedError):
            log.debug("a viewer went away while a message was on its way")
            self.close_upstream(None, None)

    async def _from_server(self, stream: IOStream, server: FromServer) -> None:
        try:
            while True:
                data = server.feed(await stream.read_bytes(upstream.CHUNK, partial=True))
                self._meter.passed(len(data), server.frames)
                if data:
                    await self._tell(data)
                await asyncio.sleep(0)  # neither of the above waits while both ends are quick
        except StreamClosedError:
            self.end(_ENDED, "The desktop ended.")
        except Violation as error:
            log.warning("A viewer's connection to the desktop is ended: %s", error)
            self.end(_ENDED, str(error))

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
        if desktop_rights(visitor.role, self.gateway.settings.desktop) != self._rights:
            self.end(_AGAIN, "What you may do here has changed.")

    def close_upstream(self, code: int | None, reason: str | None) -> None:
        """The X server forgets this viewer."""
        if self._stream is not None:
            self._stream.close()

    def on_close(self) -> None:
        """She is not here any more."""
        self.gateway.viewers.pop(self, None)
        super().on_close()


def _allowed(rights: DesktopRights) -> Allowed:
    way = rights.clipboard
    return Allowed(rights.act, rights.resize, way.into, way.out, rights.clipboard_limit)


async def shake_hands(stream: IOStream) -> Start:
    """The gateway's handshake with the X server; raise `Violation` or ``StreamClosedError``."""
    steps = with_server()
    try:
        sent, count = next(steps)
        while True:
            if sent:
                await stream.write(sent)
            sent, count = steps.send(await stream.read_bytes(count))
    except StopIteration as end:
        start: Start = end.value
    await stream.write(set_pixels())
    return start
