"""When a source suddenly holds much less than before, something is wrong with the source: nothing was withdrawn."""

from __future__ import annotations

from collections.abc import Mapping

_FEW = 10  # below this a facility may well halve what it has


def shrunk(before: Mapping[str, int], after: Mapping[str, int], *, all_of_it: bool = True) -> str | None:
    """What there is suddenly too little of, and what to do; None when the change can be believed.

    ``all_of_it``: the numbers are of the whole source, where nothing at all is never believed after something.
    """
    for what, count in before.items():
        now = after.get(what, 0)
        if now < count and ((all_of_it and now == 0) or (count >= _FEW and 2 * now < count)):
            return (
                f"{what}: there were {count}, now {now}, which is not believed; mend it, or restart VISA if it is meant"
            )
    return None
