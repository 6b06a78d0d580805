"""The bytes that one gateway holds for all its websockets: what is not whole yet, and what is not taken yet.

The owner may have all of it. Everybody else has a quarter each and a half together, so nobody takes her room.
"""

from __future__ import annotations

from collections import Counter


class Budget:
    """``total`` bytes. Whoever asks for more than there is gets a no, and is slowed or sent away by who asked."""

    def __init__(self, total: int, owner: str) -> None:
        self.total, self._owner = total, owner
        self._held: dict[object, tuple[str, int]] = {}
        self._of: Counter[str] = Counter()
        self.held = 0

    def hold(self, what: object, who: str, size: int) -> bool:
        """``what`` of ``who`` holds ``size`` bytes from now on. False, and all is as it was, when they do not fit."""
        before = self._held.get(what, (who, 0))[1]
        more = size - before
        if more > 0 and not self._fits(who, more):
            return False
        self._held[what] = who, size
        self._of[who] += more
        self.held += more
        return True

    def _fits(self, who: str, more: int) -> bool:
        if self.held + more > self.total:
            return False
        others = self.held - self._of[self._owner]
        return who == self._owner or (self._of[who] + more <= self.total // 4 and others + more <= self.total // 2)

    def release(self, what: object) -> None:
        """It holds nothing any more."""
        who, size = self._held.pop(what, ("", 0))
        self._of[who] -= size
        self.held -= size
        if not self._of[who]:
            del self._of[who]
