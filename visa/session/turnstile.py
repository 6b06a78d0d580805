"""So many requests at once go on to Jupyter for each person, and for all who are not the owner; the next wait.

A request has its turn for `SOON` seconds. What lasts longer (a download, a stream without an end, an answer that its
browser does not take) gives its turn back and is counted apart, so it keeps no small request waiting. Who has too many
of those loses the one that has not moved for longest, once that is `STILL` seconds; if all move, who has most of them
loses one, once the one too many has had `PATIENCE` seconds. What Jupyter did not begin to answer may be a save, while
Jupyter is busy: it is chosen last, and only after `UNANSWERED` seconds.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable

from visa import clock
from visa.session.crowd import TooMany

EACH, OTHERS = 24, 64
LASTING, LASTING_OTHERS = 24, 48
WAITING = 200
"""Requests of one person that wait for their turn."""
_PARTS = ((4, 2**18), (32, 2**16), (10**9, 2**14))
"""Of so many requests under way, or fewer, so many bytes."""
SOON, STILL, PATIENCE, AGAIN, UNANSWERED = 1.0, 5.0, 20.0, 1.0, 120.0


class Turn:
    """Of one request. ``cut`` ends it."""

    def __init__(self, turnstile: Turnstile, name: str, cut: Callable[[], None]) -> None:
        self.name, self.cut = name, cut
        self.lasts = self.answering = self._over = False
        self.began = self.moved = clock.elapsed()
        self._turnstile = turnstile
        self._timer = asyncio.get_running_loop().call_later(SOON, self._last)

    def moves(self) -> None:
        """A part of it went on."""
        self.moved = clock.elapsed()

    def answers(self) -> None:
        """Its answer began: from now on it is the browser that does not take it."""
        self.answering = True
        self.moves()

    def bears(self, seconds: float) -> float:
        """Seconds after which it may be cut: ``seconds``, or more while there is no answer."""
        return seconds if self.answering else UNANSWERED

    def _last(self) -> None:
        """Give the turn back, or try again when there is no place among those that last."""
        if not self._over and not self._turnstile.lasts(self):
            self._timer = asyncio.get_running_loop().call_later(AGAIN, self._last)

    def leave(self) -> None:
        """It is over; the next may come."""
        if not self._over:
            self._over = True
            self._timer.cancel()
            self._turnstile.left(self)


class Turnstile:
    """Nobody's requests wait for those of somebody else but the other guests'."""

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._own: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()
        self._waiting: Counter[str] = Counter()
        self._others = asyncio.Semaphore(OTHERS)
        self._lasting: dict[Turn, None] = {}

    @property
    def part(self) -> int:
        """Bytes of an answer that are moved at a time. A browser that does not read makes one or two parts be held."""
        under_way = sum(self._users.values()) - sum(self._waiting.values())
        return next(size for most, size in _PARTS if under_way <= most)

    @property
    def lasting(self) -> int:
        """Requests that last."""
        return len(self._lasting)

    async def enter(self, name: str, cut: Callable[[], None]) -> Turn:
        """``name``'s turn, when it comes; raise `TooMany` when too many of theirs wait."""
        if self._waiting[name] >= WAITING:
            raise TooMany(f"{WAITING} requests of yours wait here, which is as many as may. Close pages, or try later.")
        self._users[name] += 1
        self._waiting[name] += 1
        try:
            await self._own.setdefault(name, asyncio.Semaphore(EACH)).acquire()
            try:
                if name != self._owner:
                    await self._others.acquire()
            except BaseException:
                self._own[name].release()
                raise
        except BaseException:
            self._forget(name)
            raise
        finally:
            self._waiting[name] -= 1
            if not self._waiting[name]:
                del self._waiting[name]
        return Turn(self, name, cut)

    def lasts(self, turn: Turn) -> bool:
        """Whether it is counted apart from now on. Where there is no room, one is cut, for the next try."""
        full = self._full(turn.name)
        if not full:
            turn.lasts = True
            self._lasting[turn] = None
            self._give_back(turn.name)
            return True
        now = clock.elapsed()
        full.sort(key=lambda one: (not one.answering, one.moved))
        still = next((one for one in full if now - one.moved >= one.bears(STILL)), None)
        if still is not None:
            still.cut()
        elif now - turn.began >= PATIENCE:
            pays = full[0] if self._lasts_of(full[0].name) > self._lasts_of(turn.name) + 1 else turn
            if now - pays.began >= pays.bears(PATIENCE):
                pays.cut()
        return False

    def _lasts_of(self, name: str) -> int:
        return sum(one.name == name for one in self._lasting)

    def _full(self, name: str) -> list[Turn]:
        """Among which one has to go before one more of ``name``'s may last; empty when there is room."""
        own = [one for one in self._lasting if one.name == name]
        if len(own) >= LASTING:
            return own
        others = [one for one in self._lasting if one.name != self._owner]
        if name == self._owner or len(others) < LASTING_OTHERS:
            return []
        most = Counter(one.name for one in others).most_common(1)[0][0]
        return [one for one in others if one.name == most]

    def left(self, turn: Turn) -> None:
        """A request is over."""
        if turn.lasts:
            del self._lasting[turn]
        else:
            self._give_back(turn.name)
        self._forget(turn.name)

    def _give_back(self, name: str) -> None:
        self._own[name].release()
        if name != self._owner:
            self._others.release()

    def _forget(self, name: str) -> None:
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name], self._own[name]
