"""What passes on a websocket to Jupyter, by path and role. No rules: everything passes, at full speed."""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING, Protocol
from urllib.parse import parse_qsl, urlencode

from visa.instances.access import Role
from visa.session.frames import BINARY, Part, Whole
from visa.session.guard import Admitted, Forbidden, Refused
from visa.session.notebook import kernel
from visa.session.notebook.desks import Desk
from visa.session.notebook.room import AWARENESS, EVERYBODY, LARGEST_QUESTION, Claims, Passes, Room, document, is_fork
from visa.session.notebook.session import acts

if TYPE_CHECKING:
    from visa.session.gateway import Gateway

log = logging.getLogger(__name__)

_CHANNELS = re.compile(r"api/kernels/([^/]+)/channels")
_ROOM = re.compile(r"api/collaboration/room/([^/]+)")
LARGEST_STATES = 2**21
"""Bytes of what all who are here tell of themselves, as Jupyter repeats it to who comes."""
_EVENTS = "api/events/subscribe"
_NOT_OPEN = "The owner has not opened this file's folder to you."


class Rules(Protocol):
    """Of one websocket. ``silent``: nothing is asked of Jupyter at all. ``watches``: only while somebody acts.

    ``largest``: bytes of a browser's message that is read as a whole; a longer one does not pass.
    """

    silent: bool
    watches: bool
    v1: bool
    largest: int

    def lets_pass(self, beginning: Part) -> bool: ...

    def address(self, uri: str) -> str: ...

    def inward(self, message: str | bytes) -> Passes: ...

    def outward(self, part: Part) -> Part | None: ...

    def reply(self, beginning: Part) -> bytes | None: ...

    def farewell(self) -> bytes | None: ...

    async def hold(self) -> bool: ...


async def rules_for(gateway: Gateway, admitted: Admitted) -> Rules | None:
    """Of a websocket that the role may open; raise `Refused`."""
    room, channels = _ROOM.fullmatch(admitted.path), _CHANNELS.fullmatch(admitted.path)
    rules: Rules
    if room:
        rules = InRoom(gateway, admitted, room[1])
    elif acts(admitted.visitor.role):
        return None
    elif channels:
        rules = AtKernel(gateway, admitted, channels[1])
    elif admitted.path == _EVENTS:
        rules = Silent()
    else:
        raise Forbidden
    if not await rules.hold():
        raise Refused(403, _NOT_OPEN)
    return rules


def desk_of(gateway: Gateway, path: str) -> Desk | None:
    """The kernel's whose channels a path leads to."""
    channels = _CHANNELS.fullmatch(path)
    return gateway.desks.setdefault(channels[1], Desk()) if channels else None


class _Base:
    silent = False
    watches = False
    v1 = False
    largest = 0

    def lets_pass(self, beginning: Part) -> bool:
        """Whether a browser's message passes unread, to judge by its first part."""
        return False

    def address(self, uri: str) -> str:
        """The address for Jupyter."""
        return uri

    def outward(self, part: Part) -> Part | None:
        """Everything."""
        return part

    def reply(self, beginning: Part) -> bytes | None:
        """What Jupyter is answered in the browser's place, to judge by its message's first part."""
        return None

    def farewell(self) -> bytes | None:
        """Nothing."""
        return None

    async def hold(self) -> bool:
        """Whether it may be open, still."""
        return True


class Silent(_Base):
    """Jupyter's events tell of all files and kernels: who may only look hears none."""

    silent = True

    def inward(self, message: str | bytes) -> Passes:
        """Nothing."""
        return Passes(dropped="a message to Jupyter's events")


class AtKernel(_Base):
    """A kernel's channels for who may only look: outputs come, nothing goes that acts."""

    watches = True
    largest = kernel.LARGEST

    def __init__(self, gateway: Gateway, admitted: Admitted, identifier: str) -> None:
        self._gateway, self._identifier, self._name = gateway, identifier, admitted.visitor.name

    def address(self, uri: str) -> str:
        """With a session of its own: under somebody else's name Jupyter would close that one's connection."""
        path, _, query = uri.partition("?")
        kept = [pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] != "session_id"]
        return f"{path}?{urlencode([*kept, ('session_id', secrets.token_hex(16))])}"

    def inward(self, message: str | bytes) -> Passes:
        """Two questions."""
        on, kind = kernel.passing(message, self.v1, self._name)
        return Passes(on=on, dropped="" if on is not None else kind)

    async def hold(self) -> bool:
        """Whether the kernel is of a notebook in an opened folder."""
        return self._identifier in await self._gateway.places.kernels()


class InRoom(_Base):
    """A collaboration room."""

    largest = LARGEST_QUESTION + 64

    def __init__(self, gateway: Gateway, admitted: Admitted, name: str) -> None:
        self._gateway, self._name = gateway, name
        self._owner = admitted.visitor.role is Role.OWNER
        self._acts = acts(admitted.visitor.role)
        self._claims = gateway.rooms.setdefault(name, Claims())
        identity = dict(admitted.visitor.identity)
        self._room = Room(identity, self._acts, name == EVERYBODY, self._claims)
        self._told = Whole(gateway.budget, admitted.visitor.name, LARGEST_STATES) if self._room.keeps_back else None

    def lets_pass(self, beginning: Part) -> bool:
        """What is of the document, of who may change it: it may be long."""
        return self._acts and beginning.opcode == BINARY and beginning.data[:1] not in (b"", bytes([AWARENESS]))

    def inward(self, message: str | bytes) -> Passes:
        """By the room's own rules."""
        return self._room.inward(message)

    def outward(self, part: Part) -> Part | None:
        """By the room's own rules; raise `NoRoom`."""
        if self._told is None:
            return part
        message = self._told.add(part)
        told = None if message is None else self._room.outward(message)
        return Part(BINARY, told) if isinstance(told, bytes) else None

    def reply(self, beginning: Part) -> bytes | None:
        """By the room's own rules."""
        return self._room.reply(beginning.data) if beginning.opcode == BINARY else None

    def farewell(self) -> bytes | None:
        """Tells the others."""
        if self._told is not None:
            self._told.drop()
        return self._room.farewell()

    async def hold(self) -> bool:
        """Whether the room's file is in an opened folder."""
        if self._owner or self._name == EVERYBODY or (self._acts and is_fork(self._name)):
            return True
        found = document(self._name)
        if found is None:
            return False
        path = await self._gateway.places.file_of(found[2])
        if path is None or not (self._acts or found[:2] == _kind(path)):
            return False
        return await self._gateway.places.is_open(path)


def _kind(path: str) -> tuple[str, str]:
    """How a file is opened. A second room on the same file, of another kind, would write over the first."""
    if path.endswith(".ipynb"):
        return "json", "notebook"
    return "text", "chat" if path.endswith(".chat") else "file"
