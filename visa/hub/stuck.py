"""Ends that JupyterHub began and could not write down, because its database was away: they are ended once more.

JupyterHub marks a server as stopping, and takes the mark back as its last step, which it does not reach then. Nobody
could stop or start that instance again before the hub restarts.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from visa.identifiers import instance_id

log = logging.getLogger(__name__)


class Stuck:
    """What one hub process saw at its last look: an end that is under way is not one that is stuck."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._seen: set[str] = set()

    async def look(self, spawners: Iterable[tuple[Any, Any]]) -> None:
        """End what was stopping at the last look too, and does not run."""
        found = {
            instance_id(user.name, spawner.name): (user, spawner)
            for user, spawner in spawners
            if spawner.pending == "stop"
            and getattr(spawner, "_stop_future", None) is None
            and not spawner.tidies
            and await spawner.poll() is not None
        }
        seen, self._seen = self._seen, set(found)
        for identifier in seen & self._seen:
            user, spawner = found[identifier]
            if spawner.pending != "stop" or user.spawners.get(spawner.name) is not spawner:
                continue
            log.warning("The end of instance %s of %s was not written down; it is done again", spawner.name, user.name)
            await self._app.proxy.delete_user(user, spawner.name)
            await user.stop(spawner.name)
