"""Who may be here, and who is. The hub says the first; what follows from both is held for every request and websocket.

The hub's word comes by a question that it holds open (docs/developers/people.md), so a change is here within a second
or two. Nothing is guessed: before its first word, and a minute after its last sign of life, only the owner has a role.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from visa import clock
from visa.identifiers import instance_id
from visa.instances.access import Role
from visa.instances.members import OWNER_AWAY, Approvers, Sharing, role_now
from visa.session.hub import Hub, HubLost, HubRefused, HubUnavailable, StoreAway
from visa.session.kept import Kept
from visa.session.presence import Presence, Present, UnderWay
from visa.session.settings import GatewaySettings
from visa.session.word import BadWord, Word, read

log = logging.getLogger(__name__)

STALE = 60.0
"""Seconds after the hub's last sign of life from which on nobody but the owner has a role."""
AWAY = 300.0
"""The same while the hub itself says that its database is away: it lives, and can let nobody out meanwhile. Somebody
who is taken out through a portal that reaches the store while the hub does not stays for so long."""
LEFT = OWNER_AWAY.total_seconds()
_HELD = 55.0
_PAUSES = (0.25, 5.0)
_AGAIN = 60.0
_SETTLING = 0.3
_REFUSED_AGAIN = 600.0
_LOOKS = 0.25
_PATIENCE = 2.0
_MOST_REFUSED = 50


@dataclass(frozen=True, slots=True)
class Here:
    """Somebody with a websocket open, once for each kind of session. ``way``: how a member came to be one."""

    username: str
    display_name: str
    role: Role
    way: str
    session: str
    since: str


class People:
    """The roles of one instance, now. ``number`` grows with every change that its pages show."""

    def __init__(self, settings: GatewaySettings, hub: Hub, kept: Kept | None = None) -> None:
        self.owner = settings.owner
        self.id = instance_id(settings.owner, settings.server_name)
        self.number = 0
        self._hub = hub
        self._word: Word | None = None
        self._heard = self._answered = self._looked = -math.inf
        self._looking = asyncio.Lock()
        self._present = Presence()
        self.transfers: set[UnderWay] = set()
        """Requests whose body or answer is under way."""
        self._owner_left: float | None = None
        self._owner_last: tuple[Here, ...] = ()
        self._owner_here = False
        self._were: frozenset[str] = frozenset()
        self._shown: object = None
        self._changed = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._refused: dict[str, float] = {}
        self._untold: list[str] = []
        self._somebody = False
        self._kept = kept or Kept()
        self._kept.state.append(self._stay)
        self._go_on()

    def _stay(self) -> list[dict[str, Any]]:
        return [{"owner_here": self._owner_here, "were": sorted(self._were)}]

    def _go_on(self) -> None:
        """After a former gateway: its pages come back in a moment, and in any order."""
        for line in self._kept.lines:
            if "owner_here" in line:
                self._owner_here, self._were = line["owner_here"], frozenset(line["were"])
        if self._owner_here:
            self._owner_left = clock.elapsed()

    @property
    def look(self) -> tuple[int, float] | None:
        """Of start-up files, that the owner waits for."""
        return self._word.look if self._word else None

    # roles

    @property
    def known(self) -> bool:
        """Whether the hub's word counts: there is one, and the hub lives."""
        return self._word is not None and clock.elapsed() - self._heard < STALE

    def role(self, username: str) -> Role:
        """Of a person, at this moment."""
        if username == self.owner:
            return Role.OWNER
        word = self._word
        if word is None or not self.known:
            return Role.NONE
        return role_now(
            username,
            self.owner,
            word.members.get(username),
            word.sharing,
            owner_here=self.owner_here,
            was_here=username in self._were,
            now=clock.now(),
        )

    def is_member(self, username: str) -> bool:
        """Whether only the owner's absence can keep her out."""
        member = self._word.members.get(username) if self._word else None
        return self.known and member is not None and not member.over(clock.now())

    @property
    def owner_here(self) -> bool:
        """Whether she has a websocket open, or had one a moment ago."""
        if self.owner in self._present:
            return True
        return self._owner_left is not None and clock.elapsed() - self._owner_left < LEFT

    @property
    def sharing(self) -> Sharing:
        """What the owner set."""
        return self._word.sharing if self._word else Sharing()

    # who is here

    def came(self, socket: Present) -> None:
        """A websocket is open."""
        first = self._present.add(socket)
        if self.owner_here != self._owner_here:
            self.settle()
            return
        name = socket.visitor_here.name
        socket.reconsider(socket.visitor_here.in_role(self.role(name)))
        if first:
            self._show()

    def went(self, socket: Present) -> None:
        """It is closed."""
        if not self._present.remove(socket):
            return
        visitor = socket.visitor_here
        if visitor.name == self.owner and visitor.name not in self._present:
            self._owner_left = clock.elapsed()
            self._owner_last = (self._shown_as(socket, Role.OWNER),)
            self._look_at_the_next_end()
        self._show()

    def here(self) -> tuple[Here, ...]:
        """Who has websockets open, as they came."""
        found = ((one, self.role(one.visitor_here.name)) for one in self._present.longest())
        return tuple(self._shown_as(one, role) for one, role in found if role is not Role.NONE)  # just sent away

    def _shown_as(self, one: Present, role: Role) -> Here:
        name = one.visitor_here.name
        member = self._word.members.get(name) if self._word and role is not Role.OWNER else None
        shown, way = one.visitor_here.identity.get("display_name", name), member.way.value if member else ""
        since = one.since.isoformat(timespec="seconds").replace("+00:00", "Z")
        return Here(name, shown, role, way, one.session_kind, since)

    def told(self) -> tuple[Here, ...]:
        """Who is here as the hub is told: an owner whose page may load again is."""
        here = self.here()
        away = self.owner_here and not any(one.role is Role.OWNER for one in here)
        return (*here, *self._owner_last) if away else here

    def requests(self, role: Role) -> list[dict[str, Any]]:
        """Who asks to come in, for those who may answer."""
        word = self._word
        if word is None or not (role is Role.OWNER or (role is Role.COLLABORATOR and self._collaborators_answer)):
            return []
        return [dict(request) for request in word.requests]

    @property
    def _collaborators_answer(self) -> bool:
        return self.sharing.approvers is Approvers.COLLABORATORS

    @property
    def pictures(self) -> str:
        """The key of tickets for the desktop's picture; empty when the hub's word does not count."""
        return self._word.pictures if self._word and self.known else ""

    @property
    def help(self) -> bool:
        """Whether the owner has asked for help and nobody closed that."""
        return self._word is not None and self._word.help

    def refused(self, username: str) -> None:
        """Somebody without a role was at the door; told to the hub for its audit trail, now and then."""
        now = clock.elapsed()
        self._refused = {name: at for name, at in self._refused.items() if now - at < _REFUSED_AGAIN}
        if username not in self._refused and len(self._refused) < _MOST_REFUSED:
            self._refused[username] = now
            self._untold.append(username)
            self._say()

    # changes

    def settle(self) -> None:
        """Hold what is true now, and look again when time changes it.

        Websockets are narrowed or closed, transfers cut off, pages told.
        """
        here, before = self.owner_here, self._stay()
        if here and not self._owner_here:
            self._were = frozenset()
        elif self._owner_here and not here:
            self._were = self._present.names
        self._owner_here = here
        if self._stay() != before:
            self._kept.add(**self._stay()[0])
        for one in (*self._present, *self.transfers):
            visitor = one.visitor_here
            one.reconsider(visitor.in_role(self.role(visitor.name)))
        self._show()
        self._look_at_the_next_end()

    def _show(self) -> None:
        """Tell pages when what they show is another."""
        word, here = self._word, self.owner_here
        shown = (self.here(), here, word and (word.number, word.requests, word.look), self.known)
        if shown != self._shown:
            self._shown = shown
            self._say()

    def _say(self) -> None:
        self.number += 1
        self._changed.set()
        self._changed = asyncio.Event()

    def _look_at_the_next_end(self) -> None:
        """Of the owner's stay, of a membership, or of the time for which the hub's word counts."""
        if self._timer is not None:
            self._timer.cancel()
        now, ends = clock.elapsed(), []
        if self._owner_left is not None:
            ends.append(self._owner_left + LEFT - now)
        if self._word is not None:
            ends.append(self._heard + STALE - now)
            wall = clock.now()
            ends += [(m.until - wall).total_seconds() for m in self._word.members.values() if m.until is not None]
        coming = [end for end in ends if end > 0]
        if coming:
            self._timer = asyncio.get_running_loop().call_later(min(coming) + 0.01, self.settle)

    async def wait(self, number: int, seconds: float) -> None:
        """Until `number` is another one, or ``seconds`` are over."""
        end = clock.elapsed() + seconds
        while self.number == number and (left := end - clock.elapsed()) > 0:
            try:
                await asyncio.wait_for(self._changed.wait(), left)
            except TimeoutError:
                return

    # the hub

    async def follow(self) -> None:
        """Until cancelled: keep the hub's last word."""
        pause = _PAUSES[0]
        while True:
            try:
                word = self._word
                self._take(await self._hub.people(word.number if word else None), word)
                pause = _PAUSES[0]
                continue
            except HubLost:
                # It lived for as long as it held the question, which is not longer than this.
                self._heard = min(clock.elapsed(), self._answered + _HELD)
                log.info("The hub went away")
            except StoreAway as error:
                self._heard = max(self._heard, min(clock.elapsed(), self._answered + AWAY - STALE))
                log.warning("The hub cannot say who may be here: %s", error)
            except (HubUnavailable, HubRefused, BadWord) as error:
                log.warning("The hub does not say who may be here: %s", error)
            self.settle()
            await asyncio.sleep(pause * random.uniform(0.7, 1.3))
            pause = min(2 * pause, _PAUSES[1])

    def _take(self, answer: dict[str, Any] | None, before: Word | None) -> None:
        """``before``: the word when the question was asked. A later one that came since is not replaced.

        A smaller number alone does not show that: it may be a restored backup's.
        """
        word = self._word if answer is None else read(answer, self.id)
        if self._word is before or self._word is None or (word and word.number >= self._word.number):
            self._word = word
        self._heard = self._answered = clock.elapsed()
        self.settle()

    async def role_after_a_look(self, username: str) -> Role:
        """Of somebody who has none as far as is known: she may have joined a moment ago, so the hub is asked.

        All who come before a question share its answer, and there are at most four a second.
        """
        came = clock.elapsed()
        async with self._looking:
            if self._looked < came:
                await asyncio.sleep(self._looked + _LOOKS - came)
                self._looked = clock.elapsed()
                word = self._word
                try:
                    self._take(await self._hub.people(None, _PATIENCE), word)
                except (HubUnavailable, HubRefused, BadWord) as error:
                    log.warning("The hub does not say who may be here: %s", error)
        return self.role(username)

    async def tell(self) -> None:
        """Until cancelled: tell the hub who is here, at every change and every minute."""
        told: object = ()  # who begins has nobody
        again = clock.elapsed() + _AGAIN
        while True:
            number, here = self.number, self.told()
            if here != told or self._untold or clock.elapsed() >= again:
                took = await self._tell(here)
                told, again = here, clock.elapsed() + (_AGAIN if took else _PAUSES[1])
            await self.wait(number, again - clock.elapsed())
            await asyncio.sleep(_SETTLING)

    async def tell_the_end(self) -> None:
        """The gateway goes away: nobody is here, if somebody was."""
        if self._somebody:
            await self._tell(())

    async def _tell(self, here: Iterable[Here]) -> bool:
        refused, self._untold = self._untold, []
        here = list(here)
        self._somebody = self._somebody or bool(here)
        listed = [
            {"username": one.username, "role": one.role.value, "session": one.session, "since": one.since}
            for one in here
        ]
        try:
            await self._hub.here({"here": listed, "refused": refused})
        except (HubUnavailable, HubRefused) as error:
            log.warning("The hub was not told who is here: %s", error)
            self._untold = refused + self._untold
            return False
        self._somebody = bool(here)
        return True
